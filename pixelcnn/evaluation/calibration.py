"""Are the probabilities right? Coverage of intervals, and how often the predicted happened."""

from collections.abc import Generator
from typing import Annotated, Literal, TypeVar

import torch
from pydantic import AfterValidator, Field, PlainSerializer
from pydantic.dataclasses import dataclass
from torch import Tensor

from pixelcnn.config import STRICT
from pixelcnn.data.datasets import iterate_batches
from pixelcnn.evaluation.likelihoods import entropy_bits
from pixelcnn.evaluation.stored import Count, NotNegative
from pixelcnn.models import Model

INTERVALS = (0.5, 0.9)
"""Probability that each central interval is meant to hold."""
UNSURE_BITS = 1.0
"""Entropy from which a prediction counts as unsure; below it lies most of the background."""
BATCH = 10
"""Images of one pass; every one of them brings H * W * K probabilities."""
EDGES = torch.linspace(-14, 14, 29).double().sigmoid()
"""Limits of the bins of the reliability curve, evenly spaced in log(p / (1 - p)): 1e-6 to 1."""
BINS = len(EDGES) + 1
GROUPS = ("all", "unsure")


def _counted(values: list[int]) -> list[int]:
    if not any(values):
        raise ValueError("it counted nothing")
    return values


Item = TypeVar("Item")
ByGroup = Annotated[dict[Literal["all", "unsure"], Item], Field(min_length=len(GROUPS))]
ByInterval = Annotated[list[Item], Field(min_length=len(INTERVALS), max_length=len(INTERVALS))]
ByBin = Annotated[list[Item], Field(min_length=BINS, max_length=BINS)]


@dataclass(config=STRICT)
class Calibration:
    """Counts over all dimensions of some images; `add` takes more.

    One that is read from a file has counted something; a fresh one has not.
    """

    num_images: Annotated[int, Field(ge=1)] = 0
    dims: ByGroup[Count] = Field(default_factory=lambda: dict.fromkeys(GROUPS, 0))
    """Predictions in each group: all, or those with an entropy of at least one bit."""
    inside: ByGroup[ByInterval[Count]] = Field(
        default_factory=lambda: {group: [0] * len(INTERVALS) for group in GROUPS}
    )
    """How often the level fell inside each of `INTERVALS`, by group."""
    promised: ByGroup[
        ByInterval[Annotated[NotNegative, PlainSerializer(lambda v: round(v, 3))]]
    ] = Field(default_factory=lambda: {group: [0.0] * len(INTERVALS) for group in GROUPS})
    """Sum of the probabilities that those intervals hold, by group."""
    bin_events: Annotated[ByBin[Count], AfterValidator(_counted)] = Field(
        default_factory=lambda: [0] * BINS
    )
    """Pairs (dimension, level) whose predicted probability lies in each bin."""
    bin_promised: ByBin[Annotated[NotNegative, PlainSerializer(lambda v: float(f"{v:.6g}"))]] = (
        Field(default_factory=lambda: [0.0] * BINS)
    )
    """Sum of those probabilities: how many of the levels should have occurred."""
    bin_happened: Annotated[ByBin[Count], AfterValidator(_counted)] = Field(
        default_factory=lambda: [0] * BINS
    )
    """How many of them did occur."""

    def add(self, logits: Tensor, levels: Tensor) -> None:
        """Count the predictions (B, K, C, H, W) of some images, int64 (B, C, H, W).

        The central interval of 50 % goes from the first level whose cumulative probability reaches
        25 % to the first one where it reaches 75 %. Levels are whole numbers, so it holds 50 % *or
        more*; what it holds is what it promises.
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
        bins = torch.bucketize(probability, EDGES, right=True)  # (B, K, C, H, W)
        events = torch.bincount(bins.flatten(), minlength=BINS)
        promised = torch.bincount(bins.flatten(), probability.flatten(), minlength=BINS)
        happened = torch.bincount(bins.gather(1, levels[:, None]).flatten(), minlength=BINS)
        for mine, more in (
            (self.bin_events, events), (self.bin_promised, promised), (self.bin_happened, happened)
        ):  # fmt: skip
            mine[:] = [a + b for a, b in zip(mine, more.tolist(), strict=True)]

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


@torch.inference_mode()
def measure_calibration(
    model: Model, levels: Tensor, label: Tensor | None
) -> Generator[float, None, Calibration]:
    """Count over real images, in the usual raster order; yields the share that is done.

    Levels are uint8 (N, C, H, W), held-out images; label is int64 (N,), or None to give no class.
    """
    result = Calibration()
    known = torch.zeros(len(levels), dtype=torch.int64) if label is None else label
    for batch, its_label in iterate_batches(levels, known, BATCH):
        result.add(model(batch, None if label is None else its_label), batch)
        yield result.num_images / len(levels)
    return result
