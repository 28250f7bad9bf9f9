"""The model that is given evidence: what it keeps of the gated one, what it adds and draws."""

import copy

import numpy as np
import pytest
import torch

from pixelcnn import begin_completion, complete
from pixelcnn.completion import guided
from pixelcnn.config import SamplingRule, TrainConfig
from pixelcnn.inspection.receptive_field import in_order
from pixelcnn.models import Evidence, Stepper, build_model, read_config, reshape_config
from pixelcnn.training.engine import train_step
from pixelcnn.training.evidence import draw_evidence
from pixelcnn.training.state import TrainingError, TrainingState

from .test_completion import (
    AROUND,
    CHANCE,
    drawing,
    every_picture,
    exact,
    known_of,
    large_passes,  # noqa: F401 - a fixture of every test here
    log_prob_of_every_picture,
    pairs,
    sharp_model,
)
from .tiny import dependence, random_levels, randomize, tiny_config, tiny_model

SHAPES = [
    {"num_classes": 3},
    {"num_channels": 3, "height": 3, "width": 4},
    {"height": 4, "width": 4, "num_orders": 8},
    {"height": 1, "width": 7},
]


def evidence_of(config, num_images=1, seed=0):
    """Some facts and some hints, of another picture than the one that is drawn."""
    torch.manual_seed(seed)
    kind = torch.randint(3, (num_images, 1, config.height, config.width))
    return Evidence(random_levels(config, num_images, seed + 7), kind == 1, kind == 2)


@pytest.mark.parametrize("shape", SHAPES)
def test_with_nothing_given_it_is_the_gated_model_exactly(shape):
    model = tiny_model("conditioned", **shape)
    gated = build_model(reshape_config(model.config, "gated")).double().eval()
    gated.load_state_dict({k: v for k, v in model.state_dict().items() if "encoder" not in k})
    levels = random_levels(model.config, 3)
    evidence = evidence_of(model.config)
    none = torch.zeros_like(evidence.known)
    for same in (model, model.given(evidence._replace(known=none, hints=none))):
        assert torch.equal(same(levels), gated(levels))
    assert not torch.equal(model.given(evidence)(levels), gated(levels))


@pytest.mark.parametrize("shape", SHAPES)
def test_its_stepper_equals_its_pass_at_every_position(shape):
    model = tiny_model("conditioned", **shape)
    model = model.given(evidence_of(model.config))
    levels = random_levels(model.config, 3)
    expected = in_order(model(levels)).transpose(0, 1).detach().numpy()
    stepper = model.stepper(model.condition(3))
    for position in range(model.config.num_dims):
        np.testing.assert_allclose(stepper.logits(), expected[position], atol=1e-10)
        row, col, channel = model.config.coordinates(position)
        stepper.write(levels[:, channel, row, col].numpy())
        if position == 2:
            stepper = stepper.fork()
            stepper.select(np.array([1, 0, 2]))
            levels, expected = levels[[1, 0, 2]], expected[:, [1, 0, 2]]


def test_drawn_levels_act_on_the_future_only_whatever_is_given():
    model = tiny_model("conditioned")
    told = model.given(evidence_of(model.config))
    found = dependence(told) > 0
    assert (found == model.dependencies()).all()


def test_all_evidence_acts_on_every_prediction_what_comes_later_too():
    model = tiny_model("conditioned")
    levels, evidence = random_levels(model.config, 1), evidence_of(model.config)
    before = in_order(model.given(evidence)(levels))
    for row, col in (evidence.known | evidence.hints)[0, 0].nonzero():
        changed = evidence.levels.clone()
        changed[..., row, col] = (changed[..., row, col] + 1) % model.config.num_levels
        after = in_order(model.given(evidence._replace(levels=changed))(levels))
        assert (before != after).any(-1).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_made_up_evidence_tells_the_truth_about_known_pixels_only(channels):
    config = tiny_config("conditioned", num_channels=channels, height=9, width=8, num_levels=16)
    torch.manual_seed(0)
    levels = random_levels(config, 400)
    given, known, hints = draw_evidence(levels, config.num_levels)
    assert known.shape == hints.shape == (400, 1, 9, 8)
    assert not (known & hints).any() and (known | hints).flatten(1).any(1).all()
    assert (given == levels)[known.expand_as(levels)].all()
    assert given.min() >= 0 and given.max() < config.num_levels
    assert (given != levels)[hints.expand_as(levels)].double().mean() > 0.5  # no copy
    whole = known.flatten(1).all(1).double().mean()
    only_facts = (~hints.flatten(1).any(1)).double().mean()
    assert 0 < whole < 0.1 and 0.3 < only_facts < 0.6


