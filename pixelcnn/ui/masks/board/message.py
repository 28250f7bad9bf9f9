"""What a board shows, as data: panels of cells, marks, frames. Knows nothing of Streamlit."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelcnn.inspection.receptive_field import PixelRole
from pixelcnn.ui.browser.wire import encode


class Look(IntEnum):
    """What a cell is; looks.js has its colours and its words.

    The first five are those of `receptive_field.PixelRole`.
    """

    NOTHING = 0
    SEEN = PixelRole.SEEN
    BLIND_SPOT = PixelRole.BLIND_SPOT
    BEYOND_REACH = PixelRole.BEYOND_REACH
    FUTURE = PixelRole.FUTURE
    CURRENT = PixelRole.CURRENT
    LEAK = 6
    READS_PAST = 7
    READS_PRESENT = 8
    HIDDEN_PRESENT = 9
    HIDDEN_FUTURE = 10
    ABSENT = 11
    READS_ROWS_ABOVE = 12
    FRAME = 13


ARRAYS = {"picture": np.uint8, "shades": np.float32, "values": np.float32, "looks": np.uint8}
"""Fields of a panel that travel as sections, named by field and panel: `looks0`."""


@dataclass(frozen=True)
class Panel:
    """One grid of cells: a picture, a map or a kernel."""

    title: str
    height: int
    """Cells from top to bottom."""
    width: int
    """Cells from left to right."""
    picture: NDArray[np.uint8] | None = None
    """(H, W) or (H, W, 3) display values."""
    shades: NDArray[np.floating] | None = None
    """(H, W), 0..1 on the colour map, or -1..1 if it has `two_sides`; instead of a picture."""
    two_sides: bool = False
    """Whether the shades have a sign."""
    bar: Sequence[tuple[float, str]] = ()
    """Ticks of the colour bar: shade and text."""
    values: NDArray[np.floating] | None = None
    """(H, W), the number told of a cell; a kernel's are written into its cells, too."""
    unit: str = ""
    """What the values are; written before the number."""
    looks: NDArray[np.uint8] | None = None
    """(H, W), or (frames, H, W), values of `Look`; what reads is not painted over shades."""
    captions: Sequence[str] = ()
    """One text, or one for each frame."""
    reveal: bool = False
    """Whether frame n shows only the first n cells."""
    dilation: int = 0
    """Of a kernel: distance between two entries, in pixels; 0 for what is no kernel."""
    tile: tuple[int, int, int] | None = None
    """Rows and columns of one feature's tile in an overview, and how many there are: a cell is
    named by its feature, and arrow keys go from tile to tile."""
    is_choosable: bool = False
    """Whether a click moves a mark."""
    size: int = 440
    """Largest width on the screen, in CSS pixels."""


@dataclass(frozen=True)
class Frames:
    """Steps that the visitor walks through, or plays, without the server."""

    count: int
    labels: Sequence[str] = ()
    """One for each frame; without any, a frame is a number of pixels."""
    start: int = 0
    per_second: float = 1.0
    slides: str = ""
    """Name of the mark that goes to pixel n in frame n."""
    button: str = "Play"
    """What the button that plays is called."""
    is_told: bool = False
    """Whether the server is told which frame the visitor stays at."""


@dataclass(frozen=True)
class Board:
    """Panels side by side, with what they share."""

    panels: Sequence[Panel]
    legend: Sequence[int] = ()
    """Looks that are explained below the panels."""
    marks: Mapping[str, int] = field(default_factory=dict)
    """Pixels that a click moves, outlined in every panel that is no kernel, by name."""
    buttons: Mapping[str, str] = field(default_factory=dict)
    """What the button says that chooses a mark, by its name; one alone needs no button."""
    frames: Frames | None = None
    hint: str = ""
    """What to do, shown while the pointer is elsewhere."""

    def message(self, echo: int) -> bytes:
        """Encode for the browser.

        Arguments:
            echo: number of the last pick that the server has heard of; newer ones in the browser
                are kept.
        """
        sections: dict[str, np.ndarray] = {}
        for number, panel in enumerate(self.panels):
            for name, dtype in ARRAYS.items():
                array = getattr(panel, name)
                if array is not None:
                    sections[f"{name}{number}"] = np.ascontiguousarray(array, dtype=dtype)
        # The browser stays at its frame as long as only marks move.
        shapes = [(p.title, p.height, p.width, p.dilation) for p in self.panels]
        identity = repr((shapes, self.frames and self.frames.count))
        header = {
            "panels": [_settings(panel) for panel in self.panels],
            "frames": self.frames and _settings(self.frames),
            "legend": self.legend,
            "marks": self.marks,
            "buttons": self.buttons,
            "hint": self.hint,
            "identity": hashlib.blake2b(identity.encode(), digest_size=8).hexdigest(),
            "echo": echo,
        }
        return encode(header, sections)


def _settings(part: Panel | Frames) -> dict[str, Any]:
    """Give the fields that are no arrays."""
    return {f.name: getattr(part, f.name) for f in fields(part) if f.name not in ARRAYS}
