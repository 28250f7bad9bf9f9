"""Sampling rules: from logits to what is drawn from."""

import numpy as np
import pytest

from pixelcnn.config import SamplingRule
from pixelcnn.sampling.rules import draw, entropy_bits, explain, probabilities, surprise_bits

LAST_UNIFORM = np.nextafter(1.0, 0.0)


def random_logits(num_levels, rows=50):
    return np.random.default_rng(num_levels).normal(0, 3, (rows, num_levels))


def softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


EVERY_RULE = [
    SamplingRule(temperature=t, top_k=k, top_p=p)
    for t in (0.0, 0.3, 1.0, 2.5)
    for k in (None, 1, 2)
    for p in (0.05, 0.5, 0.999, 1.0)
]


@pytest.mark.parametrize("num_levels", [2, 7, 256])
@pytest.mark.parametrize("rule", EVERY_RULE)
def test_probabilities_sum_to_one_and_keep_the_most_probable_level(rule, num_levels):
    logits = random_logits(num_levels)
    result = probabilities(logits, rule)
    assert result.shape == logits.shape and result.dtype == np.float64
    np.testing.assert_allclose(result.sum(-1), 1, atol=1e-12)
    assert (result >= 0).all()
    assert (result.argmax(-1) == logits.argmax(-1)).all()


@pytest.mark.parametrize("num_levels", [2, 256])
def test_temperature_divides_the_logits_and_near_zero_takes_the_most_probable(num_levels):
    logits = random_logits(num_levels)
    for temperature in (1.0, 0.5):  # at 1 it is the model itself
        found = probabilities(logits, SamplingRule(temperature=temperature))
        np.testing.assert_allclose(found, softmax(logits / temperature), atol=1e-14)
    for temperature in (0.0, 1e-6):
        found = probabilities(logits, SamplingRule(temperature=temperature))
        assert (found == np.eye(num_levels)[logits.argmax(-1)]).all()
    lowest = probabilities([[1.0, 2.0, 2.0, 0.0]], SamplingRule(temperature=0.0))
    assert lowest.tolist() == [[0, 1, 0, 0]]  # of equal levels


@pytest.mark.parametrize("top_k", [1, 3, 255, 256])
def test_top_k_keeps_exactly_the_k_most_probable(top_k):
    logits = random_logits(256)
    kept = probabilities(logits, SamplingRule(top_k=top_k)) > 0
    assert (kept.sum(-1) == top_k).all()
    lowest_kept = np.where(kept, logits, np.inf).min(-1)
    highest_dropped = np.where(kept, -np.inf, logits).max(-1)
    assert (lowest_kept > highest_dropped).all()


@pytest.mark.parametrize("count", range(1, 7))
def test_of_equal_levels_the_lower_ones_are_kept(count):
    kept = probabilities([0.0, 1.0, 0.0, 1.0, 0.0, 1.0], SamplingRule(top_k=count)) > 0
    assert sorted([1, 3, 5, 0, 2, 4][:count]) == np.flatnonzero(kept).tolist()
    kept = probabilities(np.zeros(6), SamplingRule(top_p=count / 6 - 0.01)) > 0
    assert np.flatnonzero(kept).tolist() == list(range(count))


@pytest.mark.parametrize("top_p", [1e-12, 0.1, 0.5, 0.9, 0.999999])
@pytest.mark.parametrize("num_levels", [2, 256])
def test_top_p_keeps_the_smallest_set_that_reaches_p(num_levels, top_p):
    logits = random_logits(num_levels)
    model = softmax(logits)
    kept = probabilities(logits, SamplingRule(top_p=top_p)) > 0
    for row, keeps in zip(model, kept, strict=True):
        descending = np.sort(row)[::-1]
        count = keeps.sum()
        assert count >= 1
        assert sorted(row[keeps]) == sorted(descending[:count])
        assert descending[:count].sum() >= top_p - 1e-12
        assert descending[: count - 1].sum() < top_p


@pytest.mark.parametrize(("top_p", "kept"), [(0.8, 2), (0.9, 3), (0.5, 1), (0.80001, 3)])
def test_top_p_is_reached_whatever_the_rounding(top_p, kept):
    logits = np.log([0.3, 0.1, 0.1, 0.5])
    assert (probabilities(logits, SamplingRule(top_p=top_p)) > 0).sum() == kept


