"""The other views of the Measure page, without a browser: stored numbers, and long work."""

import numpy as np
import pytest
import torch

import pixelcnn
from pixelcnn.data.datasets import load_dataset
from pixelcnn.evaluation.calibration import Calibration
from pixelcnn.evaluation.model_table import ModelRow, Table
from pixelcnn.evaluation.paradox import describe, make_sets, measure_paradox
from pixelcnn.evaluation.stored import StoredNumbers, save_numbers
from pixelcnn.progress import drain
from pixelcnn.sampling import sample
from pixelcnn.storage import CheckpointInfo, save_checkpoint

from .measure_page import NAME, figure, has, message, open_page, texts, wait_for
from .tiny import tiny_model


@pytest.fixture(scope="module")
def model():
    return pixelcnn.load_model(NAME)


def store(tmp_path, monkeypatch, kind, values, weights):
    path = tmp_path / f"{kind}-{NAME}.json"
    save_numbers(path, StoredNumbers(command=f"measure {kind}", weights=weights, values=values))
    monkeypatch.setattr("pixelcnn.ui.measure.live.numbers_path", lambda *_: path)
    return path


def small_paradox(model):
    noise = torch.Generator().manual_seed(0)
    own, other = (
        torch.randint(0, 256, (3, 1, 28, 28), generator=noise).to(torch.uint8) for _ in range(2)
    )
    sets = make_sets(own, other, ("fashion-mnist", "mnist"), 256)
    return drain(measure_paradox(model, None, "fashion-mnist", sets))


def test_the_stored_paradox_is_shown_without_the_data(no_data, tmp_path, monkeypatch, model):
    paradox = small_paradox(model)
    digest = pixelcnn.storage.weights_digest(pixelcnn.storage.checkpoint_path(NAME))
    store(tmp_path, monkeypatch, "paradox", paradox, {NAME: digest})
    page = open_page(view="Paradox")
    for sentence in describe(paradox):
        assert sentence in texts(page)
    bars = figure(page, "auroc")["data"]
    assert [trace["name"] for trace in bars] == ["Likelihood", "Minus compressed size"]
    assert f"{paradox.auroc('likelihood', 'mnist'):.2f}" == bars[0]["text"][0]
    assert "needs a checkpoint that learned MNIST" in page.info[-1].value
    assert not page.warning
    page.segmented_control(key="score").set_value("complexity").run()
    assert has(page, "histogram-complexity") and "1909.11480" in texts(page)


def test_numbers_of_other_weights_are_not_passed_off_as_those_of_the_model(
    no_data, tmp_path, monkeypatch, model
):
    store(tmp_path, monkeypatch, "paradox", small_paradox(model), {NAME: "0" * 16})
    page = open_page(view="Paradox")
    assert f"The weights of {NAME} have changed since" in page.warning[0].value


@pytest.mark.parametrize("kind", ["paradox", "calibration"])
def test_absent_and_damaged_numbers_are_named(no_data, tmp_path, monkeypatch, kind):
    path = tmp_path / "numbers.json"
    monkeypatch.setattr("pixelcnn.ui.measure.live.numbers_path", lambda *_: path)
    page = open_page(view=kind.capitalize())
    assert f"`python -m pixelcnn measure {kind} {NAME}`" in page.info[0].value
    path.write_text("{")
    page = open_page(view=kind.capitalize())
    assert "numbers.json: is damaged" in page.error[0].value and not page.exception


def test_the_paradox_can_be_measured_here(made_up_data):
    page = open_page(view="Paradox", paradox_numbers="Measure here", paradox_images=20)
    button = next(b for b in page.button if b.label == "Score 100 pictures")
    button.click().run()
    wait_for(page, lambda p: any("bits/dim on average" in m.value for m in p.markdown))
    # Kept for the next visitor, who need not wait.
    other = open_page(view="Paradox", paradox_numbers="Measure here", paradox_images=20)
    assert any("bits/dim on average" in m.value for m in other.markdown)


def test_long_work_can_be_cancelled_and_begun_again(made_up_data):
    page = open_page(
        view="Calibration", calibration_numbers="Measure here", calibration_images=1000
    )
    next(b for b in page.button if b.label.startswith("Count over")).click().run()
    next(b for b in page.button if b.label == "Cancel").click().run()
    wait_for(page, lambda p: p.info and "Cancelled" in p.info[0].value)
    assert any(b.label.startswith("Count over") for b in page.button)


