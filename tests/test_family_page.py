"""The Family page as Streamlit runs it, without a browser."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pixelcnn.completion.forecast import forecast
from pixelcnn.data.datasets import load_dataset
from pixelcnn.evaluation.family import EQUAL, Member, answer_claim, read_curves
from pixelcnn.evaluation.stored import StoredNumbers, load_numbers, numbers_path, save_numbers
from pixelcnn.models import ARCHITECTURES
from pixelcnn.sampling import sample
from pixelcnn.storage import (
    CheckpointInfo,
    checkpoint_path,
    list_prices,
    load_model,
    save_checkpoint,
    weights_digest,
)
from pixelcnn.ui.family.members import KINDS, PRICE, families

from .components import trigger
from .measure_page import figure, has, message, texts, wait_for
from .outside import as_read
from .test_family import MEMBER
from .tiny import tiny_model

MNIST = "MNIST, 5,000 images each (7 models)"


def open_any(file, **query) -> AppTest:
    page = AppTest.from_file("../app.py", default_timeout=120)
    if file != "app.py":
        page.switch_page(file)
    for name, value in query.items():
        page.query_params[name] = value if isinstance(value, list) else str(value)
    page.run()
    assert not page.exception
    return page


def open_family(**query) -> AppTest:
    return open_any("pages/family.py", **query)


@pytest.fixture
def digits(tmp_path, monkeypatch) -> dict[str, Member]:
    """A family of tiny models of digits, measured; what was measured, by kind."""
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path))
    members = {}
    for number, kind in enumerate(KINDS):
        shape = {"height": 28, "width": 28, "num_classes": 10, "dilations": (1,)}
        model = tiny_model(kind, dtype=torch.float32, **shape)
        name, bits = f"run:{kind}", {"validation": 1.5 + number / 10}
        info = CheckpointInfo(
            config=model.config, dataset="mnist", images_seen=5008, bits_per_dim=bits
        )
        save_checkpoint(tmp_path / kind / "checkpoint.safetensors", model, info)
        members[kind] = replace(
            MEMBER, architecture=kind, validation_bits_per_dim=bits["validation"],
            influence=[0.3] + [0.01 * number] * 782, influence_in_picture=[0.02 * number] * 27,
            bits_lost=[0.1 * number] * 783,
        )  # fmt: skip
        weights = {name: weights_digest(checkpoint_path(name))}
        numbers = StoredNumbers(command="measure", weights=weights, values=members[kind])
        save_numbers(numbers_path("family", name), numbers)
    return members


def test_a_made_up_price_comes_first_with_its_future_and_every_score():
    page = open_family()
    assert "This price is made up" in texts(page)
    header, sections = message(page, "fan")
    assert sections["futures"].shape == (100, 104) and header["past"] == 60
    np.testing.assert_allclose(sections["probabilities"].sum(1), 1, atol=1e-5)
    prices = next(f for f in families() if f.dataset == PRICE)
    assert len(prices.members) == len(list_prices()) > 1
    for title, name in prices.names.items():
        assert f"| {title} | **{prices.members[name].bits_per_dim['validation']:.3f}**" in texts(
            page
        )


def test_a_link_brings_a_forecast_back_and_the_line_can_be_dragged():
    page = open_family(price_model="Transformer", series=3, price_past=20, price_seed=5)
    model = load_model("price/transformer")
    series = load_dataset("price", "test", num_levels=64)[0][3, 0, 0].long()
    for past in (20, 33):
        wanted = forecast(model, series, past, seed=5)
        header, sections = message(page, "fan")
        assert header["past"] == past == page.slider(key="price_past").value
        assert (sections["futures"] == wanted.futures).all()
        assert (sections["truth"] == series.numpy()).all()
        np.testing.assert_allclose(sections["quantiles"], wanted.quantiles, rtol=1e-6)
        page = trigger(page, "fan", "past", 33)
        assert not page.exception


def test_the_first_unknown_value_is_expected_as_the_model_says_and_the_past_is_kept():
    model = load_model(next(iter(list_prices())))
    series = load_dataset("price", "test", num_levels=64)[0][7, 0, 0].long()
    found = forecast(model, series, 40, num_futures=5, seed=1)
    logits = model(series.view(1, 1, 1, -1))[0, :, 0, 0]
    wanted = logits.double().softmax(0)[:, :41].T
    np.testing.assert_allclose(found.probabilities[:41], wanted, atol=1e-6)
    assert (found.futures[:, :40] == series[:40].numpy()).all()
    assert len({tuple(future) for future in found.futures.tolist()}) == 5
    with pytest.raises(ValueError, match=r"`past` \(=104\) must lie in 1..103"):
        forecast(model, series, 104)
    with pytest.raises(ValueError, match=r"must draw one row of one channel"):
        forecast(tiny_model(), series, 1)


def test_the_same_seed_goes_through_six_models(digits):
    link = {"family_view": "Side by side", "family": MNIST, "family_seed": 4, "family_class": "3"}
    page = wait_for(open_family(**link), lambda p: has(p, "together"))
    header, sections = message(page, "together")
    kinds = KINDS[:6]
    assert header["captions"] == [ARCHITECTURES[kind].title for kind in kinds]
    for number, kind in enumerate(kinds):
        wanted = sample(load_model(f"run:{kind}"), num_images=1, seed=4, label=3)
        assert sections[f"levels{number}"].ravel().tolist() == wanted.flatten().tolist()
        expected = (sections[f"expected{number}"] / 255.0) ** 2
        np.testing.assert_allclose(expected.reshape(784, -1).sum(1), 1, atol=0.02)
        assert "bits/dim, drawn in" in header["notes"][number]


def test_the_curves_and_the_maps_of_every_member_are_shown(digits):
    page = open_family(family_view="How far each looks", looking_family=MNIST)
    for key, name in (("influence", "influence"), ("lost", "bits_lost")):
        curves = figure(page, key)["data"]
        assert [curve["name"] for curve in curves] == [ARCHITECTURES[k].title for k in KINDS]
        assert len(getattr(digits["rnn"], name)) == 783
    assert len([t for t in figure(page, "influence_maps")["data"] if t["type"] == "heatmap"]) == 7
    attentive = [e.label.split(":")[0] for e in page.expander if "attention looked" in e.label]
    assert attentive == ["Transformer", "PixelCNN with attention"]
    assert "Classic PixelCNN: " in texts(page) and "in its blind spot" in texts(page)


def test_influence_is_shown_by_distance_in_the_picture_too(digits):
    page = open_family(
        family_view="How far each looks", looking_family=MNIST, distance="In the picture"
    )
    curves = figure(page, "influence")["data"]
    for curve, member in zip(curves, digits.values(), strict=True):
        assert curve["y"] == member.influence_in_picture
        assert curve["x"] == list(range(1, 28))
    page.button_group(key="distance").set_value(["Along the sequence"]).run()
    assert len(figure(page, "influence")["data"][0]["y"]) == 783


@pytest.mark.parametrize("lacks", ["a picture", "the numbers"])
def test_without_a_distance_in_the_picture_there_is_no_choice(digits, lacks):
    family = MNIST
    if lacks == "a picture":
        family = next(f.title for f in families() if f.dataset == PRICE)
    else:
        path = numbers_path("family", "run:gru")
        path.write_text(re.sub(r'"influence_in_picture":[^]]*],', "", path.read_text()))
    page = open_family(family_view="How far each looks", looking_family=family)
    assert not has(page, "distance") and len(figure(page, "influence")["data"]) == 7


def test_the_claim_is_answered_from_the_stored_numbers(digits):
    page = open_family(family_view="Who is better?", better_family=MNIST)
    for sentence in answer_claim(list(digits.values()), 28):
        assert sentence in texts(page)
    assert "| Transformer | **1.800** | – |" in texts(page)


@pytest.mark.parametrize("name", ["price/gru", "family/gru", "digits/gru"])
def test_the_page_names_who_leads_after_the_same_images_and_after_the_same_time(name):
    family = next(f for f in families() if name in f.members)
    text = texts(open_family(family_view="Who is better?", better_family=family.title))
    scores, after, trained = {}, {}, {}
    for title, member in family.names.items():
        stored = load_numbers(numbers_path("family", member), Member).values
        scores[title] = stored.validation_bits_per_dim
        trained[title] = [(n * stored.training_seconds, b) for n, b in read_curves()[member]]
    time = min(curve[-1][0] for curve in trained.values())
    for title, curve in trained.items():
        around = [pair for pair in pairwise(curve) if pair[0][0] <= time <= pair[1][0]]
        for (start, high), (end, low) in around:
            after[title] = high + (low - high) * (time - start) / (end - start)
        value = f"{after[title]:.3f}" if around else "–"
        assert f"| {title} | **{scores[title]:.3f}** | {value} |" in text
    sentence = next(line for line in text.splitlines() if line.startswith("After the same images"))
    for part, bits in zip(
        sentence.split("; after the same CPU time"), (scores, after), strict=True
    ):
        first = min(bits.values())
        assert f"({first:.3f} bits/dim)" in part
        close = [title for title in bits if bits[title] - first < EQUAL]
        names = part.rpartition(", ")[2].partition(" lead" if len(close) == 1 else " share")[0]
        assert sorted(names.split(" and ")) == sorted(close)
    assert f"after {time / 60:.1f} minutes of training" in text


def test_outdated_numbers_are_not_shown(digits):
    info = next(f.members["run:gru"] for f in families() if "run:gru" in f.members)
    other = tiny_model("gru", seed=5, dtype=torch.float32, height=28, width=28, num_classes=10)
    save_checkpoint(checkpoint_path("run:gru"), other, info)
    page = open_family(family_view="Who is better?", better_family=MNIST)
    assert "Not measured with its present weights: run:gru" in as_read(texts(page))
    assert "| GRU |" not in texts(page)


@pytest.mark.parametrize("file", ["app.py", "complete", "masks", "measure"])
def test_a_member_opens_on_every_page(digits, file):
    file = file if file == "app.py" else f"pages/{file}.py"
    page = open_any(file, model="run:transformer")
    key = "complete_model" if "complete" in file else "model"
    assert page.session_state[key] == "run:transformer" and not page.error


@pytest.mark.parametrize("view", ["A price, week after week", "Side by side", "Who is better?"])
def test_without_models_the_page_says_what_to_do(view, monkeypatch, tmp_path):
    monkeypatch.setattr("pixelcnn.storage.CHECKPOINT_DIR", tmp_path)
    page = open_family(family_view=view)
    assert "`python benchmarks/family.py`" in page.info[0].value and not page.error
