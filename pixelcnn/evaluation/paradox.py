"""Measure whether pictures of another kind get more likelihood than those the model learned.

Often they do: a model of clothes gives digits more (Nalisnick et al. 2019). Two scores that were
proposed to repair it are measured as well.

References:
    Nalisnick et al. 2019, arXiv 1810.09136 (the paradox).
    Serra et al. 2020, arXiv 1909.11480 (likelihood corrected by the compressed size).
    Ren et al. 2019, arXiv 1906.02845 (ratio to the likelihood of a second model).
"""

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, PlainSerializer
from pydantic.dataclasses import dataclass
from torch import Tensor

from pixelcnn.config import STRICT
from pixelcnn.data.datasets import DATASETS, dataset_of
from pixelcnn.evaluation.likelihoods import bits_per_dim, surprise_bits
from pixelcnn.evaluation.scores import auroc, complexity_bits
from pixelcnn.evaluation.stored import percent
from pixelcnn.models import Model, ModelConfig
from pixelcnn.storage import CheckpointError, CheckpointInfo, list_scored_checkpoints, read_info

BATCH = 20
NOISE_SHARE = 1 / 16
"""Standard deviation of the noise of the noised images, as a share of the levels."""
MADE_UP = {"flipped": "upside down", "noised": "with noise", "constant": "constant"}
"""The sets that are made from the model's own test images, or from nothing, and their names."""
SCORES = {
    "likelihood": "bits/dim",
    "complexity": "bits/dim minus compressed bits/dim",
    "ratio": "bits/dim minus bits/dim of the second model",
}
"""The three scores; the higher, the stranger the picture is held to be."""
Number = Annotated[float, PlainSerializer(lambda value: round(value, 4))]
ByImage = dict[str, Annotated[list[Number], Field(min_length=1)]]
"""A number for every image, by set."""


def other_dataset(dataset: str) -> str:
    """Say which images a model of a data set is tried on: digits, and one of digits on clothes."""
    return "fashion-mnist" if dataset == "mnist" else "mnist"


def set_title(name: str, dataset: str) -> str:
    """Name a set for people, e.g. "Fashion-MNIST, upside down"."""
    if name == "constant":
        return "Constant"
    if name in MADE_UP:
        return f"{dataset_of(dataset).title}, {MADE_UP[name]}"
    return dataset_of(name).title


def make_sets(
    own: Tensor, other: Tensor, names: tuple[str, str], num_levels: int
) -> dict[str, Tensor]:
    """Make the five sets of one size.

    Arguments:
        own: uint8 (N, C, H, W), real images of the model's data set, values 0..K-1.
        other: the same shape, of another data set.
        names: keys of `pixelcnn.data.datasets.DATASETS` of the two.
        num_levels: K.

    Returns:
        Images by name: the two data sets, `flipped` (rows reversed), `noised` (normal noise of
        1/16 of the levels added, the same every time, then cut to 0..K-1) and `constant` (one
        level everywhere, spread over all levels).

    Raises:
        ValueError: if the two do not have the same shape, or hold no image.
    """
    if own.shape != other.shape or len(own) == 0:
        raise ValueError(
            f"`own` (shape {tuple(own.shape)}) and `other` (shape {tuple(other.shape)}) must have "
            "the same shape, with at least one image."
        )
    noise = torch.randn(own.shape, generator=torch.Generator().manual_seed(0))
    noised = (own + noise * num_levels * NOISE_SHARE).round().clamp(0, num_levels - 1)
    level = torch.linspace(0, num_levels - 1, len(own)).round().to(torch.uint8)
    return {
        names[0]: own,
        names[1]: other,
        "flipped": own.flip(2),
        "noised": noised.to(torch.uint8),
        "constant": level.view(-1, 1, 1, 1).expand_as(own),
    }


