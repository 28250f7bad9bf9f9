"""The other views of the Measure page, without a browser: stored numbers, and long work."""

from functools import partial

import numpy as np
import pytest
import torch

import pixelcnn
from pixelcnn.data.datasets import load_dataset
from pixelcnn.evaluation.calibration import Calibration
from pixelcnn.evaluation.model_table import ModelRow, Table
from pixelcnn.evaluation.paradox import describe, make_sets, measure_paradox
from pixelcnn.evaluation.stored import StoredNumbers, percent, save_numbers
from pixelcnn.progress import drain
from pixelcnn.sampling import sample
from pixelcnn.storage import (
    CheckpointInfo,
    checkpoint_path,
    read_info,
    save_checkpoint,
    weights_digest,
)

from .measure_page import NAME, figure, has, message, open_page, texts, wait_for
from .outside import as_read
from .tiny import tiny_model

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")
VIEWS = ["Score a picture", "Paradox", "Same dice", "Temperatures", "Calibration", "Models"]
common_noise = partial(open_page, view="Same dice")


@pytest.fixture
def paradox():
    """Of three pictures of noise in each set."""
    noise = torch.Generator().manual_seed(0)
    own, other = (
        torch.randint(0, 256, (3, 1, 28, 28), generator=noise).to(torch.uint8) for _ in range(2)
    )
    names = ("fashion-mnist", "mnist")
    sets = make_sets(own, other, names, 256)
    return drain(measure_paradox(small_model(num_levels=256), None, names[0], sets))


@pytest.fixture
def calibration():
    """Of one picture."""
    counts = Calibration()
    levels = torch.randint(0, 4, (1, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    counts.add(small_model()(levels), levels)
    return counts


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Let these numbers be stored for every model."""

    def store(values, weights=()):
        path = tmp_path / "numbers.json"
        monkeypatch.setattr("pixelcnn.ui.measure.live.numbers_path", lambda *_: path)
        numbers = StoredNumbers(command="measure", weights=dict(weights), values=values)
        save_numbers(path, numbers)

    return store


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Put checkpoints into a folder of runs of its own."""
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path / "runs"))

    def save(name, model, dataset, images_seen=7):
        info = CheckpointInfo(
            config=model.config, dataset=dataset, images_seen=images_seen, bits_per_dim={}
        )
        save_checkpoint(tmp_path / "runs" / f"{name}.safetensors", model, info)

    return save


def small_model(**changes):
    shape = {"height": 28, "width": 28, "dilations": (1,), "dtype": torch.float32}
    return tiny_model(**(shape | changes))


def click(page, label):
    return next(b for b in page.button if b.label.startswith(label)).click().run()


def markdown(page, start):
    """The text that begins so, once it is there."""
    wait_for(page, lambda p: any(m.value.startswith(start) for m in p.markdown))
    return next(m.value for m in page.markdown if m.value.startswith(start))


def shown(page):
    """The captions of the pictures side by side, and the levels of each, once they are there."""
    wait_for(page, lambda p: has(p, "together"))
    header, sections = message(page, "together")
    captions = header["captions"]
    return captions, [sections[f"levels{n}"].ravel().tolist() for n in range(len(captions))]


def test_the_stored_paradox_is_shown_without_the_data(no_data, store, paradox):
    store(paradox, {NAME: weights_digest(checkpoint_path(NAME))})
    page = open_page(view="Paradox")
    assert all(sentence in texts(page) for sentence in describe(paradox))
    bars = figure(page, "auroc")["data"]
    assert [trace["name"] for trace in bars] == ["Likelihood", "Less the compressed size"]
    assert f"{paradox.auroc('likelihood', 'mnist'):.2f}" == bars[0]["text"][0]
    assert "needs a checkpoint that learned MNIST" in page.info[-1].value
    assert not page.warning
    page.segmented_control(key="score").set_value("complexity").run()
    assert has(page, "histogram-complexity") and "1909.11480" in texts(page)
    paradox.background["mnist"] = (0.0, 0.0, 3.25)
    store(paradox, {NAME: "0" * 16})
    page = open_page(view="Paradox")
    assert f"The weights of {NAME} have changed since" in page.warning[0].value
    assert "| MNIST | 0\xa0% | none | 3.25 |" in texts(page)


@pytest.mark.parametrize("kind", ["paradox", "calibration"])
def test_absent_and_damaged_numbers_are_named(no_data, tmp_path, monkeypatch, kind):
    path = tmp_path / "numbers.json"
    monkeypatch.setattr("pixelcnn.ui.measure.live.numbers_path", lambda *_: path)
    page = open_page(view=kind.capitalize())
    assert f"`python -m pixelcnn measure {kind} {NAME}`" in page.info[0].value
    path.write_text("{")
    page = open_page(view=kind.capitalize())
    assert "numbers.json: is damaged" in page.error[0].value and not page.exception


