"""Does one pixel act on the prediction of another? Tried out: change it and compare every bit.

Everything here runs in one thread. The networks are small, so more threads mostly wait, and equal
work then gives equal bits: a difference is an influence, never rounding.
"""

import copy
import functools
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

from pixelcnn.masks import convolution_mask, horizontal_mask
from pixelcnn.models import AutoregressiveModel, GatedPixelCNN, PixelCNN


@dataclass(frozen=True)
class Influence:
    """A prediction before and after one level of the image was changed."""

    before: NDArray[np.float64]
    """(K,) probabilities."""
    after: NDArray[np.float64]
    """(K,) probabilities."""
    unchanged: bool
    """Whether all K logits are the same, bit for bit."""

    @property
    def total_variation(self) -> float:
        """Half the summed absolute difference, 0 to 1: the probability mass that moved."""
        return float(abs(self.after - self.before).sum() / 2)


def influence(
    model: AutoregressiveModel,
    levels: Tensor,
    label: int | None,
    *,
    changed: tuple[int, int],
    level: int,
    predicted: tuple[int, int],
    known: Tensor | None = None,
) -> Influence:
    """Change one level of an image and look at one prediction.

    Arguments:
        model: either model, in evaluation mode.
        levels: int64 (1, C, H, W).
        label: class, or None for any.
        changed: pixel in raster order and channel whose level is changed.
        level: its new level, 0..K-1.
        predicted: pixel in raster order and channel whose prediction is compared.
        known: `logits` of the image as it is; None computes them.

    Raises:
        ValueError: if a pixel, channel or level does not exist.
    """
    c = model.config
    _check("level", level, c.num_levels)
    for name, (pixel, channel) in (("changed", changed), ("predicted", predicted)):
        _check(f"{name} pixel", pixel, c.height * c.width)
        _check(f"{name} channel", channel, c.num_channels)
    other = levels.clone()
    other[0, changed[1]].view(-1)[changed[0]] = level
    known = logits(model, levels, label) if known is None else known
    before, after = (
        of_image[0, :, predicted[1]].flatten(1)[:, predicted[0]]
        for of_image in (known, logits(model, other, label))
    )
    return Influence(
        before=before.double().softmax(0).numpy(),
        after=after.double().softmax(0).numpy(),
        unchanged=torch.equal(before, after),
    )


def logits(model: AutoregressiveModel, levels: Tensor, label: int | None) -> Tensor:
    """Predict every dimension of an image in one pass and one thread.

    Arguments:
        model: either model, in evaluation mode.
        levels: int64 (1, C, H, W).
        label: class, or None for any.

    Returns:
        (1, K, C, H, W).
    """
    with one_thread(), torch.inference_mode():
        return model(levels, None if label is None else torch.tensor([label]))


@dataclass(frozen=True)
class PairCheck:
    """What changing every dimension of an image in turn did to every prediction.

    A pair is (changed dimension i, predicted dimension j); grey images have one dimension a pixel.
    """

    packed: NDArray[np.uint8]
    """uint8 (N, N / 8, rounded up), N = C*H*W: bit j of row i says whether changing i changed the
    prediction at j, see `np.packbits`. Raster order, channels within a pixel."""
    future_changed: int
    """Pairs with j <= i whose prediction changed; 0 of a causal model."""
    past_changed: int
    """Pairs with j > i whose prediction changed."""

    @property
    def future_pairs(self) -> int:
        """Pairs with j <= i."""
        return len(self.packed) * (len(self.packed) + 1) // 2

    @property
    def past_pairs(self) -> int:
        """Pairs with j > i."""
        return len(self.packed) * (len(self.packed) - 1) // 2

    def matrix(self) -> NDArray[np.bool_]:
        """Return bool (N, N): entry [j, i] says whether changing i changed the prediction at j."""
        return np.unpackbits(self.packed, axis=1, count=len(self.packed)).astype(bool).T


