"""Sequential Monte Carlo: many half-drawn pictures, kept as often as they fit what is known.

Every particle is a picture being drawn. At an unknown pixel it draws a level; at a known one its
weight is multiplied by the probability of the known level. When the weights get too unequal, the
particles are drawn anew from themselves in proportion to their weights (resampling).

With a *proposal*, a model that has read the evidence, particles are drawn from that, and their
weights are also multiplied by p / q of each level drawn: what is known late guides them, and the
guarantee is the same.

What is guaranteed: the mean weight is an unbiased estimate of p(known), and the weighted particles
approach the exact distribution of completions as their number grows. With few particles the result
is approximate, and the report says how far to trust it.

References:
    Gordon, Salmond and Smith 1993 (resampling);
    Naesseth, Lindsten and Schon 2019, arXiv 1903.04797 (unbiased estimates, proper weights).
"""

from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pixelcnn.completion.result import Floats, ParticleReport
from pixelcnn.completion.scan import Scan
from pixelcnn.config import SamplingRule
from pixelcnn.models import Model
from pixelcnn.sampling import Sampler
from pixelcnn.sampling.noise import random_stream
from pixelcnn.sampling.rules import draw, probabilities

SHARE_WITH_PROPOSAL = 0.1
"""Share of the particles that must be effective, drawn by a proposal. Half would be too much: a
picture that prepares for evidence to come has a small weight until the evidence is reached."""


class ParticleScan(Scan):
    """Particles that draw one drawing, see the module's text.

    Arguments:
        num_images: completions to choose at the end.
        num_groups: groups that the particles are split into, G; they never exchange particles.
        tolerance: scale, in levels, of the noise that may lie between a known pixel and the
            picture; 0 demands equality. The particle goes on with its own level there, drawn from
            the model times a discretized Laplace distribution around the known one, and only
            `levels` shows the known one.
        seed: fixes the resampling.
        proposal: the model that draws, if it is another than the one that weighs; without
            tolerance only. The rule then changes the weights, not what is drawn: a proposal must
            not leave out what the rule allows.
        others: see `Scan`; the noise has one entry for each particle.
    """

    def __init__(
        self,
        *args: Any,
        num_images: int,
        num_groups: int,
        tolerance: float,
        seed: int,
        proposal: Model | None = None,
        **others: Any,
    ) -> None:
        super().__init__(*args, **others)
        config = self.model.config
        self.num_images, self.num_groups, self.tolerance = num_images, num_groups, tolerance
        self._seed = seed
        self._random = random_stream(seed, "resampling")
        self._proposal = None
        if proposal is not None:
            self._proposal = Sampler(proposal, self.noise[:1], *self._conditions(1))
            self._samplers.append(self._proposal)
        self._noise_log_prob = _laplace(config.num_levels, tolerance) if tolerance else None
        self._log_weights = np.zeros(len(self.noise))
        self._ancestor = np.arange(len(self.noise))
        self.sizes: list[float] = []
        """Particles that the weights amount to after each step, summed over groups."""
        self.ancestors: list[int] = []
        """Particles of the beginning that still have descendants after each step."""
        self._resampled_at: list[int] = []
        if tolerance:  # known pixels are drawn too, from the first to the last
            self._first_unknown, self.num_steps = 0, config.num_dims

    def _take(self, row: int, col: int, channel: int) -> None:
        logits = self._sampler.predict()
        level = self.observed[channel, row, col]
        log_prob = _log_softmax(logits)  # (P, K)
        if self._noise_log_prob is None:
            self._log_weights = self._log_weights + log_prob[:, level]
        else:
            joint = log_prob + self._noise_log_prob[:, level]
            total = _log_sum(joint)
            self._log_weights = self._log_weights + total
            level = draw(np.exp(joint - total[:, None]), self.noise[:, channel, row, col])
        for sampler in self._samplers:
            sampler.step(self.rule, forced=level)

    def _draw(self) -> None:
        if self._proposal is None:
            super()._draw()
            return
        level, logits = self._proposal.step(SamplingRule())
        with np.errstate(divide="ignore"):  # what the rule forbids has weight 0
            allowed = np.log(probabilities(self._sampler.predict(), self.rule))
        image = np.arange(len(level))
        self._log_weights = (
            self._log_weights + allowed[image, level] - _log_softmax(logits)[image, level]
        )
        self._sampler.step(self.rule, forced=level)

    def _finish_step(self) -> None:
        groups = self._groups(self._log_weights)
        sizes = effective_size(groups)
        self.sizes.append(float(sizes.sum()))
        share = 0.5 if self._proposal is None else SHARE_WITH_PROPOSAL
        poor = (sizes < share * groups.shape[1]) & (sizes > 0)
        differ = self.position > self._first_unknown  # up to there the particles are one picture
        if differ and poor.any() and not self.done:
            self._resample(groups, poor)
        self.ancestors.append(len(np.unique(self._ancestor)))

    def _groups(self, by_particle: Floats) -> Floats:
        """View (P,) as (G, P / G)."""
        return by_particle.reshape(self.num_groups, -1)

    def _resample(self, log_weights: Floats, poor: NDArray[np.bool_]) -> None:
        """Draw the particles of poor groups anew, in proportion to their weights."""
        indices = np.arange(log_weights.size).reshape(log_weights.shape)
        log_weights = log_weights.copy()
        for group in np.flatnonzero(poor):
            drawn = systematic(log_weights[group], log_weights.shape[1], self._random.random())
            indices[group] = indices[group, drawn]
            log_weights[group] = _log_mean(log_weights[group])
        indices = indices.ravel()
        for sampler in self._samplers:
            sampler.resample(indices)
        self._log_weights = log_weights.ravel()
        self._ancestor = self._ancestor[indices]
        self._resampled_at.append(self.position - 1)

    def _is_exact(self) -> bool:
        """Say so only if the particles are independent, and none is chosen twice."""
        independent = super()._is_exact() and self._proposal is None and not self.tolerance
        return independent and self.num_images <= len(self.noise)

    def _weigh_rest(self, levels: NDArray[np.int64]) -> Generator[None, None, Floats]:
        """Weigh the known pixels after the last unknown one, too; no particle can change them."""
        pixel = np.arange(self.known.size).reshape(self.known.shape)
        rest = self.known & (pixel * self.model.config.num_channels >= self.num_steps)
        if not rest.any():
            return self._log_weights
        log_prob = yield from self._log_prob_map(levels)
        log_weights = self._log_weights + log_prob.numpy()[:, :, rest].sum((1, 2))
        self.sizes[-1] = float(effective_size(self._groups(log_weights)).sum())
        return log_weights

    def _report(self) -> Generator[None, None, ParticleReport]:
        """Choose the completions by weight, from all groups together."""
        levels = self._shown()
        log_weights = yield from self._weigh_rest(levels)
        possible = np.isfinite(_log_sum(log_weights))  # else all are as good: none can be
        log_shares = log_weights if possible else np.zeros_like(log_weights)
        log_shares = log_shares - _log_sum(log_shares)
        # A group gets completions in proportion to its evidence: that is the sum of its weights.
        random = random_stream(self._seed, "choice")
        chosen = random.permutation(systematic(log_shares, self.num_images, random.random()))
        by_beginning = np.bincount(self._ancestor, np.exp(log_shares))
        return ParticleReport(
            levels=self.levels,
            log_weights=log_shares,
            log_evidence=float(_log_mean(log_weights)),
            group_log_evidence=_log_mean(self._groups(log_weights)),
            effective_sample_size=np.array(self.sizes),
            ancestors=np.array(self.ancestors),
            resampled_at=tuple(self._resampled_at),
            chosen=chosen,
            num_distinct=len(np.unique(levels[chosen], axis=0)),
            num_beginnings=len(np.unique(self._ancestor[chosen])),
            effective_beginnings=float(1 / (by_beginning**2).sum()) if possible else 0.0,
        )


