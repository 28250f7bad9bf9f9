"""Raster orders: turning there and back, what the names say, and models that know all eight."""

import pytest
import torch

from pixelcnn import bits_per_dim, sample
from pixelcnn.evaluation.likelihoods import nats_to_bits_per_dim, nll_nats
from pixelcnn.orders import (
    NUM_ORDERS,
    ORDER_NAMES,
    each_to_raster,
    from_raster,
    to_raster,
)

from .tiny import ARCHITECTURES, random_levels, tiny_model

EVERY_ORDER = range(NUM_ORDERS)


def tiny_orders_model(architecture):
    return tiny_model(architecture, num_orders=8, num_classes=2, height=5, width=5)


@pytest.mark.parametrize("order", EVERY_ORDER)
def test_each_order_visits_the_pixels_as_its_name_says_and_back(order):
    image = torch.arange(30).view(1, 5, 6)
    assert torch.equal(from_raster(to_raster(image, order), order), image)
    assert torch.equal(to_raster(from_raster(image, order), order), image)
    # Where the picture's corners and sides lie in the order in which pixels are read.
    visited = to_raster(torch.arange(9).view(3, 3), order).flatten().tolist()
    lines, way = ORDER_NAMES[order].split(", ")
    row, col = divmod(visited[0], 3)
    starts = {"rows from the top": row == 0, "rows from the bottom": row == 2,
              "columns from the left": col == 0, "columns from the right": col == 2}  # fmt: skip
    assert starts[lines] and list(starts)[order // 2] == lines
    steps = {"left to right": 1, "right to left": -1, "top to bottom": 3, "bottom to top": -3}
    assert visited[1] - visited[0] == visited[2] - visited[1] == steps[way]
    assert len(set(ORDER_NAMES)) == NUM_ORDERS  # so the orders are eight different ones


def test_every_image_of_a_batch_is_turned_in_its_own_order():
    images = torch.arange(16 * 3 * 25).view(16, 3, 5, 5)
    order = torch.arange(16) % NUM_ORDERS
    turned = each_to_raster(images, order)
    for image, one, its_order in zip(images, turned, order.tolist(), strict=True):
        assert torch.equal(one, to_raster(image, its_order))


@pytest.mark.parametrize("turn", [to_raster, from_raster])
@pytest.mark.parametrize("order", [-1, 8, 1.5, None])
def test_an_order_that_does_not_exist_is_refused(turn, order):
    with pytest.raises(ValueError, match="integer from 0 to 7"):
        turn(torch.zeros(2, 2), order)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("order", EVERY_ORDER)
def test_both_samplers_and_a_score_read_the_picture_in_the_order_asked(architecture, order):
    model = tiny_orders_model(architecture)
    levels, cached = (
        sample(model, num_images=3, seed=1, label=[0, 1, 2], method=m, order=order)
        for m in ("naive", "cached")
    )
    assert torch.equal(levels, cached)
    turned = to_raster(levels, order)
    nats = nll_nats(model(turned, None, torch.full((3,), order)), turned).flatten(1).sum(1)
    expected = nats_to_bits_per_dim(nats, model.config.num_dims)
    torch.testing.assert_close(bits_per_dim(model, levels, order=order), expected)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_order_acts_on_the_prediction_and_none_means_order_0(architecture):
    model = tiny_orders_model(architecture)
    levels = random_levels(model.config, 1).expand(8, -1, -1, -1)
    logits = model(levels, None, torch.arange(8))
    assert len({tuple(one.flatten().tolist()) for one in logits}) == 8
    assert torch.equal(model(levels)[0], logits[0])
    with pytest.raises(ValueError, match=r"`order` \(values 0 to 8\) must lie in 0..7"):
        model(levels[:2], None, torch.tensor([0, 8]))
    with pytest.raises(ValueError, match=r"`order` .* must be int64 \(2,\)"):
        model(levels[:2], None, torch.tensor([0]))
    with pytest.raises(ValueError, match=r"must lie in 0..0"):
        sample(tiny_model(height=5, width=5), order=3)