def test_temperature_acts_before_top_k_and_top_k_before_top_p():
    logits = np.log([0.4, 0.3, 0.2, 0.1])
    # Of the two most probable, 0.4 / 0.7 = 0.57 is enough for p = 0.5, so one level is left.
    assert probabilities(logits, SamplingRule(top_k=2, top_p=0.5)).tolist() == [1, 0, 0, 0]
    assert (probabilities(logits, SamplingRule(top_p=0.5)) > 0).tolist() == [True, True, 0, 0]
    # At temperature 1/2 the first level has 16/30 of the mass.
    sharp = SamplingRule(temperature=0.5, top_p=0.5)
    assert probabilities(logits, sharp).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_a_batch_gets_what_each_row_gets_alone_and_no_impossible_level_is_drawn(rule):
    logits = random_logits(16, rows=12).reshape(3, 4, 16)
    together = probabilities(logits, rule)
    assert together.shape == (3, 4, 16)
    for index in np.ndindex(3, 4):
        assert np.array_equal(together[index], probabilities(logits[index], rule))
    probability = probabilities([-np.inf, 0.0, -np.inf, 1.0, -np.inf], rule)
    assert probability[[0, 2, 4]].tolist() == [0, 0, 0]
    assert {int(draw(probability, u)) for u in (0.0, 0.3, 0.9, LAST_UNIFORM)} <= {1, 3}


@pytest.mark.parametrize(
    "row",
    [[0.0, np.nan, 1.0], [0.0, np.inf, 1.0], [np.nan] * 3, [-np.inf] * 3, [np.nan, -np.inf, 0.0]],
)
@pytest.mark.parametrize("rule", [SamplingRule(), SamplingRule(temperature=0.0, top_k=2)])
def test_logits_that_are_not_numbers_are_refused(row, rule):
    for logits in (row, [[0.0, 1.0, 2.0], row]):
        with pytest.raises(ValueError, match="logits that are not numbers"):
            probabilities(logits, rule)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("temperature", (-0.1, 101.0, float("nan"), "1", 1e-300)),
        ("top_k", (0, 257, 1.5)),
        ("top_p", (0.0, 1.01, float("nan"))),
    ],
)
def test_impossible_rules_are_refused(field, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"`{field}` \(={value!r}\) must be"):
            SamplingRule(**{field: value})


@pytest.mark.parametrize("num_levels", [2, 5, 256])
def test_draw_takes_the_first_level_beyond_the_uniform_number(num_levels):
    probability = softmax(random_logits(num_levels, rows=20))
    for u in (0.0, 0.1, 0.5, 0.999, LAST_UNIFORM):
        levels = draw(probability, np.full(20, u))
        for row, level in zip(probability, levels, strict=True):
            assert 0 <= level < num_levels and row[level] > 0
            assert row[: level + 1].sum() > u - 1e-12
            assert row[:level].sum() <= u + 1e-12


@pytest.mark.parametrize("num_levels", [2, 256])
@pytest.mark.parametrize("rule", EVERY_RULE)
def test_explain_tells_what_probabilities_and_draw_do(rule, num_levels):
    for i, logits in enumerate(random_logits(num_levels, rows=5)):
        steps = explain(logits, rule, (i + 0.5) / 5)
        assert np.array_equal(steps.probabilities, probabilities(logits, rule))
        assert steps.level == draw(steps.probabilities, (i + 0.5) / 5)
        np.testing.assert_allclose(steps.model_probabilities, softmax(logits), atol=1e-15)
        assert steps.entropy_bits == pytest.approx(entropy_bits(logits))


@pytest.mark.parametrize("num_levels", [2, 256])
def test_entropies_are_the_direct_sums_and_surprise_is_finite_where_probability_underflows(
    num_levels,
):
    logits = random_logits(num_levels)
    model = softmax(logits)
    np.testing.assert_allclose(entropy_bits(logits), -(model * np.log2(model)).sum(-1), atol=1e-12)
    assert entropy_bits(np.zeros(num_levels)) == pytest.approx(np.log2(num_levels))
    assert entropy_bits([0.0, -np.inf, -np.inf]) == 0
    assert surprise_bits([0.0, -2000.0], 1) == pytest.approx(2000 / np.log(2))
