"""One course of drawing: the pixels drawn so far, and everything the screen tells about them."""

import time
import uuid

import numpy as np
import torch

from pixelcnn.data.pictures import Picture, pictures
from pixelcnn.sampling import Sampler
from pixelcnn.sampling.rules import entropy_bits, explain, surprise_bits
from pixelcnn.ui.shared.history import History


class Branch:
    """One course of drawing: a sampler, its history of rules, and everything it recorded."""

    def __init__(self, sampler: Sampler, history: History, text: str) -> None:
        c = sampler.config
        count, images = c.num_dims, len(sampler.noise)
        self.run = uuid.uuid4().hex[:8]
        self.parent: str | None = None  # its run: the branch itself may be dropped
        self.start = 0
        self.text = text
        self.sampler = sampler
        self.history = history
        self.rewinds: list[int] = []
        self.level = np.zeros((count, images), np.uint8)
        by_position = sampler.noise.transpose(2, 3, 1, 0).reshape(count, images)
        self.uniform = by_position.astype(np.float32)
        self.entropy_bits = np.zeros((count, images), np.float32)
        self.surprise_bits = np.zeros((count, images), np.float32)
        levels = c.num_levels if images == 1 else 0  # a sheet carries no distributions
        self.model_probabilities = np.zeros((count, levels), np.float32)
        self.rule_probabilities = np.zeros((count, levels), np.float32)
        self.was: dict[int, int] = {}

    @property
    def count(self) -> int:
        """Dimensions drawn so far."""
        return self.sampler.position

    @property
    def total(self) -> int:
        """Dimensions of the picture."""
        return len(self.level)

    @property
    def done(self) -> bool:
        """Whether the picture is finished."""
        return self.sampler.done

    def draw(self, max_dims: int, seconds: float) -> None:
        """Draw at least one dimension, then more until a limit is reached."""
        until = time.perf_counter() + seconds
        end = min(self.total, self.count + max_dims)
        while self.count < end:
            self._draw_one()
            if time.perf_counter() > until:
                break

    def rewind(self, position: int) -> None:
        """Forget everything from a position on."""
        self.sampler.rewind(position)
        self.history = self.history.before(position)
        self.rewinds.append(position)

    def fork(self, position: int, text: str) -> "Branch":
        """Make a branch that shares everything before a position."""
        branch = Branch(self.sampler.fork(), self.history.before(position), text)
        branch.sampler.rewind(position)
        branch.parent, branch.start = self.run, position
        branch.was = {p: v for p, v in self.was.items() if p < position}
        for name in (
            "level", "entropy_bits", "surprise_bits", "model_probabilities", "rule_probabilities"
        ):  # fmt: skip
            getattr(branch, name)[:position] = getattr(self, name)[:position]
        return branch

    def levels(self) -> torch.Tensor:
        """Return the pictures as levels (B, C, H, W); what is not drawn yet is 0."""
        c = self.sampler.config
        drawn = np.where(np.arange(self.total)[:, None] < self.count, self.level, 0)
        levels = drawn.astype(np.int64).reshape(c.height, c.width, c.num_channels, -1)
        return torch.from_numpy(levels.transpose(3, 2, 0, 1).copy())

    def pictures(self) -> list[Picture]:
        """Return the pictures as display values."""
        return pictures(self.levels(), self.sampler.config.num_levels)

    def _draw_one(self) -> None:
        at = self.count
        rule = self.history.rule_at(at)
        forced = self.history.forced.get(at)
        level, logits = self.sampler.step(rule, forced)
        self.level[at] = level
        if len(level) > 1:
            self.entropy_bits[at] = entropy_bits(logits)
            self.surprise_bits[at] = surprise_bits(logits, level)
            return
        row, col, channel = self.sampler.config.coordinates(at)
        steps = explain(logits[0], rule, float(self.sampler.noise[0, channel, row, col]))
        if forced is not None:
            self.was[at] = steps.level
        self.entropy_bits[at] = steps.entropy_bits
        self.surprise_bits[at] = surprise_bits(logits, level)
        self.model_probabilities[at] = steps.model_probabilities
        self.rule_probabilities[at] = steps.probabilities
