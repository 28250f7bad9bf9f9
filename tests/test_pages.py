"""The pages as Streamlit runs them, without a browser."""

import time

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pixelcnn.ui.browser.wire import decode
from pixelcnn.ui.generate.drawing import Drawing

from . import components

TIMEOUT = 120


def open_page(**query) -> AppTest:
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    for name, value in query.items():
        page.query_params[name] = str(value)
    return page.run()


def trigger(page: AppTest, event: str, value: dict) -> AppTest:
    return components.trigger(page, "player", event, value)


def message(page: AppTest) -> tuple[dict, dict[str, np.ndarray]]:
    return decode(page.get_by_key("player").proto.bytes)


def pull(page: AppTest, **changes) -> tuple[dict, dict[str, np.ndarray]]:
    drawing: Drawing = page.session_state["drawing"]
    branch = drawing.current
    request = {
        "run": branch.run,
        "revision": len(branch.rewinds),
        "have": branch.count,
        "position": branch.count,
        "seen": branch.count,
        "speed": 10_000,
        "holds": drawing.subject.checkpoint,
        "turn": drawing.turn,
    }
    trigger(page, "pull", request | changes)
    assert not page.exception
    return message(page)


def finish(page: AppTest) -> Drawing:
    drawing: Drawing = page.session_state["drawing"]
    for _ in range(200):
        if drawing.current.done:
            return drawing
        pull(page)
    raise AssertionError("the picture is not finished after 200 pulls")


def test_the_first_page_opens_with_a_shipped_model_and_is_drawing():
    page = open_page()
    assert not page.exception and not page.error
    header, sections = message(page)
    assert header["total"] == 784 and header["count"] > 0
    assert sections["dependency"].shape == (784, 98)


