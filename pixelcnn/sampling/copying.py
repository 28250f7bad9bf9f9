"""Copying levels in the sampler: keys and levels of all pixels drawn so far, in numpy."""

import copy

import numpy as np
from numpy.typing import NDArray

from pixelcnn.copy_head import COPY_REACH, MAX_SCORE, CopyHead

Array = NDArray[np.floating]


class Copying:
    """`CopyHead`, pixel by pixel."""

    def __init__(self, layer: CopyHead, batch: int) -> None:
        height, columns, size = layer.offset.shape
        scale = size**-0.5
        self.query = layer.query.weight.numpy().T * scale, layer.query.bias.numpy() * scale
        self.key = layer.key.weight.numpy().T, layer.key.bias.numpy()
        self.offset, self.bias = layer.offset.numpy(), layer.bias.numpy()
        self.num_levels = layer.num_levels
        width = (columns + 1) // 2
        self.keys = np.zeros((batch, height, width, size), self.offset.dtype)
        self.levels = np.zeros((batch, height, width), np.int64)

    def logits(self, hidden: Array, row: int, col: int) -> Array | float:
        """Give what is added to the logits of one pixel: (B, K), or 0."""
        self.keys[:, row, col] = hidden @ self.key[0] + self.key[1]
        batch, _, width, size = self.keys.shape
        around = slice(max(col - COPY_REACH, 0), col + COPY_REACH + 1)
        above = self.levels[:, max(row - COPY_REACH, 0) : row, around]
        left = self.levels[:, row, max(col - COPY_REACH, 0) : col]
        near = (above > 0).any((1, 2)) | (left > 0).any(1)
        if not near.any():
            return 0.0
        past = row * width + col
        query = hidden @ self.query[0] + self.query[1]  # (B, F)
        offset = self.offset[row::-1, width - 1 - col : 2 * width - 1 - col].reshape(-1, size)
        keys = self.keys.reshape(batch, -1, size)[:, :past]
        score = (keys @ query[:, :, None])[:, :, 0] + query @ offset[:past].T + self.bias
        levels = self.levels.reshape(batch, -1)[:, :past]
        weight = np.exp(np.minimum(score, MAX_SCORE)) * ((levels > 0) & near[:, None])
        index = levels + self.num_levels * np.arange(batch)[:, None]
        more = np.bincount(index.ravel(), weight.ravel(), self.num_levels * batch)
        return np.log1p(more).reshape(batch, -1)

    def fork(self) -> "Copying":
        """Copy what was computed; the weights are shared."""
        other = copy.copy(self)
        other.keys, other.levels = self.keys.copy(), self.levels.copy()
        return other

    def select(self, indices: NDArray[np.int64]) -> None:
        """Keep these images, in this order and as often as they are named."""
        self.keys, self.levels = self.keys[indices], self.levels[indices]
