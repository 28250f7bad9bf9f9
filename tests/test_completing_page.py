"""Completing on the Complete page as Streamlit runs it, without a browser."""

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pixelcnn.completion import complete as complete_in_python
from pixelcnn.data.datasets import class_names
from pixelcnn.sampling import sample
from pixelcnn.storage import CheckpointInfo, checkpoint_path, save_checkpoint
from pixelcnn.ui.shared.sketch import DRAWN, GIVEN, UNKNOWN, Sketch, given, to_text

from .complete_page import (
    ONE_ORDER,
    READER,
    canvas_data,
    canvas_message,
    complete,
    draw,
    finish,
    half,
    message,
    model_of,
    open_page,
    press,
    run_of,
    shown,
    words,
)
from .components import trigger
from .tiny import tiny_model
from .tiny_completion import same
from .tiny_runs import info_of

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")
NAMES = class_names("fashion-mnist", 10)


def radio_captions(page: AppTest) -> str:
    return "\n".join(page.radio(key="method").proto.captions)


def test_a_lower_half_is_completed_by_particles_that_say_how_far_to_trust_them():
    page = open_page(model=ONE_ORDER, completions_shown=2, particles=16)
    draw(page, half(slice(14, 28)))
    assert not canvas_data(page)["hints"]  # no encoder: facts
    assert canvas_data(page)["pause_ms"] == 1000 and run_of(page).quiet  # slower, so more rest
    assert "comes first in the model's only order" in radio_captions(page)
    assert "16 pictures grow together" in radio_captions(page)
    complete(page)
    head, arrays = message(page)
    assert head["particles"] == 16
    assert (arrays["level"].reshape(2, 28, 28)[:, 14:] == half(slice(14, 28)).level[:, 14:]).all()
    assert "**Approximate.** Method: *particles*. 16 particles" in words(page)
    assert "log₂ p(known)" in words(page)
    assert any(b.label == "Estimate the class" for b in page.button)


def test_clamping_says_what_it_ignores():
    page = draw(
        open_page(model=ONE_ORDER, completions_shown=2, method="Clamping"), half(slice(14, 28))
    )
    ignored = canvas_message(page)[1]["ignored"]
    assert np.array_equal(ignored, np.arange(28).repeat(28).reshape(28, 28) >= 14)
    complete(page)
    assert "392 of 392 known pixels were ignored" in words(page)


def test_strokes_are_hints_that_are_completed_again_after_each_change():
    page = draw(open_page(completions_shown=2), half(slice(3, 5)))
    first = run_of(page)
    assert first.request.method == "learned" and first.quiet and not first.known.any()
    picture = Sketch(np.full((1, 28, 28), 60, np.uint8), np.full((28, 28), GIVEN, np.uint8))
    mixed = Sketch(half().level, np.where(half().known, half().state, picture.state))
    draw(page, mixed)
    assert run_of(page) is not first and same(run_of(page).sketch, mixed)
    assert np.array_equal(run_of(page).known, mixed.state == GIVEN)
    levels = message(finish(page))[1]["level"].reshape(2, 28, 28)
    assert (levels[:, 14:] == mixed.level[:, 14:]).all() and (levels[:, :14] != 0).any()
    assert "guesses that fit your drawing" in words(page) and "392 pixels of hints" in words(page)
    before = run_of(page)
    page.toggle(key="exactly").set_value(True).run()
    assert run_of(page) is before  # now every pixel is known
    page.toggle(key="exactly").set_value(False).run()
    page.toggle(key="live").set_value(False).run()
    draw(page, half(slice(3, 5)))
    assert run_of(page) is before
    assert "belong to an earlier drawing or other settings" in words(page)
    assert not press(page, "Complete").exception and not run_of(page).quiet


def test_live_completions_need_no_encoder_but_a_class_that_is_quickly_known():
    page = draw(open_page(model=ONE_ORDER, completions_shown=1), half())
    assert page.toggle(key="exactly-always").value and run_of(page).request.method == "prefix"
    page.selectbox(key="complete_class").select("inferred").run()
    before = run_of(page)
    draw(page, half(slice(14, 28)))
    live = page.toggle(key="live")
    assert live.disabled and "guesses the class" in live.help and run_of(page) is before
    assert canvas_data(page)["pause_ms"] == 0
    page.selectbox(key="complete_model").select(READER).run()
    assert not run_of(page).request.exactly and run_of(page).request.method == "learned"