def test_only_the_encoder_learns_and_begins_with_a_gated_model():
    config = tiny_config("conditioned", num_classes=3)
    training = TrainConfig(total_images=64, batch_size=8, label_dropout=0.5)
    gated = tiny_model("gated", num_classes=3, dtype=torch.float32)
    state = TrainingState(config, training)
    state.init_from(gated)
    levels, label = random_levels(config, 8), torch.arange(8) % 3
    for _ in range(3):
        train_step(state, training, levels, label)
    theirs = dict(gated.named_parameters())
    for name, weight in state.model.named_parameters():
        assert torch.equal(weight, theirs[name]) if name in theirs else "encoder" in name
    begun = TrainingState(config, training).model.state_dict()
    learned = state.model.state_dict()
    assert all((begun[k] != learned[k]).any() for k in learned if "encoder" in k)
    with pytest.raises(TrainingError, match="another shape"):
        TrainingState(tiny_config("gated", num_classes=3), training).init_from(state.model)


class Oracle(Stepper):
    """Draws from the exact distribution given what is known: a sum over all such pictures."""

    def __init__(self, model, evidence, batch):
        self.model, pictures = model, every_picture(model.config)
        agree = (pictures == evidence.levels)[..., evidence.known[0, 0]].flatten(1).all(1)
        self.probability = log_prob_of_every_picture(model, None, 0).exp()[agree].numpy()
        self.values = pictures[agree, 0].flatten(1).numpy()
        self.possible = np.ones((batch, len(self.values)), bool)

    def logits(self):
        here = self.values[:, self.position]
        share = [(self.possible * self.probability * (here == k)).sum(1) for k in range(3)]
        with np.errstate(divide="ignore"):
            return np.log(np.stack(share, 1))

    def write(self, level):
        self.possible &= self.values[:, self.position] == np.asarray(level)[:, None]
        self.position += 1

    def fork(self):
        return copy.deepcopy(self)

    def select(self, indices):
        self.possible = self.possible[indices]


def conditioned(gated):
    """A model with the weights of a gated one, and an encoder that knows nothing yet."""
    model = build_model(reshape_config(gated.config, "conditioned", encoder_features=8))
    randomize(model, 1).double()
    model.load_state_dict(gated.state_dict(), strict=False)
    for layer in model.encoder.biases:
        layer.weight.data *= 0.03
    return model


def test_the_better_the_proposal_the_better_the_weighed_completions(monkeypatch):
    gated = sharp_model("gated")
    model, known, levels = conditioned(gated), known_of(AROUND), drawing(gated.config, seed=1)
    evidence, probability = exact(gated, levels, known)

    def estimates(method, groups):
        """Evidence by each group, relative to the right one; and the error of its pairs."""
        report = complete(
            model, levels, known, method=method, num_particles=64 * groups, num_groups=groups
        ).particles[0]
        weights = np.exp(report.log_weights).reshape(groups, 1, 64)
        seen = pairs(report.levels, known, 3).numpy().reshape(groups, 64, -1)
        shares = (weights @ seen)[:, 0] / weights.sum(2)
        return np.exp(report.group_log_evidence) / evidence, shares - probability

    ratio, _ = estimates("weighed", 100)  # by a bad proposal: rough, but right on average
    assert abs(ratio.mean() - 1) < CHANCE * ratio.std() / np.sqrt(100)
    blind_ratio, _ = estimates("particles", 50)

    def told(self, given):
        other = copy.copy(self)
        other.stepper = lambda condition: Oracle(gated, given, len(condition))
        return other

    monkeypatch.setattr(type(model), "given", told)
    ratio, apart = estimates("weighed", 50)
    np.testing.assert_allclose(ratio, 1, atol=0.1)
    assert ratio.std() < 0.4 * blind_ratio.std()
    expected = np.sqrt(np.maximum(probability * (1 - probability), 0) / (64 * 50))
    often = probability > 0.02
    assert (abs(apart.mean(0)) / (expected + 1e-9))[often].max() < CHANCE


def test_learned_completions_carry_the_weights_that_correct_them():
    gated = sharp_model("gated")
    model, known, levels = conditioned(gated), known_of(AROUND), drawing(gated.config, seed=1)
    evidence, probability = exact(gated, levels, known)
    result = complete(model, levels, known, num_images=3000)
    assert result.method == ("learned",) and result.is_exact == (False,)
    assert (result.levels == levels)[..., known[0, 0]].all()
    weights = result.log_weights[0].exp().numpy()
    assert abs(weights.mean() / evidence - 1) < CHANCE * weights.std() / evidence / np.sqrt(3000)
    seen = pairs(result.levels[0], known, 3).double().numpy()
    assert abs(seen.T @ (weights / weights.sum()) - probability).max() < 0.1
    assert abs(seen.mean(0) - probability).max() > 0.1  # without the weights it is off


def test_hints_are_drawn_over_and_are_no_facts():
    model = tiny_model("conditioned", num_levels=16)
    evidence = evidence_of(model.config)
    result = complete(model, *evidence, num_images=40)
    assert (result.levels == evidence.levels)[..., evidence.known[0, 0]].all()
    drawn = result.levels[..., evidence.hints[0, 0]]
    assert (drawn != evidence.levels[..., evidence.hints[0, 0]]).any()
    assert (drawn.double().std(1) > 0).all() and (result.log_weights == 0).all()
    for method in ("weighed", "prefix", "clamping", "particles"):
        with pytest.raises(ValueError, match="`hints` need the method 'learned'"):
            complete(model, *evidence, method=method)
    with pytest.raises(ValueError, match="are in `known` too"):
        complete(model, evidence.levels, evidence.known, evidence.known)
    with pytest.raises(ValueError, match="has no encoder"):
        complete(tiny_model(num_levels=16), *evidence)


