"""The pages as Streamlit runs them, without a browser."""

import time

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pixelcnn.inspection.influence import leaking_copy
from pixelcnn.inspection.receptive_field import predictions_changed
from pixelcnn.storage import save_checkpoint
from pixelcnn.training.runs import create_run
from pixelcnn.ui.browser.wire import decode
from pixelcnn.ui.generate.course import Course
from pixelcnn.ui.shared import controls
from pixelcnn.ui.shared.glossary import OF_PAGE, TERMS
from pixelcnn.ui.shared.layout import PAGES

from . import components
from .tiny import tiny_model
from .tiny_runs import config, info_of

TIMEOUT = 120
pytestmark = pytest.mark.usefixtures("tiny_checkpoints")


def open_page(**query) -> AppTest:
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    for name, value in query.items():
        page.query_params[name] = str(value)
    return page.run()


def trigger(page: AppTest, event: str, value: dict) -> AppTest:
    return components.trigger(page, "player", event, value)


def message(page: AppTest) -> tuple[dict, dict[str, np.ndarray]]:
    return decode(page.get_by_key("player").proto.bytes)


def ask(page: AppTest, **changes) -> tuple[dict, dict[str, np.ndarray]]:
    """Ask as the browser does, which has heard of all there is to hear of."""
    head, _ = message(page)
    asked = {
        "picture": head["picture"],
        "course": head["course"],
        "have": head["start"] + head["count"],
        "rule": head["rule"],
        "open": None,
    }
    trigger(page, "ask", asked | changes)
    assert not page.exception
    return message(page)


def finish(page: AppTest) -> Course:
    course = page.session_state["drawing"].current
    for _ in course.iter_finish():
        pass
    return course


def test_the_first_page_opens_and_is_drawing():
    page = open_page()
    assert not page.exception and not page.error
    header, sections = message(page)
    assert header["total"] == 784 and header["count"] > 0
    assert sections["dependency"].shape == (784, 98)