def _log_softmax(logits: NDArray[np.floating]) -> Floats:
    if not np.isfinite(logits.max(-1)).all():
        raise ValueError("The model predicts logits that are not numbers.")
    return torch.from_numpy(logits).double().log_softmax(-1).numpy()


def _laplace(num_levels: int, tolerance: float) -> Floats:
    """Give log p(known level | level of the picture), (K level, K known)."""
    level = np.arange(num_levels)
    return _log_softmax(-abs(level[:, None] - level) / tolerance)


def _log_sum(logs: Floats) -> Floats:
    """Compute the log of the sum over the last axis."""
    return torch.from_numpy(logs).logsumexp(-1).numpy()


def _log_mean(logs: Floats) -> Floats:
    """Compute the log of the mean over the last axis."""
    return _log_sum(logs) - np.log(logs.shape[-1])


def effective_size(log_weights: Floats) -> Floats:
    """Compute 1 / sum of squared shares over the last axis; 0 where all weights are 0."""
    weight = np.exp(log_weights - np.maximum(log_weights.max(-1), -1e300)[..., None])
    return weight.sum(-1) ** 2 / np.maximum((weight**2).sum(-1), 1e-300)


def systematic(log_weights: Floats, count: int, uniform: float) -> NDArray[np.int64]:
    """Draw `count` places in proportion to their weights, evenly spread over the total.

    One number, uniform in [0, 1), decides.

    References:
        Kitagawa 1996 (systematic resampling).
    """
    share = np.exp(log_weights - log_weights.max())
    cumulative = np.cumsum(share)
    points = (np.arange(count) + uniform) / count
    drawn = np.searchsorted(cumulative / cumulative[-1], points, side="right")
    return np.minimum(drawn, len(share) - 1)