def test_work_asked_for_together_with_a_change_begins_with_what_is_set_last(made_up_data):
    page = open_page(
        view="Calibration", calibration_numbers="Measure here", calibration_images=1000
    )
    page.get_by_key("calibration_images").set_value(20)
    next(b for b in page.button if b.label == "Count over 1,000 images").click().run()
    wait_for(page, lambda p: any("Reliability" in m.value for m in p.markdown))


def test_the_calibration_measured_here_is_that_of_the_library(made_up_data, model):
    page = open_page(view="Calibration", calibration_numbers="Measure here", calibration_images=20)
    next(b for b in page.button if b.label == "Count over 20 images").click().run()
    wait_for(page, lambda p: any("Reliability" in m.value for m in p.markdown))
    levels, label = load_dataset("fashion-mnist", "test")
    direct = Calibration()
    for part in range(0, 20, 10):
        batch = levels[part : part + 10].long()
        direct.add(model(batch, label[part : part + 10]), batch)
    table = next(m.value for m in page.markdown if m.value.startswith("| Interval"))
    for group in ("all", "unsure"):
        for _, promised, observed in direct.coverage(group):
            assert f"{promised:.1%} | **{observed:.1%}**" in table


def test_common_noise_shows_what_differs_with_the_first_difference(no_data, model):
    page = open_page(view="Common noise", common_seed=4, common_t=["1.0", "0.5"])
    wait_for(page, lambda p: has(p, "together"))
    header, sections = message(page, "together")
    assert header["captions"] == ["temperature 1", "temperature 0.5"]
    for number, temperature in enumerate((1.0, 0.5)):
        rule = pixelcnn.SamplingRule(temperature=temperature)
        levels = sample(model, seed=4, rule=rule).flatten().tolist()
        assert sections[f"levels{number}"].ravel().tolist() == levels
    a, b = (sections[f"levels{n}"].ravel() for n in (0, 1))
    assert header["first"] == [None, int(np.flatnonzero(a != b)[0])]


@pytest.mark.parametrize(
    ("differs", "captions"),
    [
        ("Class", ["T-shirt/top", "Trouser", "Pullover"]),
        ("Checkpoint", ["fashion-mnist-gated", "fashion-mnist-classic"]),
    ],
)
def test_classes_and_checkpoints_can_differ(no_data, differs, captions):
    page = open_page(view="Common noise", differs=differs)
    wait_for(page, lambda p: has(p, "together"))
    assert message(page, "together")[0]["captions"][: len(captions)] == captions


def test_stages_of_a_training_can_differ_and_without_any_the_page_says_how(
    no_data, tmp_path, monkeypatch
):
    monkeypatch.setattr("pixelcnn.ui.measure.together.list_stages", lambda _: [])
    page = open_page(view="Common noise", differs="Stage of training")
    assert "--stages" in page.info[0].value and not has(page, "together")
    stage = tmp_path / "00005000.safetensors"
    stage.write_bytes(pixelcnn.storage.checkpoint_path("fashion-mnist-classic").read_bytes())
    monkeypatch.setattr("pixelcnn.ui.measure.together.list_stages", lambda _: [stage])
    page = open_page(view="Common noise", differs="Stage of training")
    wait_for(page, lambda p: has(p, "together"))
    assert message(page, "together")[0]["captions"] == [
        f"{pixelcnn.storage.read_info(pixelcnn.storage.checkpoint_path(NAME)).images_seen:,}"
        " images seen",
        "5,000 images seen",
    ]


def test_temperatures_are_swept_in_the_background(no_data, model):
    page = open_page(view="Temperatures", sweep=["0.0", "1.0"], sweep_images=2, sweep_class="Bag")
    next(b for b in page.button if b.label == "Draw 4 pictures").click().run()
    wait_for(page, lambda p: any("T = 1" in m.value for m in p.markdown))
    levels = sample(model, num_images=2, label=8)
    bits = pixelcnn.bits_per_dim(model, levels, 8).mean().item()
    assert f"**T = 1**  \n{bits:.2f} bits/dim" in texts(page)
    assert "**T = 0**" in texts(page) and "diversity 0.0%" in texts(page)
    assert has(page, "sweep-chart")


