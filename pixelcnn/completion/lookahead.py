"""Hints for particles about evidence that is still to come.

Without them, particles that draw an upper half know nothing of the lower half: hardly any fits
it, and one particle remains. Both hints only say which particles are worth keeping and which
levels are worth trying. `pixelcnn.completion.particles` takes every hint back out of the weights,
so a bad hint costs particles, but never makes the weights wrong.

References:
    Pitt and Shephard 1999 (auxiliary particle filter); Lin, Chen and Liu 2013 (look-ahead).
"""

from collections.abc import Generator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.likelihoods import nll_nats
from pixelcnn.models import AutoregressiveModel

Floats = NDArray[np.floating]
Result = TypeVar("Result")

FADE = 0.6
"""A hint from d rows below counts to the power FADE ** (d - 1).

This and the constants below were chosen by the estimated log p(known) of lower halves of the
validation split of Fashion-MNIST, 8 particles each: the higher the better.
`benchmarks/completion.py` prints what they buy with a checkpoint.
"""
SCALE = 1 / 12
"""Mean difference to the known level below that the hint expects, as a share of the levels."""
OUTLIERS = 0.1
"""Share of pixels that have nothing to do with the known level below."""
GUESS_POWER = 0.25
"""Power of the probability of known pixels below rows that are only guessed."""
GUESS_EVERY = 3
"""Rows between two guesses."""
IMAGES_PER_PASS = 4
"""Images that go through the network together; more of them take no less time each."""


def column_hints(known: NDArray[np.bool_], observed: NDArray[np.int64], num_levels: int) -> Floats:
    """Say for every pixel which levels suit the next known level below it.

    A hint is a mixture: near the level below (a Laplace distribution), or anything at all.

    Arguments:
        known: bool (H, W).
        observed: int64 (C, H, W), the levels at known pixels.
        num_levels: K.

    Returns:
        (C, H, W, K), log of the hint, at most 0; 0 where nothing is known below.
    """
    level = np.arange(num_levels)
    near = np.exp(-abs(level[:, None] - level) / (SCALE * num_levels))
    near /= near.sum(1, keepdims=True)
    hint = np.log((1 - OUTLIERS) * near + OUTLIERS / num_levels)  # (K below, K)
    hint -= hint.max(1, keepdims=True)
    height, width = known.shape
    hints = np.zeros((*observed.shape, num_levels))
    for col in range(width):
        below = None
        for row in range(height - 1, -1, -1):
            if below is not None:
                strength = FADE ** (below - row - 1)
                hints[:, row, col] = strength * hint[observed[:, below, col]]
            if known[row, col]:
                below = row
    return hints


def guess_rows(known: NDArray[np.bool_]) -> set[int]:
    """Choose the rows before which particles guess the rest: some of those without evidence.

    Where every row holds known pixels these guide the particles well enough.
    """
    rows, start = set(), None
    for row in range(len(known)):
        if known[row].any():
            start = None
        elif start is None:
            start = row
        elif (row - start) % GUESS_EVERY == 0 and known[row:].any():
            rows.add(row)
    return rows


def fill(levels: NDArray[np.int64], decided: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give every undecided pixel the level of the nearest decided one.

    Arguments:
        levels: int64 (B, C, H, W).
        decided: bool (H, W), at least one True.
    """
    height, width = decided.shape
    row, col = np.divmod(np.arange(height * width), width)
    sources = np.flatnonzero(decided)
    distance = (row[:, None] - row[sources]) ** 2 + (col[:, None] - col[sources]) ** 2
    nearest = sources[distance.argmin(1)]
    flat = levels.reshape(*levels.shape[:2], -1)
    return flat[:, :, nearest].reshape(levels.shape)


def log_prob_map(
    model: AutoregressiveModel, levels: Tensor, label: Tensor | None, order: Tensor
) -> Tensor:
    """Compute log p of every dimension given those before it, by whole passes.

    Arguments:
        model: either model, in evaluation mode.
        levels: int64 (B, C, H, W), turned by the order.
        label: int64 (B,), or None for any class.
        order: int64 (B,).

    Returns:
        float64 (B, C, H, W), nats.
    """
    return drain(iter_log_prob_map(model, levels, label, order))


def iter_log_prob_map(
    model: AutoregressiveModel, levels: Tensor, label: Tensor | None, order: Tensor
) -> Generator[None, None, Tensor]:
    """Compute the same, and pause after every pass."""
    parts = []
    for start in range(0, len(levels), IMAGES_PER_PASS):
        part = slice(start, start + IMAGES_PER_PASS)
        with torch.inference_mode():
            logits = model(levels[part], None if label is None else label[part], order[part])
            parts.append(-nll_nats(logits, levels[part]).double())
        yield
    return torch.cat(parts)


def drain(work: Generator[None, None, Result]) -> Result:
    """Do a work that pauses without a pause."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value