def test_pulls_draw_the_picture_to_its_end_and_every_distribution_sums_to_one():
    page = open_page(seed=5)
    drawing = finish(page)
    header, sections = pull(page, have=0)
    assert header["done"] and header["count"] == 784 and len(header["png_bytes"]) == 1
    np.testing.assert_allclose(sections["rule_probs"].sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(sections["model_probs"].sum(1), 1, atol=1e-5)
    total = sections["surprise_bits"].sum(dtype=np.float64)
    assert header["total_bits"][0] == pytest.approx(total, rel=1e-6)
    assert drawing.current.done


def test_a_pull_that_arrives_while_the_visitor_goes_to_another_page_is_dropped():
    page = open_page()
    branch = page.session_state["drawing"].current
    request = {"run": branch.run, "revision": 0, "have": 16, "position": 16, "seen": 16}
    page.switch_page("pages/masks.py")
    trigger(page, "pull", request | {"speed": 60, "holds": None, "turn": 0})
    assert not page.exception and page.get_by_key("section").value == "Masks"


def test_a_link_reproduces_the_picture():
    settings = {"seed": 11, "class": "Sandal", "temperature": 0.9, "top_k": 200, "top_p": 0.99}
    first, second = (finish(open_page(**settings)).current.level for _ in range(2))
    assert (first == second).all()
    other = finish(open_page(**settings | {"seed": 12})).current.level
    assert (first != other).any()


def test_the_controls_show_the_settings_of_the_link():
    page = open_page(seed=7, temperature=0.35, **{"class": "Bag"})
    assert page.number_input(key="seed").value == 7
    assert page.slider(key="temperature").value == 0.35
    assert page.selectbox(key="class").value == "Bag"


def test_a_new_temperature_acts_from_the_pixel_that_is_shown():
    page = open_page(seed=1)
    pull(page)
    before = page.session_state["drawing"].current.level.copy()
    page.slider(key="temperature").set_value(0.2).run()
    header, _ = message(page)
    assert header["ask"] == 1
    assert "history" not in page.query_params, "the address still tells the old temperature"
    page.query_params["temperature"] = "0.2"  # as the browser does
    header, _ = pull(page, position=10, seen=10)
    assert [(r["start"], r["temperature"]) for r in header["rules"]] == [(0, 1.0), (10, 0.2)]
    drawing = page.session_state["drawing"]
    assert (drawing.current.level[:10] == before[:10]).all() and len(drawing.branches) == 1
    assert page.query_params["history"] == "0_1_0_1~10_0.2_0_1"


def test_a_picture_of_a_sheet_with_rows_of_classes_has_a_link_with_its_history():
    page = open_page(pictures=9, rows=True)
    pull(page)
    trigger(page, "open", {"image": 4})
    pull(page, position=5, seen=5)
    page.slider(key="temperature").set_value(0.2).run()
    page.query_params["temperature"] = "0.2"  # as the browser does
    pull(page, position=10, seen=10)
    assert page.query_params["history"] == "0_1_0_1~10_0.2_0_1"


def test_a_link_reproduces_a_picture_whose_rule_changed_and_whose_level_was_forced():
    history = "0_1_0_1~100_0.3_0_1~300_1.2_50_0.9~f200_255~f305_0"
    settings = {"seed": 3, "temperature": 1.2, "top_k": 50, "top_p": 0.9, "history": history}
    first, second = (finish(open_page(**settings)).current for _ in range(2))
    assert (first.level == second.level).all()
    assert first.level[200, 0] == 255 and first.level[305, 0] == 0


def test_a_history_that_cannot_be_read_is_named_and_the_picture_is_drawn_without_it():
    page = open_page(history="0_1_0_1~f9999_0")
    assert not page.exception
    assert "pixel 9999 must lie in 0..783" in page.warning[0].value
    assert page.session_state["drawing"].current.history.is_plain


def test_a_forced_level_makes_a_branch_and_the_first_drawing_stays():
    page = open_page(seed=2)
    drawing = finish(page)
    parent = drawing.current
    was = int(parent.level[300, 0])
    forced = 255 if was < 128 else 0
    request = {"run": parent.run, "position": 300, "level": forced, "id": "a"}
    trigger(page, "fork", request)
    header, _ = message(page)
    assert header["parent"] == parent.run and header["fork"] == 300
    assert header["forced"] == [{"position": 300, "level": forced, "was": was}]
    branch = finish(page).current
    assert branch is not parent and parent.level[300, 0] == was
    assert (branch.level[:300] == parent.level[:300]).all()
    assert page.query_params["history"] == f"0_1_0_1~f300_{forced}"
    trigger(page, "fork", request | {"level": 999, "id": "b"})
    assert "`level` (=999) must lie in 0..255" in page.warning[0].value


def test_choosing_a_branch_sets_the_sliders_to_its_rule():
    page = open_page(seed=2)
    first = finish(page).current
    page.slider(key="temperature").set_value(0.5).run()
    pull(page)
    second = page.session_state["drawing"].current
    assert second is not first and second.start == 0
    trigger(page, "select", {"run": first.run})
    assert page.session_state["drawing"].current is first
    page.run()
    assert page.slider(key="temperature").value == 1.0


def test_a_sheet_draws_many_pictures_and_one_of_them_can_be_opened(monkeypatch):
    monkeypatch.setattr("pixelcnn.ui.generate.page.LATE_SECONDS", 60)
    page = open_page(pictures=9, rows="true", seed=4)
    pull(page)
    page.slider(key="temperature").set_value(0.8).run()
    pull(page, position=5, seen=5)
    sheet = finish(page)
    assert len(sheet.current.history.rules) == 2
    assert sheet.captions[:4] == ["T-shirt/top"] * 3 + ["Trouser"]
    levels = sheet.current.level
    header, sections = message(page)
    assert header["columns"] == 3 and "model_probs" not in sections
    trigger(page, "open", {"image": 4})
    page.run()
    single = finish(page)
    assert single.subject.image == 4 and single.captions == ["Trouser"]
    assert (single.current.level[:, 0] == levels[:, 4]).all()
    next(b for b in page.button if b.label == "Back to the sheet of 9").click().run()
    again = page.session_state["drawing"]
    assert again.subject == sheet.subject
    assert (finish(page).current.level == levels).all()
    assert not [b for b in page.button if b.label.startswith("Back")]
    # A late message brings the settings of the single picture back for a moment.
    page.slider(key="pictures").set_value(1).run()
    page.slider(key="pictures").set_value(9).run()
    assert (finish(page).current.level == levels).all()


def test_a_sheet_that_ends_beyond_the_last_picture_is_refused():
    page = open_page(pictures=4, image=999_997)
    assert not page.exception
    assert "0 to 999,999; this sheet would end at 1,000,000" in page.error[0].value
    page.slider(key="pictures").set_value(3).run()
    assert not page.error and page.session_state["drawing"].subject.image == 999_997


def test_the_page_says_that_the_causality_check_passed():
    page = open_page()
    until = time.monotonic() + TIMEOUT
    while not any("Causality check passed" in caption.value for caption in page.caption):
        assert time.monotonic() < until
        time.sleep(0.2)
        page.run()


def test_a_damaged_checkpoint_is_named_on_the_page(tmp_path, monkeypatch):
    (tmp_path / "broken.safetensors").write_bytes(b"not a checkpoint")
    monkeypatch.setattr("pixelcnn.storage.CHECKPOINT_DIR", tmp_path)
    monkeypatch.setattr("pixelcnn.ui.shared.controls.list_checkpoints", lambda: {"broken": None})
    page = open_page(model="broken")
    assert not page.exception
    assert "broken.safetensors" in page.error[0].value and "damaged" in page.error[0].value


def test_without_any_checkpoint_the_page_says_what_to_do(monkeypatch):
    monkeypatch.setattr("pixelcnn.ui.shared.controls.list_checkpoints", dict)
    page = open_page()
    assert not page.exception
    assert "python -m pixelcnn train" in page.info[-1].value


@pytest.mark.parametrize("name", ["", "complete", "masks", "measure"])
def test_without_a_checkpoint_a_page_says_what_to_do_and_waits_for_nothing(name, monkeypatch):
    monkeypatch.setattr("pixelcnn.ui.shared.controls.list_checkpoints", dict)
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    page = (page.switch_page(f"pages/{name}.py") if name else page).run()
    assert not page.exception
    assert [info.value[:22] for info in page.main.info] == ["There is no checkpoint"]
