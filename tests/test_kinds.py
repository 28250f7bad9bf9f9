"""Hidden kinds of picture: what they add to a prediction, and how they are found."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from pixelcnn.config import ModelConfig, TrainConfig
from pixelcnn.kinds import AROUND, Kinds, places
from pixelcnn.models import build_model
from pixelcnn.training.engine import FindingKinds, Progress, TrainingError, TrainingState, train
from pixelcnn.training.kinds import STEPS, find_kinds, fit_kinds

from .test_calibration import finish
from .tiny import label_of, random_levels, randomize, tiny_config, tiny_model

LEVELS = 6


def some_kinds(num_kinds=3, height=4, width=5, num_sides=1):
    """A layer with random weights, and half-empty pictures whose first row is empty."""
    layer = randomize(Kinds(num_kinds, LEVELS, height, num_sides)).double().eval()
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(0, LEVELS, (2, height, width), generator=generator)
    levels[torch.rand(levels.shape, generator=generator) < 0.4] = 0
    levels[:, 0] = 0
    return layer, levels


def scaled(levels, num_levels=LEVELS):
    return levels.double() * (2 / (num_levels - 1)) - 1


def top(num_images):
    """The side where all of them begin."""
    return torch.zeros(num_images, dtype=torch.int64)


def place_of(image, row, col):
    """`places` in words of the documentation, for one pixel."""
    drawn_rows = [r for r in range(row) if (image[r] > 0).any()]
    down = row - drawn_rows[0] if drawn_rows else 0
    above = row > 0 and image[row - 1, col] > 0
    left = col > 0 and image[row, col - 1] > 0
    return down * AROUND + 2 * int(above) + int(left)


def test_the_posterior_multiplies_the_levels_of_every_kind_as_documented():
    layer, levels = some_kinds(num_sides=4)
    sides = [2, 0]
    out = layer(scaled(levels), torch.tensor(sides))
    tables, priors = layer.table.chunk(4), layer.prior.chunk(4)
    for image, row, col in itertools.product(range(2), range(4), range(5)):
        table, belief = tables[sides[image]], priors[sides[image]].clone()
        for i, j in itertools.product(range(4), range(5)):
            level = levels[image, i, j]
            if (i, j) < (row, col) and level > 0:
                belief = belief + table[place_of(levels[image], i, j), level]
        ratios = table[place_of(levels[image], row, col)].exp()  # (K, J)
        expected = layer.strength * (ratios @ belief.softmax(0)).log()
        torch.testing.assert_close(out[image, :, row, col], expected)


def test_what_comes_later_changes_no_bit():
    layer = randomize(Kinds(16, 256, 28)).eval()
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(1, 256, (1, 28, 28), generator=generator)
    levels[torch.rand(levels.shape, generator=generator) < 0.7] = 0
    levels[:, :3] = 0
    out = layer(scaled(levels, 256).float(), top(1))
    for pixel in (30, 100, 391, 783):
        other = levels.clone().flatten()
        other[pixel:] = torch.randint(0, 256, (784 - pixel,), generator=generator)
        again = layer(scaled(other.view_as(levels), 256).float(), top(1))
        assert torch.equal(again.flatten(2)[..., : pixel + 1], out.flatten(2)[..., : pixel + 1])


def test_no_kind_is_ruled_out_by_numbers_too_small_to_count_with():
    layer = Kinds(2, LEVELS, 4)
    layer.table.data[:, 1, 0] = 40.0
    levels = torch.ones(1, 4, 5)
    asked = scaled(levels).float(), top(1)
    posterior, out = layer.posterior(*asked), layer(*asked)
    assert posterior[0, -1, -1].tolist() == [1.0, pytest.approx(1e-30)]
    assert out.isfinite().all()


def test_training_computes_the_same_with_rows_taken_together():
    layer, levels = some_kinds(num_sides=2)
    for side in (top(2), torch.tensor([1, 0])):
        together = layer.train()(scaled(levels), side)
        torch.testing.assert_close(together, layer.eval()(scaled(levels), side))


def two_kinds_of_picture(num_images=200):
    """Stripes of the levels 1 and 2, or of 3 and 4, and which it is."""
    generator = torch.Generator().manual_seed(0)
    is_second = torch.rand(num_images, generator=generator) < 0.3
    levels = torch.randint(1, 3, (num_images, 6, 5), generator=generator)
    levels = levels + 2 * is_second[:, None, None]
    levels[:, :, ::2] = 0
    return levels.to(torch.uint8), is_second


def test_the_kinds_that_are_found_are_those_that_are_there():
    levels, is_second = two_kinds_of_picture()
    config = ModelConfig(num_levels=LEVELS, height=6, width=5, num_kinds=2)
    kinds = finish(fit_kinds(config, [levels], seed=0))
    kinds = kinds.double().eval()
    posterior = kinds.posterior(scaled(levels.long()), top(len(levels)))
    posterior = posterior[:, -1, -1]  # (N, J), of nearly all pixels
    assert posterior.max(1).values.min() > 0.99
    which = posterior.argmax(1).bool()
    assert torch.equal(which, is_second) or torch.equal(~which, is_second)
    shares = kinds.prior.softmax(0).sort().values
    share = is_second.double().mean()
    torch.testing.assert_close(shares, torch.stack([share, 1 - share]), atol=1e-3, rtol=0)
    assert torch.equal(finish(fit_kinds(config, [levels], seed=0)).table.double(), kinds.table)
    assert not kinds.table[:, 0].any(), "the background is of no kind"
    # Halfway down the second column a picture of level 3 or 4 makes 1 and 2 nearly impossible.
    added = kinds(scaled(levels[is_second][:1].long()), top(1))[0, :, 3, 3]
    assert added[3:5].min() > added[1:3].max() + 1


@pytest.mark.parametrize("num_orders", [1, 8])
def test_training_finds_the_kinds_before_its_first_step_and_keeps_them(num_orders):
    levels, _ = two_kinds_of_picture()
    levels = torch.cat([levels, levels[:, :, :1]], 2)[:, None]
    model = tiny_config(num_levels=LEVELS, height=6, num_kinds=2, num_orders=num_orders)
    config = TrainConfig(total_images=8, batch_size=4, bfloat16=False)
    split = levels, torch.zeros(len(levels), dtype=torch.int64)
    state = TrainingState(model, config)
    events = train(state, config, split, split)
    searching = list(itertools.takewhile(lambda e: isinstance(e, FindingKinds), events))
    steps = STEPS * model.num_sides
    assert [e.done for e in searching] == [pytest.approx(n / steps) for n in range(steps + 1)]
    table, strength = state.model.kinds.table.clone(), state.model.kinds.strength.clone()
    assert table.any() and not torch.equal(strength, torch.tensor([0.5]))
    *_, last = events
    assert torch.equal(state.model.kinds.table, table)
    assert torch.equal(state.ema.kinds.table, table)
    again = TrainingState(model, config)
    again.begin_with(state.ema)
    assert isinstance(next(train(again, config, split, split)), Progress)
    assert torch.equal(again.model.kinds.table, table), "what it began with is not fitted again"


@pytest.mark.parametrize("first_side", [0, 2])
def test_the_kinds_of_each_side_are_found_in_pictures_turned_to_it(first_side):
    """Bright at one side or at the opposite one, the same read either way from there."""
    levels = torch.full((40, 6, 6), 2, dtype=torch.uint8)
    levels[:20, :3], levels[20:, 3:] = 4, 4
    levels[::2, 1], levels[::2, 4] = 3, 3
    config = tiny_config(num_levels=LEVELS, height=6, num_kinds=2, num_orders=8)
    model = build_model(config)
    images = levels.transpose(1, 2) if first_side else levels
    for _ in find_kinds([model], images[:, None], seed=0):
        pass
    for side, turned in enumerate((levels, levels.flip(1)), first_side):
        alone = finish(fit_kinds(config, [turned], seed=0))
        torch.testing.assert_close(model.kinds.table.chunk(4)[side], alone.table)
        torch.testing.assert_close(model.kinds.prior.chunk(4)[side], alone.prior)
    assert len({tuple(part.flatten().tolist()) for part in model.kinds.table.chunk(4)}) == 4


def test_a_model_that_tells_kinds_apart_begins_with_the_weights_of_one_that_does_not():
    source = tiny_model("gated", num_classes=3, dtype=torch.float32)
    state = TrainingState(replace(source.config, num_kinds=4), TrainConfig())
    state.begin_with(source)
    levels, label = random_levels(source.config, 4), label_of(source.config, 4)
    for model in (state.model, state.ema):
        torch.testing.assert_close(model(levels, label), source(levels, label))


def test_a_model_of_other_orders_finds_its_kinds_anew():
    source = tiny_model("kinds", height=6, dtype=torch.float32)
    state = TrainingState(replace(source.config, num_orders=8), TrainConfig())
    state.begin_with(source)
    assert not state.model.kinds.table.any() and not state.ema.kinds.table.any()
    assert torch.equal(state.model.head[0].weight, source.head[0].weight)


def test_a_single_kind_changes_nothing():
    levels, _ = two_kinds_of_picture()
    levels[levels == 2] = 1  # level 2 is never there
    config = ModelConfig(num_levels=LEVELS, height=6, width=5, num_kinds=1)
    kinds = finish(fit_kinds(config, [levels], seed=0))
    added = kinds.eval()(scaled(levels[:9].long()).float(), top(9))
    torch.testing.assert_close(added, torch.zeros_like(added), atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_kinds", [0, 2])
def test_the_kinds_of_a_model_are_not_thrown_away(num_kinds):
    state = TrainingState(tiny_config(num_kinds=num_kinds), TrainConfig())
    with pytest.raises(TrainingError, match="another shape of model"):
        state.begin_with(tiny_model("kinds"))


def test_a_configuration_of_before_kinds_has_none():
    values = tiny_config().to_dict() | {"copy_features": 0}
    del values["num_kinds"]
    assert ModelConfig.from_dict(values) == tiny_config()
    with pytest.raises(ValueError, match="copy_features"):
        ModelConfig.from_dict(values | {"copy_features": 3})


def test_places_are_counted_from_the_first_row_that_is_drawn_on():
    levels = torch.zeros(1, 4, 3, dtype=torch.int64)
    levels[0, 1, 1], levels[0, 2, 0] = 5, 3
    expected = np.array([[0, 0, 0], [0, 0, 1], [4, 7, 4], [10, 8, 8]])
    np.testing.assert_array_equal(places(levels)[0], expected)
    assert isinstance(build_model(tiny_config(num_kinds=2)).kinds, Kinds)