@dataclass(frozen=True, config=STRICT)
class Paradox:
    """What every image of every set costs."""

    dataset: str
    """Data set that the model learned: the set that should be the most probable one."""
    bits_per_dim: ByImage
    """By the model, given no class."""
    compressed: ByImage
    """Size of the smaller of PNG and gzip, bits/dim."""
    second_bits_per_dim: ByImage | None
    """By the second model, given no class; None without one."""
    background: dict[str, tuple[Number, Number, Number]]
    """By set: share of the dimensions with level 0, mean bits of one of them by the model, and
    mean bits of one of the others (0 if there is none)."""

    def __post_init__(self) -> None:
        if self.dataset not in DATASETS:
            raise ValueError(f"its data set (={self.dataset!r}) is unknown")
        unknown = set(self.bits_per_dim) - set(DATASETS) - set(MADE_UP)
        if unknown or self.dataset not in self.bits_per_dim or not self.others:
            raise ValueError(f"its sets {sorted(self.bits_per_dim)} are not those of a paradox")
        tables = [self.bits_per_dim, self.compressed, self.second_bits_per_dim]
        sizes = [{k: len(v) for k, v in table.items()} for table in tables if table is not None]
        if any(size != sizes[0] for size in sizes) or set(self.background) != set(sizes[0]):
            raise ValueError("its sets do not have the same images in every table")

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores that can be computed."""
        return tuple(s for s in SCORES if s != "ratio" or self.second_bits_per_dim is not None)

    def score(self, score: str, name: str) -> list[float]:
        """Compute one of `SCORES` for every image of a set; higher means stranger."""
        bits = self.bits_per_dim[name]
        if score == "likelihood":
            return bits
        minus = self.compressed if score == "complexity" else self.second_bits_per_dim
        return [a - b for a, b in zip(bits, minus[name], strict=True)]

    def auroc(self, score: str, name: str) -> float:
        """Say how well a score tells a set from the model's own images, see `scores.auroc`."""
        return auroc(self.score(score, self.dataset), self.score(score, name))

    @property
    def others(self) -> list[str]:
        """The sets other than the model's own."""
        return [name for name in self.bits_per_dim if name != self.dataset]


@torch.inference_mode()
def measure_paradox(
    model: Model, second: Model | None, dataset: str, sets: Mapping[str, Tensor]
) -> Generator[float, None, Paradox]:
    """Score every image of every set; yields the share that is done.

    The models are given no class, and read in the usual raster order.

    Arguments:
        model: the model that learned `dataset`, in evaluation mode.
        second: a model of the other data set with the same levels and size, or None.
        dataset: key of the set that the model learned.
        sets: images by name, uint8 (N, C, H, W), see `make_sets`.

    Raises:
        ValueError: if the two models do not have the same levels and size.
    """
    c = model.config
    if second is not None and not fits(c, second.config):
        raise ValueError("The two models must have the same levels, channels and size.")
    bits, compressed, second_bits, background = {}, {}, {}, {}
    total, done = sum(map(len, sets.values())), 0
    for name, images in sets.items():
        parts, compressed[name], second_bits[name] = [], [], []
        for batch in images.split(BATCH):
            levels = batch.long()
            parts.append(surprise_bits(model(levels), levels).double())
            compressed[name] += [complexity_bits(x, c.num_levels) / c.num_dims for x in levels]
            if second is not None:
                second_bits[name] += bits_per_dim(second, levels).tolist()
            done += len(levels)
            yield done / total
        surprise, dark = torch.cat(parts), images == 0  # (N, C, H, W)
        bits[name] = surprise.flatten(1).mean(1).tolist()
        means = (float(x.mean()) if len(x) else 0.0 for x in (surprise[dark], surprise[~dark]))
        background[name] = (float(dark.double().mean()), *means)
    return Paradox(dataset, bits, compressed, second_bits if second else None, background)


def second_checkpoint(info: CheckpointInfo) -> Path | None:
    """Find a checkpoint of the other data set for the ratio, in `checkpoints/`; None without one.

    Of several, one of the same architecture is preferred.
    """
    found = []
    for path in list_scored_checkpoints().values():
        try:
            other = read_info(path)
        except CheckpointError:
            continue  # choosing that checkpoint names the fault
        if other.dataset == other_dataset(info.dataset or "") and fits(info.config, other.config):
            found.append((other.config.architecture != info.config.architecture, path))
    return min(found)[1] if found else None


def fits(config: ModelConfig, other: ModelConfig) -> bool:
    """Say whether two models speak of the same images: levels, channels and size."""
    names = ("num_levels", "num_channels", "height", "width")
    return all(getattr(config, name) == getattr(other, name) for name in names)


def describe(paradox: Paradox) -> list[str]:
    """Say in plain sentences what was found, one for each other set."""
    own = sorted(paradox.bits_per_dim[paradox.dataset])
    own_mean, own_median = sum(own) / len(own), own[len(own) // 2]
    own_title = dataset_of(paradox.dataset).title
    sentences = []
    for name in paradox.others:
        bits = paradox.bits_per_dim[name]
        mean, more = sum(bits) / len(bits), sum(b < own_median for b in bits) / len(bits)
        relation = "**more** probable than" if mean < own_mean else "less probable than"
        sentences.append(
            f"{set_title(name, paradox.dataset)}: {mean:.2f} bits/dim on average, {relation} "
            f"{own_title} ({own_mean:.2f}); {percent(more, 0)} of them are more probable than the "
            f"median picture of {own_title}."
        )
    return sentences
