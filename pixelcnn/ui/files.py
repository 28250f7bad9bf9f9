"""The browser's half of the components: files in the folders beside this one."""

from pathlib import Path

FOLDER = Path(__file__).parent
SHARED = ("player/trace.js", "player/pictures.js", "player/panels.js")
"""What all that paints pixels needs: messages read, canvases painted, the colours of the page."""


def read(*names: str) -> str:
    """Join files, in the order of use: components v2 takes a single script and style sheet."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)
