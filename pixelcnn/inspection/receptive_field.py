"""What a prediction can see: from the loaded weights, by composition of masks and by gradients."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.models import Model, ModelConfig
from pixelcnn.models.convolutions import ConvolutionModel
from pixelcnn.progress import drain

BATCH = 8
"""Predictions that are differentiated, or looked at, together."""


@dataclass(frozen=True)
class CausalityReport:
    """What derivatives and changed levels say about the predictions of a model."""

    positions_checked: int
    """Dimensions whose prediction was checked."""
    num_dims: int
    """Dimensions that they were checked against: all."""
    largest_future_gradient: float
    """Largest absolute derivative with respect to the dimension itself or a later one; must be
    0."""
    predictions_changed: int
    """Predictions that changed when only levels at them or later did; must be 0."""
    past_pairs: int
    """Pairs (prediction, earlier dimension) that were checked."""
    past_pairs_seen: int
    """Those of them with a derivative other than 0."""

    @property
    def future_pairs(self) -> int:
        """Pairs (prediction, dimension not before it) that were checked."""
        return self.positions_checked * self.num_dims - self.past_pairs

    @property
    def is_causal(self) -> bool:
        """Whether no prediction depends on its own dimension or a later one."""
        return self.largest_future_gradient == 0.0 and self.predictions_changed == 0

    @property
    def text(self) -> str:
        """The report in two sentences."""
        seen = 100 * self.past_pairs_seen / max(self.past_pairs, 1)
        which = f"{self.positions_checked} of {self.num_dims}"
        verdict = (
            f"None of the {which} predictions checked depends on its own dimension or a later "
            f"one: {self.future_pairs:,} derivatives are exactly 0, and setting all these levels "
            "to 0 or to random ones changes no bit."
            if self.is_causal
            else "NOT CAUSAL: a prediction depends on its own or a later dimension, largest "
            f"derivative {self.largest_future_gradient:.3g}, {self.predictions_changed:,} "
            f"predictions changed with such levels ({which} predictions checked)."
        )
        return f"{verdict} {seen:.1f} % of the past dimensions act on them."


def spread_positions(model: Model, count: int) -> list[int]:
    """Choose dimensions for a quick check: first, last, and others spread over the picture."""
    total = model.config.num_dims
    # A step of the golden ratio visits columns evenly as well, whatever the width.
    others = (int(total * ((i * 0.6180339887) % 1)) for i in range(1, count - 1))
    return sorted({0, total - 1, *others})


def check_causality(model: Model, positions: Iterable[int]) -> CausalityReport:
    """Check that no prediction depends on its own dimension or a later one, in two ways.

    First by derivatives with respect to every dimension. The Jacobian's rows for the K levels are
    added with random weights, so that a dependence cannot cancel out; of a causal model the result
    is exactly 0, not nearly, because nothing is added. A step has no slope (whether a level is 0,
    a comparison), so second all these levels are changed, and predictions compared bit for bit.
    The orders of the model take turns.

    Arguments:
        model: a model in evaluation mode; no class is asked for.
        positions: dimensions, see `ModelConfig.coordinates`, at least one.

    Raises:
        ValueError: if there is no position, or one is out of range.
    """
    c = model.config
    positions = list(positions)
    if not positions:
        raise ValueError("`positions` must hold at least one dimension.")
    for position in positions:
        check_position("positions", position, c.num_dims)
    largest, seen = 0.0, 0
    generator = torch.Generator().manual_seed(0)
    for start in range(0, len(positions), BATCH):
        part = positions[start : start + BATCH]
        shape = (len(part), c.num_channels, c.height, c.width)
        levels = torch.randint(0, c.num_levels, shape, generator=generator)
        gradient = _gradients(model, levels, part, None)  # (n, N)
        future = torch.arange(c.num_dims) >= torch.tensor(part)[:, None]
        # A NaN must not pass as "no dependence": it fails the comparison with 0 in `is_causal`.
        largest = max(largest, float(torch.nan_to_num(gradient, nan=float("inf"))[future].max()))
        seen += int((gradient[~future] != 0).sum())
    return CausalityReport(
        positions_checked=len(positions),
        num_dims=c.num_dims,
        largest_future_gradient=largest,
        predictions_changed=drain(predictions_changed(model, positions)),
        past_pairs=sum(positions),
        past_pairs_seen=seen,
    )


@torch.inference_mode()
def predictions_changed(model: Model, positions: Sequence[int]) -> Generator[float, None, int]:
    """Count the predictions up to each position that change with the levels from there on.

    These levels are random ones other than 0 in one picture, and 0 in the next. Of a causal model
    none changes. Yields the share that is done; arguments are those of `check_causality`.
    """
    c, found = model.config, 0
    every, generator = torch.arange(c.num_dims), torch.Generator().manual_seed(2)
    drawn = torch.randint(1, c.num_levels, (1, c.num_dims), generator=generator)
    cuts = torch.tensor(positions).repeat(-(-c.num_orders // len(positions)))  # for every order
    orders = torch.arange(len(cuts)) % c.num_orders
    known = {}  # what is predicted with `drawn`, by the orders of a batch
    for start in range(0, len(cuts), BATCH):
        cut, order = cuts[start : start + BATCH, None], orders[start : start + BATCH]
        # Image n in both passes: the same place in the same batch, so the same arithmetic.
        if (key := tuple(order.tolist())) not in known:
            pictures = as_images(drawn.repeat(len(order), 1), c)
            known[key] = in_order(model(pictures, None, order))
        after = in_order(model(as_images(torch.where(every < cut, drawn, 0), c), None, order))
        differs = (after != known[key]).any(2)  # a NaN differs as well
        found += int((differs & (every <= cut)).sum())
        yield (start + len(cut)) / len(cuts)
    return found


def forbidden_pixels(
    model: Model, levels: Tensor, position: int, label: int | None = None
) -> NDArray[np.bool_]:
    """Find the pixels, its own or later ones, that a prediction for an image depends on.

    Arguments are those of `effective_receptive_field`.

    Returns:
        bool (H, W); all False of a causal model.

    Raises:
        ValueError: if there is no such dimension.
    """
    c = model.config
    check_position("position", position, c.num_dims)
    gradient = _gradients(model, levels, [position], label)[0]
    gradient[:position] = 0.0
    found = (gradient != 0).view(c.height, c.width, c.num_channels)  # NaN is not 0 either
    return found.any(2).numpy()


def _gradients(model: Model, levels: Tensor, positions: list[int], label: int | None) -> Tensor:
    """Return |d prediction / d dimension|, summed over its input features: (n, N).

    Image n of `levels` (n, C, H, W) is for position n; NaN where the prediction is not a number.
    """
    c = model.config
    image, position = torch.arange(len(positions)), torch.tensor(positions)
    generator = torch.Generator().manual_seed(1)
    labels = None if label is None else torch.full((len(positions),), label)
    # Every order in turn: with one for each image, none goes unchecked.
    condition = model.condition(len(positions), labels, image % c.num_orders)
    with torch.enable_grad():
        features = model.encode(levels).detach().requires_grad_(True)
        logits = in_order(model.logits_from_features(features, condition))  # (n, N, K)
        at = logits[image, position]  # (n, K)
        weights = torch.randn(at.shape, generator=generator, dtype=torch.float32).to(at.dtype)
        (gradient,) = torch.autograd.grad((at * weights).sum(), features)
    # (n, C * E, H, W) to (n, H, W, C) to (n, N)
    total = gradient.abs().unflatten(1, (c.num_channels, -1)).sum(2).permute(0, 2, 3, 1).flatten(1)
    # A NaN in a bias leaves the derivatives as they are, so the logits are looked at as well.
    total[~at.isfinite().all(1)] = float("nan")
    return total


def as_images(flat: Tensor, config: ModelConfig) -> Tensor:
    """Put levels (B, N) in the order of prediction back into images (B, C, H, W)."""
    images = flat.view(-1, config.height, config.width, config.num_channels)
    return images.permute(0, 3, 1, 2).contiguous()


def in_order(logits: Tensor) -> Tensor:
    """Put logits (B, K, C, H, W) into the order of prediction: (B, N, K)."""
    return logits.permute(0, 3, 4, 2, 1).flatten(1, 3)


def dependency_maps(model: Model) -> NDArray[np.bool_]:
    """Join the channels of `Model.dependencies`: bool (H*W, H*W).

    Entry [j, i] says whether a channel of pixel i can influence the prediction of one of pixel j;
    of the pixel itself an earlier one can.
    """
    return _by_pixel(model.dependencies(), model.config.num_channels)


def _by_pixel(dependencies: NDArray, channels: int) -> NDArray[np.bool_]:
    """Join the channels, of what depends and of what it depends on: (N, N) to (H*W, H*W)."""
    pixels = len(dependencies) // channels
    return dependencies.reshape(pixels, channels, pixels, channels).any((1, 3))


class PixelRole(IntEnum):
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

    name: str
    """Kernel, mask and dilation in words."""
    reach: int
    """Rows above and columns to either side that kernels of these sizes span together."""
    height: int
    width: int
    packed: NDArray[np.uint8]
    """uint8 (H*W, H*W / 8, rounded up): row j is the map of pixel j, see `np.packbits`."""

    def maps(self) -> NDArray[np.bool_]:
        """Return bool (H*W, H*W), as `dependency_maps` does for the last layer."""
        return np.unpackbits(self.packed, axis=1, count=len(self.packed)).astype(bool)

    def roles(self, pixel: int) -> NDArray[np.uint8]:
        """Sort all pixels by what they are for the prediction of one: `PixelRole`, uint8 (H, W).

        Raises:
            ValueError: if there is no such pixel, 0..H*W-1.
        """
        check_position("pixel", pixel, self.height * self.width)
        return self._roles(np.array([pixel])).reshape(self.height, self.width)

    @cached_property
    def totals(self) -> dict[PixelRole, int]:
        """Count the pairs (prediction, pixel) of each role over all predictions."""
        parts = np.array_split(np.arange(len(self.packed)), -(-len(self.packed) // BATCH))
        counts = sum(np.bincount(self._roles(part).ravel(), minlength=6) for part in parts)
        return {role: int(counts[role]) for role in PixelRole}

    def _roles(self, pixels: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Do the work of `roles` for several predictions: (n, H*W)."""
        every, pixels = np.arange(len(self.packed)), pixels[:, None]
        seen = np.unpackbits(self.packed[pixels[:, 0]], axis=1, count=len(every)).astype(bool)
        row, col = np.divmod(every, self.width)
        at_row, at_col = np.divmod(pixels, self.width)
        near = (at_row - row <= self.reach) & (abs(at_col - col) <= self.reach)
        roles = np.where(near, np.uint8(PixelRole.BLIND_SPOT), np.uint8(PixelRole.BEYOND_REACH))
        roles[seen] = PixelRole.SEEN
        roles[every > pixels] = PixelRole.FUTURE
        roles[every == pixels] = PixelRole.CURRENT
        return roles