def check_pairs(
    model: AutoregressiveModel, levels: Tensor, label: int | None, *, batch_size: int = 8
) -> Generator[float, None, PairCheck]:
    """Change every dimension of an image in turn, by half the range of levels, and compare.

    One image and one other level: an influence that needs other levels is not found, so the count
    of past pairs is a lower bound. A dependence on the future is a failure wherever it shows.

    Arguments:
        model: either model, in evaluation mode.
        levels: int64 (1, C, H, W).
        label: class, or None for any.
        batch_size: changed images in one pass, at least 1.

    Yields:
        The share that is done after every pass, 0 to 1.

    Returns:
        What was found.

    Raises:
        ValueError: if `batch_size` is less than 1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` (={batch_size}) must be at least 1.")
    c = model.config
    total = c.num_dims
    images = levels.repeat(batch_size, 1, 1, 1)
    labels = None if label is None else torch.full((batch_size,), label)
    original = levels.permute(0, 2, 3, 1).reshape(-1)  # in raster order, channels within a pixel
    before = _in_order(model, images, labels)
    packed = np.zeros((total, (total + 7) // 8), dtype=np.uint8)
    future_changed = past_changed = 0
    order = np.arange(total)
    for start in range(0, total, batch_size):
        part = order[start : start + batch_size]
        flat = original.repeat(batch_size, 1)
        # Image n in both passes: the same place in the same batch, so the same arithmetic.
        flat[np.arange(len(part)), part] = (original[part] + c.num_levels // 2) % c.num_levels
        other = flat.view(batch_size, c.height, c.width, c.num_channels).permute(0, 3, 1, 2)
        after = _in_order(model, other.contiguous(), labels)
        # A NaN is not equal to itself and so counts as a change: it must not pass as "the same".
        differs = (before != after).any(2).numpy()[: len(part)]  # (n, N)
        is_future = order[None, :] <= part[:, None]
        future_changed += int((differs & is_future).sum())
        past_changed += int((differs & ~is_future).sum())
        packed[part] = np.packbits(differs, axis=1)
        yield (int(part[-1]) + 1) / total
    return PairCheck(packed, future_changed, past_changed)


def _in_order(model: AutoregressiveModel, images: Tensor, label: Tensor | None) -> Tensor:
    """Predict all dimensions in raster order: (B, N, K)."""
    with one_thread(), torch.inference_mode():
        return model(images, label).permute(0, 3, 4, 2, 1).flatten(1, 3)


def effective_receptive_field(
    model: AutoregressiveModel, levels: Tensor, label: int | None, pixel: int, channel: int = 0
) -> NDArray[np.float32]:
    """Measure how strongly every pixel of an image acts on one prediction, to first order.

    | d log p(level that is there) / d input features of the pixel |, the Euclidean norm over the
    features of all channels of that pixel.

    Arguments:
        model: either model, in evaluation mode.
        levels: int64 (1, C, H, W).
        label: class, or None for any.
        pixel: the predicted pixel, 0..H*W-1.
        channel: the predicted channel.

    Returns:
        float32 (H, W), nats per unit of the features; exactly 0 where there is no influence.

    Raises:
        ValueError: if the pixel or channel does not exist.

    References:
        Luo et al. 2016, arXiv 1701.04128, section 2.
    """
    c = model.config
    _check("pixel", pixel, c.height * c.width)
    _check("channel", channel, c.num_channels)
    condition = model.condition(1, None if label is None else torch.tensor([label]))
    with one_thread(), torch.enable_grad():
        features = model.encode(levels).detach().requires_grad_(True)
        at = model.logits_from_features(features, condition)[0, :, channel].flatten(1)[:, pixel]
        log_prob = at.log_softmax(0)[levels[0, channel].view(-1)[pixel]]
        (gradient,) = torch.autograd.grad(log_prob, features)  # (1, C * features, H, W)
    return gradient[0].norm(dim=0).float().numpy()


def open_first_mask(model: AutoregressiveModel) -> None:
    """Make the mistake of type B in the first layer: predictions see their own pixel.

    In the gated model the horizontal stack gets it. Never do this but to show what it does.

    Arguments:
        model: either model; changed in place.

    Raises:
        ValueError: if the model is of another kind.
    """
    if isinstance(model, GatedPixelCNN):
        first, make = model.first_horizontal, horizontal_mask
    elif isinstance(model, PixelCNN):
        first, make = model.first, convolution_mask
    else:
        raise ValueError(f"`model` (={type(model).__name__}) must be a PixelCNN or GatedPixelCNN.")
    c = model.config
    inputs = c.num_channels * c.features_per_channel
    first.mask.copy_(make(c.num_features, inputs, c.first_kernel_size, c.num_channels, "B"))
    first.mask_type = "B"


def leaking_copy(model: AutoregressiveModel) -> AutoregressiveModel:
    """Copy a model and open its first mask, see `open_first_mask`.

    The weights that the mask hid are those of the start of training, made smaller by weight decay:
    nothing ever trained them.

    Raises:
        ValueError: if the model is of another kind.
    """
    leaky = copy.deepcopy(model)
    open_first_mask(leaky)
    return leaky


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work in one thread, in the calling thread only."""
    torch.get_num_threads()  # torch sets the number itself when a thread first uses it
    with _controller().limit(limits=1, user_api="openmp"):
        yield


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def _check(name: str, value: int, end: int) -> None:
    if not 0 <= value < end:
        raise ValueError(f"`{name}` (={value}) must lie in 0..{end - 1}.")
