"""Completing one drawing dimension by dimension, in a raster order of its model."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.completion.known import is_prefix, late_pixels
from pixelcnn.completion.log_prob import iter_log_prob_map
from pixelcnn.completion.result import Completion, Floats, Method, ParticleReport
from pixelcnn.config import SamplingRule
from pixelcnn.models import Model
from pixelcnn.orders import from_raster, to_raster
from pixelcnn.progress import drain
from pixelcnn.sampling import Sampler, label_tensor


class Scan(ABC):
    """Several completions of one drawing, drawn together; stop calling `step` to cancel.

    The scan ends with the last unknown pixel. Known pixels that come before the first unknown one
    are the same for all pictures and read once.

    Arguments:
        model: a model in evaluation mode.
        levels: int64 (C, H, W), the drawing; only its known pixels matter.
        known: bool (1, H, W).
        order: raster order in which the pictures are drawn.
        noise: (B, C, H, W), fixes the pictures, see `pixelcnn.sampling.make_noise`.
        rule: in force at unknown pixels.
        label: class, or None for any class, or one class per picture.
    """

    def __init__(
        self,
        model: Model,
        levels: Tensor,
        known: Tensor,
        *,
        order: int,
        noise: Floats,
        rule: SamplingRule,
        label: int | Sequence[int] | None,
    ) -> None:
        self.model, self.rule, self.order, self.noise = model, rule, order, noise
        self._label = None if label is None else torch.as_tensor(label, dtype=torch.int64)
        self.known = to_raster(known[0], order).numpy()  # (H, W), turned like all that follows
        self.observed = np.where(self.known, to_raster(levels, order).numpy(), 0)  # (C, H, W)
        unknown = np.flatnonzero(~self.known)
        channels = model.config.num_channels
        self._first_unknown = int(unknown[0]) * channels
        self.num_steps = (int(unknown[-1]) + 1) * channels
        """Dimensions to go through in all."""
        self.position = 0
        """Dimensions gone through."""
        self._is_prefix = is_prefix(known, order)
        one_label = self._label is None or self._label.ndim == 0
        first = noise[:1] if one_label else noise
        self._sampler = Sampler(model, first, *self._conditions(len(first)))
        self._samplers = [self._sampler]  # all that go over the pictures

    @property
    def done(self) -> bool:
        """Whether the pictures are complete."""
        return self.position == self.num_steps

    @property
    def levels(self) -> Tensor:
        """The pictures so far, int64 (B, C, H, W): known pixels as given, 0 where not drawn."""
        return from_raster(torch.from_numpy(self._shown()), self.order)

    def step(self) -> None:
        """Go one dimension further.

        Raises:
            StopIteration: if the pictures are complete.
        """
        if self.done:
            raise StopIteration
        drain(self.iter_step())

    def iter_step(self) -> Generator[None, None, None]:
        """Go one dimension further, and pause where it takes long."""
        row, col, channel = self.model.config.coordinates(self.position)
        if self.position == self._first_unknown:
            self._spread()
        if self.known[row, col]:
            self._take(row, col, channel)
        else:
            self._draw()
        if self.position + 1 == self.num_steps:
            yield from self._end()
        self.position += 1
        self._finish_step()

    @property
    @abstractmethod
    def method(self) -> Method:
        """How the drawing is completed."""

    def completion(self) -> Completion:
        """Return the completions, and all that is known about them, as one drawing (B = 1).

        Raises:
            ValueError: if the scan is not done.
        """
        return drain(self.iter_completion())

    @abstractmethod
    def iter_completion(self) -> Generator[None, None, Completion]:
        """Sum up the same with pauses."""

    def _result(
        self, chosen: NDArray[np.int64], *, is_exact: bool, report: ParticleReport | None = None
    ) -> Generator[None, None, Completion]:
        """Make the result of the pictures at these places."""
        if not self.done:
            raise ValueError(
                f"The pictures are not complete: {self.position} of {self.num_steps} steps done."
            )
        shown = self._shown()[chosen]
        log_prob = yield from self._log_prob_map(shown)
        log_prob, log_weights = yield from self._weigh(shown, torch.from_numpy(log_prob))
        ignored = self._ignored()
        return Completion(
            levels=self.levels[chosen][None],
            method=(self.method,),
            order=torch.tensor([self.order]),
            is_exact=(is_exact,),
            ignored=from_raster(ignored, self.order)[None, None],
            log_prob=log_prob[None],
            log_weights=log_weights[None],
            particles=(report,),
        )

    def _ignored(self) -> Tensor:
        """Say which known pixels are ignored in part, bool (H, W): only clamping ignores any."""
        known = torch.from_numpy(self.known)
        return late_pixels(known) & (self.method == "clamping")

    def _weigh(
        self, pictures: NDArray[np.int64], log_prob: Tensor
    ) -> Generator[None, None, tuple[Tensor, Tensor]]:
        """Give log p and log weight of each picture, (n,), from log p of its dimensions."""
        yield from ()
        return log_prob.sum((1, 2, 3)), torch.zeros(len(log_prob), dtype=torch.float64)

    def _spread(self) -> None:
        """Go on with all pictures; up to here they are one."""
        if len(self._sampler.levels) < len(self.noise):
            for sampler in self._samplers:
                sampler.resample(np.zeros(len(self.noise), dtype=np.int64), self.noise)

    @abstractmethod
    def _take(self, row: int, col: int, channel: int) -> None:
        """Go over a known dimension."""

    def _draw(self) -> None:
        """Draw an unknown dimension."""
        self._sampler.step(self.rule)

    def _end(self) -> Generator[None, None, None]:
        """Do what comes with the last dimension: only particles do something."""
        yield from ()

    def _finish_step(self) -> None:  # noqa: B027 - only particles do something here
        """Do what comes after a dimension."""

    def _shown(self) -> NDArray[np.int64]:
        """Give the pictures so far, turned, (B, C, H, W)."""
        levels = np.where(self.known, self.observed, self._sampler.levels)
        return np.broadcast_to(levels, self.noise.shape).copy()

    def _conditions(self, batch: int) -> tuple[Tensor | None, Tensor]:
        """Give label and order of a batch."""
        return label_tensor(self._label, batch), torch.full((batch,), self.order)

    def _log_prob_map(
        self, levels: NDArray[np.int64], model: Model | None = None
    ) -> Generator[None, None, Floats]:
        """Compute log p of every dimension of turned pictures given those before it, in nats."""
        conditions = self._conditions(len(levels))
        levels = torch.from_numpy(levels)
        maps = yield from iter_log_prob_map(model or self.model, levels, *conditions)
        return maps.numpy()


class AncestralScan(Scan):
    """Pictures drawn independently: exact if what is known comes first.

    Else the model has either read the evidence beforehand, or known levels are clamped: put in
    place as the scan reaches them, so that they act on what is drawn later only.

    Arguments:
        args: see `Scan`.
        method: "prefix", "clamping" or "learned".
        reference: with "learned", the model that has read no evidence, to weigh the pictures by;
            None leaves them unweighed.
        others: see `Scan`.
    """

    def __init__(
        self, *args: Any, method: Method, reference: Model | None = None, **others: Any
    ) -> None:
        super().__init__(*args, **others)
        self._method, self._reference = method, reference

    @property
    def method(self) -> Method:
        """How the drawing is completed."""
        return self._method

    def iter_completion(self) -> Generator[None, None, Completion]:
        """Return all pictures, see `Scan.completion`."""
        is_exact = self._is_prefix and self.method != "learned" and self.rule == SamplingRule()
        return self._result(np.arange(len(self.noise)), is_exact=is_exact)

    def _take(self, row: int, col: int, channel: int) -> None:
        self._sampler.step(self.rule, forced=self.observed[channel, row, col])

    def _weigh(
        self, pictures: NDArray[np.int64], log_prob: Tensor
    ) -> Generator[None, None, tuple[Tensor, Tensor]]:
        if self.method != "learned":
            return log_prob.sum((1, 2, 3)), (log_prob * self._ignored()).sum((1, 2, 3))
        learned = (log_prob * ~torch.from_numpy(self.known)).sum((1, 2, 3))
        if self._reference is None:
            return learned, torch.zeros_like(learned)
        log_p = yield from self._log_prob_map(pictures, self._reference)
        return learned, torch.from_numpy(log_p).sum((1, 2, 3)) - learned
