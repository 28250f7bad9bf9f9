"""The fast exact sampler: an iterator that can be given a new rule, rewound and forked.

The network split into work per row and work per pixel is in `pixelcnn.sampling.networks`.

References:
    Ramachandran et al. 2017, arXiv 1704.06001.
"""

import copy
import functools
import os
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

from pixelcnn.config import SamplingRule
from pixelcnn.models import AutoregressiveModel
from pixelcnn.sampling.networks import split_network
from pixelcnn.sampling.noise import check_noise
from pixelcnn.sampling.rules import draw, probabilities

Array = NDArray[np.floating]

MANY_IMAGES = 4
"""From here on a row's products are large enough to be shared out to all cores."""


class CachedSampler:
    """Draws a batch of images dimension by dimension; can be rewound and forked at any point.

    Dimensions are counted in raster order, channels within a pixel: position = (row * W + col) * C
    + channel. The memory belongs to this object, nothing is stored on the model.

    Arguments:
        model: either model, in evaluation mode.
        noise: (B, C, H, W), see `make_noise`.
        label: int64 (B,), or None for any class.
        order: int64 (B,), or None for order 0; levels and noise are turned by it.

    Raises:
        ValueError: if noise, label or order do not fit the model.
    """

    def __init__(
        self,
        model: AutoregressiveModel,
        noise: NDArray[np.float64],
        label: Tensor | None = None,
        order: Tensor | None = None,
    ) -> None:
        c = model.config
        check_noise(noise, c)
        condition = model.condition(noise.shape[0], label, order)
        self.config = c
        self.noise = noise
        self.levels = np.zeros(noise.shape, dtype=np.int64)
        self.position = 0
        with torch.inference_mode():
            self._network = split_network(model, condition)
        self._row = -1  # the row that the network has begun
        self._first = 0  # earlier positions cannot be drawn again
        self._predicted: tuple[int, Array] | None = None  # position and logits not used yet

    @property
    def done(self) -> bool:
        """Whether every dimension is drawn."""
        return self.position == self.config.num_dims

    def step(
        self, rule: SamplingRule, forced: NDArray[np.int64] | int | None = None
    ) -> tuple[NDArray[np.int64], Array]:
        """Draw the next dimension.

        Arguments:
            rule: in force for this dimension only.
            forced: level to put there instead of the one drawn.

        Returns:
            The levels (B,) and the logits (B, K) that they were drawn from.

        Raises:
            StopIteration: if every dimension is drawn.
            ValueError: if `forced` is not a level, or the rule does not fit the model.
        """
        logits = self.predict()
        row, col, channel = self.coordinates(self.position)
        if forced is None:
            level = draw(probabilities(logits, rule), self.noise[:, channel, row, col])
        else:
            level = np.broadcast_to(np.asarray(forced), logits.shape[:1])
            if level.min() < 0 or level.max() >= self.config.num_levels:
                raise ValueError(
                    f"`forced` (={forced}) must lie in 0..{self.config.num_levels - 1}."
                )
        self.levels[:, channel, row, col] = level
        self._network.write(row, col, channel, level)
        self.position += 1
        return level, logits

    def predict(self) -> Array:
        """Compute the logits (B, K) of the next dimension, and draw nothing.

        Raises:
            StopIteration: if every dimension is drawn.
        """
        if self.done:
            raise StopIteration
        if self._predicted is None or self._predicted[0] != self.position:
            row, col, channel = self.coordinates(self.position)
            self._predicted = self.position, self._logits(row, col)[:, channel]
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
        row = self.coordinates(self.position)[0]
        self._network.select(indices, row, row_begun=self._row == row)
        self.noise = noise
        self.levels = self.levels[indices]
        self._row = row if self._row == row else -1
        self._first = self.position
        if self._predicted is not None:
            self._predicted = self._predicted[0], self._predicted[1][indices]

    def rewind(self, position: int) -> None:
        """Go back so that `position` is drawn next; the rows above are not computed again.

        Raises:
            ValueError: if the position is not drawn yet, or lies before the last resampling.
        """
        if not self._first <= position <= self.position:
            raise ValueError(
                f"`position` (={position}) must lie in {self._first}..{self.position}."
            )
        self.position = position
        self._predicted = None

    def fork(self) -> "CachedSampler":
        """Copy the sampler; the copies go on independently, with the same noise."""
        other = copy.copy(self)
        other.levels = self.levels.copy()
        other._network = self._network.fork()
        return other

    def coordinates(self, position: int) -> tuple[int, int, int]:
        """Give row, column and channel of a position."""
        pixel, channel = divmod(position, self.config.num_channels)
        return *divmod(pixel, self.config.width), channel

    def _logits(self, row: int, col: int) -> Array:
        """Predict all channels of a pixel: (B, C, K)."""
        if row != self._row:
            # A row of several images is work enough for all cores; a pixel never is.
            with _threads(os.cpu_count() if len(self.noise) >= MANY_IMAGES else 1):
                self._network.begin_row(row)
            self._row = row
        # The features of all earlier pixels are in the caches, after a rewind too: only what lies
        # later in the order has been written since.
        logits = self._network.head(self._network.pixel(row, col))  # (B, C * K)
        return logits.reshape(len(logits), self.config.num_channels, -1)


def one_thread() -> AbstractContextManager:
    """Let matrix products run in one thread: for products this small, more threads only wait."""
    return _threads(1)


def _threads(count: int) -> AbstractContextManager:
    return _controller().limit(limits=count, user_api="blas")


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looking for the libraries takes a while, using them does not


def sample_cached(
    model: AutoregressiveModel,
    noise: NDArray[np.float64],
    rule: SamplingRule,
    label: Tensor | None = None,
    order: Tensor | None = None,
) -> Tensor:
    """Draw images with the cached sampler; the same levels as `sample_naive`.

    Arguments and result are those of `sample_naive`.
    """
    sampler = CachedSampler(model, noise, label, order)
    with one_thread():
        while not sampler.done:
            sampler.step(rule)
    return torch.from_numpy(sampler.levels)