def test_the_paradox_can_be_measured_here(made_up_data, save):
    save("a/checkpoint", small_model(), "fashion-mnist")
    here = {"paradox_numbers": "Measure here", "paradox_images": 20}
    page = open_page(view="Paradox", model="run:a", **here)
    click(page, "Score 100 pictures")
    markdown(page, "- MNIST: ")
    # Kept for the next visitor, who need not wait.
    other = open_page(view="Paradox", model="run:a", **here)
    assert any("bits/dim on average" in m.value for m in other.markdown)


def test_the_calibration_measured_here_is_that_of_the_library(made_up_data):
    """Asked for together with a change, it is measured with what is set last."""
    here = {"calibration_numbers": "Measure here", "calibration_images": 1000}
    page = open_page(view="Calibration", **here)
    page.get_by_key("calibration_images").set_value(20)
    click(page, "Count over 1,000 images")
    table = markdown(page, "| Interval")
    levels, label = load_dataset("fashion-mnist", "test")
    direct, model = Calibration(), pixelcnn.load_model(NAME)
    for part in range(0, 20, 10):
        batch = levels[part : part + 10].long()
        direct.add(model(batch, label[part : part + 10]), batch)
    for group in ("all", "unsure"):
        for _, promised, observed in direct.coverage(group):
            assert f"{percent(promised)} | **{percent(observed)}**" in table


def test_common_noise_shows_what_differs(no_data):
    page = common_noise(common_seed=4, common_t=["1.0", "0.5"])
    captions, levels = shown(page)
    assert captions == ["temperature 1", "temperature 0.5"]
    for temperature, drawn in zip((1.0, 0.5), levels, strict=True):
        rule = pixelcnn.SamplingRule(temperature=temperature)
        expected = sample(pixelcnn.load_model(NAME), seed=4, rule=rule)
        assert drawn == expected.flatten().tolist()
    a, b = map(np.array, levels)
    differs = message(page, "together")[1]["difference1"].astype(bool)
    assert differs.any() and (differs == (a != b)).all()


@pytest.mark.parametrize(
    ("differs", "expected"),
    [
        ("Class", ["T-shirt/top", "Trouser", "Pullover"]),
        ("Checkpoint", ["fashion-mnist-gated", "fashion-mnist-classic"]),
    ],
)
def test_classes_and_checkpoints_can_differ(no_data, differs, expected):
    assert shown(common_noise(differs=differs))[0][: len(expected)] == expected


def test_stages_of_a_training_differ_in_order_and_without_any_the_page_says_how(no_data, save):
    save("a/checkpoint", small_model(seed=1), "mnist", 9000)
    page = common_noise(differs="Stage of training", common_model="run:a")
    assert "--stages" in page.info[0].value and not has(page, "together")
    for stage in (1000, 5000):
        save(f"a/stages/{stage:08}", small_model(seed=stage), "mnist", stage)
    save("a/stages/copy of 5000", small_model(), "mnist")  # a foreign file, passed over
    captions, _ = shown(common_noise(differs="Stage of training", common_model="run:a"))
    assert captions == [f"{n:,} images seen" for n in (1000, 5000, 9000)]


def test_temperatures_are_swept_in_the_background(no_data):
    page = open_page(view="Temperatures", sweep=["0.0", "1.0"], sweep_images=2, sweep_class="Bag")
    click(page, "Draw 4 pictures")
    row = markdown(page, "**T = 1**")
    model = pixelcnn.load_model(NAME)
    levels = sample(model, num_images=2, label=8)
    bits = pixelcnn.bits_per_dim(model, levels, 8).mean().item()
    assert row.startswith(f"**T = 1**  \n{bits:.2f} bits/dim")
    assert "**T = 0**" in texts(page) and "diversity 0.0\xa0%" in texts(page)
    assert has(page, "sweep-chart")


def test_the_table_lists_every_checkpoint_and_shows_no_numbers_of_other_weights(
    no_data, tmp_path, monkeypatch
):
    monkeypatch.setattr("pixelcnn.ui.measure.table.TABLE_PATH", tmp_path / "table.json")
    page = open_page(view="Models")
    line = next(x for x in markdown(page, "| Checkpoint").splitlines() if NAME in x)
    measured = read_info(checkpoint_path(NAME)).bits_per_dim["test"]
    assert f"{pixelcnn.load_model(NAME).num_parameters:,}" in line and f"{measured:.3f}" in line
    assert "not measured" in line and "evaluate --table --write" in page.info[0].value
    row = {
        "checkpoint": NAME, "dataset": "fashion-mnist", "architecture": "gated",
        "num_levels": 256, "num_orders": 1, "test_bits_per_dim": 1.234,
        "order_bits_per_dim": [2.5], "ensemble_bits_per_dim": None, "test_images": 10_000,
        "num_parameters": 1, "images_seen": 1, "past_seen": 1.0, "seconds_one": 0.125,
        "seconds_of_16": 0.0625,
    }  # fmt: skip
    for digest, present in (("0" * 16, False), (weights_digest(checkpoint_path(NAME)), True)):
        table = Table([ModelRow(**row, weights=digest)])
        numbers = StoredNumbers(command="x", weights={}, values=table)
        save_numbers(tmp_path / "table.json", numbers)
        text = texts(open_page(view="Models"))
        assert ("**1.234**" in text and "0.12 s" in text) is present


