"""Levels as pictures: arrays of grey or RGB values, PNG and GIF bytes."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pixelcnn.data.datasets import dequantize

Picture = NDArray[np.uint8]
"""Display values: (height, width) grey or (height, width, 3) RGB."""

CHANNEL_NAMES = {1: ("",), 3: ("red", "green", "blue")}
"""By their number; of a single channel nothing need be said."""
GIF_FRAMES = 100
"""Frames of an animation, roughly."""
GAP = 2
"""White pixels between the pictures of a sheet."""
UNDRAWN = np.array([222, 226, 234], dtype=np.uint8)
"""Colour of pixels not drawn yet, bluish so that it is no grey of a picture."""


def pictures(levels: Tensor, num_levels: int) -> list[Picture]:
    """Turn levels (B, C, H, W) into B pictures."""
    values = dequantize(levels, num_levels).numpy()
    return [v[0] if len(v) == 1 else v.transpose(1, 2, 0) for v in values]


def sheet(levels: Tensor, num_levels: int, *, columns: int, scale: int = 1) -> Picture:
    """Lay the pictures of levels (B, C, H, W) out in rows, each pixel enlarged; see `grid`."""
    return enlarge(grid(pictures(levels, num_levels), columns), scale)


def grid(parts: Sequence[Picture], columns: int) -> Picture:
    """Lay pictures of one size out in rows, two white pixels apart.

    Raises:
        ValueError: if `columns` is less than 1.
    """
    if columns < 1:
        raise ValueError(f"`columns` (={columns}) must be at least 1.")
    height, width, *channels = parts[0].shape
    rows, columns = -(-len(parts) // columns), min(columns, len(parts))
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, *channels)
    result = np.full(shape, 255, dtype=np.uint8)
    for i, part in enumerate(parts):
        top, left = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        result[top : top + height, left : left + width] = part
    return result


def enlarge(picture: Picture, scale: int) -> Picture:
    """Repeat every pixel `scale` times in both directions."""
    return picture.repeat(scale, 0).repeat(scale, 1)


def png_bytes(picture: Picture) -> bytes:
    """Encode as PNG, small: the best of three strategies of zlib, at its highest level.

    No strategy is the best for digits and for clothes; other settings save hardly any bytes more.
    """
    files = []
    for strategy in (Image.DEFAULT_STRATEGY, Image.FILTERED, Image.RLE):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG", compress_level=9, compress_type=strategy)
        files.append(buffer.getvalue())
    return min(files, key=len)


def gif_bytes(frames: Sequence[Picture]) -> bytes:
    """Encode pictures of one size as an endless animated GIF that rests on its last frame."""
    first, *others = [Image.fromarray(frame) for frame in frames]
    milliseconds = [50] * len(others) + [2000]
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)
    return buffer.getvalue()


def drawing_frames(picture: Picture, *, pixels_per_frame: int = 8) -> list[Picture]:
    """Show a picture while it is drawn in raster order, pixels not drawn yet in a pale blue.

    Returns RGB frames; the last one is the whole picture.
    """
    colour = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
    height, width, _ = colour.shape
    frames = []
    total = height * width
    for drawn in [*range(0, total, pixels_per_frame), total]:
        flat = np.where(np.arange(total)[:, None] < drawn, colour.reshape(-1, 3), UNDRAWN)
        frames.append(flat.reshape(height, width, 3))
    return frames


def animated_sheet(levels: Tensor, num_levels: int, *, columns: int, scale: int) -> bytes:
    """Encode a `sheet` of pictures, all being drawn together, as a GIF of five seconds."""
    parts = pictures(levels, num_levels)
    pixels_per_frame = max(1, parts[0].shape[0] * parts[0].shape[1] // GIF_FRAMES)
    drawn = [drawing_frames(p, pixels_per_frame=pixels_per_frame) for p in parts]
    return gif_bytes([enlarge(grid(frame, columns), scale) for frame in zip(*drawn, strict=True)])
