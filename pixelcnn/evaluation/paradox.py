"""Measure whether pictures of another kind get more likelihood than those the model learned.

Often they do: a model of clothes gives digits more (Nalisnick et al. 2019). Two scores that were
proposed to repair it are measured as well.

References:
    Nalisnick et al. 2019, arXiv 1810.09136 (the paradox).
    Serra et al. 2020, arXiv 1909.11480 (likelihood corrected by the compressed size).
    Ren et al. 2019, arXiv 1906.02845 (ratio to the likelihood of a second model).
"""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from pixelcnn.data.datasets import DATASETS, dataset_of
from pixelcnn.evaluation.likelihoods import bits_per_dim, surprise_bits
from pixelcnn.evaluation.scores import auroc, complexity_bits
from pixelcnn.evaluation.stored import percent
from pixelcnn.models import Model, ModelConfig
from pixelcnn.storage import CheckpointError, CheckpointInfo, list_checkpoints, read_info

BATCH = 20
"""Images of one pass of the network."""
NOISE_SHARE = 1 / 16
"""Standard deviation of the noise of the noised images, as a share of the levels."""
MADE_UP = {
    "flipped": "upside down",
    "noised": "with noise",
    "constant": "constant",
}
"""The sets that are made from the model's own test images, or from nothing, and their names."""
SCORES = {
    "likelihood": "bits/dim",
    "complexity": "bits/dim minus compressed bits/dim",
    "ratio": "bits/dim minus bits/dim of the second model",
}
"""The three scores; the higher, the stranger the picture is held to be."""


def other_dataset(dataset: str) -> str:
    """Say which images a model of a data set is tried on: digits, and one of digits on clothes."""
    return "fashion-mnist" if dataset == "mnist" else "mnist"


def set_title(name: str, dataset: str) -> str:
    """Name a set for people, e.g. "Fashion-MNIST, upside down"."""
    if name in MADE_UP:
        return (
            "Constant" if name == "constant" else f"{dataset_of(dataset).title}, {MADE_UP[name]}"
        )
    return dataset_of(name).title


def make_sets(
    own: Tensor, other: Tensor, names: tuple[str, str], num_levels: int, seed: int = 0
) -> dict[str, Tensor]:
    """Make the five sets of one size.

    Arguments:
        own: uint8 (N, C, H, W), real images of the model's data set, values 0..K-1.
        other: the same shape, of another data set.
        names: keys of `pixelcnn.data.datasets.DATASETS` of the two.
        num_levels: K.
        seed: fixes the noise.

    Returns:
        Images by name: the two data sets, `flipped` (rows reversed), `noised` (normal noise of
        1/16 of the levels added, then cut to 0..K-1) and `constant` (one level everywhere, spread
        over all levels).

    Raises:
        ValueError: if the two do not have the same shape, or hold no image.
    """
    if own.shape != other.shape or len(own) == 0:
        raise ValueError(
            f"`own` (shape {tuple(own.shape)}) and `other` (shape {tuple(other.shape)}) must have "
            "the same shape, with at least one image."
        )
    noise = torch.randn(own.shape, generator=torch.Generator().manual_seed(seed))
    noised = (own + noise * num_levels * NOISE_SHARE).round().clamp(0, num_levels - 1)
    level = torch.linspace(0, num_levels - 1, len(own)).round().to(torch.uint8)
    return {
        names[0]: own,
        names[1]: other,
        "flipped": own.flip(2),
        "noised": noised.to(torch.uint8),
        "constant": level.view(-1, 1, 1, 1).expand_as(own),
    }


