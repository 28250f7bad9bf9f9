"""A tiny run in a real browser: start it, see its curve move, leave, come back, use it."""

import io
import os
import signal
import zipfile

import pytest
from PIL import Image

from pixelcnn.storage import runs_dir
from pixelcnn.training.runs import list_runs

from .player import PLAYER, settled

SIZE = 16
POINTS = """() => {
    const plot = document.querySelector('.js-plotly-plot');
    return plot && plot.data && plot.data[1] ? Number(plot.data[1].x.at(-1)) : 0; }"""

BACK_AT_ONCE = """() => new Promise((resolve, reject) => {
    const choose = view =>
        [...document.querySelectorAll('[role=radio]')].find(r => r.innerText === view).click();
    choose('Runs');
    setTimeout(() => reject(document.body.innerText), 60000);
    const wait = () => {
        if (!document.body.innerText.includes('There is no run yet')) return setTimeout(wait, 0);
        choose('New run');
        resolve(); };
    wait(); })"""

CHOOSE_AND_MAKE = """size => {
    const named = (role, name) =>
        [...document.querySelectorAll(role)].find(e => e.innerText.includes(name));
    named('[role=option]', size).click();
    named('button', 'Make the data set').click(); }"""


@pytest.fixture
def archive(tmp_path, no_run_left):
    """Own images in a ZIP archive, one of them damaged; what becomes of them is deleted."""
    path = tmp_path / "squares.zip"
    with zipfile.ZipFile(path, "w") as file:
        for number in range(16):
            buffer = io.BytesIO()
            Image.new("L", (20, 30), 16 * number).save(buffer, "PNG")
            file.writestr(f"{number}.png", buffer.getvalue())
        file.writestr("broken.png", b"no")
    yield path
    for made in (runs_dir() / "images").glob("*"):
        made.unlink()


def open_train(page, server, query=""):
    page.goto(f"{server}/train?{query}")
    page.get_by_role("heading", name="Train").wait_for()
    settled(page)


def badge(page, state):
    page.locator(".stMarkdownBadge", has_text=state).first.wait_for()


def stop(page):
    """End the run; Streamlit has a button of the same name while a script runs."""
    page.get_by_test_id("stMain").get_by_role("button", name="Stop").click()


def curve_moves(page, after=0):
    page.wait_for_function(f"({POINTS})() > {after}")
    before = page.evaluate(POINTS)
    page.wait_for_function(f"({POINTS})() > {before}")
    return before


def upload_images(page, archive):
    page.get_by_label("Data set").click()
    page.get_by_role("option", name="Add my own images").click()
    page.locator("input[type=file]").set_input_files(archive)
    make = page.get_by_role("button", name="Make the data set")
    make.wait_for()
    page.get_by_role("combobox", name="Size").click()
    page.get_by_role("option", name=f"{SIZE} x {SIZE} pixels").wait_for()
    page.evaluate(CHOOSE_AND_MAKE, f"{SIZE} x {SIZE} pixels")
    page.get_by_text("broken.png: is no picture that can be read").wait_for()
    page.get_by_text(f"{SIZE} x {SIZE} grey").wait_for()


def test_what_was_set_survives_leaving_the_form_and_coming_back_at_once(page, server):
    open_train(page, server, "preset=My+own&tab=New+run")
    page.get_by_label("Data set").click()
    page.get_by_role("option", name="MNIST", exact=True).click()
    settled(page)
    for _ in range(5):
        page.evaluate(BACK_AT_ONCE)
        page.get_by_text("images to see").first.wait_for()
        page.wait_for_timeout(300)
        settled(page)
        page.get_by_role("slider", name="Blocks").press("ArrowRight")  # sends all that it shows
        page.wait_for_timeout(300)
        settled(page)
        assert page.get_by_role("combobox", name="Data set").input_value() == "MNIST"
        page.get_by_text("10 classes").wait_for()


def test_a_run_on_own_images_is_started_watched_left_found_again_killed_resumed_and_used(
    page, server, archive
):
    open_train(page, server, "preset=My+own")
    upload_images(page, archive)
    for slider in ("Features", "Blocks"):
        page.get_by_role("slider", name=slider).press("Home")
        settled(page)
    page.get_by_text("12 features, 1 blocks").wait_for()
    for view, shown in (("Runs", "There is no run yet"), ("New run", "12 features, 1 blocks")):
        page.get_by_role("radio", name=view).click()  # what was set is there again
        page.get_by_text(shown).wait_for()
    page.get_by_text(f"{SIZE} x {SIZE} grey").wait_for()
    settled(page)
    page.get_by_role("spinbutton", name="Images to see in all").fill("1000000")
    # At once: what was typed last counts. The second click of the two starts no second run.
    page.get_by_role("button", name="Start").dblclick()

    badge(page, "training")
    (run,) = list_runs()
    assert run.config().train.total_images == 1_000_000
    before = curve_moves(page)  # by itself
    page.get_by_text("uniform guess 8.00").first.wait_for()
    page.get_by_text("seed 0, temperature 1").wait_for()  # the first pictures

    page.get_by_role("link", name="Generate").first.click()
    page.locator(PLAYER).wait_for()
    page.get_by_role("link", name="Train").click()
    badge(page, "training")  # it went on, and the page finds it
    curve_moves(page, before)
    for view, shown in (("Compare", "Two runs are needed"), ("Runs", "Use it")) * 2:
        page.get_by_role("radio", name=view).click()
        page.get_by_text(shown).wait_for()

    stop(page)
    badge(page, "stopped")
    (run,) = list_runs()
    held = run.status().images_seen
    page.reload()
    page.get_by_role("radio", name="Runs").click()  # the address may still tell the view before
    badge(page, "stopped")
    page.get_by_role("button", name="Resume").click()
    badge(page, "training")
    curve_moves(page, held)

    os.kill(run.status().pid, signal.SIGKILL)
    badge(page, "crashed")
    page.get_by_text("Resume goes on from the last save").wait_for()
    page.get_by_role("button", name="Resume").click()
    badge(page, "training")
    stop(page)
    badge(page, "stopped")
    assert run.status().images_seen >= held

    settled(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Checkpoint file").click()
    assert download.value.suggested_filename.endswith(".safetensors")
    page.locator("[data-testid=stMain]").get_by_role("link", name="Generate").click()
    page.wait_for_url(f"**model=run*{run.id}*")
    page.locator(PLAYER).wait_for()
    assert page.locator(PLAYER).evaluate("e => e.__player.total") == SIZE * SIZE
