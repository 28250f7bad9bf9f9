"""From logits to likelihood: nats inside, bits per dimension to report."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pixelcnn.models import Model
from pixelcnn.orders import to_raster


def nll_nats(logits: Tensor, levels: Tensor) -> Tensor:
    """Compute -log p of every dimension, in nats.

    Arguments:
        logits: (B, K, C, H, W).
        levels: int64 (B, C, H, W), values 0..K-1.

    Returns:
        (B, C, H, W).
    """
    return F.cross_entropy(logits, levels, reduction="none")


def nats_to_bits_per_dim(nats: Tensor, num_dims: int) -> Tensor:
    """Divide by the number of dimensions and by ln 2."""
    return nats / (num_dims * math.log(2))


def surprise_bits(logits: Tensor, levels: Tensor) -> Tensor:
    """Compute -log2 p of the level that is there, per dimension.

    Arguments:
        logits: (B, K, C, H, W).
        levels: int64 (B, C, H, W).

    Returns:
        (B, C, H, W), bits.
    """
    return nll_nats(logits, levels) / math.log(2)


def entropy_bits(logits: Tensor) -> Tensor:
    """Compute the entropy of every predictive distribution.

    Arguments:
        logits: (B, K, C, H, W).

    Returns:
        (B, C, H, W), bits.
    """
    log_probabilities = logits.log_softmax(1)
    # p log p -> 0 where p is 0: a level with probability 0 must not turn the sum into NaN.
    terms = torch.where(
        log_probabilities.isneginf(), 0.0, log_probabilities.exp() * log_probabilities
    )
    return -terms.sum(1) / math.log(2)


@torch.inference_mode()
def bits_per_dim(
    model: Model,
    levels: Tensor,
    label: Tensor | int | None = None,
    order: int = 0,
) -> Tensor:
    """Score images: negative log-likelihood in bits, divided by the number of dimensions.

    Arguments:
        model: a model in evaluation mode.
        levels: int64 (B, C, H, W), values 0..K-1.
        label: int64 (B,), or one class for all images, or None for any class.
        order: raster order in which the images are read, see `pixelcnn.orders.ORDER_NAMES`.

    Returns:
        (B,), bits/dim for the model's number of levels.

    Raises:
        ValueError: if levels or label break the model's rules.
    """
    if isinstance(label, int):
        label = torch.full((levels.shape[0],), label)
    orders = torch.full((levels.shape[0],), order)
    levels = to_raster(levels, order)
    nats = nll_nats(model(levels, label, orders), levels).flatten(1).sum(1)
    return nats_to_bits_per_dim(nats, model.config.num_dims)


def ensemble_bits_per_dim(bits_per_dim: Tensor, num_dims: int) -> Tensor:
    """Score images by the mean of several models' (or orders') probabilities.

    Never worse than the mean of their scores.

    Arguments:
        bits_per_dim: (B, M), the score of each of M models.
        num_dims: C * H * W.

    Returns:
        (B,), bits/dim.

    References:
        Jain et al. 2020, arXiv 2006.12486, section 4.
    """
    log_prob = -bits_per_dim * num_dims * math.log(2)  # nats
    mean = log_prob.logsumexp(1) - math.log(bits_per_dim.shape[1])
    return nats_to_bits_per_dim(-mean, num_dims)
