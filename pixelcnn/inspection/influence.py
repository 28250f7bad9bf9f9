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

from pixelcnn.inspection.receptive_field import as_images, check_position, in_order
from pixelcnn.models import Model
from pixelcnn.models.convolutions import ConvolutionModel

TOGETHER = 8
"""Changed images in one pass."""


@dataclass(frozen=True)
class Influence:
    """A prediction before and after one level of the image was changed."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    """(K,) probabilities, both."""
    unchanged: bool
    """Whether all K logits are the same, bit for bit."""

    @property
    def total_variation(self) -> float:
        """Half the summed absolute difference, 0 to 1: the probability mass that moved."""
        return float(abs(self.after - self.before).sum() / 2)


def influence(
    model: Model,
    levels: Tensor,
    label: int | None,
    *,
    changed: int,
    level: int,
    predicted: int,
    known: Tensor | None = None,
) -> Influence:
    """Change one level of an image and look at one prediction.

    Arguments:
        model: a model in evaluation mode.
        levels: int64 (1, C, H, W).
        label: class, or None for any.
        changed: dimension whose level is changed, see `ModelConfig.coordinates`.
        level: its new level, 0..K-1.
        predicted: dimension whose prediction is compared.
        known: `logits` of the image as it is; None computes them.

    Raises:
        ValueError: if a dimension or level does not exist.
    """
    c = model.config
    check_position("level", level, c.num_levels)
    check_position("changed", changed, c.num_dims)
    check_position("predicted", predicted, c.num_dims)
    other = levels.clone()
    row, col, channel = c.coordinates(changed)
    other[0, channel, row, col] = level
    known = logits(model, levels, label) if known is None else known
    both = [in_order(x)[0, predicted] for x in (known, logits(model, other, label))]
    before, after = (x.double().softmax(0).numpy() for x in both)
    return Influence(before, after, unchanged=torch.equal(*both))


def logits(model: Model, levels: Tensor, label: int | None) -> Tensor:
    """Predict every dimension of images, all of one class or any, in one pass and one thread.

    Arguments and result are those of the model, int64 (B, C, H, W) to (B, K, C, H, W).
    """
    with one_thread(), torch.inference_mode():
        return model(levels, None if label is None else torch.full((len(levels),), label))


@dataclass(frozen=True, eq=False)
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
    model: Model, levels: Tensor, label: int | None
) -> Generator[float, None, PairCheck]:
    """Change every dimension of an image in turn, by half the range of levels, and compare.

    One image and one other level: an influence that needs other levels is not found, so the count
    of past pairs is a lower bound. A dependence on the future is a failure wherever it shows.
    Yields the share that is done after every pass; arguments are those of `influence`.
    """
    c = model.config
    total, every = c.num_dims, np.arange(c.num_dims)
    original = levels.permute(0, 2, 3, 1).reshape(1, -1).repeat(TOGETHER, 1)  # (n, N), in order
    before = in_order(logits(model, as_images(original, c), label))
    packed = np.zeros((total, (total + 7) // 8), dtype=np.uint8)
    future_changed = past_changed = 0
    for start in range(0, total, TOGETHER):
        part = every[start : start + TOGETHER]
        at = np.arange(len(part)), part
        other = original.clone()
        # Image n in both passes: the same place in the same batch, so the same arithmetic.
        other[at] = (original[at] + c.num_levels // 2) % c.num_levels
        after = in_order(logits(model, as_images(other, c), label))
        # A NaN is not equal to itself and so counts as a change: it must not pass as "the same".
        differs = (before != after).any(2).numpy()[: len(part)]  # (n, N)
        is_future = every <= part[:, None]
        future_changed += int((differs & is_future).sum())
        past_changed += int((differs & ~is_future).sum())
        packed[part] = np.packbits(differs, axis=1)
        yield (start + len(part)) / total
    return PairCheck(packed, future_changed, past_changed)


def effective_receptive_field(
    model: Model, levels: Tensor, label: int | None, position: int
) -> NDArray[np.float32]:
    """Measure how strongly every pixel of an image acts on one prediction, to first order.

    | d log p(level that is there) / d input features of the pixel |, the Euclidean norm over the
    features of all channels of that pixel. Levels are int64 (1, C, H, W), the label is a class, or
    None for any, and the position is the predicted dimension, 0..N-1.

    Returns:
        float32 (H, W), nats per unit of the features; exactly 0 where there is no influence.

    Raises:
        ValueError: if the dimension does not exist.

    References:
        Luo et al. 2016, arXiv 1701.04128, section 2.
    """
    c = model.config
    check_position("position", position, c.num_dims)
    row, col, channel = c.coordinates(position)
    condition = model.condition(1, None if label is None else torch.tensor([label]))
    with one_thread(), torch.enable_grad():
        features = model.encode(levels).detach().requires_grad_(True)
        at = model.logits_from_features(features, condition)[0, :, channel, row, col]
        log_prob = at.log_softmax(0)[levels[0, channel, row, col]]
        (gradient,) = torch.autograd.grad(log_prob, features)  # (1, C * features, H, W)
    return gradient[0].norm(dim=0).float().numpy()


def leaking_copy(model: Model) -> Model:
    """Copy a model and make the mistake of mask B in its first layer: it reads its own answer.

    In the gated model the horizontal stack gets it. The weights that the mask hid are whatever is
    stored there. Never do this but to show what it does.

    Raises:
        ValueError: if the model has no first mask.
    """
    if not isinstance(model, ConvolutionModel):
        raise ValueError(f"`model` ({model.title}) must have masked convolutions.")
    leaky = copy.deepcopy(model)
    leaky.first_convolution.set_mask("B", model.config.num_channels)
    return leaky


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work in one thread, in the calling thread only."""
    torch.get_num_threads()  # torch sets the number itself when a thread first uses it
    with _openmp().limit(limits=1):
        yield


@functools.cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")  # numpy's threads are left alone
