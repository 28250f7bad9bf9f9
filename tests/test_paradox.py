"""The likelihood paradox: sets, scores and what is said about them."""

import json
import math

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from pixelcnn.evaluation.likelihoods import bits_per_dim
from pixelcnn.evaluation.paradox import Paradox, describe, make_sets, measure_paradox, set_title
from pixelcnn.evaluation.scores import auroc, complexity_bits

from .test_calibration import finish
from .tiny import tiny_model

NAMES = ("fashion-mnist", "mnist")


def images(seed, count=6, num_levels=4):
    shape = (count, 1, 5, 6)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, num_levels, shape, generator=generator).to(torch.uint8)


@pytest.fixture(scope="module")
def measured():
    model, second = tiny_model(num_classes=3), tiny_model(num_classes=2, seed=1)
    sets = make_sets(images(0), images(1), NAMES, 4)
    return model, second, sets, finish(measure_paradox(model, second, NAMES[0], sets))


def test_the_five_sets_are_what_they_are_called():
    own, other = images(0, 300, 256), images(1, 300, 256)
    sets = make_sets(own, other, NAMES, 256)
    assert list(sets) == ["fashion-mnist", "mnist", "flipped", "noised", "constant"]
    assert (sets["fashion-mnist"] == own).all() and (sets["mnist"] == other).all()
    assert (sets["flipped"].numpy() == own.numpy()[:, :, ::-1]).all()
    middle = (own > 80) & (own < 175)  # far from the ends, where nothing is cut off
    noise = sets["noised"][middle].float() - own[middle].float()
    assert noise.std() == pytest.approx(16, abs=1) and noise.mean() == pytest.approx(0, abs=1)
    assert (sets["constant"].flatten(1) == sets["constant"][:, 0, :1, 0]).all()
    assert sets["constant"].unique().tolist() == list(range(256))
    assert all(s.dtype == torch.uint8 and s.shape == own.shape for s in sets.values())
    assert (make_sets(own, other, NAMES, 256)["noised"] == sets["noised"]).all()
    titles = [set_title(name, "fashion-mnist") for name in sets]
    assert titles[:2] == ["Fashion-MNIST", "MNIST"] and titles[-1] == "Constant"
    assert titles[2:4] == ["Fashion-MNIST, upside down", "Fashion-MNIST, with noise"]
    for wrong in ((own, other[:5]), (own[:0], other[:0])):
        with pytest.raises(ValueError, match="same shape, with at least one image"):
            make_sets(*wrong, NAMES, 256)


def test_every_image_is_scored_by_both_models_and_by_its_compressed_size(measured):
    model, second, sets, paradox = measured
    for name, levels in sets.items():
        levels = levels.long()
        assert paradox.bits_per_dim[name] == pytest.approx(bits_per_dim(model, levels).tolist())
        ratio = bits_per_dim(model, levels) - bits_per_dim(second, levels)
        assert paradox.score("ratio", name) == pytest.approx(ratio.tolist())
        sizes = [complexity_bits(x, 4) / 30 for x in levels]
        corrected = bits_per_dim(model, levels).numpy() - np.array(sizes)
        assert paradox.score("complexity", name) == pytest.approx(corrected.tolist())
        assert paradox.score("likelihood", name) == paradox.bits_per_dim[name]
        surprise = -model(levels).log_softmax(1).gather(1, levels[:, None])[:, 0] / np.log(2)
        dark = levels == 0
        share, on_dark, elsewhere = paradox.background[name]
        assert share == pytest.approx(dark.double().mean().item())
        assert on_dark == pytest.approx(surprise[dark].mean().item())
        assert elsewhere == pytest.approx(surprise[~dark].mean().item())
    for score in paradox.scores:
        expected = auroc(paradox.score(score, NAMES[0]), paradox.score(score, "mnist"))
        assert paradox.auroc(score, "mnist") == expected


def test_without_a_second_model_of_the_same_images_there_is_no_ratio():
    sets = make_sets(images(0), images(1), NAMES, 4)
    paradox = finish(measure_paradox(tiny_model(), None, NAMES[0], sets))
    assert paradox.scores == ("likelihood", "complexity")
    assert KIND.validate_json(KIND.dump_json(paradox)).scores == paradox.scores
    with pytest.raises(ValueError, match="same levels"):
        next(measure_paradox(tiny_model(), tiny_model(num_levels=5), NAMES[0], sets))


KIND = TypeAdapter(Paradox)


def test_numbers_survive_json(measured):
    again = KIND.validate_json(KIND.dump_json(measured[3]))
    for name in again.bits_per_dim:
        for score in again.scores:
            expected = pytest.approx(measured[3].score(score, name), abs=2e-4)
            assert again.score(score, name) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v | {"more": 1},
        lambda v: v | {"dataset": "absent"},
        lambda v: v | {"dataset": "kmnist"},
        lambda v: v | {"bits_per_dim": {NAMES[0]: v["bits_per_dim"][NAMES[0]]}},
        lambda v: {k: {"absent": [1.0] * 3, **t} if t != NAMES[0] else t for k, t in v.items()},
        lambda v: v | {k: dict.fromkeys(t, []) for k, t in v.items() if k in TABLES},
        lambda v: v | {"bits_per_dim": dict.fromkeys(v["bits_per_dim"], [math.nan] * 6)},
        lambda v: v | {"bits_per_dim": dict.fromkeys(v["bits_per_dim"], ["x"] * 6)},
        lambda v: v | {"background": {}},
        lambda v: v | {"background": dict.fromkeys(v["bits_per_dim"], [1.0])},
        lambda v: v | {"compressed": {"mnist": [1.0]}},
    ],
)
def test_foreign_numbers_are_refused(measured, change):
    with pytest.raises(ValueError):
        KIND.validate_json(json.dumps(change(KIND.dump_python(measured[3]))))


TABLES = ("bits_per_dim", "compressed", "second_bits_per_dim")


@pytest.mark.parametrize(
    ("digits", "mean", "found"),
    [
        ([1.0, 1.5, 3.5], "2.00", ("**more** probable than Fashion-", "(3.00); 67\xa0% of them")),
        ([5.0, 6.0, 2.5], "4.50", ("less probable than Fashion-", "(3.00); 33\xa0% of them")),
    ],
)
def test_the_sentences_follow_the_numbers(digits, mean, found):
    bits = {"fashion-mnist": [3.0, 2.0, 4.0], "mnist": digits}
    background = dict.fromkeys(bits, (0.0, 0.0, 0.0))
    (sentence,) = describe(Paradox("fashion-mnist", bits, bits, None, background))
    assert sentence.startswith(f"MNIST: {mean} bits/dim on average, {found[0]}")
    assert f"{found[1]} are more probable than the median" in sentence
