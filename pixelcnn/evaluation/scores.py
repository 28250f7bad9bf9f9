"""Score one image: what it costs in bits, where, beside other codes, and for which class.

Everything here is computed from one or a few passes of the network; nothing is drawn.
"""

import gzip
import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pixelcnn.data.pictures import pictures, png_bytes
from pixelcnn.evaluation.likelihoods import entropy_bits, nll_nats, surprise_bits
from pixelcnn.models import Model
from pixelcnn.orders import from_raster, to_raster
from pixelcnn.progress import drain


@dataclass(frozen=True)
class Score:
    """What a model says about one image."""

    levels: Tensor
    """The image, int64 (C, H, W)."""
    log_probabilities: Tensor
    """Log-probability of every level at every dimension, nats, (K, C, H, W)."""
    surprise_bits: NDArray[np.float64]
    """-log2 p of what is there, summed over the channels of a pixel, (H, W)."""
    entropy_bits: NDArray[np.float64]
    """Entropy of what was predicted, summed over the channels of a pixel, (H, W)."""
    scan: NDArray[np.int64]
    """Pixels (row * W + col) in the order in which they were predicted, (H*W,)."""

    @property
    def total_bits(self) -> float:
        """-log2 p of the whole image."""
        return float(self.surprise_bits.sum())

    @property
    def bits_per_dim(self) -> float:
        """Total bits, divided by the number of dimensions."""
        return self.total_bits / self.levels.numel()

    @property
    def cumulative_bits(self) -> NDArray[np.float64]:
        """Bits spent after each pixel of the scan, (H*W,); the last is the total."""
        return self.surprise_bits.reshape(-1)[self.scan].cumsum()


@torch.inference_mode()
def score_image(model: Model, levels: Tensor, label: int | None = None, order: int = 0) -> Score:
    """Score one image with one pass of the network.

    Arguments:
        model: a model in evaluation mode.
        levels: int64 (C, H, W), values 0..K-1.
        label: the class that it is scored as, or None for any class.
        order: raster order in which the image is read, see `pixelcnn.orders.ORDER_NAMES`.

    Raises:
        ValueError: if an argument breaks the model's rules.
    """
    height, width = levels.shape[-2:]
    turned = to_raster(levels[None], order)
    labels = None if label is None else torch.tensor([label])
    logits = model(turned, labels, torch.tensor([order])).double()
    pixel = torch.arange(height * width).view(height, width)
    return Score(
        levels=levels,
        log_probabilities=from_raster(logits.log_softmax(1)[0].float(), order),
        surprise_bits=from_raster(surprise_bits(logits, turned)[0].sum(0), order).numpy(),
        entropy_bits=from_raster(entropy_bits(logits)[0].sum(0), order).numpy(),
        scan=to_raster(pixel, order).flatten().numpy(),
    )


@dataclass(frozen=True)
class ClassScores:
    """What every class says about one image."""

    total_bits: NDArray[np.float64]
    """-log2 p(image | class), (num_classes,)."""
    any_class_bits: float
    """-log2 p(image), by the model that is given no class."""
    posterior: NDArray[np.float64]
    """p(class | image) if every class is equally likely before, (num_classes,)."""


def score_classes(model: Model, levels: Tensor, order: int = 0) -> ClassScores:
    """Do what `iter_score_classes` does; yields nothing on the way."""
    return drain(iter_score_classes(model, levels, order))


@torch.inference_mode()
def iter_score_classes(
    model: Model, levels: Tensor, order: int = 0
) -> Generator[float, None, ClassScores]:
    """Score one image as each class in turn; by Bayes' rule that makes the model a classifier.

    p(class | image) = p(image | class) / sum of p(image | c) over all classes c. Arguments are
    those of `score_image`. Yields the share that is done.

    Raises:
        ValueError: if the model knows no classes, or the levels break its rules.
    """
    classes = model.config.num_classes
    if classes == 0:
        raise ValueError("`num_classes` (=0) must be greater than 0 to score classes.")
    turned = to_raster(levels, order)[None]
    nats = torch.zeros(classes + 1, dtype=torch.float64)
    for label in range(classes + 1):  # the last one is "any class"; one by one: little memory
        logits = model(turned, torch.tensor([label]), torch.tensor([order]))
        nats[label] = nll_nats(logits, turned).double().sum()
        yield (label + 1) / (classes + 1)
    *bits, any_class_bits = (nats / math.log(2)).tolist()
    return ClassScores(np.array(bits), any_class_bits, (-nats[:-1]).softmax(0).numpy())


def code_bits(levels: Tensor, num_levels: int) -> dict[str, float]:
    """Measure the bits that other codes need for one image (C, H, W), values 0..K-1.

    "PNG" and "gzip" are whole files, gzip of one byte per dimension; "uniform" gives every level
    the same probability.
    """
    raw = levels.to(torch.uint8).numpy().tobytes()
    return {
        "PNG": 8.0 * len(png_bytes(pictures(levels[None], num_levels)[0])),
        "gzip": 8.0 * len(gzip.compress(raw, 9, mtime=0)),
        "uniform": levels.numel() * math.log2(num_levels),
    }


def complexity_bits(levels: Tensor, num_levels: int) -> float:
    """Estimate how complex an image (C, H, W) is: the size of the smaller of PNG and gzip, bits.

    References:
        Serra et al. 2020, arXiv 1909.11480 (their score is the bits of the model minus this).
    """
    codes = code_bits(levels, num_levels)
    return min(codes["PNG"], codes["gzip"])


def auroc(inside: ArrayLike, outside: ArrayLike) -> float:
    """Compute how well a score tells two sets apart: the area under the ROC curve.

    It is the probability that a random image from outside scores higher than one from inside; a
    tie counts half. 0.5 is a coin, 1 is perfect, below 0.5 the score points the wrong way.

    >>> auroc([1, 2], [3, 4]), auroc([1, 2], [1, 2]), auroc([3, 4], [1, 2])
    (1.0, 0.5, 0.0)

    Raises:
        ValueError: if a set is empty.
    """
    inside, outside = np.sort(np.asarray(inside, float)), np.asarray(outside, float)
    if not len(inside) or not len(outside):
        raise ValueError("`inside` and `outside` must hold at least one score each.")
    below, not_above = (np.searchsorted(inside, outside, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(inside)))
