"""Log probability of whole pictures, a few at a time, so that a page can answer in between."""

from collections.abc import Generator

import torch
from torch import Tensor

from pixelcnn.evaluation.likelihoods import nll_nats
from pixelcnn.models import Model

IMAGES_PER_PASS = 4
"""Images that go through the network together; more of them take no less time each."""


def iter_log_prob_map(
    model: Model, levels: Tensor, label: Tensor | None, order: Tensor
) -> Generator[None, None, Tensor]:
    """Compute log p of every dimension given those before it; pauses after every pass.

    Arguments:
        model: a model in evaluation mode.
        levels: int64 (B, C, H, W), turned by the order.
        label: int64 (B,), or None for any class.
        order: int64 (B,).

    Returns:
        float64 (B, C, H, W), nats.
    """
    parts = []
    for start in range(0, len(levels), IMAGES_PER_PASS):
        part = slice(start, start + IMAGES_PER_PASS)
        with torch.inference_mode():
            logits = model(levels[part], None if label is None else label[part], order[part])
            parts.append(-nll_nats(logits, levels[part]).double())
        yield
    return torch.cat(parts)