def test_every_chart_and_table_offers_its_data(no_data, store, save, paradox, calibration):
    save("a/checkpoint", small_model(num_classes=2), "mnist")
    tables = {"Same dice": 1, "Calibration": 1, "Models": 1, "Paradox": 2, "Score a picture": 1}
    last = {"Score a picture": "classes", "Same dice": "together"}
    last["Temperatures"] = "sweep-chart"
    for view in VIEWS:
        store(paradox if view == "Paradox" else calibration)
        page = open_page(view=view, model="run:a", common_model="run:a", sweep_images=2)
        if view == "Temperatures":
            click(page, "Draw ")
        if view in last:
            wait_for(page, partial(has, key=last[view]))
        labels = [button.label for button in page.get("download_button")]
        expected = len(page.get("plotly_chart")) + tables.get(view, 0)
        assert labels.count("CSV") == labels.count("JSON") == expected > 0, view


def test_models_of_other_data_are_told_why_the_paradox_is_not_theirs(no_data, save):
    colour = {"num_channels": 3, "num_features": 12, "head_features": 12}
    save("photos/checkpoint", small_model(height=32, width=32, **colour), "cifar10")
    save("threes/checkpoint", small_model(), "mnist/3")
    save("unknown/checkpoint", small_model(), None)
    page = open_page(view="Paradox", model="run:photos", paradox_numbers="Measure here")
    assert "CIFAR-10 has pictures of 32 x 32 pixels in 3 channels" in page.info[0].value
    for view in ("Paradox", "Calibration"):
        page = open_page(view=view, model="run:threes")
        assert "run:threes learned MNIST, only '3': this is measured only" in as_read(
            page.info[0].value
        )
        page = open_page(view=view, model="run:unknown")
        assert "learned a data set that it does not name" in page.info[0].value


def test_the_paradox_claims_no_more_than_the_paper(no_data, save):
    save("digits/checkpoint", small_model(), "mnist")
    page = open_page(view="Paradox", model="run:digits")
    assert "models of Fashion-MNIST give MNIST *more*" in texts(page)
    assert "of models of MNIST they claim no such thing" in texts(page)
    assert "`python -m pixelcnn measure paradox run:digits`" in page.info[0].value
    page = open_page(view="Paradox")
    assert "found the opposite: models of Fashion-MNIST give MNIST more likelihood" in texts(page)


def test_numbers_of_a_model_without_classes_do_not_speak_of_its_class(
    no_data, store, save, calibration
):
    save("digits/checkpoint", small_model(), "mnist")
    store(calibration)
    without = open_page(view="Calibration", model="run:digits")
    assert "1 test images, without a class" in texts(without)
    assert "1 test images, given their class" in texts(open_page(view="Calibration"))


def test_a_class_is_told_only_to_the_models_that_know_it(no_data, save):
    save("digits/checkpoint", small_model(num_classes=10, num_levels=256), "mnist")
    save("plain/checkpoint", small_model(num_levels=256), "mnist")
    names = ["run:plain", "run:digits", NAME]
    captions, levels = shown(
        common_noise(differs="Checkpoint", checkpoints=names, common_class="Dress")
    )
    unknown = " (any class: it knows no Dress)"
    assert captions == [names[0] + unknown, names[1] + unknown, NAME]
    for name, label, drawn in zip(names, (None, None, 3), levels, strict=True):
        expected = sample(pixelcnn.load_model(name), seed=0, label=label)
        assert drawn == expected.flatten().tolist()


@pytest.mark.parametrize(
    ("differs", "key"),
    [("Temperature", "common_t"), ("Class", "classes"), ("Checkpoint", "checkpoints"),
     ("Stage of training", "stages")],
)  # fmt: skip
def test_without_a_choice_there_is_one_sentence(no_data, differs, key):
    page = common_noise(differs=differs)
    page.multiselect(key=key).set_value([]).run()
    assert [info.value for info in page.info] == ["Choose at least one value of what differs."]
    assert not has(page, "together") and not page.exception


def test_at_most_four_pictures_are_drawn_side_by_side(no_data, save):
    save("a/checkpoint", small_model(), "mnist")
    for many in (list("0123"), ["0.1", "0.2", "0.3", "0.4", "0.5"], ["1.0"] * 9):
        page = common_noise(common_model="run:a", common_t=many)
        assert page.multiselect(key="common_t").proto.max_selections == 4
        assert len(shown(page)[0]) <= 4


def test_a_damaged_checkpoint_is_named(tmp_path, monkeypatch, no_data):
    (tmp_path / "broken.safetensors").write_bytes(b"not a checkpoint")
    monkeypatch.setattr("pixelcnn.storage.CHECKPOINT_DIR", tmp_path)
    for view in ("Score a picture", "Same dice"):
        assert "broken.safetensors" in open_page(view=view).error[0].value
    assert "damaged" in texts(open_page(view="Models"))