def test_each_completion_shows_its_class_be_it_chosen_guessed_or_left_open():
    page = draw(open_page(completions_shown=2, complete_class="Bag"), half())
    for chosen in ("Bag", "inferred", "any", "each"):
        page.selectbox(key="complete_class").select(chosen).run()
        head = message(finish(page))[0]
        looks = [name for name, _ in head["looks"]]
        assert set(looks) <= set(NAMES)
        assert all(0 <= percent <= 100 for _, percent in head["looks"])
        one_of_each = ["T-shirt/top", "Trouser"]
        asked = {"Bag": ["Bag", "Bag"], "inferred": looks, "any": ["", ""], "each": one_of_each}
        assert head["captions"] == asked[chosen]
        assert "The encoder's guess" in words(page)
        guess = run_of(page).posterior.latest.probabilities
        shown = {bar.proto.text.split(":")[0]: bar.proto.value for bar in page.get("progress")}
        assert list(shown.values()) == sorted(shown.values(), reverse=True)
        assert shown == {
            name: int(100 * p) for name, p in zip(NAMES, guess.tolist(), strict=True) if p >= 0.01
        }


def test_a_class_pinned_in_the_sheet_draws_that_completion_anew_and_a_link_keeps_it():
    page = finish(draw(open_page(completions_shown=3, complete_class="Bag"), half()))
    head, arrays = message(page)
    trigger(page, "completions", "pin", {"run": head["run"], "image": 1, "pixel": 9, "label": 3})
    assert page.multiselect(key="pinned_classes").value == ["2: Dress"] and not page.exception
    pinned, after = message(page)
    assert pinned["captions"] == ["Bag", "Dress", "Bag"] and pinned["pins"] == {"1": 3}
    assert pinned["run"] == head["run"] and pinned["done"]  # the sheet stays as it is
    same_levels = (after["level"] == arrays["level"]).reshape(3, 784).all(1)
    assert same_levels.tolist() == [True, False, True]
    link = {name: page.query_params[name] for name in ("drawing", "v", "complete_class")}
    link["pinned_classes"] = "2: Dress"
    again = finish(
        open_page(
            completions_shown=3, **{n: v[0] if isinstance(v, list) else v for n, v in link.items()}
        )
    )
    assert np.array_equal(message(again)[1]["level"], after["level"])
    page.multiselect(key="pinned_classes").set_value([]).run()
    assert np.array_equal(message(page)[1]["level"], arrays["level"])


@pytest.mark.parametrize("exactly", ["true", "false"])
def test_a_taken_completion_is_what_was_shown(exactly):
    page = complete(draw(open_page(completions_shown=2, exactly=exactly), half()))
    head, arrays = message(page)
    trigger(page, "completions", "take", {"run": head["run"], "image": 1, "pixel": 500})
    assert np.array_equal(shown(page).level.ravel(), arrays["level"].reshape(2, -1)[1])
    assert (shown(page).state[14:] == GIVEN).all()
    assert (shown(page).state[:14] == (DRAWN if exactly == "true" else GIVEN)).all()
    assert ("**Exact.** 2 independent draws of the model" in words(page)) == (exactly == "true")
    assert message(page)[0]["run"] == head["run"]  # nothing is left to complete
    revision = canvas_data(page)["revision"]
    trigger(page, "completions", "take", {"run": "an older one", "image": 0, "pixel": 500})
    trigger(page, "completions", "take", {"run": head["run"], "image": 2, "pixel": 500})
    assert canvas_data(page)["revision"] == revision


def test_a_link_reproduces_what_is_shown_or_carries_no_drawing():
    page = complete(draw(open_page(completions_shown=2, live="false"), half()))
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
    assert "guessing the class" in head["waiting"]
    (stop,) = [b for b in page.button if b.label == "Stop"]
    assert "gives up the completions" in stop.help
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
    run_of(page).posterior.cancel(page.session_state["visitor"])


def test_an_estimate_of_the_class_can_be_stopped_and_begun_again():
    page = draw(open_page(model=ONE_ORDER, completions_shown=1, particles=16), half(slice(14, 28)))
    complete(page)
    press(page, "Estimate the class")
    press(page, "Stop")
    page.run()
    assert not page.exception
    press(page, "Estimate again")
    assert run_of(page).posterior.running
    run_of(page).posterior.cancel(page.session_state["visitor"])


