"""What a prediction can see: from the loaded weights, by composition of masks and by gradients."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.models import AutoregressiveModel, GatedPixelCNN, PixelCNN

BATCH = 32
"""Pixels whose gradients are computed together."""


@dataclass(frozen=True)
class CausalityReport:
    """What the Jacobian of the logits says about a model."""

    positions_checked: int
    """Pixels whose prediction was differentiated."""
    num_pixels: int
    """H * W, inputs with respect to which it was."""
    largest_future_gradient: float
    """Largest absolute derivative with respect to the pixel itself or a later one; must be 0."""
    future_pairs: int
    """Pairs (prediction, pixel not before it) that were checked."""
    past_pairs: int
    """Pairs (prediction, earlier pixel) that were checked."""
    past_pairs_seen: int
    """Those of them with a derivative other than 0."""

    def __add__(self, other: "CausalityReport") -> "CausalityReport":
        """Join the reports on different predictions of one model."""
        return CausalityReport(
            positions_checked=self.positions_checked + other.positions_checked,
            num_pixels=self.num_pixels,
            largest_future_gradient=max(
                self.largest_future_gradient, other.largest_future_gradient
            ),
            future_pairs=self.future_pairs + other.future_pairs,
            past_pairs=self.past_pairs + other.past_pairs,
            past_pairs_seen=self.past_pairs_seen + other.past_pairs_seen,
        )

    @property
    def is_causal(self) -> bool:
        """Whether no prediction depends on its own pixel or a later one."""
        return self.largest_future_gradient == 0.0

    @property
    def text(self) -> str:
        """The report in one sentence."""
        seen = 100 * self.past_pairs_seen / max(self.past_pairs, 1)
        which = f"{self.positions_checked} of {self.num_pixels}"
        verdict = (
            f"None of the {which} predictions checked depends on its own pixel or a later one: "
            f"{self.future_pairs:,} derivatives are exactly 0."
            if self.is_causal
            else "NOT CAUSAL: a prediction depends on its own or a later pixel, largest "
            f"derivative {self.largest_future_gradient:.3g} ({which} predictions checked)."
        )
        return f"{verdict} {seen:.1f} % of the past pixels act on them."


def spread_positions(model: AutoregressiveModel, count: int) -> list[int]:
    """Choose pixels for a quick check: first, last, and others spread over the picture."""
    total = model.config.height * model.config.width
    # A step of the golden ratio visits columns evenly as well, whatever the width.
    others = (int(total * ((i * 0.6180339887) % 1)) for i in range(1, count - 1))
    return sorted({0, total - 1, *others})


def check_causality(
    model: AutoregressiveModel, positions: Iterable[int], label: int | None = None
) -> CausalityReport:
    """Differentiate the prediction at some pixels with respect to every pixel.

    The Jacobian's rows for the K levels are added with random weights, so that a dependence cannot
    cancel out; of a causal model the result is exactly 0, not nearly, because nothing is added.
    Of its own pixel a channel may read the earlier channels only.

    Arguments:
        model: any model with `encode` and `logits_from_features`.
        positions: pixels in raster order, 0..H*W-1, at least one.
        label: class, or None for any.

    Raises:
        ValueError: if there is no position, or one is out of range.
    """
    c = model.config
    total = c.height * c.width
    positions = list(positions)
    if not positions:
        raise ValueError("`positions` must hold at least one pixel.")
    if any(not 0 <= p < total for p in positions):
        raise ValueError(f"`positions` (={positions}) must lie in 0..{total - 1}.")
    largest, seen = 0.0, 0
    generator = torch.Generator().manual_seed(0)
    for start in range(0, len(positions), BATCH):
        part = positions[start : start + BATCH]
        shape = (len(part), c.num_channels, c.height, c.width)
        levels = torch.randint(0, c.num_levels, shape, generator=generator)
        gradient = _gradients(model, levels, part, label)  # (n, H*W)
        order = torch.arange(total)
        future = order[None, :] >= torch.tensor(part)[:, None]
        # A NaN must not pass as "no dependence": it fails the comparison with 0 in `is_causal`.
        largest = max(largest, float(torch.nan_to_num(gradient, nan=float("inf"))[future].max()))
        seen += int((gradient[~future] != 0).sum())
    past = sum(positions)
    return CausalityReport(
        positions_checked=len(positions),
        num_pixels=total,
        largest_future_gradient=largest,
        future_pairs=len(positions) * total - past,
        past_pairs=past,
        past_pairs_seen=seen,
    )


def forbidden_pixels(
    model: AutoregressiveModel, levels: Tensor, pixel: int, label: int | None = None
) -> NDArray[np.bool_]:
    """Find the pixels, its own or later ones, that a prediction for an image depends on.

    Arguments:
        model: any model with `encode` and `logits_from_features`.
        levels: int64 (1, C, H, W).
        pixel: the predicted pixel, 0..H*W-1.
        label: class, or None for any.

    Returns:
        bool (H, W); all False of a causal model.

    Raises:
        ValueError: if there is no such pixel.
    """
    _check_pixel(pixel, model.config.height * model.config.width)
    gradient = _gradients(model, levels, [pixel], label)[0]
    gradient[:pixel] = 0.0
    return (gradient != 0).view(levels.shape[2:]).numpy()  # NaN is not 0 either


def _gradients(
    model: AutoregressiveModel, levels: Tensor, positions: list[int], label: int | None
) -> Tensor:
    """Return |d prediction / d pixel|, summed over features and channels: (n, H*W).

    Image n of `levels` (n, C, H, W) is for position n. What a channel may read of its own pixel is
    left out; NaN where the prediction is not a number.
    """
    c = model.config
    image, pixel = torch.arange(len(positions)), torch.tensor(positions)
    generator = torch.Generator().manual_seed(1)
    labels = None if label is None else torch.full((len(positions),), label)
    # Every order in turn: with one for each image, none goes unchecked.
    condition = model.condition(len(positions), labels, image % c.num_orders)
    with torch.enable_grad():
        features = model.encode(levels).detach().requires_grad_(True)
        logits = model.logits_from_features(features, condition)  # (n, K, C, H, W)
        at = logits.flatten(3)[image, :, :, pixel]  # (n, K, C)
        weights = torch.randn(at.shape, generator=generator, dtype=torch.float32).to(at.dtype)
        by_channel = (at * weights).sum((0, 1))  # (C,)
    total = torch.zeros(len(positions), c.height * c.width, dtype=at.dtype)
    for channel in range(c.num_channels):
        more = channel + 1 < c.num_channels
        (gradient,) = torch.autograd.grad(by_channel[channel], features, retain_graph=more)
        gradient = gradient.abs().unflatten(1, (c.num_channels, -1)).sum(2).flatten(2)
        gradient[image, :channel, pixel] = 0.0  # (n, C, H*W): earlier channels of its own pixel
        total += gradient.sum(1)
    # A NaN in a bias leaves the derivatives as they are, so the logits are looked at as well.
    total[~at.isfinite().flatten(1).all(1)] = float("nan")
    return total


def dependency_maps(model: AutoregressiveModel) -> NDArray[np.bool_]:
    """Compose the masks of all layers: which input pixels can influence which prediction.

    A tap counts as open if any of its masked weights is not 0, so it is the loaded model's own
    receptive field, borders included.

    Arguments:
        model: either model.

    Returns:
        bool (H*W, H*W): entry [j, i] says whether pixel i can influence the prediction at pixel j.
    """
    return layer_fields(model)[-1].maps()


class Kind(IntEnum):
    """What a pixel is for a prediction, or for the features of one layer at its place."""

    SEEN = 1
    """Past, and it can influence the prediction."""
    BLIND_SPOT = 2
    """Past and inside the reach of the kernels, and yet it cannot."""
    BEYOND_REACH = 3
    """Past, but farther away than the kernels reach."""
    FUTURE = 4
    """Later in the order; it must not influence the prediction."""
    CURRENT = 5
    """The predicted pixel itself."""


@dataclass(frozen=True)
class LayerField:
    """What the features behind one layer can depend on, and so the prediction if it ended there.

    1x1 convolutions are no layers here: they do not change the field.
    """

    mask_type: Literal["A", "B"]
    """"A" for the first layer."""
    kernel_size: int
    """k."""
    dilation: int
    """Distance between two taps, in pixels."""
    reach: int
    """Rows above and columns to either side that kernels of these sizes span together."""
    height: int
    width: int
    packed: NDArray[np.uint8]
    """uint8 (H*W, H*W / 8, rounded up): row j is the map of pixel j, see `np.packbits`."""

    @property
    def name(self) -> str:
        """Kernel, mask and dilation in words."""
        size = f"{self.kernel_size} x {self.kernel_size}, mask {self.mask_type}"
        return size + (f", dilation {self.dilation}" if self.dilation > 1 else "")

    def maps(self) -> NDArray[np.bool_]:
        """Return bool (H*W, H*W), as `dependency_maps` does for the last layer."""
        return np.unpackbits(self.packed, axis=1, count=len(self.packed)).astype(bool)

    def kinds(self, pixel: int) -> NDArray[np.uint8]:
        """Sort all pixels by what they are for one prediction.

        Arguments:
            pixel: the predicted pixel, 0..H*W-1 in raster order.

        Returns:
            uint8 (H, W), values of `Kind`.

        Raises:
            ValueError: if there is no such pixel.
        """
        _check_pixel(pixel, self.height * self.width)
        return self._kinds(np.arange(pixel, pixel + 1))[0].reshape(self.height, self.width)

    @cached_property
    def totals(self) -> dict[Kind, int]:
        """Count the pairs (prediction, pixel) of each kind over all predictions."""
        counts = np.zeros(6, np.int64)
        for pixels in np.array_split(np.arange(len(self.packed)), -(-len(self.packed) // BATCH)):
            counts += np.bincount(self._kinds(pixels).ravel(), minlength=6)
        return {kind: int(counts[kind]) for kind in Kind}

    def _kinds(self, pixels: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Do the work of `kinds` for several predictions: (n, H*W)."""
        every = np.arange(len(self.packed))
        seen = np.unpackbits(self.packed[pixels], axis=1, count=len(every)).astype(bool)
        row, col = np.divmod(every[None], self.width)
        at_row, at_col = np.divmod(pixels[:, None], self.width)
        near = (at_row - row <= self.reach) & (abs(at_col - col) <= self.reach)
        kinds = np.where(near, np.uint8(Kind.BLIND_SPOT), np.uint8(Kind.BEYOND_REACH))
        kinds[seen] = Kind.SEEN
        kinds[every[None] > pixels[:, None]] = Kind.FUTURE
        kinds[np.arange(len(pixels)), pixels] = Kind.CURRENT
        return kinds


