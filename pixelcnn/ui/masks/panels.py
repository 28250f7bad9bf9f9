"""Panels of the Masks page, made from a model's numbers. Knows nothing of Streamlit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.data.pictures import pictures
from pixelcnn.evaluation.stored import percent
from pixelcnn.inspection.kernels import Kernel
from pixelcnn.inspection.receptive_field import LayerField
from pixelcnn.masks import kernel_mask
from pixelcnn.ui.masks.board import Look, Panel

FIELD_LEGEND = (Look.SEEN, Look.BLIND_SPOT, Look.BEYOND_REACH, Look.FUTURE, Look.CURRENT)
KERNEL_LEGEND = (Look.READS_PAST, Look.READS_PRESENT, Look.HIDDEN_PRESENT, Look.HIDDEN_FUTURE)
SMALLEST_SHADE = 1e-4
"""Share of the largest gradient at which the colour map of the effective field begins."""


def picture_panel(
    levels: Tensor,
    num_levels: int,
    title: str,
    *,
    looks: NDArray[np.uint8] | None = None,
    captions: Sequence[str] = (),
    is_choosable: bool = True,
    reveal: bool = False,
    size: int = 440,
) -> Panel:
    """Show an image, int64 (1, C, H, W), with its levels under the pointer; see `Panel`."""
    _, channels, height, width = levels.shape
    return Panel(
        title,
        height,
        width,
        picture=pictures(levels, num_levels)[0],
        values=levels[0, 0].numpy() if channels == 1 else None,
        unit="level" if channels == 1 else "",
        looks=looks,
        captions=captions,
        is_choosable=is_choosable,
        reveal=reveal,
        size=size,
    )


def field_panel(
    levels: Tensor, num_levels: int, title: str, fields: Sequence[LayerField], pixel: int
) -> Panel:
    """Show what the prediction at a pixel sees of an image, frame by frame behind every layer."""
    roles = [field.roles(pixel) for field in fields]
    captions = [field_caption(pixel, r) for r in roles]
    return picture_panel(levels, num_levels, title, looks=np.stack(roles), captions=captions)


def mask_panel(
    kernel_size: int, mask_type: str, dilation: int, title: str = "", size: int = 240
) -> Panel:
    """Show the mask of a kernel for one channel, 1 where it reads."""
    mask = kernel_mask(kernel_size, mask_type).numpy()
    looks = entry_looks(mask != 0, np.ones_like(mask, dtype=bool))
    centre = "hidden" if mask_type == "A" else "read"
    return Panel(
        title or f"Mask {mask_type}",
        kernel_size,
        kernel_size,
        values=mask,
        looks=looks,
        dilation=dilation,
        captions=[f"{mask.sum()} of {mask.size} entries read; the centre is {centre}."],
        size=size,
    )


def entry_looks(
    reads: NDArray[np.bool_], is_part: NDArray[np.bool_], is_vertical: bool = False
) -> NDArray[np.uint8]:
    """Sort a kernel's entries by what they are: past, present, future; read or hidden.

    Arguments:
        reads: (k, k), whether the mask lets the entry read for any of the features shown.
        is_part: (k, k), whether the convolution has the entry.
        is_vertical: whether it belongs to the vertical stack.

    Returns:
        uint8 (k, k), values of `Look`.
    """
    size = len(is_part)
    centre = size * size // 2
    order = np.arange(size * size).reshape(size, size)
    looks = np.full((size, size), Look.HIDDEN_FUTURE, dtype=np.uint8)
    looks[(order < centre) & reads] = Look.READS_PAST
    looks[order == centre] = Look.READS_PRESENT if reads.flat[centre] else Look.HIDDEN_PRESENT
    if is_vertical:
        looks[size // 2][reads[size // 2]] = Look.READS_ROWS_ABOVE
    looks[~is_part] = Look.ABSENT
    return looks


def weights_panel(kernel: Kernel, output: int, source: int | None) -> Panel:
    """Show the learned weights of one output feature under the mask.

    Arguments:
        kernel: of the loaded model.
        output: output feature.
        source: input feature; None takes all together (Euclidean norm).
    """
    visible = kernel.visible(source)[output]
    largest = float(np.nanmax(abs(visible), initial=0.0))
    two_sides = source is not None
    return Panel(
        f"Feature {output}, {f'input {source}' if two_sides else 'all inputs'}",
        kernel.size,
        kernel.size,
        shades=visible / (largest or 1.0),
        two_sides=two_sides,
        bar=weight_bar(largest, two_sides),
        values=visible,
        unit="weight" if two_sides else "norm of the weights",
        looks=entry_looks(~np.isnan(visible), kernel.is_part, kernel.is_vertical),
        dilation=kernel.dilation,
        captions=[_weights_caption(kernel)],
        size=360,
    )


def _weights_caption(kernel: Kernel) -> str:
    if kernel.mask_type is None:
        return "No mask: it passes on what the rows above say."
    if kernel.is_vertical:
        return "The vertical stack needs no mask: its kernel has no entry below its row."
    return "Hatched entries are hidden: whatever is stored there is multiplied by 0."


def weight_bar(largest: float, two_sides: bool) -> list[tuple[float, str]]:
    """Label the colour bar of weights."""
    top = [(1.0, f"{largest:.2g}")]
    return [(-1.0, f"−{largest:.2g}"), (0.0, "0"), *top] if two_sides else [(0.0, "0"), *top]


def overview_panel(kernel: Kernel, output: int, source: int | None) -> Panel:
    """Show the weights of all output features at once, the chosen one framed.

    Of a 1x1 convolution this is the matrix of its weights, one row for each output.
    """
    if kernel.size == 1:
        shades = np.where(kernel.is_open, kernel.weights, np.nan)[:, :, 0, 0]
        looks = None
        title = f"All weights: {shades.shape[0]} outputs down, {shades.shape[1]} inputs across"
    else:
        shades, looks = _tiled(kernel, source, output)
        title = f"All {len(kernel.weights)} features of this layer; click one"
    largest = float(np.nanmax(abs(shades), initial=0.0))
    two_sides = source is not None or kernel.size == 1
    return Panel(
        title,
        *shades.shape,
        shades=shades / (largest or 1.0),
        two_sides=two_sides,
        bar=weight_bar(largest, two_sides),
        values=shades,
        unit="weight" if two_sides else "norm",
        looks=looks,
        tile=None if kernel.size == 1 else (*_tile_shape(kernel)[:2], len(kernel.weights)),
        is_choosable=True,
        size=520,
    )


def feature_at(kernel: Kernel, cell: int) -> tuple[int, int | None]:
    """Tell which output, and of a 1x1 convolution which input, a cell of the overview shows."""
    outputs, inputs = kernel.weights.shape[:2]
    if kernel.size == 1:
        return divmod(cell, inputs)
    height, width, columns = _tile_shape(kernel)
    row, col = divmod(cell, columns * width + 1)
    across = min(col // width, columns - 1)  # the last line belongs to the last tile
    return min(row // height * columns + across, outputs - 1), None


def cell_of(kernel: Kernel, output: int, source: int | None) -> int:
    """Give the cell of the overview in the middle of a feature's kernel."""
    if kernel.size == 1:
        return output * kernel.weights.shape[1] + (source or 0)
    height, width, columns = _tile_shape(kernel)
    row, col = divmod(output, columns)
    return (row * height + height // 2) * (columns * width + 1) + col * width + width // 2


def _tile_shape(kernel: Kernel) -> tuple[int, int, int]:
    """Rows and columns of a kernel in the overview, one line each included, and tiles in a row."""
    height, width = (int(kernel.is_part.any(axis).sum()) + 1 for axis in (1, 0))
    return height, width, int(np.ceil(np.sqrt(1.6 * len(kernel.weights))))  # wider than tall


def _tiled(
    kernel: Kernel, source: int | None, chosen: int
) -> tuple[NDArray[np.floating], NDArray[np.uint8]]:
    """Lay out the kernels of all outputs, with lines between; the chosen one has a frame."""
    part = np.ix_(kernel.is_part.any(1), kernel.is_part.any(0))
    tiles = kernel.visible(source)[:, *part]
    height, width, columns = _tile_shape(kernel)
    shape = (-(-len(tiles) // columns) * height + 1, columns * width + 1)
    shades, looks = np.full(shape, np.nan), np.zeros(shape, np.uint8)
    for n, tile in enumerate(tiles):
        row, col = n // columns * height, n % columns * width
        shades[row + 1 : row + height, col + 1 : col + width] = tile
        if n == chosen:
            looks[row : row + height + 1, col : col + width + 1] = Look.FRAME
            looks[row + 1 : row + height, col + 1 : col + width] = Look.NOTHING
    return shades, looks


def field_caption(pixel: int, roles: NDArray[np.uint8]) -> str:
    """Tell what one prediction sees, and what it is blind for."""
    seen, blind, beyond = ((roles == k).sum() for k in (1, 2, 3))
    text = f"sees {seen} of {pixel} past pixels ({share(seen, pixel)})"
    text += f" · blind spot {blind} ({share(blind, pixel)})"
    return text + (f" · out of reach {beyond}" if beyond else "")


def share(part: int, whole: int) -> str:
    """Write a share of the past in percent; without a past there is none."""
    return percent(part / whole) if whole else "no past"


def effective_panel(field: NDArray[np.float32], pixel: int, title: str) -> Panel:
    """Show an effective receptive field on a logarithmic scale, relative to its largest value."""
    height, width = field.shape
    largest = float(field.max())
    relative = field / (largest or 1.0)
    with np.errstate(divide="ignore"):
        shades = 1 - np.log10(relative) / np.log10(SMALLEST_SHADE)
    shades = np.where(field > 0, np.clip(shades, 0, 1), np.nan)
    looks = np.zeros(field.shape, np.uint8)
    looks.flat[pixel + 1 :] = Look.FUTURE
    looks.flat[pixel] = Look.CURRENT
    return Panel(
        title,
        height,
        width,
        shades=shades,
        bar=[(0.0, "1/10,000"), (0.5, "1/100"), (1.0, "largest")],
        values=relative,
        unit="gradient, share of the largest:",
        looks=looks,
        captions=[effective_caption(field)],
        is_choosable=True,
    )


def effective_caption(field: NDArray[np.float32]) -> str:
    """Tell how few pixels carry most of the gradient."""
    ordered = np.sort(field.ravel())[::-1].astype(np.float64)
    total = ordered.sum()
    if total == 0:
        return "No pixel acts on this prediction."
    reached = np.cumsum(ordered) / total
    half, most = (int((reached < part).sum()) + 1 for part in (0.5, 0.95))
    many = int((field > 0).sum())
    return f"half of the gradient lies on {half} of {many} pixels, 95 % on {most}"
