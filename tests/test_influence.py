"""Changing one level and comparing bits; the effective field; the wrong first mask."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pixelcnn.inspection.influence import (
    check_pairs,
    effective_receptive_field,
    influence,
    leaking_copy,
    logits,
)
from pixelcnn.inspection.receptive_field import (
    check_causality,
    dependency_maps,
    forbidden_pixels,
)
from pixelcnn.models import build_model

from .test_calibration import finish
from .tiny import ARCHITECTURES, CONVOLUTIONAL, random_levels, randomize, tiny_config, tiny_model

WIDE = {"num_features": 24, "head_features": 48}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_influence_compares_the_distributions_of_two_whole_passes(architecture):
    model = tiny_model(architecture, num_channels=3, num_classes=2)
    levels = random_levels(model.config, 1)
    other = levels.clone()
    other[0, 2, 1, 3] = (other[0, 2, 1, 3] + 1) % 4
    found = influence(
        model, levels, 1, changed=3 * 9 + 2, level=int(other[0, 2, 1, 3]), predicted=3 * 22
    )
    label = torch.tensor([1])
    for image, probabilities in ((levels, found.before), (other, found.after)):
        np.testing.assert_allclose(
            probabilities, model(image, label)[0, :, 0, 3, 4].softmax(0), atol=1e-12
        )
    moved = np.clip(found.after - found.before, 0, None).sum()
    assert found.total_variation == pytest.approx(moved) and 0 < moved <= 1
    assert not found.unchanged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"changed": 30}, r"`changed` \(=30\) must lie in 0..29"),
        ({"level": 4}, r"`level` \(=4\) must lie in 0..3"),
        ({"predicted": -1}, r"`predicted` \(=-1\)"),
    ],
)
def test_pixels_and_levels_that_do_not_exist_are_named(change, message):
    model = tiny_model()
    values = {"changed": 0, "level": 0, "predicted": 1} | change
    with pytest.raises(ValueError, match=message):
        influence(model, random_levels(model.config, 1), None, **values)


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_check_of_all_pairs_finds_what_single_pairs_find(architecture, num_channels):
    model = tiny_model(architecture, num_channels=num_channels, num_classes=2)
    levels = random_levels(model.config, 1)
    check = finish(check_pairs(model, levels, 1))
    total = model.config.num_dims
    assert check.future_pairs - check.past_pairs == total
    assert check.future_pairs + check.past_pairs == total**2
    matrix = check.matrix()
    assert check.future_changed == 0 and not np.triu(matrix).any()
    assert check.past_changed == matrix.sum() > 0
    assert (matrix <= model.dependencies()).all()
    for changed in range(0, total, 13):
        for predicted in range(0, total, 7):
            row, col, channel = model.config.coordinates(changed)
            new = int(levels[0, channel, row, col] + 2) % 4
            one = influence(model, levels, 1, changed=changed, level=new, predicted=predicted)
            # What a recurrent state hardly knows any more may be rounded away in one batch only.
            tiny = not one.unchanged and np.abs(one.after - one.before).max() < 1e-7
            assert tiny or one.unchanged != matrix[predicted, changed]


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_every_check_finds_that_a_leaking_copy_reads_the_pixel_itself(architecture, num_channels):
    model = tiny_model(architecture, num_channels=num_channels, **WIDE)
    before = copy.deepcopy(model)
    leaky = randomize(leaking_copy(model), seed=1).double()
    levels, pixels = random_levels(leaky.config, 1), 30
    check = finish(check_pairs(leaky, levels, None))
    assert 25 <= check.future_changed <= pixels * num_channels  # a unit or two may be dead
    leak = np.triu(check.matrix()).reshape(pixels, num_channels, pixels, num_channels).any((1, 3))
    assert not leak[~np.eye(pixels, dtype=bool)].any()  # and no other pixel
    for pixel in (0, 13, 29):
        position = pixel * num_channels
        found = forbidden_pixels(leaky, levels, position)
        assert found.ravel().nonzero()[0].tolist() == [pixel]
        assert not forbidden_pixels(model, levels, position).any()
    assert not check_causality(leaky, [0, 17]).is_causal
    for old, new in zip(before.buffers(), model.buffers(), strict=True):
        assert torch.equal(old, new)  # the model is left alone
    model.last_layer.bias.fill_(float("nan"))
    assert finish(check_pairs(model, levels, None)).future_changed > 0


def test_only_masked_convolutions_can_leak():
    with pytest.raises(ValueError, match="must have masked convolutions"):
        leaking_copy(tiny_model("average"))


@pytest.mark.parametrize("architecture", ["classic", "gated"])
def test_with_mask_b_first_training_learns_to_copy_and_falls_below_what_is_possible(architecture):
    torch.manual_seed(0)
    config = tiny_config(architecture, num_features=16, head_features=16)
    # Levels drawn independently, all alike: log K nats a dimension are the least that is possible.
    images = random_levels(config, 256)
    losses = []
    for make in (build_model, lambda config: leaking_copy(build_model(config))):
        model = make(config)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for step in range(80):
            batch = images[torch.arange(32 * step, 32 * (step + 1)) % len(images)]
            loss = F.cross_entropy(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        new = random_levels(config, 64, seed=1)
        with torch.no_grad():
            found = model(new)
        losses.append(F.cross_entropy(found, new).item())
    assert losses[1] < 0.2 * math.log(4) and losses[0] > 0.95 * math.log(4)
    assert (found.argmax(1) == new).double().mean() > 0.95  # it copies the answer


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_effective_field_is_the_slope_of_the_log_probability(architecture, num_channels):
    model = tiny_model(architecture, num_channels=num_channels, num_features=12, head_features=12)
    c = model.config
    levels = random_levels(c, 1, seed=4)
    pixel, channel = 16, num_channels - 1
    position = pixel * num_channels + channel
    field = effective_receptive_field(model, levels, None, position)
    assert field.shape == (5, 6) and field.dtype == np.float32
    features = model.encode(levels)
    level = int(levels[0, channel].view(-1)[pixel])

    def log_probs(x):
        logits = model.logits_from_features(x, model.condition(len(x)))
        return logits[:, :, channel].flatten(2)[:, :, pixel].log_softmax(1)[:, level]

    allowed = dependency_maps(model)[pixel]
    directions = 1e-6 * torch.eye(features.shape[1], dtype=torch.float64)
    for row in range(c.height):
        step = torch.zeros(c.width, *features.shape[1:], *features.shape[1:2], dtype=torch.float64)
        for col in range(c.width):
            step[col, :, row, col] = directions
        step = step.movedim(-1, 1).flatten(0, 1)  # (columns, directions) in one pass
        slopes = (log_probs(features + step) - log_probs(features - step)) / 2e-6
        norms = slopes.view(c.width, -1).norm(dim=1)
        assert norms.tolist() == pytest.approx(field[row].tolist(), rel=1e-3, abs=1e-7)
    assert not field.ravel()[~allowed].any()
    assert (field > 0).sum() >= 0.7 * allowed.sum()


def test_logits_are_those_of_the_model_and_threads_come_back():
    model = tiny_model(num_classes=2)
    levels = random_levels(tiny_config(num_classes=2), 1)
    threads = torch.get_num_threads()
    assert torch.allclose(logits(model, levels, None), model(levels))
    assert torch.allclose(logits(model, levels, 1), model(levels, torch.tensor([1])))
    assert torch.get_num_threads() == threads
