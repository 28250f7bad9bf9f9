"""Scoring a picture on the Measure page, without a browser."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

import pixelcnn
from pixelcnn.data.datasets import class_names, load_dataset
from pixelcnn.evaluation.scores import code_bits
from pixelcnn.evaluation.stored import percent
from pixelcnn.sampling import sample
from pixelcnn.ui.complete import exports
from pixelcnn.ui.complete.run import CompletionRun, Request
from pixelcnn.ui.shared.sketch import DRAWN, Sketch

from .components import trigger
from .measure_page import NAME, TIMEOUT, figure, has, message, open_page, texts, wait_for

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")


@pytest.fixture
def model(tiny_checkpoints):
    return pixelcnn.load_model(NAME)


def scored(page):
    """The levels of the picture that is scored, (H, W), once it is there."""
    wait_for(page, lambda p: has(p, "maps"))
    return message(page, "maps")[1]["levels"].reshape(28, 28)


def test_a_sample_is_scored_as_the_library_scores_it(no_data, model):
    page = open_page(sample_seed=3, sample_class="Bag", told="Coat")
    levels = sample(model, seed=3, label=8)
    bits = pixelcnn.bits_per_dim(model, levels, 4).item()
    assert f"{bits:.3f} bits/dim at 256 levels" in texts(page)
    header, sections = message(page, "maps")
    assert sections["levels"].ravel().tolist() == levels.flatten().tolist()
    assert sections["surprise"].sum() == pytest.approx(bits * 784, rel=1e-5)
    assert header["selected"] == int(sections["surprise"].argmax())
    assert f"{code_bits(levels[0], 256)['PNG']:,.0f}" in json.dumps(figure(page, "codes"))


def test_a_chosen_pixel_shows_its_distribution_and_stays_in_the_link(no_data, model):
    page = open_page(sample_seed=1)
    header, sections = message(page, "maps")
    trigger(page, "maps", "select", {"id": header["id"], "pixel": 300})
    assert page.query_params["pixel"] == "300" and not page.exception
    assert "row 10, column 20" in texts(page)
    levels = torch.tensor(sections["levels"].astype(np.int64)).view(1, 1, 28, 28)
    p = model(levels)[0, :, 0, 10, 20].softmax(0)
    shown = figure(page, "distribution")["layout"]["annotations"][0]["text"]
    assert f"p = {p[levels[0, 0, 10, 20]].item():.3g}" in shown
    again = open_page(sample_seed=1, pixel=300)
    assert "row 10, column 20" in texts(again)


def test_a_link_from_before_a_view_was_renamed_opens_it():
    page = open_page(view="Common noise")
    assert page.session_state["view"] == "Same dice" and not page.warning


@pytest.mark.parametrize("pixel", ["784", "-1", "x", "1e2", "³", "9" * 5000])
def test_a_pixel_that_does_not_exist_is_not_taken_from_a_link(no_data, pixel):
    page = open_page(pixel=pixel)
    assert not page.exception and "What was predicted at row" in texts(page)


def test_the_class_posterior_names_the_most_probable_class(no_data, model):
    page = open_page(sample_seed=2, sample_class="Trouser")
    wait_for(page, lambda p: has(p, "classes"))
    levels = sample(model, seed=2, label=1)
    bits = [pixelcnn.bits_per_dim(model, levels, c).item() * 784 for c in range(10)]
    posterior = torch.tensor(bits).mul(-np.log(2)).double().softmax(0)
    best = int(posterior.argmax())
    assert f"**{class_names('fashion-mnist', 10)[best]}**" in texts(page)
    assert f"with a posterior of {percent(posterior[best].item())} if" in texts(page)


def test_without_the_data_the_page_offers_to_fetch_it_and_says_why_it_failed(no_data, no_network):
    page = open_page(source="Test image")
    button = next(b for b in page.button if b.label.startswith("Download Fashion-MNIST"))
    assert "31 MB" in button.label
    button.click().run()
    wait_for(page, lambda p: p.error)
    assert "could not be fetched" in page.error[0].value


def test_a_test_image_is_scored_and_its_class_compared(made_up_data):
    page = open_page(source="Test image", item=4)
    levels, _ = load_dataset("fashion-mnist", "test")
    wait_for(page, lambda p: has(p, "classes"))
    assert (scored(page) == levels[4, 0].numpy()).all()
    assert "test image 4: Coat" in texts(page)
    assert "Coat (true)" in json.dumps(figure(page, "classes")["data"])
    beyond = open_page(source="Test image", item=30)
    assert "item (='30') in the link must be an integer from 0 to 29" in beyond.warning[0].value
    page.number_input(key="item").set_value(2).run()
    page.selectbox(key="set").set_value("mnist").run()
    wait_for(page, lambda p: has(p, "classes"))
    assert "MNIST, test image 2: 2" in texts(page)
    assert "(true)" not in json.dumps(figure(page, "classes")["data"])


def test_the_picture_of_the_generate_page_can_be_scored(no_data):
    page = open_page(source="Generate page")
    assert "Nothing has been drawn yet" in page.info[0].value
    page = AppTest.from_file("../app.py", default_timeout=TIMEOUT)
    page.query_params["seed"] = "6"
    page.run()
    page.switch_page("pages/measure.py")
    page.query_params["source"] = "Generate page"
    page.run()
    picture = scored(page)
    assert (page.session_state["drawing"].current.levels().numpy() == picture).all()


def test_what_is_drawn_by_hand_is_scored_and_is_the_drawing_of_the_complete_page(no_data):
    page = open_page(source="Drawn")
    assert has(page, "canvas") and not has(page, "maps")
    level, state = np.zeros((2, 28, 28), np.uint8)
    level[3:9, 5], state[3:9, 5:7] = 200, DRAWN
    page.session_state["sketches"][1, 28, 28] = Sketch(level[None], state)
    page.run()
    assert "drawn by hand" in texts(page)
    assert (scored(page) == level).all()


def test_a_completion_of_the_complete_page_can_be_scored(no_data, model):
    page = open_page(source="Complete page")
    assert "Nothing has been completed yet" in page.info[0].value
    level, state = np.zeros((2, 28, 28), np.uint8)
    state[:26] = DRAWN
    request = Request(NAME, "prefix", num_images=2)
    run = CompletionRun(model, Sketch(level[None], state), request)
    page.session_state["made-Complete"] = exports.made(run)
    page.run()
    scored(page)
    page.number_input(key="sheet_picture").set_value(1).run()
    assert run.done and "completion 1, by fashion-mnist-gated" in texts(page)
    assert (scored(page) == run.levels()[1]).all() and (scored(page)[:26] == 0).all()


def test_an_uploaded_file_is_scored_or_refused_on_the_page(no_data):
    page = open_page(source="Upload")
    buffer = io.BytesIO()
    Image.new("L", (28, 28), 90).save(buffer, "PNG")
    page.file_uploader[0].set_value(("mine.png", buffer.getvalue(), "image/png")).run()
    assert "uploaded: mine.png" in texts(page)
    assert (scored(page) == 90).all()
    page.file_uploader[0].set_value(("bad.png", b"nothing", "image/png")).run()
    assert "bad.png: is no picture" in page.error[0].value and not page.exception