def test_the_table_lists_every_checkpoint_and_shows_no_numbers_of_other_weights(
    no_data, tmp_path, monkeypatch
):
    monkeypatch.setattr("pixelcnn.ui.measure.table.TABLE_PATH", tmp_path / "table.json")
    page = open_page(view="Models")
    table = next(m.value for m in page.markdown if m.value.startswith("| Checkpoint"))
    info = pixelcnn.storage.read_info(pixelcnn.storage.checkpoint_path(NAME))
    parameters = pixelcnn.load_model(NAME).num_parameters
    line = next(text for text in table.splitlines() if NAME in text)
    assert f"{parameters:,}" in line and f"{info.bits_per_dim['test']:.3f}" in line
    assert "not measured" in line and "evaluate --table --write" in page.info[0].value

    def keep(row):
        numbers = StoredNumbers(command="x", weights={}, values=Table([ModelRow(**row)]))
        save_numbers(tmp_path / "table.json", numbers)

    row = {
        "checkpoint": NAME, "weights": "0" * 16, "dataset": "fashion-mnist",
        "architecture": "gated", "num_levels": 256, "num_orders": 1, "test_bits_per_dim": 1.234,
        "order_bits_per_dim": [2.5],
        "ensemble_bits_per_dim": None, "test_images": 10_000, "num_parameters": 1,
        "images_seen": 1, "past_seen": 1.0, "seconds_one": 0.125, "seconds_of_16": 0.0625,
    }  # fmt: skip
    keep(row)
    assert "1.234" not in texts(open_page(view="Models"))
    row["weights"] = pixelcnn.storage.weights_digest(pixelcnn.storage.checkpoint_path(NAME))
    keep(row)
    page = open_page(view="Models")
    assert "**1.234**" in texts(page) and "0.12 s" in texts(page)


