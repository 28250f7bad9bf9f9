"""Drawing after hints: a few candidates for each picture, chosen by how well they fit.

The levels of a picture tell a PixelCNN so much about the next one that hints hardly change its
predictions; yet hints decide where a shape begins and ends. So each picture is drawn as several
candidates. Every few rows a network, the *twist*, says how well each candidate fits all hints so
far, also those of rows to come, and candidates that fit badly give way to copies of others
(resampling). That is sequential Monte Carlo on p(x) times the ratio p(hints | x) / p(hints), which
the twist learned. Pictures never exchange candidates, so they are independent of each other.

References:
    Whiteley and Lee 2014, arXiv 1210.0220 (twisted particle filters).
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixelcnn.completion.particles import effective_size, systematic
from pixelcnn.completion.result import Floats
from pixelcnn.completion.scan import Scan
from pixelcnn.models import Evidence, Model
from pixelcnn.sampling.noise import make_noise, random_stream

CANDIDATES = 4
"""Candidates for each picture."""
ROWS = 2
"""Rows between two looks at the hints."""


class GuidedScan(Scan):
    """Pictures drawn after hints; see the module's text.

    Arguments:
        model: judges hints, and has read the evidence.
        evidence: the drawing, B = 1, turned like all that is drawn.
        num_images: pictures, n.
        seed: fixes all random numbers.
        first_image: index of the first picture.
        others: see `Scan`.
    """

    def __init__(
        self, model: Model, *args: Any, evidence: Evidence, num_images: int, seed: int,
        first_image: int, **others: Any,
    ) -> None:  # fmt: skip
        self._evidence = evidence
        images = range(first_image, first_image + num_images)
        self._uniform = np.stack(
            [random_stream(seed, "resampling", i).random(model.config.height + 1) for i in images]
        )
        noise = make_noise(
            model.config, num_images=num_images * CANDIDATES, seed=seed,
            first_image=first_image * CANDIDATES, stream="completions",
        )  # fmt: skip
        super().__init__(model, *args, noise=noise, **others)
        # Everything below has a row for each picture, and a column for each candidate.
        self._index = np.arange(len(noise)).reshape(-1, CANDIDATES)
        self._log_weights = np.zeros(self._index.shape)
        self._log_fit = np.zeros(self._index.shape)
        self._best = self._index[:, 0]

    def _finish_step(self) -> None:
        c = self.model.config
        row, rest = divmod(self.position, c.width * c.num_channels)
        if self.position <= self._first_unknown or not (self.done or rest == row % ROWS == 0):
            return
        log_fit = self._judge()
        self._log_weights += log_fit - self._log_fit
        count = 1 if self.done else CANDIDATES
        kept = self._index[:, :count].copy()
        for image, log_weights in enumerate(self._log_weights):
            if self.done or effective_size(log_weights) < CANDIDATES / 2:
                drawn = systematic(log_weights, count, self._uniform[image, row])
                kept[image] = self._index[image, drawn]
                log_weights[:] = 0
        if self.done:
            self._best = kept[:, 0]
            return
        self._log_fit = log_fit.ravel()[kept]
        if (kept != self._index).any():
            self._sampler.resample(kept.ravel())

    @torch.inference_mode()
    def _judge(self) -> Floats:
        """Say how well each candidate fits the hints, as far as it is drawn: (n, m), nats."""
        levels = torch.from_numpy(super()._shown())
        pixel = torch.arange(self.known.size).view(self.known.shape)
        drawn = (pixel * self.model.config.num_channels < self.position).expand(
            len(levels), 1, -1, -1
        )
        log_fit = self.model.log_fit(levels, drawn, self._evidence).double()  # (n m, Y)
        label, _ = self._conditions(len(levels))
        fits = log_fit.logsumexp(1) if label is None else log_fit.gather(1, label[:, None])
        return fits.view(self._index.shape).numpy()

    def _shown(self) -> NDArray[np.int64]:
        return super()._shown()[self._best]

    def _conditions(self, batch: int) -> tuple[Tensor | None, Tensor]:
        label, order = super()._conditions(batch)
        if label is not None and len(label) < batch:
            label = label.repeat_interleave(CANDIDATES)
        return label, order
