"""The sampler: any model's stepper, with noise, rules, a way back, and forks."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.config import SamplingRule
from pixelcnn.models import Model
from pixelcnn.models.base import Array
from pixelcnn.sampling.noise import check_noise
from pixelcnn.sampling.rules import draw, probabilities


class Sampler:
    """Draws a batch of images dimension by dimension; can be rewound and forked at any point.

    Positions count dimensions, see `ModelConfig.coordinates`. The memory belongs to the model's
    stepper, nothing is stored on the model. Arguments are those of `iter_naive`.

    Raises:
        ValueError: if noise, label or order do not fit the model.
    """

    def __init__(
        self,
        model: Model,
        noise: NDArray[np.float64],
        label: Tensor | None = None,
        order: Tensor | None = None,
    ) -> None:
        check_noise(noise, model.config)
        self.config = model.config
        self.noise = noise
        self.levels = np.zeros(noise.shape, dtype=np.int64)
        self._stepper = model.stepper(model.condition(noise.shape[0], label, order))
        self._first = 0  # earlier positions cannot be drawn again
        self._predicted: tuple[int, Array] | None = None  # position and logits not used yet

    @property
    def position(self) -> int:
        """Dimensions drawn."""
        return self._stepper.position

    @property
    def done(self) -> bool:
        """Whether every dimension is drawn."""
        return self.position == self.config.num_dims

    def step(
        self, rule: SamplingRule, forced: NDArray[np.int64] | int | None = None
    ) -> tuple[NDArray[np.int64], Array]:
        """Draw the next dimension with a rule, or put a forced level there.

        Returns:
            The levels (B,) and the logits (B, K) that they were drawn from.

        Raises:
            StopIteration: if every dimension is drawn.
            ValueError: if `forced` is not a level, or the rule does not fit the model.
        """
        logits = self.predict()
        row, col, channel = self.config.coordinates(self.position)
        if forced is None:
            level = draw(probabilities(logits, rule), self.noise[:, channel, row, col])
        else:
            level = np.broadcast_to(np.asarray(forced), logits.shape[:1])
            if level.min() < 0 or level.max() >= self.config.num_levels:
                raise ValueError(
                    f"`forced` (={forced}) must lie in 0..{self.config.num_levels - 1}."
                )
        self.levels[:, channel, row, col] = level
        self._stepper.write(level)
        return level, logits

    def predict(self) -> Array:
        """Compute the logits (B, K) of the next dimension, and draw nothing.

        Raises:
            StopIteration: if every dimension is drawn.
        """
        if self.done:
            raise StopIteration
        if self._predicted is None or self._predicted[0] != self.position:
            self._predicted = self.position, self._stepper.logits()
        return self._predicted[1]

    def resample(
        self, indices: NDArray[np.int64], noise: NDArray[np.float64] | None = None
    ) -> None:
        """Keep these images of the batch, in this order and as often as they are named.

        What is drawn so far moves with an image, its label and order too. The noise stays with
        the place in the batch, so that copies of one image differ from here on. Costs about as
        much as a few pixels.

        Arguments:
            indices: int64 (B'), places in the batch.
            noise: (B', C, H, W), to be used from here on; needed if B' is not B.

        Raises:
            ValueError: if an index is out of range, or the noise does not fit.
        """
        indices = np.asarray(indices)
        batch = len(self.levels)
        valid = indices.ndim == 1 and indices.size and indices.dtype.kind in "iu"
        if not valid or indices.min() < 0 or indices.max() >= batch:
            raise ValueError(f"`indices` (={indices}) must be a list of integers 0..{batch - 1}.")
        noise = self.noise if noise is None else noise
        expected = (len(indices), *self.levels.shape[1:])
        if noise.shape != expected:
            raise ValueError(f"`noise` (shape {noise.shape}) must be {expected}.")
        self._stepper.select(indices)
        self.noise = noise
        self.levels = self.levels[indices]
        self._first = self.position
        if self._predicted is not None:
            self._predicted = self._predicted[0], self._predicted[1][indices]

    def rewind(self, position: int) -> None:
        """Go back so that `position` is drawn next; what came before is not computed again.

        Raises:
            ValueError: if the position is not drawn yet, or lies before the last resampling.
        """
        if not self._first <= position <= self.position:
            raise ValueError(
                f"`position` (={position}) must lie in {self._first}..{self.position}."
            )
        self._stepper.rewind(position)
        self._predicted = None

    def fork(self) -> "Sampler":
        """Copy the sampler; the copies go on independently, with the same noise."""
        other = copy.copy(self)
        other.levels = self.levels.copy()
        other._stepper = self._stepper.fork()
        return other


def iter_cached(
    model: Model, noise: NDArray[np.float64], rule: SamplingRule, *condition: Tensor | None
) -> Iterator[tuple[Tensor, Array]]:
    """Draw as `iter_naive` does, with the model's stepper; condition is label and order."""
    sampler = Sampler(model, noise, *condition)
    levels = torch.from_numpy(sampler.levels)
    while not sampler.done:
        yield levels, sampler.step(rule)[1]


def sample_cached(*arguments: Any) -> Tensor:
    """Draw images with the model's stepper; the same levels as `sample_naive`."""
    for step in iter_cached(*arguments):
        levels, _ = step
    return levels
