"""One course of drawing: the pixels drawn so far, and everything the screen tells about them."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from pixelcnn.data.pictures import Picture, pictures
from pixelcnn.sampling import Sampler
from pixelcnn.sampling.rules import entropy_bits, explain, surprise_bits
from pixelcnn.ui.shared.history import History, to_text

SECONDS_PER_ANSWER = 0.12
"""Time of the processor that one answer draws pixels for: of a single picture some hundred. Not
of the clock, or many visitors at once would each get a few pixels an answer."""


class Course:
    """A picture or a sheet, drawn by one history of rules and forced levels.

    The history fixes every pixel, so pixels are only ever appended: the first `count` rows of
    every array stay as they are, and may be read while another thread draws on.

    Arguments:
        sampler: nobody else's; what it has drawn is the parent's beginning.
        history: rules and forced levels.
        parent: the course that begins with the same pixels; None at the first pixel.
    """

    def __init__(self, sampler: Sampler, history: History, parent: "Course | None" = None) -> None:
        c = sampler.config
        total, images = c.num_dims, len(sampler.noise)
        self.name = to_text(history)
        self.history = history
        self.count = 0 if parent is None else sampler.position
        """Dimensions drawn so far."""
        self.level = np.zeros((total, images), np.uint8)
        by_position = sampler.noise.transpose(2, 3, 1, 0).reshape(total, images)
        self.uniform = by_position.astype(np.float32)
        self.entropy_bits = np.zeros((total, images), np.float32)
        self.surprise_bits = np.zeros((total, images), np.float32)
        levels = c.num_levels if images == 1 else 0  # a sheet carries no distributions
        self.model_probabilities = np.zeros((total, levels), np.float32)
        self.rule_probabilities = np.zeros((total, levels), np.float32)
        self.was: dict[int, int] = {}
        """Level that would have been drawn where another was forced."""
        if parent is not None:
            self.was |= {p: v for p, v in parent.was.items() if p < self.count}
            for name, drawn in parent.arrays().items():
                getattr(self, name)[: self.count] = drawn[: self.count]
        self._sampler = sampler
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        """Dimensions of the picture."""
        return len(self.level)

    @property
    def done(self) -> bool:
        """Whether the picture is finished."""
        return self.count == self.total

    def arrays(self) -> dict[str, NDArray]:
        """Give all numbers by their name, each (N, B), or of a single picture (N, K)."""
        names = ["level", "uniform", "entropy_bits", "surprise_bits"]
        if self.level.shape[1] == 1:
            names += ["model_probabilities", "rule_probabilities"]
        return {name: getattr(self, name) for name in names}

    def draw(self, seconds: float = SECONDS_PER_ANSWER) -> None:
        """Draw at least one dimension, if there is one left, then more until the time is over."""
        until = time.thread_time() + seconds
        with self._lock:
            while not self.done:
                self._draw_one()
                if time.thread_time() > until:
                    break

    def iter_finish(self) -> Iterator[float]:
        """Draw to the end, a little at a time; yields the share that is done."""
        while not self.done:
            self.draw()
            yield self.count / self.total
            time.sleep(0.001)  # a lock that is taken again at once is never passed on

    def shared_with(self, history: History) -> int:
        """Count the pixels drawn here with which a course of another history begins, too."""
        first = self.history.first_difference(history)
        return self.count if first is None else min(first, self.count)

    def fork(self, history: History) -> "Course":
        """Begin another course; what it shares with this one is not drawn again."""
        with self._lock:
            sampler = self._sampler.fork()
            sampler.rewind(self.shared_with(history))
        return Course(sampler, history, self)

    def levels(self) -> torch.Tensor:
        """Return the pictures as levels (B, C, H, W); what is not drawn yet is 0."""
        c = self._sampler.config
        levels = self.level.astype(np.int64).reshape(c.height, c.width, c.num_channels, -1)
        return torch.from_numpy(levels).permute(3, 2, 0, 1)

    def pictures(self) -> list[Picture]:
        """Return the pictures as display values."""
        return pictures(self.levels(), self._sampler.config.num_levels)

    def _draw_one(self) -> None:
        at = self.count
        rule = self.history.rule_at(at)
        forced = self.history.forced.get(at)
        level, logits = self._sampler.step(rule, forced)
        self.level[at] = level
        self.surprise_bits[at] = surprise_bits(logits, level)
        if len(level) > 1:
            self.entropy_bits[at] = entropy_bits(logits)
        else:
            row, col, channel = self._sampler.config.coordinates(at)
            steps = explain(logits[0], rule, float(self._sampler.noise[0, channel, row, col]))
            if forced is not None:
                self.was[at] = steps.level
            self.entropy_bits[at] = steps.entropy_bits
            self.model_probabilities[at] = steps.model_probabilities
            self.rule_probabilities[at] = steps.probabilities
        self.count = at + 1  # last: only now may the pixel be read
