"""The kinds of picture in the sampler: one posterior for each picture, in numpy."""

import copy

import numpy as np
from numpy.typing import NDArray

from pixelcnn.kinds import AROUND, LEAST, Kinds

Array = NDArray[np.floating]


class KindsSoFar:
    """`Kinds`, pixel by pixel."""

    def __init__(self, layer: Kinds, side: NDArray[np.int64], height: int, width: int) -> None:
        self.side = side  # (B,)
        self.table, self.strength = layer.table.numpy(), layer.strength.numpy()
        self.places = height * AROUND  # of one side
        self.ratios = {
            s: np.exp(self.table[s * self.places : (s + 1) * self.places])
            for s in set(side.tolist())
        }
        # What is known of the kind before each pixel, (B, J); kept, so that one can go back.
        self.evidence = {0: layer.prior.numpy().reshape(-1, self.table.shape[2])[side]}
        self.width = width
        self.drawn = np.zeros((len(side), height, width), bool)

    def logits(self, row: int, col: int) -> Array:
        """Give what is added to the logits of one pixel: (B, K)."""
        evidence = self.evidence[row * self.width + col]
        posterior = np.exp(evidence - evidence.max(1, keepdims=True))
        posterior = np.maximum(posterior / posterior.sum(1, keepdims=True), LEAST)
        place = self._place(row, col)
        mixed = np.empty((len(place), self.table.shape[1]), self.table.dtype)
        for number in set(place.tolist()):
            same = place == number
            side, its_place = divmod(number, self.places)
            mixed[same] = posterior[same] @ self.ratios[side][its_place].T
        return self.strength * np.log(mixed)

    def write(self, row: int, col: int, level: NDArray[np.int64]) -> None:
        """Take note of the levels, int64 (B,), of one pixel."""
        pixel, drawn = row * self.width + col, level > 0
        told = self.table[self._place(row, col), level]  # (B, J)
        self.evidence[pixel + 1] = self.evidence[pixel] + np.where(drawn[:, None], told, 0)
        self.drawn[:, row, col] = drawn

    def _place(self, row: int, col: int) -> NDArray[np.int64]:
        """Number the place of one pixel as `Kinds` does: (B,)."""
        drawn = self.drawn[:, : row + 1].any(2)
        drawn[:, row] = True  # where nothing is drawn above, this row counts as the first
        down = row - drawn.argmax(1)
        above = self.drawn[:, row - 1, col] if row else 0
        left = self.drawn[:, row, col - 1] if col else 0
        return self.side * self.places + down * AROUND + 2 * above + left

    def fork(self) -> "KindsSoFar":
        """Copy what was computed; the weights are shared."""
        other = copy.copy(self)
        other.evidence, other.drawn = dict(self.evidence), self.drawn.copy()
        return other

    def select(self, indices: NDArray[np.int64], row: int) -> None:
        """Keep these images, in this order and as often as they are named, from a row on."""
        kept = {p: e[indices] for p, e in self.evidence.items() if p >= row * self.width}
        self.evidence, self.drawn = kept, self.drawn[indices]
        self.side = self.side[indices]
