"""Which classes are taken for which: the pairs that label contrast compares."""

import torch
from torch import Tensor

from pixelcnn.training.devices import sum_over_processes

MEMORY = 0.999
"""Share that one update leaves of what the updates before it told."""
DOUBT = 0.02
"""Comparisons of each two classes beforehand, half of them mistaken: so all are tried at times."""


def other_labels(confusion: Tensor, label: Tensor) -> Tensor:
    """Draw a wrong class for each image, the more often the more its class was taken for it.

    Arguments:
        confusion: (2, Y, Y), how often each class was lately compared with each other one, and
            with what probability, added up, it was taken for that one.
        label: int64 (B,), 0 to Y - 1.

    Returns:
        int64 (B,).
    """
    tried, mistaken = confusion
    chance = ((mistaken + DOUBT / 2) / (tried + DOUBT)).fill_diagonal_(0)
    return torch.multinomial(chance[label], 1)[:, 0]


def count_confusion(confusion: Tensor, pairs: Tensor, mistaken: Tensor) -> None:
    """Take note of the comparisons of one update, those of all processes.

    Arguments:
        confusion: as above; changed in place.
        pairs: int64 (2, B), the classes of images, and those with which they were compared.
        mistaken: (B,), how probable the latter were.
    """
    news = torch.zeros(confusion.shape, device=mistaken.device)
    for total, values in zip(news, (torch.ones_like(mistaken), mistaken), strict=True):
        total.index_put_(tuple(pairs), values, accumulate=True)
    confusion.mul_(MEMORY).add_(sum_over_processes(news).cpu())