@dataclass(frozen=True)
class Paradox:
    """What every image of every set costs."""

    dataset: str
    """Data set that the model learned: the set that should be the most probable one."""
    bits_per_dim: dict[str, list[float]]
    """By the model, told no class, by set."""
    compressed: dict[str, list[float]]
    """Size of the smaller of PNG and gzip, bits/dim, by set."""
    second_bits_per_dim: dict[str, list[float]] | None
    """By the second model, told no class; None without one."""
    background: dict[str, list[float]]
    """By set: share of the dimensions with level 0, mean bits of one of them by the model, and
    mean bits of one of the others (0 if there is none)."""

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores that can be computed."""
        return tuple(s for s in SCORES if s != "ratio" or self.second_bits_per_dim is not None)

    def score(self, score: str, name: str) -> list[float]:
        """Compute one of `SCORES` for every image of a set; higher means stranger."""
        minus = {"likelihood": None, "complexity": self.compressed}.get(
            score, self.second_bits_per_dim
        )
        bits = self.bits_per_dim[name]
        return bits if minus is None else [a - b for a, b in zip(bits, minus[name], strict=True)]

    def auroc(self, score: str, name: str) -> float:
        """Say how well a score tells a set from the model's own images, see `scores.auroc`."""
        return auroc(self.score(score, self.dataset), self.score(score, name))

    @property
    def others(self) -> list[str]:
        """The sets other than the model's own."""
        return [name for name in self.bits_per_dim if name != self.dataset]

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values, four decimals."""

        def rounded(values: Mapping[str, list[float]] | None) -> dict[str, list[float]] | None:
            return values and {k: [round(x, 4) for x in v] for k, v in values.items()}

        return {
            "dataset": self.dataset,
            "bits_per_dim": rounded(self.bits_per_dim),
            "compressed": rounded(self.compressed),
            "second_bits_per_dim": rounded(self.second_bits_per_dim),
            "background": rounded(self.background),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Paradox":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: if it is something else.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            raise ValueError(f"the fields {sorted(values)} are not {sorted(names)}")
        result = cls(**values)
        if result.dataset not in DATASETS:
            raise ValueError(f"its data set (={result.dataset!r}) is unknown")
        unknown = set(result.bits_per_dim) - set(DATASETS) - set(MADE_UP)
        if unknown or result.dataset not in result.bits_per_dim or not result.others:
            raise ValueError(f"its sets {sorted(result.bits_per_dim)} are not those of a paradox")
        second = result.second_bits_per_dim
        tables = [result.bits_per_dim, result.compressed, *([] if second is None else [second])]
        for table in (*tables, result.background):
            if not all(_is_number(x) for numbers in table.values() for x in numbers):
                raise ValueError("its tables do not hold numbers only")
        sizes = [{k: len(v) for k, v in table.items()} for table in tables]
        if any(size != sizes[0] for size in sizes) or 0 in sizes[0].values():
            raise ValueError("its sets do not have the same images in every table")
        if {k: len(v) for k, v in result.background.items()} != dict.fromkeys(sizes[0], 3):
            raise ValueError("its numbers on the background are not three for each set")
        return result


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


@torch.inference_mode()
def measure_paradox(
    model: Model,
    second: Model | None,
    dataset: str,
    sets: Mapping[str, Tensor],
) -> Generator[float, None, Paradox]:
    """Score every image of every set; yields the share that is done.

    The models are told no class, and read in the usual raster order.

    Arguments:
        model: the model that learned `dataset`, in evaluation mode.
        second: a model of the other data set with the same levels, or None.
        dataset: key of the set that the model learned.
        sets: images by name, uint8 (N, C, H, W), see `make_sets`.

    Raises:
        ValueError: if the two models do not have the same levels and size.
    """
    c = model.config
    if second is not None and not fits(c, second.config):
        raise ValueError("The two models must have the same levels, channels and size.")
    bits: dict[str, list[float]] = {name: [] for name in sets}
    compressed: dict[str, list[float]] = {name: [] for name in sets}
    second_bits: dict[str, list[float]] = {name: [] for name in sets}
    background: dict[str, list[float]] = {}
    total, done = sum(map(len, sets.values())), 0
    for name, images in sets.items():
        dark_dims, dark_bits = 0, 0.0
        for batch in images.split(BATCH):
            levels = batch.long()
            surprise = surprise_bits(model(levels), levels).double()  # (B, C, H, W)
            bits[name] += surprise.flatten(1).mean(1).tolist()
            dark_dims += int((levels == 0).sum())
            dark_bits += float(surprise[levels == 0].sum())
            if second is not None:
                second_bits[name] += bits_per_dim(second, levels).tolist()
            compressed[name] += [complexity_bits(x, c.num_levels) / c.num_dims for x in levels]
            done += len(levels)
            yield done / total
        other_dims = images.numel() - dark_dims
        other_bits = sum(bits[name]) * c.num_dims - dark_bits
        background[name] = [
            dark_dims / images.numel(),
            dark_bits / max(dark_dims, 1),
            other_bits / other_dims if other_dims else 0.0,
        ]
    second_table = None if second is None else second_bits
    return Paradox(dataset, bits, compressed, second_table, background)


def second_checkpoint(info: CheckpointInfo) -> Path | None:
    """Find a checkpoint of the other data set for the ratio, in `checkpoints/`; None without one.

    Of several, one of the same architecture is preferred.
    """
    found = []
    for path in list_checkpoints().values():
        try:
            other = read_info(path)
        except CheckpointError:
            continue  # whoever chooses that checkpoint is told
        if other.dataset == other_dataset(info.dataset or "") and fits(info.config, other.config):
            found.append((other.config.architecture != info.config.architecture, path))
    return min(found)[1] if found else None


def fits(config: ModelConfig, other: ModelConfig) -> bool:
    """Say whether two models speak of the same images: levels, channels and size."""
    names = ("num_levels", "num_channels", "height", "width")
    return all(getattr(config, name) == getattr(other, name) for name in names)


def describe(paradox: Paradox) -> list[str]:
    """Say in plain sentences what was found, each computed from the numbers.

    Returns:
        One sentence for each other set.
    """
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
