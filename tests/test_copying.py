"""Copying: a head that finds earlier pixels whose level comes again."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from pixelcnn.config import ModelConfig, TrainConfig
from pixelcnn.copy_head import COPY_REACH, CopyHead, near_ink
from pixelcnn.influence import copy_weights, logits
from pixelcnn.training.engine import TrainingError, TrainingState

from .tiny import label_of, random_levels, randomize, tiny_config, tiny_model


def copy_head(height=4, width=5, num_levels=6):
    """A head that copies, with random weights, random features, and a half-empty picture."""
    layer = randomize(CopyHead(7, 3, num_levels, height, width)).double()
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(2, 7, height, width, generator=generator, dtype=torch.float64)
    levels = torch.randint(0, num_levels, (2, height, width), generator=generator)
    levels[:, 0] = 0
    return layer, hidden, levels


def scaled(levels, num_levels=6):
    return levels.double() * (2 / (num_levels - 1)) - 1


def test_copying_adds_the_weights_of_all_earlier_pixels_of_a_level():
    layer, hidden, levels = copy_head()
    out = layer(hidden, scaled(levels))
    for image, row, col in itertools.product(range(2), range(4), range(5)):
        weights = torch.zeros(6, dtype=torch.float64)
        query = layer.query(hidden[image, :, row, col])
        for i, j in itertools.product(range(4), range(5)):
            level = levels[image, i, j]
            if (i, j) < (row, col) and level > 0 and near_ink(levels)[image, row, col]:
                key = layer.key(hidden[image, :, i, j]) + layer.offset[row - i, j - col + 4]
                weights[level] += (query @ key / 3**0.5 + layer.bias[0]).exp()
        torch.testing.assert_close(out[image, :, row, col], weights.log1p())


def test_copying_changes_nothing_of_the_background_and_far_from_ink():
    layer, hidden, levels = copy_head(height=9, width=9)
    levels[:] = 0
    levels[:, 2, 4] = 5
    out = layer(hidden, scaled(levels))
    assert not out[:, :5].any(), "only level 5 is there to be copied"
    rows, cols = torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij")
    below = (rows > 2) & (rows <= 2 + COPY_REACH) & ((cols - 4).abs() <= COPY_REACH)
    right = (rows == 2) & (cols > 4) & (cols <= 4 + COPY_REACH)
    assert torch.equal(out[0, 5] > 0, below | right) and torch.equal(out[1, 5] > 0, below | right)


def test_huge_scores_do_not_overflow():
    layer, hidden, levels = copy_head()
    layer.bias.fill_(1e6)
    assert layer.float()(hidden.float(), scaled(levels).float()).isfinite().all()


def test_what_comes_later_changes_no_bit():
    layer = randomize(CopyHead(32, 16, 256, 28, 28))
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 32, 28, 28, generator=generator)
    levels = torch.randint(1, 256, (1, 28, 28), generator=generator)
    levels[torch.rand(levels.shape, generator=generator) < 0.7] = 0
    out = layer(hidden, scaled(levels, 256).float())
    assert out.any(0).any(0).sum() > 500, "here is something to be copied"
    for pixel in (100, 391, 783):
        other, changed = levels.clone().flatten(), hidden.clone().flatten(2)
        other[pixel:] = torch.randint(1, 256, (784 - pixel,), generator=generator)
        changed[:, :, pixel + 1 :] += 1
        again = layer(changed.view_as(hidden), scaled(other.view_as(levels), 256).float())
        assert torch.equal(again.flatten(2)[..., : pixel + 1], out.flatten(2)[..., : pixel + 1])


def test_training_computes_the_same_of_fewer_pairs():
    layer, hidden, levels = copy_head()
    torch.testing.assert_close(
        layer.train()(hidden, scaled(levels)), layer.eval()(hidden, scaled(levels))
    )


def test_a_model_that_copies_begins_with_the_weights_of_one_that_does_not():
    source = tiny_model("gated", num_classes=3, dtype=torch.float32)
    state = TrainingState(replace(source.config, copy_features=4), TrainConfig())
    state.begin_with(source)
    levels, label = random_levels(source.config, 4), label_of(source.config, 4)
    for model in (state.model, state.ema):
        assert not torch.equal(model(levels, label), source(levels, label))
        model.copy_head.bias.data.fill_(-1e6)  # now nothing is copied
        torch.testing.assert_close(model(levels, label), source(levels, label))
    again = TrainingState(replace(source.config, copy_features=4, num_orders=1), TrainConfig())
    again.begin_with(state.model)
    assert torch.equal(again.model(levels, label), state.model(levels, label))


def test_the_weights_of_one_pixel_tell_what_is_added_to_its_logits():
    model = tiny_model("copying", dtype=torch.float32, num_classes=3)
    levels = random_levels(model.config, 1)
    pixel, weights = 17, copy_weights(model, levels, 2, 17)
    assert not weights.flat[pixel:].any() and weights.any()
    copied = logits(model, levels, 2)[0, :, 0].flatten(1)[:, pixel]
    model.copy_head.bias.data.fill_(-1e6)  # now nothing is copied
    added = copied - logits(model, levels, 2)[0, :, 0].flatten(1)[:, pixel]
    assert not copy_weights(model, levels, 2, pixel).any()
    for level in range(model.config.num_levels):
        total = weights[(levels[0, 0] == level).numpy()].sum()
        assert float(added[level]) == pytest.approx(math.log1p(total), abs=1e-5)


def test_weights_want_a_model_that_copies_and_a_pixel_that_exists():
    levels = random_levels(tiny_config(), 1)
    with pytest.raises(ValueError, match="copies nothing"):
        copy_weights(tiny_model("gated", dtype=torch.float32), levels, None, 3)
    with pytest.raises(ValueError, match="30"):
        copy_weights(tiny_model("copying", dtype=torch.float32), levels, None, 30)


@pytest.mark.parametrize("copy_features", [0, 2])
def test_what_a_model_copies_by_is_not_thrown_away(copy_features):
    state = TrainingState(tiny_config(copy_features=copy_features), TrainConfig())
    with pytest.raises(TrainingError, match="another shape of model"):
        state.begin_with(tiny_model("copying"))


def test_a_configuration_of_before_copying_copies_nothing():
    values = tiny_config().to_dict()
    del values["copy_features"]
    assert ModelConfig.from_dict(values) == tiny_config()
