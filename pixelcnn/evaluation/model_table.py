"""The table of models: what every checkpoint reaches, costs and sees."""

import statistics
import time
from collections.abc import Generator

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from pixelcnn.config import STRICT, Share
from pixelcnn.data.datasets import iterate_batches
from pixelcnn.evaluation.likelihoods import bits_per_dim, ensemble_bits_per_dim
from pixelcnn.evaluation.stored import FOLDER, Count, NotNegative
from pixelcnn.inspection.receptive_field import dependency_maps, past_coverage
from pixelcnn.models import Model
from pixelcnn.sampling import sample
from pixelcnn.storage import CheckpointInfo

EVALUATION_BATCH = 4
"""Images in one pass: what so few need stays in the cache of a CPU."""
TIMED = 5
"""Pictures drawn one after the other to measure the time; the median counts."""
TABLE_PATH = FOLDER / "table.json"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelRow:
    """One checkpoint in the table."""

    checkpoint: str
    """Its name."""
    weights: str
    """Digest of its weights, see `pixelcnn.storage.weights_digest`."""
    dataset: str
    """Key of the data set that it learned."""
    architecture: str
    """Name in `pixelcnn.models.ARCHITECTURES`."""
    num_levels: Count
    """K; bits/dim at different K cannot be compared."""
    num_orders: Count
    """Raster orders that it knows."""
    test_bits_per_dim: NotNegative
    """On the test split; the mean over the orders that it knows."""
    order_bits_per_dim: list[NotNegative]
    """The same for each of these orders, in the order of `pixelcnn.orders.ORDER_NAMES`."""
    ensemble_bits_per_dim: NotNegative | None
    """Of the mean probability of all orders; None for a model of one order."""
    test_images: Count
    """Test images scored."""
    num_parameters: Count
    images_seen: Count
    """Training images that it has seen, repetitions included."""
    past_seen: Share
    """Share of all pairs (prediction, earlier pixel) inside the receptive field."""
    seconds_one: NotNegative
    """Seconds to draw one picture alone with the cached sampler, median."""
    seconds_of_16: NotNegative
    """Seconds for each of 16 pictures drawn together, median."""


@dataclass(frozen=True, config=STRICT)
class Table:
    """The rows of all checkpoints."""

    rows: list[ModelRow]


def score_images(model: Model, levels: Tensor, label: Tensor) -> Generator[float, None, Tensor]:
    """Score images in every order that the model knows, with their classes if it knows any.

    Takes levels uint8 (N, C, H, W) and label int64 (N,); yields the share that is done; returns
    bits/dim, (N, num_orders).
    """
    c = model.config
    scores = torch.zeros(0, c.num_orders)
    for batch, batch_label in iterate_batches(levels, label, EVALUATION_BATCH):
        given = batch_label if c.num_classes else None
        part = [bits_per_dim(model, batch, given, order) for order in range(c.num_orders)]
        scores = torch.cat([scores, torch.stack(part, 1)])
        yield len(scores) / len(levels)
    return scores


def make_row(
    name: str, weights: str, model: Model, info: CheckpointInfo, scores: Tensor
) -> ModelRow:
    """Measure coverage and sampling time, and put them beside the scores of `score_images`."""
    c = model.config
    seen, past = past_coverage(dependency_maps(model))
    ensemble = ensemble_bits_per_dim(scores, c.num_dims).mean().item()
    return ModelRow(
        checkpoint=name,
        weights=weights,
        dataset=info.dataset or "",
        architecture=c.architecture,
        num_levels=c.num_levels,
        num_orders=c.num_orders,
        test_bits_per_dim=scores.mean().item(),
        order_bits_per_dim=scores.mean(0).tolist(),
        ensemble_bits_per_dim=ensemble if c.num_orders > 1 else None,
        test_images=len(scores),
        num_parameters=model.num_parameters,
        images_seen=info.images_seen,
        past_seen=seen / max(past, 1),
        seconds_one=_seconds_to_draw(model, 1),
        seconds_of_16=_seconds_to_draw(model, 16) / 16,
    )


def _seconds_to_draw(model: Model, num_images: int) -> float:
    times = []
    for seed in range(TIMED):
        started = time.perf_counter()
        sample(model, num_images=num_images, seed=seed)
        times.append(time.perf_counter() - started)
    return statistics.median(times)