def test_asks_draw_the_picture_to_its_end_and_every_distribution_sums_to_one():
    page = open_page(seed=5, temperature=0.9)
    head, sections = message(page)
    for _ in range(784):
        if head["png_bytes"]:
            break
        head, sections = ask(page)
    head, sections = ask(page, have=0)
    assert head["count"] == 784 and len(head["png_bytes"]) == 1
    np.testing.assert_allclose(sections["rule_probabilities"].sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(sections["model_probabilities"].sum(1), 1, atol=1e-5)


def test_what_is_asked_while_the_visitor_goes_to_another_page_is_dropped():
    page = open_page()
    asked = {"picture": message(page)[0]["picture"], "course": "0_1_0_1", "have": 9}
    page.switch_page("pages/masks.py")
    trigger(page, "ask", asked | {"rule": "1_0_1", "open": None})
    assert not page.exception and page.get_by_key("section").value == "Masks"


def test_a_link_reproduces_the_picture():
    settings = {"seed": 11, "class": "Sandal", "temperature": 0.9, "top_k": 200, "top_p": 0.99}
    first, second = (finish(open_page(**settings)).level for _ in range(2))
    assert (first == second).all()
    other = finish(open_page(**settings | {"seed": 12})).level
    assert (first != other).any()


def test_the_controls_show_the_settings_of_the_link():
    page = open_page(seed=7, temperature=0.35, **{"class": "Bag"})
    assert page.number_input(key="seed").value == 7
    assert page.select_slider(key="temperature").value == 0.35
    assert page.selectbox(key="class").value == "Bag"
    assert open_page(temperature="2.0").select_slider(key="temperature").value == 2


def test_the_first_picture_is_a_chosen_one():
    assert open_page().session_state["drawing"].subject.seed == controls.GOOD_SEED


def test_a_new_temperature_is_told_and_acts_in_the_course_that_is_asked_for():
    page = open_page(seed=1)
    before = page.session_state["drawing"].current.level.copy()
    page.select_slider(key="temperature").set_value(0.25).run()
    head, _ = message(page)
    assert head["rule"] == "0.25_0_1" and head["course"] == "0_1_0_1" and head["count"] == 0
    head, _ = ask(page, course="0_1_0_1~1_0.25_0_1", have=1)
    assert head["course"] == "0_1_0_1~1_0.25_0_1"
    assert head["start"] == 1 and page.select_slider(key="temperature").value == 0.25
    assert (page.session_state["drawing"].current.level[:1] == before[:1]).all()


def test_a_link_reproduces_a_picture_whose_rule_changed_and_whose_level_was_forced():
    history = "0_1_0_1~100_0.3_0_1~300_1.2_50_0.9~f200_255~f305_0"
    settings = {"seed": 3, "temperature": 1.2, "top_k": 50, "top_p": 0.9, "history": history}
    first, second = (finish(open_page(**settings)) for _ in range(2))
    assert (first.level == second.level).all()
    assert first.level[200, 0] == 255 and first.level[305, 0] == 0


def test_a_history_that_cannot_be_read_is_named_and_the_picture_is_drawn_without_it():
    page = open_page(history="0_1_0_1~f9999_0")
    assert not page.exception
    assert "pixel 9999 must lie in 0..783" in page.warning[0].value
    assert page.session_state["drawing"].current.name == "0_1_0_1"


def test_the_sliders_follow_the_viewer_to_another_course_but_not_against_his_will():
    page = open_page(seed=2)
    page.select_slider(key="temperature").set_value(0.5).run()
    ask(page, course="0_0.5_0_1", have=0)
    assert page.select_slider(key="temperature").value == 0.5
    # A message from before he moved the slider: that course has the rule that he took back.
    ask(page, course="0_1_0_1", rule="1_0_1")
    page.run()
    assert (
        page.select_slider(key="temperature").value == 0.5
        and message(page)[0]["rule"] == "0.5_0_1"
    )
    # He knows what the sliders say and goes to the first course.
    for _ in range(2):  # asked again, before the browser hears that the slider has moved
        page.select_slider(key="temperature").set_value(0.5)
        ask(page, course="0_1_0_1", rule="0.5_0_1")
        page.run()
        assert page.select_slider(key="temperature").value == 1.0
        assert message(page)[0]["rule"] == "1_0_1"
    assert page.session_state["drawing"].current.name == "0_1_0_1"


def test_a_sheet_draws_many_pictures_and_one_of_them_can_be_opened():
    page = open_page(pictures=9, rows="true", seed=4)
    page.select_slider(key="temperature").set_value(0.8).run()
    ask(page, course="0_1_0_1~5_0.8_0_1", have=0)
    sheet = page.session_state["drawing"]
    levels = finish(page).level
    assert sheet.captions[:4] == ["T-shirt/top"] * 3 + ["Trouser"]
    head, sections = message(page)
    assert head["columns"] == 3 and "model_probabilities" not in sections
    ask(page, open=4)
    page.run()
    single = page.session_state["drawing"]
    assert single.subject.image == 4 and single.captions == ["Trouser"]
    assert message(page)[0]["pin"] == -1, "it is shown finished, as it was on the sheet"
    # What was asked before the browser heard of it brings the settings of the sheet.
    page.slider(key="pictures").set_value(9)
    ask(page, picture=head["picture"], open=5)
    page.run()
    assert page.session_state["drawing"] is single
    assert (finish(page).level[:, 0] == levels[:, 4]).all()
    next(b for b in page.button if b.label == "Back to the sheet of 9").click().run()
    assert page.session_state["drawing"].subject == sheet.subject
    assert (finish(page).level == levels).all()
    assert not [b for b in page.button if b.label.startswith("Back")]


def test_a_sheet_that_ends_beyond_the_last_picture_is_refused():
    page = open_page(pictures=4, image=2**32 - 3)
    assert not page.exception
    assert "0 to 4,294,967,295; this sheet would end at 4,294,967,296" in page.error[0].value
    page.slider(key="pictures").set_value(3).run()
    assert not page.error and page.session_state["drawing"].subject.image == 2**32 - 3


@pytest.mark.parametrize("verdict", ["passed", "failed"])
def test_every_prediction_is_tried_and_the_page_says_so(tmp_path, monkeypatch, verdict):
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path))
    model = tiny_model(dtype=torch.float32)
    save_checkpoint(tmp_path / "imported" / "tiny.safetensors", model, info_of(model))
    if verdict == "failed":
        leaky = leaking_copy(model), info_of(model)
        monkeypatch.setattr("pixelcnn.ui.shared.resources.load_checkpoint", lambda _: leaky)
    tried = []

    def spy(model, positions):
        if model.config.num_dims == 30:  # other models are checked in the background too
            tried.extend(positions)
        return predictions_changed(model, positions)

    monkeypatch.setattr("pixelcnn.ui.shared.resources.predictions_changed", spy)
    page = open_page(model="imported:tiny")
    until = time.monotonic() + TIMEOUT
    while not any(
        f"Causality check {verdict}" in box.value for box in (*page.caption, *page.error)
    ):
        assert time.monotonic() < until
        time.sleep(0.2)
        page.run()
    assert tried == list(range(30))


