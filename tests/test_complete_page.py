"""The Complete page as Streamlit runs it, without a browser."""

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pixelcnn.data.datasets import DATASETS
from pixelcnn.storage import save_checkpoint
from pixelcnn.ui.browser.wire import decode
from pixelcnn.ui.complete.challenges import CHALLENGES
from pixelcnn.ui.shared.sketch import DRAWN, GIVEN, UNKNOWN, blank, given, to_text

from .complete_page import (
    ONE_ORDER,
    READER,
    canvas_data,
    draw,
    half,
    model_of,
    open_page,
    press,
    run_of,
    shown,
    with_gallery,
)
from .components import trigger
from .made_up_data import write_mnist_like
from .tiny import tiny_model
from .tiny_completion import same
from .tiny_runs import info_of

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")


def test_the_page_opens_with_an_empty_canvas_and_pictures_to_start_from():
    page = open_page()
    assert model_of(page) == READER and page.selectbox(key="complete_class").value == "inferred"
    assert not page.exception and not page.error
    data = canvas_data(page)
    assert (data["height"], data["width"], data["levels"]) == (28, 28, 256)
    assert data["fresh"] and data["hints"] and data["pause_ms"] == 300
    assert not shown(page).known.any()
    with_gallery(page)
    found = [g for g in page.get("bidi_component") if "gallery" in g.proto.component_name]
    found = [decode(gallery.proto.bytes) for gallery in found]
    titles = [head["titles"] for head, _ in found]
    clothes, digits = (one for one in titles if "drawn by" in one[0])
    ((head, sections),) = (one for one in found if "drawn by" not in one[0]["titles"][0])
    assert head["titles"] == [challenge.title for challenge in CHALLENGES] and head["named"]
    for challenge, picture in zip(CHALLENGES, sections.values(), strict=True):
        strokes, *drawn = (picture[:, i * 30 :][:, :28] for i in range(3))
        assert np.array_equal(strokes.any(-1), challenge.sketch().known)
        assert all((one > 0).sum() > 100 for one in drawn)
    assert len(clothes) == len(digits) == 10
    assert "Ankle boot" in clothes[9] and digits[9].startswith("9, ")


def test_a_drawing_on_a_replaced_canvas_is_not_taken():
    page = open_page()
    first = canvas_data(page)["revision"]
    choose(page, 3)
    picture = shown(page)
    draw(page, half(), revision=first)
    assert same(shown(page), picture)


def choose(page: AppTest, index: int, dataset: str = "fashion-mnist") -> AppTest:
    return trigger(with_gallery(page), f"gallery-{dataset}-gated", "choose", {"index": index})


def what_is_it(page: AppTest) -> str:
    return page.selectbox(key="complete_class").value


@pytest.mark.parametrize("challenge", CHALLENGES, ids=lambda challenge: challenge.title)
def test_a_challenge_is_a_few_strokes_of_something_that_a_model_knows(challenge):
    sketch = challenge.sketch()
    assert set(np.unique(sketch.state)) == {UNKNOWN, DRAWN} and 10 < sketch.known.sum() < 200
    assert (sketch.level == np.where(sketch.known, 255, 0)).all()
    assert challenge.label < len(DATASETS[challenge.dataset].class_names)


@pytest.mark.parametrize("number", [3, -1])
def test_one_click_completes_a_challenge_with_a_model_of_its_kind(number):
    challenge = CHALLENGES[number]
    page = open_page(completions_shown=1, live="false")
    trigger(page, "challenges", "choose", {"index": CHALLENGES.index(challenge)})
    assert not page.exception and not page.warning
    assert same(shown(page), challenge.sketch()) and same(run_of(page).sketch, challenge.sketch())
    assert model_of(page) == f"{challenge.dataset}-complete"
    assert run_of(page).request.method == "learned" and not run_of(page).known.any()
    with pytest.raises(KeyError):
        page.get_by_key("challenges")  # there is something to see now
    meant = DATASETS[challenge.dataset].class_names[challenge.label]
    assert what_is_it(page) == meant and run_of(page).request.label == challenge.label
    draw(page, blank((1, 28, 28), 256))
    assert what_is_it(page) == "inferred"  # another drawing may be something else


