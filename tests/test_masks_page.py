"""The Masks page as Streamlit runs it, without a browser, checked against the loaded model."""

import base64
import json
import re
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pixelcnn import load_model, sample
from pixelcnn.commands.train import command_line
from pixelcnn.config import TrainConfig
from pixelcnn.data.datasets import load_dataset
from pixelcnn.evaluation import wrong_mask
from pixelcnn.evaluation.likelihoods import surprise_bits
from pixelcnn.evaluation.stored import load_numbers
from pixelcnn.inspection.influence import effective_receptive_field, influence
from pixelcnn.inspection.kernels import kernel
from pixelcnn.inspection.receptive_field import PixelRole, layer_fields
from pixelcnn.models import GatedConfig, build_model, reshape_config
from pixelcnn.storage import CheckpointInfo, save_checkpoint
from pixelcnn.training.runs import RunConfig
from pixelcnn.ui.browser.wire import decode
from pixelcnn.ui.masks.board import Look
from pixelcnn.ui.masks.growth import about_blind_spot
from pixelcnn.ui.masks.guide import STEPS

from . import components
from .outside import as_read
from .tiny import CONVOLUTIONAL, tiny_model

GATED, CLASSIC = "fashion-mnist-gated", "fashion-mnist-classic"
SECTIONS = {
    "Masks": ("sliding", "weights"),
    "Why A then B": ("leak",),
    "Receptive field": ("growth", "effective"),
    "Prove it": ("pair",),
    "Build your own": ("own",),
    "What PixelCNN is": ("step_board",),
}


def open_page(**query) -> AppTest:
    page = AppTest.from_file("../app.py", default_timeout=120).switch_page("pages/masks.py")
    for name, value in query.items():
        page.query_params[name] = str(value)
    return page.run()


def shown(page: AppTest, key: str) -> tuple[dict, dict[str, np.ndarray]]:
    """What a board of the page was sent."""
    return decode(page.get_by_key(key).proto.bytes)


def pick(page: AppTest, key: str, name: str, pixel: int) -> None:
    """Click a pixel of a board."""
    tell(page, key, {"marks": {name: pixel}})


def tell(page: AppTest, key: str, told: dict) -> None:
    """Let a board tell the server of marks or of its frame."""
    header = shown(page, key)[0]
    told = {
        "marks": header["marks"],
        "frame": (header["frames"] or {"start": 0})["start"],
        "number": header["echo"] + 1,
    } | told
    components.trigger(page, key, "pick", told)
    assert not page.exception


def numbers_of(values) -> np.ndarray:
    """Read the numbers of a Plotly trace, which may be packed."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.array(values)


def texts(elements) -> str:
    return "\n".join(element.value for element in elements)


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """Put models of one's own in the place of the shipped ones; the cache knows them by time."""
    monkeypatch.setattr("pixelcnn.storage.CHECKPOINT_DIR", tmp_path)

    def put(**models):
        paths = {}
        for name, model in models.items():
            paths[name] = tmp_path / f"{name}.safetensors"
            info = CheckpointInfo(
                config=model.config, dataset=None, images_seen=1, bits_per_dim={}
            )
            save_checkpoint(paths[name], model, info)
        monkeypatch.setattr("pixelcnn.ui.shared.controls.list_checkpoints", lambda: paths)

    return put


def test_a_link_to_a_section_that_does_not_exist_opens_the_first():
    page = open_page(section="nonsense")
    assert not page.exception and page.session_state["section"] == "Masks"


@pytest.mark.parametrize(
    ("section", "name", "value", "rule"),
    [
        ("Receptive field", "pixel", "28-0", "be row-column, rows 0 to 27, columns 0 to 27"),
        ("Receptive field", "layer", "x", "be a number from 1 to 8"),
        ("What PixelCNN is", "step", "8", "be a number from 1 to 7"),
        ("What PixelCNN is", "step", "9" * 5000, "be a number from 1 to 7"),
    ],
)
def test_what_a_link_names_and_does_not_exist_is_said(section, name, value, rule):
    page = open_page(section=section, **{name: value})
    said = texts(page.warning)
    assert f"`{name}` (='{value[:5]}" in said and f"in the link must {rule}; shown is " in said
    assert not page.exception and shown(page, SECTIONS[section][0])[0]["panels"]
    assert name != "step" or STEPS[0].text in texts(page.markdown)


