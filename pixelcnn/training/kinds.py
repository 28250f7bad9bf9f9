"""The start of a model that tells kinds of picture apart: expectation maximisation."""

from collections.abc import Generator, Iterator, Sequence

import torch
from torch import Tensor, distributed

from pixelcnn.config import ModelConfig
from pixelcnn.kinds import Kinds, places, rows_of_table
from pixelcnn.models import AutoregressiveModel
from pixelcnn.orders import each_to_raster
from pixelcnn.training.devices import processes

STEPS = 30
SMOOTHING = 20.0
"""Drawn pixels at every place that every kind has beforehand, with the levels of all pictures."""
UNSEEN = 0.1
"""Drawn pixels that every level has at every place beforehand, in all pictures together."""
CHUNK = 1000


def find_kinds(
    models: Sequence[AutoregressiveModel], levels: Tensor, seed: int
) -> Iterator[float]:
    """Give models their kinds before the first step, unless they have none or had them before.

    Arguments:
        models: of one configuration; changed in place. The first one tells whether to search.
        levels: uint8 (N, 1, H, W), of the training images; they are read from every side, each in
            one of the side's orders at random.
        seed: of the orders and of the search.

    Yields:
        The share that is done, 0 to 1.
    """
    config, kinds = models[0].config, models[0].kinds
    if kinds is None or kinds.table.any():
        return
    sides = [levels]
    if config.num_orders > 1:
        generator = torch.Generator().manual_seed(seed)
        way = torch.randint(2, (config.num_sides, len(levels)), generator=generator)
        sides = [each_to_raster(levels, 2 * side + ways) for side, ways in enumerate(way)]
    found = yield from fit_kinds(config, [turned[:, 0] for turned in sides], seed)
    for model in models:
        model.kinds.table.data.copy_(found.table)
        model.kinds.prior.data.copy_(found.prior)
        if processes()[1] > 1:  # whatever their processors round, all have the same
            distributed.broadcast(model.kinds.table.data, 0)
            distributed.broadcast(model.kinds.prior.data, 0)


def fit_kinds(
    config: ModelConfig, sides: Sequence[Tensor], seed: int
) -> Generator[float, None, Kinds]:
    """Sort pictures into kinds, and count which levels each kind has at which places.

    Arguments:
        config: of the model, with `num_kinds`.
        sides: for each side the pictures, turned so that it is the top: uint8 (N, H, W).
        seed: of the random kinds that the pictures have at first.

    Yields:
        The share that is done, 0 to 1.

    Returns:
        What was found.

    References:
        Dempster, Laird and Rubin 1977, section 4.3.
    """
    kinds = Kinds(config.num_kinds, config.num_levels, config.height, len(sides))
    tables, priors = (part.data.chunk(len(sides)) for part in (kinds.table, kinds.prior))
    for side, levels in enumerate(sides):
        for step in _fit_side(tables[side], priors[side], levels, seed):
            yield (side + step / STEPS) / len(sides)
    yield 1.0
    return kinds


def _fit_side(table: Tensor, prior: Tensor, levels: Tensor, seed: int) -> Iterator[int]:
    """Fill a table (places, K, J) and a prior (J,); yields the number of each step."""
    counts = _count(table, levels)
    by_row = counts.t().coalesce()
    all_counts = (by_row @ torch.ones(len(levels), 1)).view(*table.shape[:2], 1) + UNSEEN
    all_shares = all_counts / all_counts.sum(1, keepdim=True)
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(len(levels), table.shape[2], generator=generator)
    posterior = (30 * start).softmax(1)
    for step in range(STEPS):
        yield step
        share_of_all = posterior.mean(0)
        prior.copy_((share_of_all + 1e-6).log())
        shares = (by_row @ posterior).view(table.shape) + UNSEEN * share_of_all
        shares = shares + SMOOTHING * all_shares
        table.copy_((shares / shares.sum(1, keepdim=True) / all_shares).log())
        posterior = (counts @ table.flatten(0, 1) + prior).softmax(1)
    table[:, 0] = 0  # the background tells nothing


def _count(table: Tensor, levels: Tensor) -> Tensor:
    """Count drawn pixels by place and level: sparse (N, places * K)."""
    images, rows = [], []
    for start in range(0, len(levels), CHUNK):
        part = levels[start : start + CHUNK].long()
        drawn = part > 0
        images.append(start + drawn.nonzero()[:, 0])
        rows.append(rows_of_table(table, places(part), part)[drawn])
    index = torch.stack([torch.cat(images), torch.cat(rows)])
    size = (len(levels), table.shape[0] * table.shape[1])
    return torch.sparse_coo_tensor(
        index, torch.ones(index.shape[1]), size, check_invariants=False
    ).coalesce()
