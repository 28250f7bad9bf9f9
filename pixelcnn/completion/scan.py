"""Completing one drawing dimension by dimension, in a raster order of its model."""

from collections.abc import Generator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.completion.known import late_pixels
from pixelcnn.completion.log_prob import iter_log_prob_map
from pixelcnn.completion.result import Completion, Floats, Method, ParticleReport
from pixelcnn.config import SamplingRule
from pixelcnn.models import Model
from pixelcnn.orders import from_raster, to_raster
from pixelcnn.progress import drain
from pixelcnn.sampling import Sampler, label_tensor


class Scan:
    """Several completions of one drawing, drawn together; stop calling `step` to cancel.

    They are independent, and exact if what is known comes first. Else the model has either read
    the evidence beforehand, or known levels are clamped: put in place as the scan reaches them, so
    that they act on what is drawn later only.

    The scan ends with the last unknown pixel. Known pixels that come before the first unknown one
    are the same for all pictures and read once.

    Arguments:
        model: a model in evaluation mode.
        levels: int64 (C, H, W), the drawing; only its known pixels matter.
        known: bool (1, H, W).
        method: how the drawing is completed.
        order: raster order in which the pictures are drawn.
        noise: (B, C, H, W), fixes the pictures, see `pixelcnn.sampling.make_noise`.
        rule: in force at unknown pixels.
        label: class, or None for any class, or one class per picture.
        reference: with the method "learned", the model that has read no evidence, to weigh the
            pictures by; None leaves them unweighed.
    """

    def __init__(
        self,
        model: Model,
        levels: Tensor,
        known: Tensor,
        *,
        method: Method,
        order: int,
        noise: Floats,
        rule: SamplingRule,
        label: int | Sequence[int] | None,
        reference: Model | None = None,
    ) -> None:
        self.model, self.method, self.order, self.noise = model, method, order, noise
        self.rule, self._reference = rule, reference
        self._label = None if label is None else torch.as_tensor(label, dtype=torch.int64)
        turned = to_raster(known[0], order)
        self._late = late_pixels(turned)
        self.known = turned.numpy()  # (H, W), turned like all that follows
        self.observed = np.where(self.known, to_raster(levels, order).numpy(), 0)  # (C, H, W)
        unknown = np.flatnonzero(~self.known)
        channels = model.config.num_channels
        self._first_unknown = int(unknown[0]) * channels
        self.num_steps = (int(unknown[-1]) + 1) * channels
        """Dimensions to go through in all."""
        self.position = 0
        """Dimensions gone through."""
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
        row, col, channel = self.model.config.coordinates(self.position)
        if self.position == self._first_unknown:
            self._spread()
        if self.known[row, col]:
            self._take(row, col, channel)
        else:
            self._draw()
        self.position += 1
        self._finish_step()

    def completion(self) -> Completion:
        """Return the completions, and all that is known about them, as one drawing (B = 1).

        Raises:
            ValueError: if the scan is not done.
        """
        return drain(self.iter_completion())

    def iter_completion(self) -> Generator[None, None, Completion]:
        """Sum up the same, and pause where it takes long."""
        if not self.done:
            raise ValueError(
                f"The pictures are not complete: {self.position} of {self.num_steps} steps done."
            )
        report = yield from self._report()
        chosen = slice(None) if report is None else report.chosen
        shown = self._shown()[chosen]
        log_prob, log_weights = yield from self._weigh(shown)
        return Completion(
            levels=self.levels[chosen][None],
            method=(self.method,),
            order=torch.tensor([self.order]),
            is_exact=(self._is_exact(),),
            ignored=from_raster(self._ignored(), self.order)[None, None],
            log_prob=log_prob[None],
            log_weights=log_weights[None],
            particles=(report,),
        )

    def _is_exact(self) -> bool:
        """Say whether the completions are draws from the model given the known pixels."""
        is_prefix = not self._late.any()
        return is_prefix and self.method != "learned" and self.rule == SamplingRule()

    def _report(self) -> Generator[None, None, ParticleReport | None]:
        """Tell how the particles fared, if there are any."""
        yield from ()

    def _ignored(self) -> Tensor:
        """Say which known pixels are ignored in part, bool (H, W): only clamping ignores any."""
        return self._late & (self.method == "clamping")

    def _weigh(self, pictures: NDArray[np.int64]) -> Generator[None, None, tuple[Tensor, Tensor]]:
        """Give log p and log weight of each picture, (n,)."""
        log_prob = yield from self._log_prob_map(pictures)
        if self.method != "learned":
            return log_prob.sum((1, 2, 3)), (log_prob * self._ignored()).sum((1, 2, 3))
        learned = (log_prob * ~torch.from_numpy(self.known)).sum((1, 2, 3))
        if self._reference is None:
            return learned, torch.zeros_like(learned)
        log_p = yield from self._log_prob_map(pictures, self._reference)
        return learned, log_p.sum((1, 2, 3)) - learned

    def _spread(self) -> None:
        """Go on with all pictures; up to here they are one."""
        if len(self._sampler.levels) < len(self.noise):
            for sampler in self._samplers:
                sampler.resample(np.zeros(len(self.noise), dtype=np.int64), self.noise)

    def _take(self, row: int, col: int, channel: int) -> None:
        """Go over a known dimension."""
        self._sampler.step(self.rule, forced=self.observed[channel, row, col])

    def _draw(self) -> None:
        """Draw an unknown dimension."""
        self._sampler.step(self.rule)

    def _finish_step(self) -> None:
        """Do what comes after a dimension: without particles or candidates nothing."""

    def _shown(self) -> NDArray[np.int64]:
        """Give the pictures so far, turned, (B, C, H, W)."""
        levels = np.where(self.known, self.observed, self._sampler.levels)
        return np.broadcast_to(levels, self.noise.shape).copy()

    def _conditions(self, batch: int) -> tuple[Tensor | None, Tensor]:
        """Give label and order of a batch."""
        return label_tensor(self._label, batch), torch.full((batch,), self.order)

    def _log_prob_map(
        self, pictures: NDArray[np.int64], model: Model | None = None
    ) -> Generator[None, None, Tensor]:
        """Compute log p of every dimension of turned pictures given those before it, in nats."""
        levels, conditions = torch.from_numpy(pictures), self._conditions(len(pictures))
        return iter_log_prob_map(model or self.model, levels, *conditions)