def test_what_the_rule_forbids_has_no_weight_and_is_called_a_collapse():
    model = tiny_model("conditioned")
    known = torch.zeros(1, 1, 5, 6, dtype=torch.bool)
    known[..., 2, 3] = True
    result = complete(
        model, random_levels(model.config, 1), known, method="weighed",
        rule=SamplingRule(temperature=0), num_particles=4,
    )  # fmt: skip
    report = result.particles[0]
    assert report.log_evidence == -np.inf and report.collapsed
    assert np.isfinite(report.log_weights).all()


def judging(model):
    """The same model with a twist, whose weights are random."""
    config = reshape_config(model.config, "conditioned", twist=True, encoder_features=8)
    other = build_model(config)
    randomize(other, 4).double().eval()
    other.load_state_dict(model.state_dict(), strict=False)
    return other


def test_what_is_drawn_and_hints_fit_better_or_worse_and_nothing_else_does():
    model = judging(tiny_model("conditioned", num_classes=3, encoder_features=8))
    levels, evidence = random_levels(model.config, 1), evidence_of(model.config)
    drawn = torch.arange(30).view(1, 1, 5, 6) < 12
    fit = model.log_fit(levels, drawn, evidence)
    assert fit.shape == (1, 3)
    for where, acts in ((drawn, True), (~drawn, False)):
        assert torch.equal(fit, model.log_fit((levels + where) % 4, drawn, evidence)) != acts
    for where, acts in ((evidence.hints, True), (~evidence.hints, False)):
        other = evidence._replace(levels=(evidence.levels + where) % 4)
        assert torch.equal(fit, model.log_fit(levels, drawn, other)) != acts


@pytest.mark.parametrize("label", [[2, 0, 1, 1], 1, None])
def test_a_guided_completion_is_the_same_in_any_number_of_them_and_keeps_what_is_known(label):
    model = judging(tiny_model("conditioned", num_classes=3, encoder_features=8))
    evidence = evidence_of(model.config)
    result = complete(model, *evidence, num_images=4, label=label if label != [2, 0, 1, 1] else 2)
    scan = begin_completion(model, *evidence, num_images=4, label=label)
    part = label[2:] if isinstance(label, list) else label
    last = begin_completion(model, *evidence, num_images=2, first_image=2, label=part)
    for one in (scan, last):
        while not one.done:
            one.step()
    levels = scan.completion().levels
    assert torch.equal(levels[:, 2:], last.completion().levels)
    if not isinstance(label, list):
        assert torch.equal(levels, result.levels)
    assert result.method == ("learned",) and (result.log_weights == 0).all()
    assert (levels == evidence.levels)[..., evidence.known[0, 0]].all()
    assert not torch.equal(levels, complete(model, *evidence, num_images=4, seed=1).levels)


def test_with_many_candidates_guided_completions_follow_the_twist_exactly(monkeypatch):
    gated = sharp_model("gated")
    model = judging(conditioned(gated))
    fit = torch.tensor([0.5, -1.0, 1.5, 0.0, 1.0, -0.5, 1.0, -1.0, 0.5]).double()
    monkeypatch.setattr(
        type(model),
        "log_fit",
        lambda _, levels, drawn, evidence: ((levels * drawn).flatten(1) * fit).sum(1)[:, None],
    )
    monkeypatch.setattr(guided, "CANDIDATES", 100)
    hints = known_of(AROUND)
    evidence = Evidence(drawing(gated.config, seed=1), torch.zeros_like(hints), hints)
    told, pictures = model.given(evidence), every_picture(model.config)
    log_p = log_prob_of_every_picture(told, None, 0)
    share = (log_p + (pictures.flatten(1) * fit).sum(1)).softmax(0)
    none = torch.zeros_like(hints)
    exactly = share @ pairs(pictures, none, 3)
    seen = pairs(complete(model, *evidence, num_images=400).levels[0], none, 3).mean(0)
    deviation = (exactly * (1 - exactly) / 400).sqrt()
    assert (abs(seen - exactly) <= CHANCE * deviation + 0.02).all()
    without = log_p.exp() @ pairs(pictures, none, 3)
    assert (abs(without - exactly) > CHANCE * deviation + 0.02).any()


def test_before_a_twist_is_trained_everything_fits():
    config = tiny_config("conditioned", twist=True)
    model, evidence = build_model(config), evidence_of(config)
    drawn = torch.ones(3, 1, 5, 6, dtype=torch.bool)
    assert (model.log_fit(random_levels(config, 3), drawn, evidence) == 0).all()
    older = {k: v for k, v in config.to_dict().items() if k != "twist"}
    assert not read_config(older).twist
