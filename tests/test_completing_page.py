"""Completing on the Complete page as Streamlit runs it, without a browser."""

import base64
import dataclasses
import time

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pixelcnn.data.datasets import class_names
from pixelcnn.models import build_model
from pixelcnn.storage import (
    CheckpointInfo,
    checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from pixelcnn.ui.complete.sketch import DRAWN, GIVEN, UNKNOWN, Sketch, to_text

from .complete_page import (
    ONE_ORDER,
    TIMEOUT,
    canvas_data,
    complete,
    draw,
    half,
    message,
    open_page,
    press,
    shown,
    words,
)
from .components import trigger
from .tiny import randomize, tiny_config
from .tiny_completion import same


def radio_captions(page: AppTest) -> str:
    return "\n".join(page.radio(key="method").proto.captions)


def test_a_half_is_completed_exactly_and_known_pixels_stay():
    page = complete(draw(open_page(completions_shown=3, complete_seed=5), half()))
    head, arrays = message(page)
    assert (head["num_images"], head["particles"]) == (3, 0)
    levels = arrays["level"].reshape(3, 28, 28)
    assert (levels[:, :14] == half().level[:14]).all()
    assert len(np.unique(levels, axis=0)) == 3
    assert "**Exact.** 3 independent draws of the model, given the 392 known pixels" in words(page)
    until = time.monotonic() + TIMEOUT
    while "Exact, every class being equally likely" not in words(page):  # a thread computes it
        assert time.monotonic() < until
        page.run()
    assert page.query_params["drawing"] == to_text(half())


def test_a_lower_half_is_completed_by_particles_that_say_how_far_to_trust_them():
    page = open_page(model=ONE_ORDER, completions_shown=2, particles=16)
    assert "prefix" not in words(page)
    draw(page, half(slice(14, 28)))
    assert "come late in the model's only order" in radio_captions(page)
    assert "16 pictures grow together" in radio_captions(page)
    complete(page)
    head, arrays = message(page)
    assert head["particles"] == 16
    assert (arrays["level"].reshape(2, 28, 28)[:, 14:] == half(slice(14, 28)).level[14:]).all()
    assert "**Approximate.** 16 particles" in words(page) and "log₂ p(known)" in words(page)
    assert any(b.label == "Estimate the class" for b in page.button)


def test_clamping_says_what_it_ignores():
    page = draw(
        open_page(model=ONE_ORDER, completions_shown=2, method="Clamping"), half(slice(14, 28))
    )
    ignored = np.unpackbits(
        np.frombuffer(base64.b64decode(canvas_data(page)["ignored"]), np.uint8)
    )
    assert np.array_equal(ignored.reshape(28, 28), np.arange(28).repeat(28).reshape(28, 28) >= 14)
    complete(page)
    assert "392 of 392 known pixels were ignored" in words(page)


def test_a_chosen_class_is_drawn_and_an_inferred_one_follows_the_posterior():
    page = complete(
        draw(open_page(completions_shown=2, complete_class="Bag", complete_seed=1), half())
    )
    assert message(page)[0]["captions"] == ["Bag", "Bag"]
    page.selectbox(key="complete_class").select("inferred").run()
    assert "of an earlier drawing or other settings" in words(page)
    complete(page)
    assert set(message(page)[0]["captions"]) <= set(class_names("fashion-mnist", 10))


def test_a_completion_is_taken_to_the_canvas():
    page = complete(draw(open_page(completions_shown=2), half()))
    head, arrays = message(page)
    trigger(page, "completions", "take", {"run": head["run"], "image": 1, "pixel": 500})
    assert np.array_equal(shown(page).level.ravel(), arrays["level"].reshape(2, -1)[1])
    assert (shown(page).state[14:] == GIVEN).all() and (shown(page).state[:14] == DRAWN).all()
    revision = canvas_data(page)["revision"]
    trigger(page, "completions", "take", {"run": "an older one", "image": 0, "pixel": 500})
    trigger(page, "completions", "take", {"run": head["run"], "image": 2, "pixel": 500})
    assert canvas_data(page)["revision"] == revision


def test_a_link_reproduces_what_is_shown_or_carries_no_drawing():
    page = complete(draw(open_page(completions_shown=2), half()))
    assert page.query_params["drawing"] == to_text(half())
    page.number_input(key="complete_seed").set_value(7).run()
    assert "drawing" not in page.query_params
    page.number_input(key="complete_seed").set_value(0).run()
    assert page.query_params["drawing"] == to_text(half())
    draw(page, half(slice(0, 13)))
    assert "drawing" not in page.query_params and canvas_data(page)["link"] == ""


def test_the_link_of_a_drawing_that_cannot_be_completed_is_tried_once(monkeypatch):
    def fail(*_):
        raise ValueError("no memory left")

    monkeypatch.setattr("pixelcnn.ui.complete.results.CompletionRun", fail)
    page = open_page(drawing=to_text(half()))
    assert not page.exception
    assert page.error[0].value == "This cannot be completed. no memory left"
    assert not page.run().error  # said once, and not tried again
    assert same(shown(page), half())


def test_stopping_an_inferred_class_ends_the_completions_and_they_can_begin_again():
    page = draw(
        open_page(model=ONE_ORDER, completions_shown=2, complete_class="inferred"),
        half(slice(14, 28)),
    )
    press(page, "Complete")
    head = message(page)[0]
    assert "inferring the class" in head["waiting"]
    (stop,) = [b for b in page.button if b.label == "Stop"]
    assert "given up" in stop.help
    stop.click()
    # A request for more comes in the same moment.
    trigger(page, "completions", "pull", {"run": head["run"], "serial": head["serial"]})
    page.run()
    assert not page.exception and not page.error
    assert "completion" not in page.session_state
    page.run()
    assert "completion" not in page.session_state  # it does not begin again by itself
    press(page, "Complete")
    assert message(page)[0]["run"] != head["run"]
    page.session_state["posterior"].cancel()


def test_an_estimate_of_the_class_can_be_stopped_and_begun_again():
    page = draw(open_page(model=ONE_ORDER, completions_shown=1, particles=16), half(slice(14, 28)))
    complete(page)
    press(page, "Estimate the class")
    press(page, "Stop")
    page.run()
    assert not page.exception
    press(page, "Estimate again")
    assert page.session_state["posterior"].running
    page.session_state["posterior"].cancel()


def test_a_completion_opens_on_the_generate_page_with_its_own_model_and_rule(with_orders):
    page = open_page(model="fashion-mnist-gated", completions_shown=2, temperature=0.7, top_k=50)
    complete(draw(page, half()))
    head, arrays = message(page)
    page.slider(key="temperature").set_value(1.5)
    page.selectbox(key="model").select("fashion-mnist-orders").run()
    trigger(page, "completions", "open", {"run": head["run"], "image": 1, "pixel": 500})
    state = page.session_state
    assert (state["model"], state["temperature"], state["top_k"]) == (
        "fashion-mnist-gated", 0.7, 50,
    )  # fmt: skip
    drawing = state["drawing"]
    drawing.current.draw(784, 60)
    assert np.array_equal(drawing.current.levels().ravel(), arrays["level"].reshape(2, -1)[1])


@pytest.mark.parametrize(
    ("state", "why"), [(UNKNOWN, "Nothing is known yet"), (GIVEN, "Every pixel is known")]
)
def test_a_drawing_that_leaves_nothing_to_do_says_why(state, why):
    page = draw(
        open_page(), Sketch(np.zeros((28, 28), np.uint8), np.full((28, 28), state, np.uint8))
    )
    (button,) = [b for b in page.button if b.label == "Complete"]
    assert button.disabled and why in words(page)


def test_an_impossible_method_cannot_be_pressed():
    page = draw(open_page(model=ONE_ORDER, method="Prefix"), half(slice(14, 28)))
    (button,) = [b for b in page.button if b.label == "Complete"]
    assert button.disabled and "not possible with this drawing" in words(page)


def test_a_hand_drawing_is_offered_a_tolerance():
    assert "*tolerance*" in words(draw(open_page(), half()))
    assert "*tolerance*" not in words(draw(open_page(tolerance=10), half()))


@pytest.fixture
def with_orders(tmp_path, monkeypatch):
    """The shipped checkpoints, and a random one of eight orders."""
    _, info = load_checkpoint(checkpoint_path("fashion-mnist-gated"))
    config = tiny_config(height=28, width=28, num_levels=256, num_orders=8)
    info = dataclasses.replace(info, config=config, bits_per_dim={})
    path = tmp_path / "fashion-mnist-orders.safetensors"
    save_checkpoint(path, randomize(build_model(config)), info)
    paths = {"fashion-mnist-gated": checkpoint_path("fashion-mnist-gated"), path.stem: path}
    for module in ("ui.controls", "ui.resources"):
        monkeypatch.setattr(f"pixelcnn.{module}.list_checkpoints", lambda: paths)
    monkeypatch.setattr("pixelcnn.ui.resources.checkpoint_path", lambda name: paths[name])


def test_a_model_of_eight_orders_is_chosen_first_and_exact_from_below(with_orders):
    page = open_page(completions_shown=2)
    assert page.selectbox(key="model").value == "fashion-mnist-orders"
    draw(page, half(slice(14, 28)))
    assert canvas_data(page)["order"] in (2, 3)  # rows from the bottom
    assert "Order: rows from the bottom" in words(page)
    complete(page)
    assert "**Exact.** 2 independent draws" in words(page)
    drawn = message(page)[1]["scan"]
    assert set(drawn[:392] // 28) == set(range(14, 28)) and set(drawn[392:] // 28) == set(
        range(14)
    )


def test_a_model_of_one_order_points_to_one_of_eight_where_that_is_exact(with_orders):
    page = draw(open_page(model="fashion-mnist-gated"), half(slice(14, 28)))
    (button,) = [b for b in page.button if b.label == "Exact with fashion-mnist-orders"]
    button.click().run()
    assert page.selectbox(key="model").value == "fashion-mnist-orders"
    assert same(shown(page), half(slice(14, 28)))
    assert not [b for b in page.button if b.label.startswith("Exact with")]
    middle = Sketch(half().level, np.roll(half(slice(0, 10)).state, 9, 0))
    page = draw(open_page(model="fashion-mnist-gated"), middle)
    assert not [b for b in page.button if b.label.startswith("Exact with")]


def test_the_drawing_follows_to_a_model_of_other_levels(tmp_path, monkeypatch):
    _, info = load_checkpoint(checkpoint_path("fashion-mnist-gated"))
    config = tiny_config(height=28, width=28, num_levels=16)
    path = tmp_path / "few.safetensors"
    info = dataclasses.replace(info, config=config, bits_per_dim={})
    save_checkpoint(path, randomize(build_model(config)), info)
    paths = {"fashion-mnist-gated": checkpoint_path("fashion-mnist-gated"), path.stem: path}
    for module in ("ui.controls", "ui.resources"):
        monkeypatch.setattr(f"pixelcnn.{module}.list_checkpoints", lambda: paths)
    monkeypatch.setattr("pixelcnn.ui.resources.checkpoint_path", lambda name: paths[name])
    page = draw(open_page(), half())
    first = canvas_data(page)
    page.selectbox(key="model").select("few").run()
    second = canvas_data(page)
    assert (first["levels"], second["levels"]) == (256, 16)
    assert second["revision"] > first["revision"]  # the canvas takes the converted drawing
    assert same(shown(page), half().with_levels(16))
    draw(page, half(), revision=first["revision"])  # a late stroke in the old levels
    assert same(shown(page), half().with_levels(16))


def test_a_model_of_colours_is_refused_in_words(tmp_path, monkeypatch):
    config = tiny_config(height=8, width=8, num_levels=16, num_channels=3)
    path = tmp_path / "colours.safetensors"
    info = CheckpointInfo(config=config, dataset=None, images_seen=0, bits_per_dim={})
    save_checkpoint(path, randomize(build_model(config)), info)
    monkeypatch.setattr("pixelcnn.ui.controls.list_checkpoints", lambda: {"colours": path})
    monkeypatch.setattr("pixelcnn.ui.resources.checkpoint_path", lambda name: path)
    page = open_page()
    assert not page.exception
    assert "completes grey pictures" in page.info[0].value