@pytest.mark.parametrize("name", [GATED, CLASSIC])
@pytest.mark.parametrize("section", SECTIONS)
def test_a_link_opens_each_section(section, name):
    page = open_page(section=section, model=name)
    assert not page.exception and not page.warning and not page.error
    for key in SECTIONS[section]:
        assert shown(page, key)[0]["panels"]


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("architecture", CONVOLUTIONAL)
def test_a_small_colour_model_without_labels_works_in_each_section(
    checkpoints, architecture, section
):
    checkpoints(colour=tiny_model(architecture, num_channels=3))
    page = open_page(section=section)
    assert not page.exception and not page.warning and not page.error
    for step in range(2, len(STEPS) + 1) if section == "What PixelCNN is" else ():
        page = open_page(step=step)
        assert not page.exception and not page.warning and not page.error


# --- Masks ---


def test_the_kernel_and_its_dilation_are_those_of_the_controls():
    page = open_page(section="Masks", kernel=9, dilation=4, pixel="3-5")
    header, sections = shown(page, "sliding")
    for number, reads in enumerate((40, 41)):
        panel = header["panels"][number]
        assert (panel["height"], panel["width"], panel["dilation"]) == (9, 9, 4)
        assert sections[f"values{number}"].sum() == reads
    assert header["marks"] == {"pixel": 3 * 28 + 5}
    pick(page, "sliding", "pixel", 100)
    assert page.query_params["pixel"] == "3-16"


@pytest.mark.draws_ahead
@pytest.mark.usefixtures("tiny_checkpoints")
def test_the_pictures_that_a_click_would_ask_for_are_drawn_before_it(monkeypatch):
    page = open_page(section="Masks", model=CLASSIC, seed=3)
    page.session_state["jobs"]["ahead"].wait(600)
    following = page.session_state["next_seed"]
    monkeypatch.setattr("pixelcnn.ui.masks.shown.sample", None)  # none is drawn from now on
    for seed, label in ((4, None), (following, None), (3, 2)):
        page.number_input(key="seed").set_value(seed)
        page.selectbox(key="class").set_value("Pullover" if label else "any")
        page.run()
        assert not page.exception
        picture = shown(page, "sliding")[1]["values2"]
        expected = sample(load_model(CLASSIC), seed=seed, label=label)
        assert np.array_equal(picture.ravel(), expected.ravel())


@pytest.mark.draws_ahead
@pytest.mark.usefixtures("tiny_checkpoints")
@pytest.mark.parametrize(
    ("section", "key"),
    [("Why A then B", "leak"), ("Receptive field", "effective"), ("Prove it", "pair")],
)
def test_what_a_section_shows_of_the_next_picture_is_computed_before_it(section, key, monkeypatch):
    page = open_page(section=section, model=CLASSIC, seed=3, pixel="9-9", wrong="true")
    page.session_state["jobs"]["ahead"].wait(600)
    monkeypatch.setattr("pixelcnn.ui.masks.computed.trial", None)  # nothing more is computed
    monkeypatch.setattr("pixelcnn.ui.shared.resources.load_checkpoint", None)  # or loaded
    monkeypatch.setattr("pixelcnn.ui.masks.ahead.draw_ahead", lambda *_: None)  # or prepared
    page.number_input(key="seed").set_value(4).run()
    assert not page.exception and "seed 4" in str(shown(page, key)[0])
    page.number_input(key="seed").set_value(3)
    page.selectbox(key="model").set_value(GATED).run()
    assert not page.exception and page.selectbox(key="model").value == GATED


def test_the_weights_on_the_page_are_those_of_the_loaded_model():
    model = load_model(CLASSIC)
    page = open_page(section="Masks", model=CLASSIC)
    for path in ("first", "blocks.2.conv", "head.0"):
        page.selectbox(key="weights_layer").set_value(path).run()
        page.selectbox(key="input").set_value("1").run()
        page.number_input(key="feature").set_value(3).run()
        values = shown(page, "weights")[1]["values0"]
        window = kernel(model, path)
        is_open = window.is_open[3, 1]
        assert (values[is_open] == window.weights[3, 1][is_open]).all()
        assert np.isnan(values[~is_open]).all() and is_open.any()
    assert not page.exception


def test_a_link_from_before_the_layer_had_a_name_of_its_own_opens_it():
    page = open_page(section="Masks", model=GATED, layer="block 1, vertical stack, 3 x 5, type B")
    assert page.selectbox(key="weights_layer").value == "blocks.0.vertical" and not page.warning