def test_a_completion_opens_on_the_generate_page_with_its_own_model_and_rule(with_orders):
    query = {"completions_shown": 2, "temperature": 0.7, "top_k": 50, "live": "false"}
    page = open_page(model="fashion-mnist-gated", **query)
    complete(draw(page, half()))
    head, arrays = message(page)
    page.select_slider(key="temperature").set_value(1.5)
    page.selectbox(key="complete_model").select("fashion-mnist-orders").run()
    trigger(page, "completions", "open", {"run": head["run"], "image": 1, "pixel": 500})
    state = page.session_state
    assert (state["model"], state["temperature"], state["top_k"]) == (
        "fashion-mnist-gated", 0.7, 50,
    )  # fmt: skip
    drawing = state["drawing"]
    drawing.current.draw(float("inf"))
    assert np.array_equal(drawing.current.levels().ravel(), arrays["level"].reshape(2, -1)[1])


@pytest.mark.parametrize(
    ("query", "state", "why"),
    [
        ({}, UNKNOWN, "Nothing to complete yet"),
        ({}, GIVEN, "Every pixel is known"),
        ({"exactly": "true"}, DRAWN, "Every pixel is known"),
        ({"method": "Particles"}, DRAWN, "not possible with this drawing"),
        ({"method": "Learned", "model": ONE_ORDER}, None, "not possible with this drawing"),
        ({"method": "Prefix", "model": ONE_ORDER}, None, "not possible with this drawing"),
    ],
)
def test_what_cannot_be_completed_says_why(query, state, why):
    whole = Sketch(np.zeros((1, 28, 28), np.uint8), np.full((28, 28), state or 0, np.uint8))
    page = draw(open_page(**query), half(slice(14, 28)) if state is None else whole)
    (button,) = [b for b in page.button if b.label == "Complete"]
    assert button.disabled and why in words(page) and run_of(page) is None


@pytest.fixture
def with_orders(monkeypatch):
    """Of all models only one of one order and one of eight."""
    paths = {n: checkpoint_path(n) for n in (ONE_ORDER, "fashion-mnist-orders")}
    for module in ("ui.shared.controls", "ui.shared.resources"):
        monkeypatch.setattr(f"pixelcnn.{module}.list_checkpoints", lambda: paths)


def test_a_model_of_one_order_points_to_one_of_eight_where_that_is_exact(with_orders):
    page = draw(open_page(model="fashion-mnist-gated"), half(slice(14, 28)))
    press(page, "Exact with fashion-mnist-orders")
    assert model_of(page) == model_of(open_page()) == "fashion-mnist-orders"
    assert canvas_data(page)["order"] in (2, 3) and "Order: rows from the bottom" in words(page)
    assert same(shown(page), half(slice(14, 28)))
    assert not [b for b in page.button if b.label.startswith("Exact with")]
    middle = Sketch(half().level, np.roll(half(slice(0, 10)).state, 9, 0))
    page = draw(open_page(model="fashion-mnist-gated"), middle)
    assert not [b for b in page.button if b.label.startswith("Exact with")]


def test_the_drawing_follows_to_a_model_of_other_levels(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path))
    model = tiny_model(height=28, width=28, num_levels=16, dtype=torch.float32)
    info = CheckpointInfo(
        config=model.config, dataset="fashion-mnist", images_seen=0, bits_per_dim={}
    )
    save_checkpoint(tmp_path / "few" / "checkpoint.safetensors", model, info)
    page = draw(open_page(), half())
    first = canvas_data(page)
    page.selectbox(key="complete_model").select("run:few").run()
    second = canvas_data(page)
    assert (first["levels"], second["levels"]) == (256, 16)
    assert second["revision"] > first["revision"]  # the canvas takes the converted drawing
    assert same(shown(page), half().with_levels(16))
    draw(page, half(), revision=first["revision"])  # a late stroke in the old levels
    assert same(shown(page), half().with_levels(16))


def test_a_picture_of_colours_is_covered_and_completed(tmp_path, monkeypatch):
    model = tiny_model(height=8, width=9, num_levels=16, num_channels=3, dtype=torch.float32)
    path = tmp_path / "colours.safetensors"
    save_checkpoint(path, model, info_of(model))
    monkeypatch.setattr("pixelcnn.ui.shared.controls.list_checkpoints", lambda: {"colours": path})
    monkeypatch.setattr("pixelcnn.ui.shared.resources.checkpoint_path", lambda name: path)
    picture = sample(model, seed=2)
    page = draw(open_page(), given(picture[0].numpy(), 16))
    finish(press(page, "Lower half"))
    known = torch.arange(8)[:, None].expand(1, 1, 8, 9) < 4
    wanted = complete_in_python(model, picture, known, num_images=16).levels[0].numpy()
    assert (run_of(page).levels() == wanted).all()
