"""The same random numbers through several settings, and through several temperatures."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.config import SamplingRule
from pixelcnn.data.datasets import dequantize
from pixelcnn.models import Model
from pixelcnn.progress import part_of
from pixelcnn.sampling import Sampler, label_tensor, make_noise
from pixelcnn.sampling.rules import entropy_of, probabilities, surprise_bits


@dataclass(frozen=True)
class Drawn:
    """Pictures drawn with one rule, and what the model said while they were."""

    levels: Tensor
    """int64 (B, C, H, W)."""
    surprise_bits: NDArray[np.float64]
    """-log2 of the model's own probability of each level drawn, (B, C, H, W)."""
    rule_entropy_bits: NDArray[np.float64]
    """Entropy of what was drawn from, after temperature, top-k and top-p, (B, C, H, W)."""
    expected: NDArray[np.float32]
    """The model's own probabilities, (B, C, H, W, K)."""


def draw_with_record(
    model: Model, noise: NDArray[np.float64], rule: SamplingRule, label: int | None = None
) -> Generator[float, None, Drawn]:
    """Draw pictures from given random numbers; yields the share that is done after each row.

    The levels are those of `pixelcnn.sampling.sample`; arguments and errors are those of
    `Sampler` and its step, with one class for all pictures, or None for any class.
    """
    c, sampler = model.config, Sampler(model, noise, label_tensor(label, len(noise)))
    record = np.zeros((2, *noise.shape))
    expected = np.zeros((*noise.shape, c.num_levels), np.float32)
    while not sampler.done:
        for _ in range(c.width * c.num_channels):
            row, col, channel = c.coordinates(sampler.position)
            level, logits = sampler.step(rule)
            at = np.s_[:, channel, row, col]
            record[0][at] = surprise_bits(logits, level)
            record[1][at] = entropy_of(probabilities(logits, rule))
            expected[at] = probabilities(logits, SamplingRule())
        yield sampler.position / c.num_dims
    return Drawn(torch.from_numpy(sampler.levels), *record, expected)


@dataclass(frozen=True)
class SweepRow:
    """Pictures drawn at one temperature."""

    temperature: float
    levels: Tensor
    """int64 (B, C, H, W)."""
    bits_per_dim: float
    """Mean over the pictures, by the model itself (temperature 1)."""
    rule_entropy_bits: float
    """Mean entropy of the distributions that were drawn from, per dimension."""
    diversity: float


def sweep_temperatures(
    model: Model,
    temperatures: Sequence[float],
    *,
    num_images: int,
    seed: int = 0,
    label: int | None = None,
) -> Generator[float, None, list[SweepRow]]:
    """Draw a row of pictures at each temperature; picture i has the same noise in every row.

    Yields the share that is done. The label is the class of all pictures, or None for any class.
    Raises ValueError if an argument breaks its rule.
    """
    noise = make_noise(model.config, num_images=num_images, seed=seed)
    rows = []
    for number, temperature in enumerate(temperatures):
        steps = draw_with_record(model, noise, SamplingRule(temperature=temperature), label)
        drawn = yield from part_of(steps, number, len(temperatures))
        row = SweepRow(
            temperature=temperature,
            levels=drawn.levels,
            bits_per_dim=float(drawn.surprise_bits.mean()),
            rule_entropy_bits=float(drawn.rule_entropy_bits.mean()),
            diversity=diversity(drawn.levels, model.config.num_levels),
        )
        rows.append(row)
    return rows


def diversity(levels: Tensor, num_levels: int) -> float:
    """Measure how different pictures are: mean absolute difference of two of them, 0 to 1.

    Averaged over all pairs of the levels (B, C, H, W) and all dimensions; 1 is the whole range
    from black to white. 0 for a single picture.
    """
    values = dequantize(levels, num_levels).double() / 255
    gaps = [(a - b).abs().mean().item() for a, b in combinations(values, 2)]
    return sum(gaps) / len(gaps) if gaps else 0.0