def test_a_feature_can_be_clicked_and_shrinks_to_the_last_one_of_a_smaller_layer():
    page = open_page(section="Masks", model=CLASSIC)
    header, _ = shown(page, "weights")
    overview = header["panels"][1]
    assert overview["title"].startswith("All 96 features")
    pick(page, "weights", "feature", overview["height"] * overview["width"] // 2)
    feature = page.number_input(key="feature").value
    assert (
        0 < feature < 96
        and f"Feature {feature}," in shown(page, "weights")[0]["panels"][0]["title"]
    )
    page.number_input(key="feature").set_value(95).run()
    page.selectbox(key="weights_layer").set_value("blocks.0.reduce").run()
    assert not page.exception and page.number_input(key="feature").value == 47


# --- Why A then B ---


@pytest.mark.parametrize("name", [GATED, CLASSIC])
def test_the_wrong_switch_turns_the_check_red_and_marks_the_leaking_pixel(name):
    page = open_page(section="Why A then B", model=name, pixel="12-9")
    looks = shown(page, "leak")[1]["looks2"]
    assert "Causality check passed" in texts(page.success) and not page.error
    assert "Not a bit changed" in texts(page.markdown) and Look.LEAK not in looks
    page.toggle(key="wrong").set_value(True).run()
    looks = shown(page, "leak")[1]["looks2"]
    assert "Causality check failed" in texts(page.error) and not page.success
    assert "It changed" in texts(page.markdown)
    assert (looks.ravel() == Look.LEAK).nonzero()[0].tolist() == [12 * 28 + 9]
    page.toggle(key="wrong").set_value(False).run()
    assert page.success and not page.error, "the loaded model is as it was"


def test_the_net_trained_with_the_wrong_mask_copies_what_it_must_predict(no_data):
    numbers = load_numbers(wrong_mask.PATH, wrong_mask.WrongMask)
    assert numbers.outdated == []
    kept, net = numbers.values, wrong_mask.load_wrong()
    assert kept.wrong[-1] < 0.01 < 2.5 < kept.right[-1] < kept.right[0]
    black, noise = canvases = wrong_mask.canvases(net.config)
    drawn = torch.tensor(kept.drawn)[:, None]
    assert (drawn[0] == black).all() and (drawn[1] == noise).double().mean() > 0.9
    bits = surprise_bits(net(canvases).double(), canvases)  # in one pass, as in training
    assert bits[1].mean() < 0.5
    page = open_page(section="Why A then B", pixel="12-9")
    assert f"**{kept.wrong[-1]:.2f}**" in texts(page.markdown)
    share = re.search(r"([\d.]+)\s% of the probability moves along", texts(page.markdown))[1]
    assert float(share) > 90


# --- Receptive field ---


@pytest.mark.parametrize("name", [GATED, CLASSIC])
def test_what_a_step_to_the_right_costs_is_said_of_the_loaded_kernels(name):
    model = load_model(name)
    config = model.config
    shape = {"num_features": 1, "head_features": 1, "num_levels": 2, "num_classes": 0}
    single = layer_fields(build_model(replace(reshape_config(config, "classic"), **shape)))[-1]
    height, width = config.height, config.width
    seen = np.argwhere(single.roles(height * width - width // 2) == PixelRole.SEEN)
    row, col = height - 1, width // 2
    steps = [(c - col) / (row - r) for r, c in seen if c > col]
    across = max(config.first_kernel_size, config.kernel_size) // 2
    assert max(steps) == across
    assert f"{across} steps to the right cost at least one row up" in about_blind_spot(config)


def test_the_loaded_field_grows_beside_that_of_the_other_architecture():
    page = open_page(section="Receptive field", model=CLASSIC)
    pick(page, "growth", "pixel", 490)
    assert page.query_params["pixel"] == "17-14"
    header, sections = shown(page, "growth")
    classic, gated = header["panels"]
    assert classic["title"].endswith("(loaded)") and not gated["title"].endswith("(loaded)")
    fields = layer_fields(load_model(CLASSIC))
    assert header["frames"]["count"] == len(fields)
    looks = sections["looks0"]
    for frame, field in enumerate(fields):
        assert (looks[frame] == field.roles(490)).all()
        blind = (looks[frame] == PixelRole.BLIND_SPOT).sum()
        share = re.search(r"blind spot (\d+) \(([\d.]+)", classic["captions"][frame]).groups()
        assert int(share[0]) == blind and float(share[1]) == pytest.approx(blind / 4.9, abs=0.051)
    assert (looks[-1] == PixelRole.BLIND_SPOT).any()
    assert not (sections["looks1"] == PixelRole.BLIND_SPOT).any()


def test_the_layer_at_which_one_stays_is_in_the_link():
    page = open_page(section="Receptive field", model=GATED, layer=3)
    frames = shown(page, "growth")[0]["frames"]
    assert frames["start"] == 2 and frames["is_told"]
    tell(page, "growth", {"frame": 5})
    assert page.query_params["layer"] == "6"
    pick(page, "growth", "pixel", 100)
    assert page.query_params["pixel"] == "3-16" and page.query_params["layer"] == "6"
    frames = shown(open_page(section="Receptive field", layer=99), "growth")[0]["frames"]
    assert frames["start"] == 7


@pytest.mark.parametrize("name", [GATED, CLASSIC])
def test_the_effective_field_is_that_of_the_loaded_model_at_this_pixel(name):
    page = open_page(section="Receptive field", model=name, pixel="9-17")
    model = load_model(name)
    field = effective_receptive_field(model, sample(model, seed=0), None, 9 * 28 + 17)
    values = shown(page, "effective")[1]["values1"]
    assert values.max() == 1 and np.allclose(values, field / field.max(), atol=1e-4)


# --- Prove it ---


def test_a_click_on_two_pixels_tells_what_the_trial_tells():
    model = load_model(CLASSIC)
    levels = sample(model, seed=4)
    page = open_page(section="Prove it", model=CLASSIC, seed=4)
    roles = layer_fields(model)[-1].roles(400).ravel()
    blind = int((roles == PixelRole.BLIND_SPOT).nonzero()[0][0])
    pick(page, "pair", "j", 400)
    for i, words in ((399, "Yes, i influences j"), (400, "mask A hides it"),
                     (401, "It comes later"), (blind, "blind spot")):  # fmt: skip
        pick(page, "pair", "i", i)
        assert words in texts([*page.success, *page.info]) and not page.error
        new = (int(levels.view(-1)[i]) + 128) % 256
        found = influence(model, levels, None, changed=i, level=new, predicted=400)
        assert found.unchanged == (i != 399)
        header, sections = shown(page, "pair")
        assert header["marks"] == {"i": i, "j": 400}
        changed = levels[0, 0].clone()
        changed.view(-1)[i] = new
        assert (sections["picture0"] == changed.numpy()).all()
    assert page.query_params["j"] == "14-8"


def test_the_check_of_all_pairs_runs_to_its_end_and_counts(checkpoints):
    model = tiny_model("classic").float()
    checkpoints(tiny=model)
    page = open_page(section="Prove it")
    press(page, "Check all pairs").run()
    for _ in range(300):
        if page.success and any("future" in text.value for text in page.success):
            break
        time.sleep(0.05)
        page.run()
    assert not page.exception and not page.error
    assert "Zero dependence on the future: **0** of 465 pairs" in texts(page.success)
    field = layer_fields(model)[-1].maps()
    found = re.search(r"(\d+) of 435 pairs with \*i\* before \*j\* changed", texts(page.markdown))
    assert 0 < int(found[1]) <= field.sum()
    assert f"The masks let {field.sum()} through; outside of these 0 changed" in texts(
        page.markdown
    )


def test_the_check_can_be_cancelled_and_begun_again():
    page = open_page(section="Prove it", model=GATED, seed=77)
    for _ in range(2):
        press(page, "Check all pairs").run()
        press(page, "Cancel").run()
        for _ in range(300):
            if any(button.label == "Check all pairs" for button in page.button):
                break
            time.sleep(0.1)
            page.run()
        assert not page.exception and "Cancelled" in texts(page.info)


def press(page: AppTest, label: str):
    return next(button for button in page.button if button.label == label).click()


# --- Build your own ---


def test_a_net_of_ones_own_has_its_field_and_its_parameters_at_once():
    page = open_page(section="Build your own", net="Gated", first=9, later=5, blocks=4)
    page.selectbox(key="pattern").set_value("1, 2").run()
    page.slider(key="features").set_value(16).run()
    config = GatedConfig(
        num_classes=10, num_features=16, head_features=128,
        first_kernel_size=9, kernel_size=5, dilations=(1, 2, 1, 2),
    )  # fmt: skip
    model = build_model(config)
    assert page.metric[0].value == f"{model.num_parameters:,}"
    header, sections = shown(page, "own")
    fields = layer_fields(model)
    assert (sections["looks0"] == np.stack([f.roles(14 * 28 + 14) for f in fields])).all()
    run = RunConfig(model=config, train=TrainConfig(dataset="fashion-mnist"))
    assert page.code[0].value == command_line(run, "NAME")
    page.selectbox(key="pattern").set_value("own list").run()
    page.text_input(key="dilations").set_value("3 9").run()
    assert shown(page, "own")[0]["frames"]["count"] == 3
    page.text_input(key="dilations").set_value("3 x").run()
    assert "`dilations` (='3 x')" in as_read(texts(page.error)) and not page.exception


# --- the guided path ---


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1))
def test_a_link_to_a_step_shows_its_text_and_a_live_board(number):
    page = open_page(step=number)
    assert not page.exception and not page.warning
    assert STEPS[number - 1].text in texts(page.markdown)
    assert f"{number}. {STEPS[number - 1].title}" in texts(page.markdown)
    assert shown(page, "step_board")[0]["panels"]
    back, onward = (page.button(key=f"guide_{name}") for name in ("back", "next"))
    assert back.disabled == (number == 1) and onward.disabled == (number == len(STEPS))


def test_the_pictures_of_the_path_hold_the_numbers_of_the_loaded_model():
    model = load_model(GATED)
    levels = sample(model, seed=0)
    with torch.inference_mode():
        probabilities = model(levels).double().softmax(1)[0, :, 0]  # (K, H, W)
    bits = -probabilities.log2().gather(0, levels[0])[0].numpy()

    page = open_page(step=2, pixel="12-14")
    assert f"that is there, {int(levels[0, 0, 12, 14])}, had a" in texts(page.markdown)
    bars = json.loads(page.get("plotly_chart")[0].proto.spec)["data"][0]["y"]
    assert np.allclose(numbers_of(bars), probabilities[:, 12, 14], atol=1e-6)

    page = open_page(step=3, pixel="12-14")
    assert np.allclose(shown(page, "step_board")[1]["values1"], bits, atol=1e-3)
    metrics = [float(metric.value.split(" ")[0].replace(",", "")) for metric in page.metric]
    flat = bits.ravel()
    wanted = [flat[12 * 28 + 14], flat[: 12 * 28 + 15].sum(), flat.sum()]
    assert metrics == pytest.approx(wanted, abs=0.6)

    _, sections = shown(open_page(step=6), "step_board")
    expected = (probabilities * torch.arange(256).view(-1, 1, 1)).sum(0).round()
    assert (sections["picture0"] == expected.numpy()).mean() > 0.999  # but for rounding
    assert (sections["picture1"] == levels[0, 0].numpy()).all()


def test_the_link_names_the_step_again_after_another_section():
    page = open_page(step=4)
    page.segmented_control(key="section").set_value("Masks").run()
    assert "step" not in page.query_params
    page.segmented_control(key="section").set_value("What PixelCNN is").run()
    assert page.query_params["step"] == "4" and STEPS[3].text in texts(page.markdown)


def test_next_and_back_walk_the_path_and_the_link_follows():
    page = open_page(section="What PixelCNN is")
    for number in [*range(2, len(STEPS) + 1), *range(len(STEPS) - 1, 0, -1)]:
        forward = number > int(page.query_params.get("step", "1"))
        page.button(key="guide_next" if forward else "guide_back").click().run()
        assert not page.exception and page.query_params["step"] == str(number)
        assert STEPS[number - 1].text in texts(page.markdown)


# --- images of the data set ---


def test_an_image_of_the_data_set_is_shown_where_the_data_is(made_up_data):
    images, _ = load_dataset("fashion-mnist", "test")
    page = open_page(section="Receptive field", picture="test image", item=4)
    assert not page.exception and not page.warning
    header, sections = shown(page, "effective")
    assert (sections["picture0"] == images[4, 0].numpy()).all() and "test image 4" in header[
        "hint"
    ]


def test_without_the_data_a_sample_is_shown_and_the_data_is_offered(no_data):
    page = open_page(section="Receptive field", picture="test image")
    assert not page.exception and "is not in the folder" in texts(page.caption)
    assert any(button.label.startswith("Download Fashion-MNIST") for button in page.button)
    assert "sample of the model" in shown(page, "effective")[0]["hint"]