def test_an_example_is_completed_by_any_model_of_its_size(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELCNN_RUNS", str(tmp_path))
    own = tiny_model(dtype=torch.float32, height=28, width=28, num_levels=256)  # knows no classes
    save_checkpoint(tmp_path / "imported" / "own.safetensors", own, info_of(own))
    for name in ("imported:own", ONE_ORDER):
        page = open_page(complete_model=name, completions_shown=1, live="false")
        trigger(page, "challenges", "choose", {"index": 0})
        assert not page.exception and model_of(page) == name
        draw(page, blank((1, 28, 28), 256))
        assert not page.exception
    assert what_is_it(page) == "any"  # such a model takes minutes to guess


def test_a_class_that_the_viewer_chose_stays_when_the_example_goes():
    page = open_page(completions_shown=1, live="false")
    trigger(page, "challenges", "choose", {"index": 0})
    page.selectbox(key="complete_class").select("Bag").run()
    choose(page, 3)
    assert what_is_it(page) == "Bag" and not page.exception


def test_the_model_follows_the_picture_unless_the_viewer_chose_one():
    page = open_page(live="false")
    for dataset in ("mnist", "fashion-mnist"):
        choose(page, 3, dataset)
        assert model_of(page) == f"{dataset}-complete" and not page.warning
    page.selectbox(key="complete_model").select("mnist-gated").run()
    page.selectbox(key="complete_model").select(READER).run()
    for chosen in (page, open_page(model=READER), open_page(complete_model=READER)):
        choose(chosen, 3, "mnist")
        assert model_of(chosen) == READER
        assert "is from MNIST, but the model has learned Fashion-MNIST" in chosen.warning[0].value
    press(page, "Use mnist-complete")
    assert model_of(page) == "mnist-complete" and not page.warning
    assert (shown(page).state == GIVEN).all()


def test_after_a_reload_a_model_that_the_page_chose_is_still_no_choice_of_the_viewer():
    page = choose(open_page(live="false"), 3, "mnist")
    assert page.query_params["followed"] == model_of(page)
    assert any("Chosen to suit your drawing" in text.value for text in page.sidebar.caption)
    again = open_page(complete_model=model_of(page), followed=model_of(page))
    choose(again, 3)
    assert model_of(again) == READER and not again.warning


def test_a_picture_of_the_gallery_is_wholly_known_and_others_can_be_drawn():
    page = choose(open_page(), 4)
    first = shown(page)
    assert (first.state == GIVEN).all() and first.level.max() > 100
    choose(press(page, "Draw others"), 4)
    assert not same(shown(page), first)


def test_a_link_brings_its_drawing():
    page = open_page(drawing=to_text(half()))
    assert not page.exception and not page.warning
    assert same(shown(page), half())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "The drawing in this link cannot be used"),
        (to_text(given(np.zeros((1, 5, 6), np.uint8), 256)), "5 x 6 pixels; this model needs 28"),
    ],
)
def test_a_link_whose_drawing_cannot_be_used_says_why(text, message):
    page = open_page(drawing=text)
    assert not page.exception
    assert message in page.warning[0].value
    assert not shown(page).known.any()


def start_from(page: AppTest, what: str) -> AppTest:
    page.session_state["start"] = what
    return page.run()


def test_blank_empties_the_canvas():
    page = press(start_from(draw(open_page(), half()), "Blank"), "Empty the canvas")
    assert (shown(page).state == UNKNOWN).all()


def test_an_image_of_the_test_set_is_taken_as_it_is(tmp_path, monkeypatch):
    _, test = write_mnist_like(tmp_path, "FashionMNIST")
    monkeypatch.setenv("PIXELCNN_DATA", str(tmp_path))
    page = start_from(open_page(), "Test image")
    assert not page.exception
    head, pictures = decode(page.get_by_key("test-images").proto.bytes)
    assert len(pictures) == 6 and head["titles"][3] == "test image 3, Dress"
    trigger(page, "test-images", "choose", {"index": 3})
    assert np.array_equal(shown(page).level[0], test[3])
    page.number_input(key="test_image").set_value(4).run()
    trigger(page, "test-images", "choose", {"index": 1})
    assert np.array_equal(shown(page).level[0], test[5])
