"""Sampling rules: from logits to the probabilities that are drawn from, every step as data.

All of it in float64 numpy, so that both samplers and the screen compute the same numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pixelcnn.config import SamplingRule

Floats = NDArray[np.float64]
ROUNDING = 1e-12
"""By which share a sum of probabilities may miss `top_p`."""


@dataclass(frozen=True)
class Explanation:
    """From one dimension's logits to the level drawn; K levels each."""

    model_probabilities: Floats
    """Softmax of the logits, (K,)."""
    probabilities: Floats
    """What is drawn from, (K,); sums to 1."""
    level: int
    """First level whose cumulative probability exceeds the uniform number."""
    entropy_bits: float
    """Entropy of the model's distribution."""


def probabilities(logits: ArrayLike, rule: SamplingRule) -> Floats:
    """Apply temperature, then top-k, then top-p: logits (..., K) to float64 (..., K).

    Temperature 0 puts everything on the most probable level (the lowest one on a tie). Top-k keeps
    exactly k levels, on a tie the lower ones. Top-p keeps the smallest set, taken from the most
    probable down, whose probability reaches p. Each row sums to 1.

    Raises:
        ValueError: if `top_k` exceeds K, a logit is NaN or +infinity, or all are -infinity.

    References:
        Holtzman et al. 2020, arXiv 1904.09751, section 3.1 (top-p).
    """
    logits = np.asarray(logits, dtype=np.float64)
    num_levels = logits.shape[-1]
    if rule.top_k is not None and rule.top_k > num_levels:
        raise ValueError(
            f"`top_k` (={rule.top_k}) must be between 1 and num_levels (={num_levels})."
        )
    # The maximum of numbers with a NaN is NaN; -infinity is allowed, but not for all levels.
    if not np.isfinite(logits.max(-1)).all():
        raise ValueError("The model predicts logits that are not numbers.")
    scaled = logits if rule.temperature in (0, 1) else logits / rule.temperature
    top_k = 1 if rule.temperature == 0 else rule.top_k
    if top_k is None and rule.top_p == 1:
        return _softmax(scaled)
    order = np.argsort(-scaled, axis=-1, kind="stable")  # on a tie the lower level comes first
    ranked = np.take_along_axis(_softmax(scaled), order, -1)
    keep_ranked = np.arange(num_levels) < (top_k or num_levels)
    if rule.top_p < 1:
        ranked = ranked * keep_ranked
        ranked /= ranked.sum(-1, keepdims=True)
        before = np.cumsum(ranked, -1) - ranked  # mass of the more probable levels
        # Sums of .5 and .3 may fall short of .8 by a rounding error.
        keep_ranked = keep_ranked & (before < rule.top_p * (1 - ROUNDING))
    kept = np.ones(logits.shape, dtype=bool)
    np.put_along_axis(kept, order, np.broadcast_to(keep_ranked, kept.shape), -1)
    return _softmax(np.where(kept, scaled, -np.inf))


def draw(probabilities: Floats, uniform: ArrayLike) -> NDArray[np.int64]:
    """Take the first level whose cumulative probability exceeds the uniform number.

    Probabilities are (..., K), each row sums to 1; uniform numbers (...), in [0, 1); levels
    int64 (...), 0..K-1.

    >>> draw(np.array([[0.25, 0.5, 0.25]] * 3), [0.2, 0.25, 0.9]).tolist()
    [0, 1, 2]
    """
    cumulative = np.cumsum(probabilities, -1)
    cumulative /= cumulative[..., -1:]  # ends at exactly 1, which no uniform number reaches
    return (cumulative <= np.asarray(uniform)[..., None]).sum(-1)


def explain(logits: ArrayLike, rule: SamplingRule, uniform: float) -> Explanation:
    """Return the steps of one draw as data, from logits (K,) and a uniform number in [0, 1)."""
    model, final = _softmax(np.asarray(logits, dtype=np.float64)), probabilities(logits, rule)
    return Explanation(
        model_probabilities=model,
        probabilities=final,
        level=int(draw(final, uniform)),
        entropy_bits=float(entropy_of(model)),
    )


def entropy_bits(logits: ArrayLike) -> Floats:
    """Compute the entropy of the model's distribution, (..., K) -> (...), bits."""
    return entropy_of(_softmax(np.asarray(logits, dtype=np.float64)))


def entropy_of(probabilities: Floats) -> Floats:
    """Compute the entropy of distributions, (..., K) -> (...), bits."""
    positive = np.where(probabilities > 0, probabilities, 1.0)
    return -(probabilities * np.log2(positive)).sum(-1)


def surprise_bits(logits: ArrayLike, level: ArrayLike) -> Floats:
    """Compute -log2 of the model's probability of a level, (..., K) and (...) -> (...), bits."""
    logits = np.asarray(logits, dtype=np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(-1))
    at = np.take_along_axis(shifted, np.asarray(level)[..., None], -1)[..., 0]
    return (log_total - at) / np.log(2)


def _softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)
