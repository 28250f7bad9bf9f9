"""What a completion returns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Method = Literal["learned", "weighed", "prefix", "clamping", "particles"]
Floats = NDArray[np.float64]

FEW_BEGINNINGS = 8
"""Independent pictures under which a mean over them is off by a third of their spread or more."""


@dataclass(frozen=True)
class ParticleReport:
    """How the particles of one drawing fared; P particles in G groups, S dimensions scanned."""

    levels: Tensor
    """All particles, int64 (P, C, H, W), known pixels as given, one group after the other."""
    log_weights: Floats
    """Log of the share that each particle has of all weight, (P,), nats."""
    log_evidence: float
    """Estimate of log p(known), nats; p itself is estimated without bias. It is the probability
    under the sampling rule at unknown pixels, and with a tolerance that of the drawing under the
    model and the tolerated differences."""
    group_log_evidence: Floats
    """The same from each group alone, (G,): how far they differ shows how rough it is."""
    effective_sample_size: Floats
    """Particles that the weights within groups amount to, summed over groups, (S,); it decides
    when a group is resampled."""
    ancestors: NDArray[np.int64]
    """Particles of the beginning that still have descendants, (S,)."""
    resampled_at: tuple[int, ...]
    """Dimensions after which particles were resampled, counted in the order of the scan."""
    chosen: NDArray[np.int64]
    """Particle that each completion shows, (n,)."""
    num_distinct: int
    """Different pictures among the completions."""
    num_beginnings: int
    """Particles of the beginning that the completions descend from."""
    effective_beginnings: float
    """Particles of the beginning that the weights of all particles amount to."""

    @property
    def collapsed(self) -> bool:
        """Whether most of the weight descends from few pictures, whatever was drawn since."""
        return self.effective_beginnings < FEW_BEGINNINGS


@dataclass(frozen=True)
class Completion:
    """Completions of B drawings, n of each."""

    levels: Tensor
    """int64 (B, n, C, H, W); known pixels are exactly as given."""
    method: tuple[Method, ...]
    """How each drawing was completed, B names."""
    order: Tensor
    """Raster order in which each drawing was completed, int64 (B,)."""
    is_exact: tuple[bool, ...]
    """Whether the completions are draws from the model's distribution given the known pixels."""
    ignored: Tensor
    """Known pixels that the method ignored in part: what was drawn before them does not know of
    them; bool (B, 1, H, W). Only clamping ignores any."""
    log_prob: Tensor
    """log p of the picture shown, in this order and for this class, float64 (B, n), nats. Of
    learned completions log p(unknown pixels | evidence), as learned."""
    log_weights: Tensor
    """Log of the importance weight that turns each picture into a draw given all known pixels,
    float64 (B, n), nats: with clamping the log-probability of the ignored pixels; with learned
    completions, unless there are hints or a sampling rule, log p(picture) - log p(unknown pixels |
    evidence), whose mean weight estimates p(known) without bias; else 0."""
    particles: tuple[ParticleReport | None, ...]
    """How the particles fared, for each drawing; None without particles."""

    @staticmethod
    def join(parts: Sequence["Completion"]) -> "Completion":
        """Put completions of several drawings together."""
        values = {}
        for field in fields(Completion):
            several = [getattr(part, field.name) for part in parts]
            joined = torch.cat(several) if isinstance(several[0], Tensor) else sum(several, ())
            values[field.name] = joined
        return Completion(**values)
