"""Are the probabilities right? Coverage of intervals, and how often the predicted happened."""

import math
from collections.abc import Generator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pixelcnn.data.datasets import iterate_batches
from pixelcnn.evaluation.likelihoods import entropy_bits
from pixelcnn.models import Model

INTERVALS = (0.5, 0.9)
"""Probability that each central interval is meant to hold."""
UNSURE_BITS = 1.0
"""Entropy from which a prediction counts as unsure; below it lies most of the background."""
BATCH = 10
"""Images of one pass; every one of them brings H * W * K probabilities."""
EDGES = torch.linspace(-14, 14, 29).double().sigmoid()
"""Limits of the bins of the reliability curve, evenly spaced in log(p / (1 - p)): 1e-6 to 1."""
GROUPS = ("all", "unsure")


@dataclass
class Calibration:
    """Counts over all dimensions of some images; `add` takes more."""

    num_images: int = 0
    dims: dict[str, int] = field(default_factory=lambda: dict.fromkeys(GROUPS, 0))
    """Predictions in each group: all, or those with an entropy of at least one bit."""
    inside: dict[str, list[int]] = field(default_factory=lambda: {g: [0, 0] for g in GROUPS})
    """How often the level fell inside each of `INTERVALS`, by group."""
    promised: dict[str, list[float]] = field(
        default_factory=lambda: {g: [0.0, 0.0] for g in GROUPS}
    )
    """Sum of the probabilities that those intervals hold, by group."""
    bin_events: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    """Pairs (dimension, level) whose predicted probability lies in each bin."""
    bin_promised: list[float] = field(default_factory=lambda: [0.0] * (len(EDGES) + 1))
    """Sum of those probabilities: how many of the levels should have occurred."""
    bin_happened: list[int] = field(default_factory=lambda: [0] * (len(EDGES) + 1))
    """How many of them did occur."""

    def add(self, logits: Tensor, levels: Tensor) -> None:
        """Count the predictions of some images.

        The central interval of 50 % goes from the first level whose cumulative probability reaches
        25 % to the first one where it reaches 75 %. Levels are whole numbers, so it holds 50 % *or
        more*; what it holds is what it promises.

        Arguments:
            logits: (B, K, C, H, W).
            levels: int64 (B, C, H, W).
        """
        probability = logits.double().softmax(1)
        cumulative = probability.cumsum(1)
        cumulative = cumulative / cumulative[:, -1:]
        unsure = entropy_bits(logits.double()) >= UNSURE_BITS  # (B, C, H, W)
        members = {"all": torch.ones_like(unsure), "unsure": unsure}
        self.num_images += len(levels)
        for group, member in members.items():
            self.dims[group] += int(member.sum())
        for number, nominal in enumerate(INTERVALS):
            low = (cumulative < (1 - nominal) / 2).sum(1)
            high = (cumulative < (1 + nominal) / 2).sum(1)
            upper = cumulative.gather(1, high[:, None])[:, 0]
            lower = cumulative.gather(1, (low - 1).clamp(min=0)[:, None])[:, 0]
            holds = upper - torch.where(low > 0, lower, 0.0)
            hit = (low <= levels) & (levels <= high)
            for group, member in members.items():
                self.inside[group][number] += int((hit & member).sum())
                self.promised[group][number] += float(holds[member].sum())
        self._add_to_bins(probability, levels)

    def _add_to_bins(self, probability: Tensor, levels: Tensor) -> None:
        size = len(EDGES) + 1
        bins = torch.bucketize(probability, EDGES, right=True)  # (B, K, C, H, W)
        events = torch.bincount(bins.flatten(), minlength=size)
        promised = torch.bincount(bins.flatten(), probability.flatten(), minlength=size)
        happened = torch.bincount(bins.gather(1, levels[:, None]).flatten(), minlength=size)
        for mine, more in (
            (self.bin_events, events), (self.bin_promised, promised), (self.bin_happened, happened)
        ):  # fmt: skip
            for i, value in enumerate(more.tolist()):
                mine[i] += value

    def coverage(self, group: str) -> list[tuple[float, float, float]]:
        """Give (nominal, promised, observed) share for each interval; NaN for an empty group."""
        dims = self.dims[group] or float("nan")
        return [
            (nominal, self.promised[group][i] / dims, self.inside[group][i] / dims)
            for i, nominal in enumerate(INTERVALS)
        ]

    def reliability(self) -> list[tuple[float, float, int]]:
        """Give (mean predicted probability, observed frequency, events) for each bin with events.

        Of a calibrated model the first two agree, up to chance.
        """
        rows = zip(self.bin_promised, self.bin_happened, self.bin_events, strict=True)
        return [(promised / n, happened / n, n) for promised, happened, n in rows if n]

    def to_dict(self) -> dict[str, object]:
        """Return the counts as plain JSON values."""
        return {
            "num_images": self.num_images,
            "dims": self.dims,
            "inside": self.inside,
            "promised": {g: [round(v, 3) for v in values] for g, values in self.promised.items()},
            "bin_events": self.bin_events,
            "bin_promised": [float(f"{v:.6g}") for v in self.bin_promised],
            "bin_happened": self.bin_happened,
        }

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> "Calibration":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: if a field is missing, unknown or no count, or if nothing was counted.
        """
        fresh = cls().to_dict()
        if sorted(values) != sorted(fresh):
            raise ValueError(f"the fields {sorted(values)} are not those of a calibration")
        for name, expected in fresh.items():
            _check_counts(name, values[name], expected)
        result = cls(**values)
        counts = (result.num_images, result.dims["all"], sum(result.bin_happened))
        if min(counts) < 1 or not result.reliability():
            raise ValueError("it counted nothing")
        return result


def _check_counts(name: str, value: object, expected: object) -> None:
    """Check that a value is made of counts in the same places as another."""
    if isinstance(expected, dict):
        if not isinstance(value, dict) or list(value) != list(expected):
            raise ValueError(f"{name} has other groups than {', '.join(expected)}")
        for group in expected:
            _check_counts(f"{name}, {group},", value[group], expected[group])
    elif isinstance(expected, list):
        if not isinstance(value, list) or len(value) != len(expected):
            raise ValueError(f"{name} does not have {len(expected)} numbers")
        for number in value:
            _check_counts(name, number, expected[0])
    elif type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} (={value!r}) is no count")


@torch.inference_mode()
def measure_calibration(
    model: Model, levels: Tensor, label: Tensor | None
) -> Generator[float, None, Calibration]:
    """Count over real images, in the usual raster order; yields the share that is done.

    Arguments:
        model: a model in evaluation mode.
        levels: uint8 (N, C, H, W), held-out images.
        label: int64 (N,), or None to tell the model no class.

    Returns:
        The counts.
    """
    result = Calibration()
    known = torch.zeros(len(levels), dtype=torch.int64) if label is None else label
    for batch, its_label in iterate_batches(levels, known, BATCH):
        result.add(model(batch, None if label is None else its_label), batch)
        yield result.num_images / len(levels)
    return result
