"""A series is a picture of one row: to complete what follows its prefix is to forecast it.

Shapes: n futures, W values, K levels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.completion.complete import complete
from pixelcnn.models import Model

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Forecast:
    """Futures of one series, and what the model expects of each value."""

    past: int
    """Values that were known."""
    futures: NDArray[np.int64]
    """(n, W) levels; the first `past` are as given."""
    probabilities: NDArray[np.float64]
    """(W, K), of each value given those before it; after the first unknown one, the mean over the
    futures."""

    @property
    def quantiles(self) -> NDArray[np.float64]:
        """Levels below which the shares `QUANTILES` of the futures lie, (3, W)."""
        return np.quantile(self.futures, QUANTILES, axis=0)


def forecast(
    model: Model, series: Tensor, past: int, *, num_futures: int = 100, seed: int = 0
) -> Forecast:
    """Draw futures of a series, exact draws from the model given its past.

    Arguments:
        model: a model of pictures of one row and one channel, in evaluation mode.
        series: int64 (W,), values 0..K-1; only the first `past` matter.
        past: known values, 1..W-1.
        num_futures: n, at least 1.
        seed: 0 to 2**53 - 1.

    Raises:
        ValueError: if an argument breaks its rule.
    """
    c = model.config
    if c.image_shape[:2] != (1, 1):
        raise ValueError(f"`model` (of shape {c.image_shape}) must draw one row of one channel.")
    if not 1 <= past < c.width:
        raise ValueError(f"`past` (={past}) must lie in 1..{c.width - 1}.")
    known = (torch.arange(c.width) < past).view(1, 1, 1, c.width)
    drawn = complete(
        model, series.view(1, 1, 1, -1), known, method="prefix", num_images=num_futures, seed=seed
    ).levels[0]  # (n, 1, 1, W)
    with torch.inference_mode():
        probabilities = model(drawn).double().softmax(1).mean(0)[:, 0, 0].T  # (W, K)
    return Forecast(past, drawn[:, 0, 0].numpy(), probabilities.numpy())
