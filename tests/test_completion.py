"""Completions against the exact answer: tiny pictures, of which every completion can be listed."""

import itertools
from functools import cache

import numpy as np
import pytest
import torch

from pixelcnn import bits_per_dim, class_posterior, complete, occlusion, sample
from pixelcnn.completion import log_prob, particles
from pixelcnn.completion.known import best_order
from pixelcnn.config import SamplingRule
from pixelcnn.orders import NUM_ORDERS, ORDER_NAMES, from_raster

from .tiny import CONVOLUTIONAL, random_levels, tiny_model

GREY = {"height": 3, "width": 3, "num_levels": 3}
COLOUR = {"height": 2, "width": 2, "num_levels": 2, "num_channels": 3}
ORDERS = (1, 8)
CHANCE = 5.0
"""Standard errors that a right estimate may lie off, the worst of up to 200."""
FAR = 10.0
"""Standard errors that a wrong one lies off at least."""

UPPER = [[1, 1, 1], [0, 0, 0], [0, 0, 0]]
FIRST_FIVE = [[1, 1, 1], [1, 1, 0], [0, 0, 0]]
LOWER = [[0, 0, 0], [0, 0, 0], [1, 1, 1]]
MIDDLE = [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
AROUND = [[1, 0, 1], [1, 0, 0], [0, 1, 1]]
CORNERS = [[1, 0, 1], [0, 0, 0], [1, 0, 1]]


@cache
def sharp_model(architecture, num_orders=1, colour=False, num_classes=0, dtype=torch.float32):
    """A model whose pixels depend on each other, and on the class, strongly.

    Thousands of pictures go through it, ten times as fast as in float64.
    """
    shape = (COLOUR if colour else GREY) | {"num_orders": num_orders, "num_classes": num_classes}
    model = tiny_model(architecture, seed=5, dtype=dtype, **shape)
    for name, parameter in model.named_parameters():
        if num_classes and ("condition" in name or "table" in name):
            parameter.data *= 6
    spread = model(random_levels(model.config, 50)).std()
    model.last_layer.weight.data *= 1.5 / spread
    model.last_layer.bias.data *= 1.5 / spread
    return model


def known_of(rows):
    return torch.tensor(rows, dtype=torch.bool)[None, None]


@cache
def every_picture(config):
    levels = itertools.product(range(config.num_levels), repeat=config.num_dims)
    return torch.tensor(list(levels)).view(-1, config.num_channels, config.height, config.width)


def log_prob_of(model, pictures, label, order):
    bits = bits_per_dim(model, pictures, label, order).double()
    return -bits * model.config.num_dims * np.log(2)


@cache
def log_prob_of_every_picture(model, label, order):
    return log_prob_of(model, every_picture(model.config), label, order)


def drawing(config, seed=0):
    return random_levels(config, 1, seed)


def pairs(levels, known, num_levels):
    """Which levels do two unknown dimensions have together? (n, pairs of dimensions and levels)"""
    unknown = levels[..., ~known[0, 0]].flatten(1)  # (n, U)
    single = torch.nn.functional.one_hot(unknown, num_levels).flatten(1).double()
    row, col = torch.triu_indices(single.shape[1], single.shape[1])
    return single[:, row] * single[:, col]


def exact(model, levels, known, *, order=0, tolerance=0.0, label=None):
    """p(known), and p(pair of levels | known) for every pair; a sum over all pictures."""
    c = model.config
    pictures = every_picture(c)
    difference = (pictures - levels).abs()[..., known[0, 0]].flatten(1)  # (n, known dimensions)
    if tolerance:
        # p(known level | level of the picture), normalised over what might be known.
        all_levels = torch.arange(c.num_levels)
        apart = (all_levels[:, None] - all_levels).abs()
        total = (-apart / tolerance).exp().sum(1)  # by level of the picture
        here = pictures[..., known[0, 0]].flatten(1)
        noise = (-difference / tolerance - total[here].log()).sum(1)
        log_prob = log_prob_of_every_picture(model, label, order) + noise
    else:
        pictures = pictures[(difference == 0).all(1)]
        log_prob = log_prob_of(model, pictures, label, order)
    joint = log_prob.exp()
    evidence = float(joint.sum())
    return evidence, (joint @ pairs(pictures, known, c.num_levels) / evidence).numpy()


def many_particles(model, levels, known, **settings):
    """Complete a drawing by 4000 particles in 400 groups, each of which is an estimate."""
    settings = {"method": "particles", "num_particles": 4000, "num_groups": 400} | settings
    return complete(model, levels, known, **settings)


def errors_off(estimates, expected, spread=None):
    """How many standard errors the mean of independent estimates lies off, at worst.

    Arguments:
        estimates: (runs, numbers).
        expected: (numbers,), what they should be on average; rare things have no reliable error.
        spread: standard deviation of one estimate, (numbers,); None measures it.
    """
    often = expected > 0.02 * expected.max()
    spread = (estimates.std(0) if spread is None else spread)[often]
    apart = abs(estimates.mean(0) - expected)[often]
    rounding = 1e-6 * expected[often]
    return float((apart / (spread / np.sqrt(len(estimates)) + rounding)).max())


def pictures_off(result, known, probability, num_levels):
    """`errors_off` of independent pictures."""
    seen = pairs(result.levels[0], known, num_levels).numpy()
    return errors_off(seen, probability, np.sqrt(probability * (1 - probability)))


def groups_off(report, known, evidence, probability, num_levels):
    """`errors_off` of groups: of each, evidence times weighted shares of pairs is unbiased."""
    groups = len(report.group_log_evidence)
    assert np.exp(report.log_weights).sum() == pytest.approx(1)
    # The evidence of all groups is the mean of what each finds, and so are the weights.
    weights = groups * np.exp(report.log_evidence + report.log_weights).reshape(groups, 1, -1)
    np.testing.assert_allclose(weights.sum((1, 2)), np.exp(report.group_log_evidence))
    seen = pairs(report.levels, known, num_levels).numpy().reshape(groups, weights.shape[-1], -1)
    estimates = np.hstack([(weights @ seen)[:, 0], weights.sum(-1)])
    return errors_off(estimates, evidence * np.append(probability, 1.0))


@pytest.fixture(autouse=True)
def large_passes(monkeypatch):
    """Tiny pictures go through a network thousands at a time."""
    monkeypatch.setattr(log_prob, "IMAGES_PER_PASS", 2000)


@pytest.mark.parametrize(
    ("architecture", "num_orders", "order"),
    [
        *itertools.product(CONVOLUTIONAL, ORDERS, [0]),
        *itertools.product(["gated"], [8], range(1, NUM_ORDERS)),
    ],
)
def test_a_prefix_of_any_order_is_completed_exactly_in_that_order(architecture, num_orders, order):
    model = sharp_model(architecture, num_orders)
    known = from_raster(known_of(UPPER if num_orders == 1 else FIRST_FIVE), order)
    levels = drawing(model.config, seed=order)
    result = complete(model, levels, known, num_images=4000)
    assert result.method == ("prefix",) and result.order.tolist() == [order]
    assert result.is_exact == (True,) and (result.log_weights == 0).all()
    assert pictures_off(result, known, exact(model, levels, known, order=order)[1], 3) < CHANCE
    # The test can tell: another drawing has another answer, and so has another order.
    other = exact(model, (levels + 1) % 3, known, order=order)[1]
    assert pictures_off(result, known, other, 3) > FAR
    if num_orders == 8:
        other = exact(model, levels, known, order=order ^ 4)[1]
        assert pictures_off(result, known, other, 3) > FAR


@pytest.mark.parametrize(
    ("method", "rows"), [("prefix", UPPER), ("clamping", UPPER), ("clamping", LOWER)]
)
def test_the_seed_of_a_picture_does_not_tell_its_completion_what_was_hidden(method, rows):
    model, known, count = sharp_model("gated"), known_of(rows), 150
    pictures, equal = sample(model, num_images=count, seed=0), []
    for x in pictures:
        found = complete(model, x[None], known, method=method, num_images=count, seed=0)
        equal.append((found.levels[0] == x)[:, ~known[0]].double().mean(1))
    equal = torch.stack(equal)  # by picture, and by completion, each of which has its own numbers
    own = equal.diagonal()
    apart = own - (equal.sum(1) - own) / (count - 1)
    assert abs(apart.mean()) < 4 * apart.std() / count**0.5
    assert own.mean() < 0.8  # it was 1 when both drew the same numbers


@pytest.mark.parametrize(
    ("side", "names"),
    [
        ("upper-half", "rows from the top"),
        ("lower-half", "rows from the bottom"),
        ("left-half", "columns from the left"),
        ("right-half", "columns from the right"),
    ],
)
def test_a_model_of_eight_orders_completes_any_half_exactly(side, names):
    model = tiny_model(num_orders=8, height=6, width=6)
    known = occlusion(side, 6, 6)
    result = complete(model, random_levels(model.config, 1), known)
    assert result.is_exact == (True,) and result.method == ("prefix",)
    assert ORDER_NAMES[int(result.order)].startswith(names)


@pytest.mark.parametrize(
    ("architecture", "rows", "num_orders", "tolerance"),
    [
        *itertools.product(["gated"], [LOWER, AROUND, CORNERS, UPPER], [1], [0.0, 0.7]),
        *itertools.product(["gated"], [LOWER, AROUND], [8], [0.0]),
        *itertools.product(CONVOLUTIONAL, [LOWER], [1], [0.0]),
    ],
)
def test_particles_agree_with_the_exact_distribution(architecture, num_orders, rows, tolerance):
    model, known = sharp_model(architecture, num_orders), known_of(rows)
    levels = drawing(model.config, seed=1)
    order = best_order(known[0], num_orders)
    evidence, probability = exact(model, levels, known, order=order, tolerance=tolerance)
    result = many_particles(model, levels, known, num_images=5, tolerance=tolerance)
    report = result.particles[0]
    assert groups_off(report, known, evidence, probability, 3) < CHANCE
    runs = np.exp(report.group_log_evidence)
    assert runs.std() / np.sqrt(len(runs)) < evidence / 5  # precise enough to tell
    assert report.log_evidence == pytest.approx(np.log(runs.mean()))
    assert torch.equal(result.levels[0], report.levels[report.chosen])
    assert torch.equal(
        report.levels[..., known[0, 0]], levels[..., known[0, 0]].expand(4000, -1, -1)
    )
    # The test can tell: another drawing has another answer.
    wrong = exact(model, (levels + 1) % 3, known, order=order, tolerance=tolerance)[1]
    assert groups_off(report, known, evidence, wrong, 3) > CHANCE


@pytest.mark.parametrize("num_groups", [1, 500])
def test_completions_come_from_groups_in_proportion_to_their_evidence(num_groups):
    model, known = sharp_model("gated"), known_of(LOWER)
    levels = drawing(model.config, seed=1)
    probability = exact(model, levels, known)[1]
    result = complete(
        model, levels, known, method="particles", num_particles=2000, num_groups=num_groups,
        num_images=2000,
    )  # fmt: skip
    report = result.particles[0]
    assert (result.log_weights == 0).all()
    evidence = np.exp(report.group_log_evidence)
    assert num_groups == 1 or evidence.max() > 100 * evidence.min()
    given = np.bincount(report.chosen * num_groups // 2000, minlength=num_groups)
    np.testing.assert_allclose(given, 2000 * evidence / evidence.sum(), atol=1)
    seen = pairs(result.levels[0], known, 3).double().numpy()
    assert abs(seen.mean(0) - probability).max() < 0.05


@pytest.mark.parametrize("tolerance", [0.0, 0.7])
@pytest.mark.parametrize("rows", [LOWER, AROUND])
def test_resampling_at_every_step_changes_no_estimate(rows, tolerance, monkeypatch):
    monkeypatch.setattr(particles, "effective_size", lambda weights: np.ones(len(weights)))
    model, known = sharp_model("gated"), known_of(rows)
    levels = drawing(model.config, seed=1)
    evidence, probability = exact(model, levels, known, tolerance=tolerance)
    report = many_particles(model, levels, known, tolerance=tolerance).particles[0]
    assert len(report.resampled_at) >= 5
    assert groups_off(report, known, evidence, probability, 3) < CHANCE


def test_few_beginnings_are_a_collapse_however_much_is_free_after_them():
    """The evidence comes late, and after it every picture can still differ."""
    model = tiny_model(height=7, width=5, num_levels=4)
    for layer in model.head:
        layer.weight.data *= 4
    known = torch.zeros(1, 1, 7, 5, dtype=torch.bool)
    known[..., 3:5, :] = True
    levels = drawing(model.config, seed=1)
    result = complete(model, levels, known, method="particles", num_images=16, num_groups=1)
    report = result.particles[0]
    beginnings = torch.unique(result.levels[0, :, 0, :3].flatten(1), dim=0)
    assert report.num_distinct > 8 and len(beginnings) <= report.num_beginnings <= 4
    assert report.effective_beginnings < 8 and report.collapsed
    # Where the evidence comes first, every particle is a beginning of its own.
    early = (torch.arange(7) < 2)[None, None, :, None].expand(1, 1, 7, 5)
    free = complete(model, levels, early, method="particles", num_images=16).particles[0]
    assert free.num_beginnings == 16 and not free.collapsed
    assert free.effective_beginnings == pytest.approx(64)


def test_particles_of_a_prefix_are_exact_unless_one_is_shown_twice():
    model, known = sharp_model("gated"), known_of(UPPER)
    levels = drawing(model.config)
    for num_images, is_exact in ((16, True), (17, False)):
        result = complete(
            model, levels, known, method="particles", num_images=num_images, num_particles=16
        )
        chosen = result.particles[0].chosen
        assert result.is_exact == (is_exact,) == (len(set(chosen)) == num_images,)


@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_clamping_is_wrong_and_its_weights_repair_it(architecture):
    model, known = sharp_model(architecture), known_of(LOWER)
    levels = drawing(model.config, seed=1)
    evidence, probability = exact(model, levels, known)
    result = complete(model, levels, known, method="clamping", num_images=16_000)
    assert result.is_exact == (False,)
    assert torch.equal(result.ignored, known)
    assert pictures_off(result, known, probability, 3) > FAR
    weights = result.log_weights[0].exp().numpy()[:, None]
    weighted = np.hstack([weights, weights * pairs(result.levels[0], known, 3).numpy()])
    assert errors_off(weighted, evidence * np.append(1.0, probability)) < CHANCE


def test_a_tolerance_changes_the_answer_and_a_tiny_one_demands_equality():
    model, known = sharp_model("gated"), known_of(AROUND)
    levels = drawing(model.config)
    strict, wide = exact(model, levels, known)[0], exact(model, levels, known, tolerance=1.5)[0]
    assert wide != pytest.approx(strict, rel=0.5)
    for tolerance, evidence in ((0.0, strict), (1e-3, strict), (1.5, wide)):
        result = many_particles(model, levels, known, num_groups=1, tolerance=tolerance)
        found = np.exp(result.particles[0].log_evidence)
        assert found == pytest.approx(evidence, rel=0.3)
        assert not result.is_exact[0]


@pytest.mark.parametrize("rows", [[[0, 0], [0, 1]], [[1, 0], [0, 0]], [[0, 1], [1, 0]]])
@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_colour_pictures_are_completed_right_too(architecture, rows):
    model, known = sharp_model(architecture, colour=True), known_of(rows)
    levels = drawing(model.config, seed=3)
    evidence, probability = exact(model, levels, known)
    report = many_particles(model, levels, known).particles[0]
    assert groups_off(report, known, evidence, probability, 2) < CHANCE
    if rows[0][0]:
        drawn = complete(model, levels, known, method="prefix", num_images=4000)
        assert pictures_off(drawn, known, probability, 2) < CHANCE


def test_a_rule_acts_on_unknown_pixels_and_not_on_weights():
    model, known = sharp_model("gated"), known_of(LOWER)
    levels = drawing(model.config, seed=1)
    cold = SamplingRule(temperature=0.0)
    result = complete(model, levels, known, method="particles", num_particles=40, rule=cold)
    # At temperature 0 every particle draws the same picture.
    assert len(np.unique(result.particles[0].levels.flatten(1), axis=0)) == 1
    clamped = complete(model, levels, known, method="clamping", rule=cold)
    assert torch.equal(clamped.levels, result.levels)
    assert result.particles[0].log_evidence == pytest.approx(float(clamped.log_weights[0, 0]))


@pytest.mark.parametrize("num_orders", ORDERS)
@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_the_posterior_of_a_prefix_is_exact(architecture, num_orders):
    model = sharp_model(architecture, num_orders, num_classes=3, dtype=torch.float64)
    last_row_and_more = [[0, 1, 1], [1, 1, 1], [1, 1, 1]]  # first, in orders from the bottom
    everything = [[1] * 3] * 3
    for rows in (UPPER, everything, *([last_row_and_more] if num_orders == 8 else [])):
        known, levels = known_of(rows), drawing(model.config, seed=4)
        posterior = class_posterior(model, levels, known)
        assert posterior.is_exact
        evidence = [
            exact(model, levels, known, order=posterior.order, label=label)[0]
            for label in range(3)
        ]
        np.testing.assert_allclose(posterior.log_evidence, np.log(evidence), rtol=1e-10)
        np.testing.assert_allclose(posterior.probabilities, evidence / np.sum(evidence))
        assert posterior.probabilities.max() > 1.3 * posterior.probabilities.min()


@pytest.mark.parametrize("tolerance", [0.0, 1.0])
def test_the_posterior_of_other_drawings_is_estimated(tolerance):
    model, known = sharp_model("gated", num_classes=3), known_of(LOWER)
    levels = drawing(model.config, seed=1)
    posterior = class_posterior(model, levels, known, num_particles=4000, tolerance=tolerance)
    assert not posterior.is_exact and posterior.progress == 1
    evidence = [
        exact(model, levels, known, label=label, tolerance=tolerance)[0] for label in range(3)
    ]
    np.testing.assert_allclose(posterior.log_evidence.exp(), evidence, rtol=0.15)
    # Groups are independent estimates; classes that one of them may overtake are rivals.
    groups = posterior.group_log_evidence.exp()
    np.testing.assert_allclose(groups.mean(1), posterior.log_evidence.exp())
    best = int(posterior.log_evidence.argmax())
    assert groups.std(1).min() > 0 and best not in posterior.rivals
    for label in {0, 1, 2} - {best}:
        assert (label in posterior.rivals) == bool(groups[label].max() >= groups[best].min())
    assert max(evidence) > 1.5 * min(evidence)
