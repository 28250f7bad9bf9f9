"""A price week after week, made up: pictures of one row, to show what autoregressive means.

No market stands behind it. Like the price of potatoes it is low after the harvest, rises until the
next one, wanders about, and jumps after a bad harvest.
"""

import numpy as np
import torch
from torch import Tensor

WEEKS = 104
"""Length of a series: two years; each begins in the week of the harvest."""
NUM_SERIES = {"train": 20_000, "test": 2_000}


def make(split: str) -> Tensor:
    """Make the series of a split, the same every time: uint8 (N, 1, 1, WEEKS).

    The logarithm of the price is the sum of a level, the season (a steady rise of random height
    between two harvests), a random walk that returns, noise of a week, and what a bad harvest, one
    in five, adds to the second year.
    """
    count = NUM_SERIES[split]
    random = np.random.default_rng([104, split == "test"])
    week = np.arange(WEEKS)
    season = week % 52 / 52 - 0.5
    steps = random.normal(0, 0.03, (count, WEEKS))
    wander = np.zeros((count, WEEKS))
    for t in range(1, WEEKS):
        wander[:, t] = 0.95 * wander[:, t - 1] + steps[:, t]
    bad = random.random((count, 1)) < 0.2
    log_price = (
        random.normal(0, 0.25, (count, 1))
        + random.uniform(0.3, 0.9, (count, 1)) * season
        + wander
        + random.normal(0, 0.015, (count, WEEKS))
        + bad * random.uniform(0.2, 0.5, (count, 1)) * (week >= 52)
    )
    values = np.clip(np.round(80 * np.exp(log_price)), 0, 255).astype(np.uint8)
    return torch.from_numpy(values[:, None, None])
