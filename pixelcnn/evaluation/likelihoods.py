"""From logits to likelihood: nats inside, bits per dimension to report."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from pixelcnn.models import Model
from pixelcnn.orders import to_raster


def nll_nats(logits: Tensor, levels: Tensor) -> Tensor:
    """Compute -log p of every dimension, in nats, (B, C, H, W).

    Logits are (B, K, C, H, W), levels int64 (B, C, H, W), values 0..K-1.
    """
    return F.cross_entropy(logits, levels, reduction="none")


def nats_to_bits_per_dim(nats: Tensor, num_dims: int) -> Tensor:
    """Divide by the number of dimensions and by ln 2."""
    return nats / (num_dims * math.log(2))


def surprise_bits(logits: Tensor, levels: Tensor) -> Tensor:
    """Compute -log2 p of every dimension; arguments and result are those of `nll_nats`."""
    return nll_nats(logits, levels) / math.log(2)


def entropy_bits(logits: Tensor) -> Tensor:
    """Compute the entropy of every prediction, bits: (B, K, C, H, W) to (B, C, H, W)."""
    return torch.special.entr(logits.softmax(1)).sum(1) / math.log(2)


@torch.inference_mode()
def bits_per_dim(
    model: Model, levels: Tensor, label: Tensor | int | None = None, order: int = 0
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
        ValueError: if an argument breaks the model's rules.
    """
    if isinstance(label, int):
        label = torch.full((len(levels),), label)
    orders = torch.full((len(levels),), order)
    levels = to_raster(levels, order)
    nats = nll_nats(model(levels, label, orders), levels).flatten(1).sum(1)
    return nats_to_bits_per_dim(nats, model.config.num_dims)


def ensemble_bits_per_dim(bits_per_dim: Tensor, num_dims: int) -> Tensor:
    """Score images by the mean probability of M models or orders: (B, M) to (B,).

    Never worse than the mean of their scores.

    References:
        Jain et al. 2020, arXiv 2006.12486, section 4.
    """
    log_prob = -bits_per_dim * num_dims * math.log(2)  # nats
    mean = log_prob.logsumexp(1) - math.log(bits_per_dim.shape[1])
    return nats_to_bits_per_dim(-mean, num_dims)