def layer_fields(model: Model) -> list[LayerField]:
    """Show how the receptive field grows with depth: what the masks of the layers let through.

    Returns:
        The field behind the first layer and behind every block; the last one is the model's. A
        model without masked convolutions has one only: all that a prediction depends on.
    """
    c = model.config
    if not isinstance(model, ConvolutionModel):
        whole = np.packbits(dependency_maps(model), axis=1)
        return [LayerField(model.title, max(c.height, c.width), c.height, c.width, whole)]
    found, reach = [], 0
    layers = [("A", c.first_kernel_size, 1), *(("B", c.kernel_size, d) for d in c.dilations)]
    for (mask_type, size, dilation), reads in zip(layers, model.reads(), strict=True):
        reach += dilation * (size // 2)
        name = f"{size} x {size}, mask {mask_type}"
        name += f", dilation {dilation}" if dilation > 1 else ""
        by_dim = np.unpackbits(reads.reshape(c.num_dims, -1), axis=1, count=c.num_dims)
        packed = np.packbits(_by_pixel(by_dim, c.num_channels), axis=1)
        found.append(LayerField(name, reach, c.height, c.width, packed))
    return found


def past_coverage(dependency: NDArray[np.bool_]) -> tuple[int, int]:
    """Count the pairs (prediction, earlier pixel) that are seen, and all such pairs."""
    past = np.tri(len(dependency), k=-1, dtype=bool)
    return int((dependency & past).sum()), int(past.sum())


def check_position(name: str, position: int, total: int) -> None:
    """Check a number that counts from 0.

    Raises:
        ValueError: if it is out of range.
    """
    if not 0 <= position < total:
        raise ValueError(f"`{name}` (={position}) must lie in 0..{total - 1}.")
