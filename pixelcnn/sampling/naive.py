"""The reference sampler: one pass of the whole network for every dimension. Slow and obvious."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.config import SamplingRule
from pixelcnn.models import Model
from pixelcnn.sampling.noise import check_noise
from pixelcnn.sampling.rules import draw, probabilities


def iter_naive(
    model: Model,
    noise: NDArray[np.float64],
    rule: SamplingRule,
    label: Tensor | None = None,
    order: Tensor | None = None,
    canvas: Tensor | None = None,
) -> Iterator[tuple[Tensor, NDArray]]:
    """Draw images dimension by dimension.

    Arguments:
        model: a model in evaluation mode.
        noise: (B, C, H, W), see `make_noise`.
        rule: temperature, top-k and top-p.
        label: int64 (B,), or None for any class.
        order: int64 (B,), or None for order 0; levels and noise are turned by it.
        canvas: int64 (B, C, H, W), what stands where nothing is drawn yet, or None for 0. A model
            whose masks are right cannot tell.

    Yields:
        After each the levels so far, int64 (B, C, H, W), and the logits (B, K).
    """
    check_noise(noise, model.config)
    levels = torch.zeros(noise.shape, dtype=torch.int64) if canvas is None else canvas.clone()
    _, channels, height, width = levels.shape
    for row in range(height):
        for col in range(width):
            for channel in range(channels):
                everything = forward(model, levels, label, order)
                logits = everything[:, :, channel, row, col]
                probability = probabilities(logits, rule)
                u = noise[:, channel, row, col]
                level = draw(probability, u)
                levels[:, channel, row, col] = torch.from_numpy(level)
                yield levels, logits


@torch.inference_mode()
def forward(model: Model, levels: Tensor, label: Tensor | None, order: Tensor | None) -> NDArray:
    """Predict every dimension, although only one is needed: (B, K, C, H, W)."""
    return model(levels, label, order).numpy()


def sample_naive(*arguments: Any) -> Tensor:
    """Draw images with H * W * C passes of the network; arguments are those of `iter_naive`."""
    for step in iter_naive(*arguments):
        levels, _ = step
    return levels