def test_every_chart_and_table_offers_its_data(no_data, tmp_path, monkeypatch, model, runs):
    runs.save("a/checkpoint", small_model(num_classes=2), "mnist")
    calibration = Calibration()
    levels = torch.randint(0, 4, (1, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    calibration.add(small_model()(levels), levels)
    tables = {"Common noise": 1, "Calibration": 1, "Models": 1, "Paradox": 2, "Score a picture": 1}
    for view in VIEWS:
        values = {"Paradox": small_paradox(model), "Calibration": calibration}
        store(tmp_path, monkeypatch, view, values.get(view, {}), {})
        page = open_page(view=view, model="run:a", common_model="run:a", sweep_images=2)
        for button in page.button:
            if button.label.startswith("Draw "):
                button.click().run()
        wanted = {"Score a picture": "classes", "Common noise": "together"}.get(view)
        wanted = {"Temperatures": "sweep-chart"}.get(view, wanted)
        wait_for(page, lambda p, key=wanted: key is None or has(p, key))
        charts = len(page.get("plotly_chart"))
        labels = [button.label for button in page.get("download_button")]
        expected = charts + tables.get(view, 0)
        assert labels.count("CSV") == labels.count("JSON") == expected > 0, view


VIEWS = ["Score a picture", "Paradox", "Common noise", "Temperatures", "Calibration", "Models"]


def small_model(**changes):
    shape = {"height": 28, "width": 28, "dilations": (1,), "dtype": torch.float32}
    return tiny_model(**(shape | changes))


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder of runs of its own, with a way to put checkpoints there."""

    class Runs:
        folder = tmp_path / "runs"

        def save(self, name, model, dataset, images_seen=7):
            info = CheckpointInfo(
                config=model.config, dataset=dataset, images_seen=images_seen, bits_per_dim={}
            )
            save_checkpoint(self.folder / f"{name}.safetensors", model, info)

    monkeypatch.setenv("PIXELCNN_RUNS", str(Runs.folder))
    return Runs()


def test_models_of_other_data_are_told_why_the_paradox_is_not_theirs(no_data, runs):
    colour = {"num_channels": 3, "num_features": 12, "head_features": 12}
    runs.save("photos/checkpoint", small_model(height=32, width=32, **colour), "cifar10")
    runs.save("threes/checkpoint", small_model(), "mnist/3")
    runs.save("unknown/checkpoint", small_model(), None)
    page = open_page(view="Paradox", model="run:photos", paradox_numbers="Measure here")
    assert "CIFAR-10 has pictures of 32 x 32 pixels in 3 channels" in page.info[0].value
    for view in ("Paradox", "Calibration"):
        page = open_page(view=view, model="run:threes")
        assert "run:threes learned MNIST, only '3': this is measured only" in page.info[0].value
        page = open_page(view=view, model="run:unknown")
        assert "learned a data set that it does not name" in page.info[0].value


def test_the_paradox_claims_no_more_than_the_paper(no_data, runs):
    runs.save("digits/checkpoint", small_model(), "mnist")
    page = open_page(view="Paradox", model="run:digits")
    assert "models of Fashion-MNIST give MNIST *more*" in texts(page)
    assert "of models of MNIST they claim no such thing" in texts(page)
    assert "`python -m pixelcnn measure paradox run:digits`" in page.info[0].value
    page = open_page(view="Paradox")
    assert "found the opposite: models of Fashion-MNIST give MNIST more likelihood" in texts(page)


def test_numbers_of_a_model_without_classes_do_not_speak_of_its_class(
    no_data, tmp_path, monkeypatch, runs
):
    runs.save("digits/checkpoint", small_model(), "mnist")
    calibration = Calibration()
    levels = torch.zeros(1, 1, 28, 28, dtype=torch.int64)
    calibration.add(small_model()(levels), levels)
    store(tmp_path, monkeypatch, "calibration", calibration, {})
    assert "1 test images, told no class" in texts(
        open_page(view="Calibration", model="run:digits")
    )
    assert "1 test images, told their class" in texts(open_page(view="Calibration"))


def test_a_set_without_background_has_no_bits_for_it(no_data, tmp_path, monkeypatch, model):
    paradox = small_paradox(model)
    paradox.background["mnist"] = (0.0, 0.0, 3.25)
    store(tmp_path, monkeypatch, "paradox", paradox, {})
    assert "| MNIST | 0% | none | 3.25 |" in texts(open_page(view="Paradox"))


def test_a_class_is_told_only_to_the_models_that_know_it(no_data, runs):
    runs.save("digits/checkpoint", small_model(num_classes=10, num_levels=256), "mnist")
    runs.save("plain/checkpoint", small_model(num_levels=256), "mnist")
    page = open_page(
        view="Common noise",
        differs="Checkpoint",
        checkpoints=["run:plain", "run:digits", NAME],
        common_class="Dress",
    )
    wait_for(page, lambda p: has(p, "together"))
    header, sections = message(page, "together")
    assert header["captions"] == [
        "run:plain (any class: it knows no Dress)", "run:digits (any class: it knows no Dress)",
        NAME,
    ]  # fmt: skip
    model = pixelcnn.load_model("run:digits")
    assert sections["levels1"].ravel().tolist() == sample(model, seed=0).flatten().tolist()
    dress = sample(pixelcnn.load_model(NAME), seed=0, label=3).flatten().tolist()
    assert sections["levels2"].ravel().tolist() == dress


def test_stages_of_a_run_can_differ_and_foreign_files_are_passed_over(no_data, runs):
    runs.save("a/checkpoint", small_model(seed=1), "mnist", 9000)
    for stage in (1000, 5000):
        runs.save(f"a/stages/{stage:08}", small_model(seed=stage), "mnist", stage)
    runs.save("a/stages/copy of 5000", small_model(), "mnist")
    page = open_page(view="Common noise", differs="Stage of training", common_model="run:a")
    wait_for(page, lambda p: has(p, "together"))
    captions = [f"{n:,} images seen" for n in (9000, 1000, 5000)]
    assert message(page, "together")[0]["captions"] == captions


@pytest.mark.parametrize(
    ("differs", "key"),
    [("Temperature", "common_t"), ("Class", "classes"), ("Checkpoint", "checkpoints"),
     ("Stage of training", "stages")],
)  # fmt: skip
def test_without_a_choice_there_is_one_sentence(no_data, differs, key):
    page = open_page(view="Common noise", differs=differs)
    page.multiselect(key=key).set_value([]).run()
    assert [info.value for info in page.info] == ["Choose at least one value of what differs."]
    assert not has(page, "together") and not page.exception


def test_at_most_four_pictures_are_drawn_side_by_side(no_data, runs):
    runs.save("a/checkpoint", small_model(), "mnist")
    page = open_page(view="Common noise", common_model="run:a", common_t=list("0123"))
    assert page.multiselect(key="common_t").proto.max_selections == 4
    wait_for(page, lambda p: has(p, "together"))
    for many in (["0.1", "0.2", "0.3", "0.4", "0.5"], ["1.0"] * 9):
        page = open_page(view="Common noise", common_model="run:a", common_t=many)
        wait_for(page, lambda p: has(p, "together"))
        assert len(message(page, "together")[0]["captions"]) <= 4


def test_a_damaged_checkpoint_is_named(tmp_path, monkeypatch, no_data):
    (tmp_path / "broken.safetensors").write_bytes(b"not a checkpoint")
    monkeypatch.setattr("pixelcnn.storage.CHECKPOINT_DIR", tmp_path)
    broken = {"broken": tmp_path / "broken.safetensors"}
    for module in ("controls", "measure.together", "measure.table"):
        monkeypatch.setattr(f"pixelcnn.ui.{module}.list_checkpoints", lambda: broken)
    for view in ("Score a picture", "Common noise"):
        page = open_page(view=view)
        assert "broken.safetensors" in page.error[0].value
    assert "damaged" in texts(open_page(view="Models"))