def test_a_run_is_called_as_its_owner_wrote_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path))
    run = create_run(config(), name="Größe *2*")
    model = tiny_model(dtype=torch.float32)
    save_checkpoint(run.checkpoint, model, info_of(model))
    page = open_page(model=f"run:{run.id}")
    assert "The run *Größe \\*2\\**" in [caption.value for caption in page.caption]


def test_a_damaged_checkpoint_is_named_on_the_page(tmp_path, monkeypatch):
    (tmp_path / "broken.safetensors").write_bytes(b"not a checkpoint")
    monkeypatch.setattr("pixelcnn.storage.CHECKPOINT_DIR", tmp_path)
    monkeypatch.setattr("pixelcnn.ui.shared.controls.list_checkpoints", lambda: {"broken": None})
    page = open_page(model="broken")
    assert not page.exception
    assert "broken.safetensors" in page.error[0].value and "damaged" in page.error[0].value


@pytest.mark.parametrize("name", ["", "complete", "masks", "measure"])
def test_without_a_checkpoint_a_page_says_what_to_do_and_waits_for_nothing(name, monkeypatch):
    monkeypatch.setattr("pixelcnn.ui.shared.controls.list_checkpoints", dict)
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    page = (page.switch_page(f"pages/{name}.py") if name else page).run()
    assert not page.exception
    (said,) = (info.value for info in page.main.info)
    assert said.startswith("There is no checkpoint")
    assert "Train one on the Train page, or with `python -m pixelcnn train" in said


@pytest.mark.parametrize("name", ["", "complete", "masks", "measure"])
def test_a_model_of_colours_opens_on_every_page(name, tmp_path, monkeypatch):
    model, path = tiny_model(num_channels=3, dtype=torch.float32), tmp_path / "colour.safetensors"
    save_checkpoint(path, model, info_of(model))
    monkeypatch.setattr("pixelcnn.storage.CHECKPOINT_DIR", tmp_path)
    monkeypatch.setattr("pixelcnn.ui.shared.controls.list_checkpoints", lambda: {"colour": path})
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    page = (page.switch_page(f"pages/{name}.py") if name else page).run()
    assert not page.exception and not page.error and not page.warning


def test_the_introduction_of_a_page_explains_its_terms_and_every_term_is_explained_somewhere():
    assert set(OF_PAGE) <= {name for _, name, _, _ in PAGES}
    assert {term for terms in OF_PAGE.values() for term in terms} == set(TERMS)
    (help_text,) = [c.help for c in open_page().caption if c.help][:1]
    assert all(f"**{term}**: {TERMS[term]}" in help_text for term in OF_PAGE["Generate"])
