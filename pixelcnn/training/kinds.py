"""The start of a model that tells kinds of picture apart: expectation maximisation."""

from collections.abc import Generator, Iterator, Sequence

import torch
from torch import Tensor, distributed

from pixelcnn.config import ModelConfig
from pixelcnn.kinds import Kinds, places
from pixelcnn.models import AutoregressiveModel
from pixelcnn.orders import each_to_raster
from pixelcnn.training.devices import processes

STEPS = 20
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
        levels: uint8 (N, 1, H, W), of the training images; each is read in an order at random.
        seed: of the orders and of the search.

    Yields:
        The share that is done, 0 to 1.
    """
    config, kinds = models[0].config, models[0].kinds
    if kinds is None or kinds.table.any():
        return
    if config.num_orders > 1:
        generator = torch.Generator().manual_seed(seed)
        order = torch.randint(config.num_orders, (len(levels),), generator=generator)
        levels = each_to_raster(levels, order)
    found = yield from fit_kinds(config, levels[:, 0], seed)
    for model in models:
        model.kinds.table.data.copy_(found.table)
        model.kinds.prior.data.copy_(found.prior)
        if processes()[1] > 1:  # whatever their processors round, all have the same
            distributed.broadcast(model.kinds.table.data, 0)
            distributed.broadcast(model.kinds.prior.data, 0)


def fit_kinds(config: ModelConfig, levels: Tensor, seed: int) -> Generator[float, None, Kinds]:
    """Sort pictures into kinds, and count which levels each kind has at which places.

    Arguments:
        config: of the model, with `num_kinds`.
        levels: uint8 (N, H, W).
        seed: of the random kinds that the pictures have at first.

    Yields:
        The share that is done, 0 to 1.

    Returns:
        What was found.

    References:
        Dempster, Laird and Rubin 1977, section 4.3.
    """
    num_levels, num_kinds = config.num_levels, config.num_kinds
    kinds = Kinds(num_kinds, num_levels, config.height)
    counts = _count(kinds, levels)
    by_row = counts.t().coalesce()
    per_place = (len(kinds.table), num_levels, -1)
    all_counts = (by_row @ torch.ones(len(levels), 1)).view(per_place) + UNSEEN
    all_shares = all_counts / all_counts.sum(1, keepdim=True)
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(len(levels), num_kinds, generator=generator)
    posterior = (30 * start).softmax(1)
    for step in range(STEPS):
        yield step / STEPS
        share_of_all = posterior.mean(0)
        shares = (by_row @ posterior).view(per_place) + UNSEEN * share_of_all
        shares = shares + SMOOTHING * all_shares
        table = (shares / shares.sum(1, keepdim=True) / all_shares).log()
        prior = (share_of_all + 1e-6).log()
        posterior = (counts @ table.flatten(0, 1) + prior).softmax(1)
    yield 1.0
    table[:, 0] = 0  # the background tells nothing
    kinds.table.data.copy_(table)
    kinds.prior.data.copy_(prior)
    return kinds


def _count(kinds: Kinds, levels: Tensor) -> Tensor:
    """Count drawn pixels by place and level: sparse (N, places * K)."""
    images, rows = [], []
    for start in range(0, len(levels), CHUNK):
        part = levels[start : start + CHUNK].long()
        drawn = part > 0
        images.append(start + drawn.nonzero()[:, 0])
        rows.append(kinds.rows(places(part), part)[drawn])
    index = torch.stack([torch.cat(images), torch.cat(rows)])
    size = (len(levels), kinds.table.shape[0] * kinds.table.shape[1])
    return torch.sparse_coo_tensor(
        index, torch.ones(index.shape[1]), size, check_invariants=False
    ).coalesce()
