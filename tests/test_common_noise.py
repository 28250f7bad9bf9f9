"""The same noise through several settings; a sweep over temperatures."""

import itertools

import numpy as np
import pytest
import torch

from pixelcnn.config import SamplingRule
from pixelcnn.evaluation.common_noise import diversity, draw_with_record, sweep_temperatures
from pixelcnn.sampling import make_noise, sample

from .test_calibration import finish
from .tiny import RULES, random_levels, tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model(num_classes=3)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_record_is_that_of_the_picture_and_of_the_logits(model, rule):
    noise = make_noise(model.config, num_images=2, seed=3)
    drawn = finish(draw_with_record(model, noise, rule, label=1))
    assert (drawn.levels == sample(model, num_images=2, seed=3, rule=rule, label=1)).all()
    logits = model(drawn.levels, torch.ones(2, dtype=torch.int64)).movedim(1, -1)
    p = logits.softmax(-1)
    surprise = -p.gather(-1, drawn.levels[..., None])[..., 0].log2()
    np.testing.assert_allclose(drawn.surprise_bits, surprise, rtol=1e-8)
    entropy = -(p * p.log2()).sum(-1)
    if rule.temperature == 0:
        assert (drawn.rule_entropy_bits == 0).all()
    elif rule == SamplingRule():
        np.testing.assert_allclose(drawn.rule_entropy_bits, entropy, rtol=1e-8)
    else:
        assert drawn.rule_entropy_bits.mean() < entropy.mean()


def test_a_sweep_draws_the_same_pictures_as_each_temperature_alone(model):
    rows = finish(sweep_temperatures(model, [0.0, 0.5, 1.0], num_images=4, seed=2, label=0))
    assert [row.temperature for row in rows] == [0, 0.5, 1]
    for row in rows:
        rule = SamplingRule(temperature=row.temperature)
        levels = sample(model, num_images=4, seed=2, rule=rule, label=0)
        assert (row.levels == levels).all()
        log_p = model(levels, torch.zeros(4, dtype=torch.int64)).log_softmax(1)
        bits = -log_p.gather(1, levels[:, None]).mean().item() / np.log(2)
        assert row.bits_per_dim == pytest.approx(bits)
        assert row.diversity == pytest.approx(diversity(levels, 4))
    assert rows[0].diversity == 0 and rows[0].rule_entropy_bits == 0
    entropies = [row.rule_entropy_bits for row in rows]
    assert entropies == sorted(entropies)
    with pytest.raises(ValueError, match=r"`temperature` \(=-1\)"):
        next(sweep_temperatures(model, [-1], num_images=1))


def test_diversity_is_the_mean_gap_of_all_pairs():
    levels = random_levels(tiny_model().config, 4)
    values = levels.numpy() / 3
    gaps = [np.abs(a - b).mean() for a, b in itertools.combinations(values, 2)]
    assert diversity(levels, 4) == pytest.approx(np.mean(gaps))
    assert diversity(levels[:1], 4) == 0
    black, white = torch.zeros(1, 1, 2, 2).long(), torch.full((1, 1, 2, 2), 3)
    assert diversity(torch.cat([black, white]), 4) == 1
