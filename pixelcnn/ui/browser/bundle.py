"""The browser's half of the components: files beside the modules."""

from pathlib import Path

FOLDER = Path(__file__).parents[1]
SHARED = ("generate/player/trace.js", "generate/player/pictures.js", "generate/player/panels.js")
"""What all that paints pixels needs: messages read, canvases painted, the colours of the page."""


def read(*names: str) -> str:
    """Join files, in the order of use: components v2 takes a single script and style sheet."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
