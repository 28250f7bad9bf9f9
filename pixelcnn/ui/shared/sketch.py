"""A partial picture: the level of every pixel, and whether it is known. Knows no Streamlit."""

import base64
import binascii
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.data.datasets import dequantize, quantize
from pixelcnn.data.pictures import CHANNEL_NAMES
from pixelcnn.models import Evidence

UNKNOWN, GIVEN, DRAWN = 0, 1, 2
"""States of a pixel: to be completed; known from a picture; known because it was drawn by hand."""
MAX_TEXT = 8000
"""Characters of a drawing in a link; the largest grey picture of noise needs 7,500."""
MAX_SIDE = 64


@dataclass(frozen=True, eq=False)
class Sketch:
    """A partial picture; read-only.

    Raises:
        ValueError: if a shape, level or state breaks its rule.
    """

    level: NDArray[np.uint8]
    """(C, H, W), 0..K-1; an unknown pixel keeps the levels that lie under it."""
    state: NDArray[np.uint8]
    """(H, W), `UNKNOWN`, `GIVEN` or `DRAWN`."""
    num_levels: int = 256
    """K."""

    def __post_init__(self) -> None:
        channels, *shape = self.level.shape
        if (
            channels not in CHANNEL_NAMES
            or self.state.shape != (*shape,)
            or not 1 <= min(shape) <= max(shape) <= MAX_SIDE
        ):
            raise ValueError(
                f"a drawing of {self.level.shape} levels and {self.state.shape} states must be of "
                f"at most {MAX_SIDE} x {MAX_SIDE} pixels"
            )
        if not 2 <= self.num_levels <= 256:
            raise ValueError(f"the number of levels ({self.num_levels}) must lie in 2..256")
        for name, values, end in (
            ("level", self.level, self.num_levels),
            ("state", self.state, DRAWN + 1),
        ):
            if values.dtype != np.uint8 or values.max() >= end:
                raise ValueError(f"the {name} {values.max()} of a pixel must lie in 0..{end - 1}")

    @property
    def known(self) -> NDArray[np.bool_]:
        """(H, W), True where something is given or drawn."""
        return self.state != UNKNOWN

    @property
    def levels(self) -> Tensor:
        """The known levels for the model, int64 (1, C, H, W); 0 where unknown."""
        return torch.from_numpy(np.where(self.known, self.level, 0).astype(np.int64))[None]

    def hints(self, exactly: bool) -> NDArray[np.bool_]:
        """Say which pixels are hints, (H, W): those drawn by hand, unless they count exactly."""
        return (self.state == DRAWN) & (not exactly)

    def evidence(self, exactly: bool = True) -> Evidence:
        """Give the drawing to a model; with `exactly` strokes are facts, else hints."""
        hints = self.hints(exactly)
        masks = (torch.from_numpy(mask)[None, None] for mask in (self.known & ~hints, hints))
        return Evidence(self.levels, *masks)

    def same_evidence(self, other: "Sketch") -> bool:
        """Say whether the same is known, whatever lies under unknown pixels."""
        return (
            self.num_levels == other.num_levels
            and np.array_equal(self.state, other.state)
            and torch.equal(self.levels, other.levels)
        )

    def filled(self, level: NDArray[np.integer], exactly: bool) -> "Sketch":
        """Give every pixel that is no fact its levels from a whole picture, (C, H, W)."""
        facts = self.known & ~self.hints(exactly)
        return Sketch(
            np.where(facts, self.level, level).astype(np.uint8),
            np.where(facts, self.state, GIVEN),
            self.num_levels,
        )

    def covered(self, known: NDArray[np.bool_]) -> "Sketch":
        """Cover a part, so that only these pixels can be known, (H, W).

        A picture that was given lies under its covered pixels: there they become known again. Of
        a drawing by hand, only what was drawn is known.
        """
        whole = bool((self.state == GIVEN).any())
        state = np.where(whole & ~self.known, GIVEN, self.state)
        return Sketch(self.level, np.where(known, state, UNKNOWN), self.num_levels)

    def with_levels(self, num_levels: int) -> "Sketch":
        """Say the same colours in another number of levels."""
        if num_levels == self.num_levels:
            return self
        values = dequantize(torch.from_numpy(self.level.copy()), self.num_levels)
        return Sketch(quantize(values, num_levels).numpy(), self.state, num_levels)


def blank(shape: tuple[int, int, int], num_levels: int) -> Sketch:
    """Make a drawing of a shape C, H, W in which nothing is known."""
    return Sketch(np.zeros(shape, np.uint8), np.zeros(shape[1:], np.uint8), num_levels)


def given(level: NDArray[np.integer], num_levels: int) -> Sketch:
    """Make a drawing of a whole picture, (C, H, W)."""
    level = np.ascontiguousarray(level, np.uint8)
    return Sketch(level, np.full(level.shape[1:], GIVEN, np.uint8), num_levels)


def to_text(sketch: Sketch) -> str:
    """Write a drawing for a link.

    >>> len(to_text(blank((1, 28, 28), 256)))
    32
    """
    head = bytes([*sketch.state.shape, sketch.num_levels - 1])
    body = zlib.compress(sketch.state.tobytes() + sketch.level.tobytes(), 9)
    return base64.urlsafe_b64encode(head + body).decode().rstrip("=")


def from_text(text: str) -> Sketch:
    """Read what `to_text` wrote.

    Raises:
        ValueError: if it is too long, damaged, or no drawing.
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"{len(text)} characters are more than {MAX_TEXT}")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        height, width, last_level = data[:3]
        # A small text must not unpack to a huge array.
        unpacker = zlib.decompressobj()
        size = height * width
        body = unpacker.decompress(data[3:], (1 + max(CHANNEL_NAMES)) * size + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError(f"the text is damaged ({error})") from None
    fitting = [channels for channels in CHANNEL_NAMES if len(body) == (1 + channels) * size]
    if not unpacker.eof or not fitting:
        raise ValueError(f"the text does not hold {height} x {width} pixels")
    state, *level = np.frombuffer(body, np.uint8).reshape(1 + fitting[0], height, width)
    return Sketch(np.stack(level), state, last_level + 1)


def channels_last(levels: NDArray) -> NDArray:
    """Turn (..., C, H, W) into (..., H, W, C), as the browser has it."""
    return np.moveaxis(levels, -3, -1)