@torch.inference_mode()
def layer_fields(model: AutoregressiveModel) -> list[LayerField]:
    """Compose the masks layer by layer: how the receptive field grows with depth.

    Arguments:
        model: either model.

    Returns:
        The field behind the first layer and behind every block; the last one is the model's.

    Raises:
        ValueError: if the model is of another kind.
    """
    c = model.config
    total = c.height * c.width
    # reads[row, col] is the set of input pixels, one bit each, that a feature there depends on.
    pixel = np.packbits(np.eye(total, dtype=bool), axis=1).reshape(c.height, c.width, -1)
    fields: list[LayerField] = []

    def note(mask_type: Literal["A", "B"], size: int, dilation: int, reads: NDArray) -> None:
        reach = (fields[-1].reach if fields else 0) + dilation * (size // 2)
        packed = reads.reshape(total, -1)
        fields.append(LayerField(mask_type, size, dilation, reach, c.height, c.width, packed))

    if isinstance(model, GatedPixelCNN):
        vertical = _spread(model.first_vertical, pixel)
        horizontal = _spread(model.first_horizontal, pixel)
        note("A", c.first_kernel_size, 1, vertical | horizontal)  # what the stacks know together
        for block, dilation in zip(model.blocks, c.dilations, strict=True):
            above = _spread(block.vertical, vertical)
            vertical = vertical | above
            horizontal = horizontal | above | _spread(block.horizontal, horizontal)
            note("B", c.kernel_size, dilation, horizontal)
    elif isinstance(model, PixelCNN):
        reads = _spread(model.first, pixel)
        note("A", c.first_kernel_size, 1, reads)
        for block, dilation in zip(model.blocks, c.dilations, strict=True):
            reads = reads | _spread(block.conv, reads)
            note("B", c.kernel_size, dilation, reads)
    else:
        raise ValueError(f"`model` (={type(model).__name__}) must be a PixelCNN or GatedPixelCNN.")
    return fields


def _spread(layer: torch.nn.Conv2d, reads: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Unite, for every position, what the positions under a layer's open taps depend on."""
    masked = getattr(layer, "masked_weight", None)
    weight = masked() if masked else layer.weight
    taps = (weight != 0).any(1).any(0).numpy()  # (rows, columns) of the kernel
    left, _, above, _ = getattr(layer, "pad", (layer.padding[1], 0, layer.padding[0], 0))
    dilation = layer.dilation[0]
    height, width, _ = reads.shape
    out = np.zeros_like(reads)
    for i, j in np.argwhere(taps):
        down, right = dilation * i - above, dilation * j - left  # where the tap reads
        rows = slice(max(0, -down), max(0, min(height, height - down)))
        cols = slice(max(0, -right), max(0, min(width, width - right)))
        from_rows = slice(rows.start + down, rows.stop + down)
        from_cols = slice(cols.start + right, cols.stop + right)
        if rows.start < rows.stop and cols.start < cols.stop:
            out[rows, cols] |= reads[from_rows, from_cols]
    return out


def past_coverage(dependency: NDArray[np.bool_]) -> tuple[int, int]:
    """Count the pairs (prediction, earlier pixel) that are seen, and all such pairs."""
    past = np.tri(len(dependency), k=-1, dtype=bool)
    return int((dependency & past).sum()), int(past.sum())


def _check_pixel(pixel: int, total: int, name: str = "pixel") -> None:
    if not 0 <= pixel < total:
        raise ValueError(f"`{name}` (={pixel}) must lie in 0..{total - 1}.")
