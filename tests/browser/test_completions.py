"""Completions on the Complete page: drawn, watched, understood, taken elsewhere."""

import io
import re

import numpy as np
from PIL import Image

from .canvas import (
    GIVEN,
    drag,
    drawing,
    gallery,
    known,
    open_canvas,
    point,
    settled,
    tool,
    wait_known,
)

SHEET = ".pxr[data-run]"
PULL_AND_CLICK = """(element, name) => {
    const sheet = element.__completions, { run, serial } = sheet.runData.head;
    sheet.setTriggerValue("pull", { run, serial });
    [...document.querySelectorAll("button")].find(b => b.innerText.endsWith(name)).click(); }"""
FEW = "completions_shown=4&live=false"


def wait_done(page):
    page.locator(f"{SHEET}[data-done=true][data-playing=false]").wait_for()
    settled(page)


def press_complete(page):
    """Press the button, and wait until everything is drawn."""
    page.get_by_role("button", name="Complete", exact=True).click()
    wait_done(page)


def complete_upper_half(page, server, query=FEW):
    """Complete a picture of the gallery whose lower half is covered; returns the drawing."""
    open_canvas(page, server, query)
    start_from_gallery(page, "Lower half", 392)
    before = drawing(page)
    press_complete(page)
    return before


def start_from_gallery(page, covered, remaining):
    gallery(page).nth(7).click()
    wait_known(page, 784)
    page.get_by_role("button", name=covered, exact=True).click()
    wait_known(page, remaining)
    settled(page)


def sheet(page):
    """Levels (n, 784), and what the server says about them."""
    found = page.locator(SHEET).evaluate(
        "e => ({level: [...e.__completions.runData.level], head: e.__completions.runData.head})"
    )
    return np.array(found["level"]).reshape(-1, 784), found["head"]


def assert_known_pixels_unchanged(page, hints=False):
    """Those of the canvas; with `hints`, strokes may be drawn over."""
    levels, _ = sheet(page)
    canvas = drawing(page)
    at = [i for i in sorted(known(page)) if not hints or canvas["state"][i] == GIVEN]
    assert (levels[:, at] == np.array(canvas["level"])[at]).all()
    return levels


def run_after(page, before):
    """Wait for completions that replace others; their run."""
    page.locator(f"{SHEET}:not([data-run='{before}'])").wait_for()
    return page.locator(SHEET).get_attribute("data-run")


def test_strokes_are_hints_that_are_completed_beside_the_canvas_after_each_one(page, server):
    open_canvas(page, server, "completions_shown=4")
    start_from_gallery(page, "Lower half", 392)
    before = run_after(page, None)
    for row in (20, 24):
        drag(page, (row, 8), (row, 20))
        before = run_after(page, before)
        page.wait_for_function(
            """hints => document.querySelector(".st-key-completions-frame "
              + "[data-testid=stBidiComponentIsolated]").shadowRoot.querySelector(".pxr")
              .__completions.runData.hints.filter(Boolean).length === hints""",
            arg=2 * 14 * (1 + (row == 24)),
        )
        assert_known_pixels_unchanged(page, hints=True)  # while they grow, too
    wait_done(page)
    levels = assert_known_pixels_unchanged(page, hints=True)
    hints = sorted(i for i in known(page) if drawing(page)["state"][i] != GIVEN)
    assert len(hints) == 2 * 2 * 14 and (levels[:, hints] != 255).any()
    boxes = [page.locator(name).bounding_box() for name in (".pxd-canvas", ".pxr-sheet")]
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    assert abs(boxes[0]["y"] - boxes[1]["y"]) < 200
    page.get_by_text("Use my pixels exactly", exact=True).first.click()
    run_after(page, before)
    wait_done(page)
    levels = assert_known_pixels_unchanged(page)
    assert (levels[:, hints] == 255).all() and "exactly=true" in page.url


def test_a_digit_switches_the_model_and_a_challenge_is_completed_by_one_click(page, server):
    open_canvas(page, server, "completions_shown=2")
    gallery(page, "mnist").nth(3).click()
    wait_known(page, 784)
    page.wait_for_url("**complete_model=mnist-complete**")
    settled(page)
    assert page.locator(SHEET).count() == 0  # nothing is unknown
    page.get_by_role("button", name="Half a shoe").click()
    wait_done(page)
    assert "model=mnist" not in page.url
    (name, _), *_ = sheet(page)[1]["looks"]
    page.get_by_role("button", name=f"Completion 1, {name}").wait_for()
    assert page.get_by_role("button", name="Half a shoe").count() == 0


def test_a_prefix_is_exact_and_its_link_draws_the_same_again(page, server):
    query = "completions_shown=5&complete_seed=3&complete_class=Sneaker&live=false"
    complete_upper_half(page, server, query)
    page.get_by_text("5 independent draws of the model").wait_for()
    levels = assert_known_pixels_unchanged(page)
    assert len(np.unique(levels, axis=0)) == 5
    assert set(sheet(page)[1]["captions"]) == {"Sneaker"}
    page.get_by_text("Exact, every class being equally likely beforehand").wait_for()
    assert page.locator(".js-plotly-plot").count() == 0  # its code would hold up the pixels
    page.get_by_text("Exact, every class being equally likely").wait_for()
    page.locator(".pxr .px-cells button").nth(1).click()
    page.locator(".pxr-pin select").select_option(label="Bag")
    page.wait_for_url("**pinned_classes=2**")
    settled(page)
    before, levels = levels, assert_known_pixels_unchanged(page)
    assert (levels != before).any(1).tolist() == [False, True, False, False, False]
    assert sheet(page)[1]["captions"] == ["Sneaker", "Bag", "Sneaker", "Sneaker", "Sneaker"]
    address = page.url
    other = page.context.browser.new_context().new_page()  # another visitor opens the link
    other.set_default_timeout(60_000)
    other.goto(address)
    wait_done(other)
    assert np.array_equal(sheet(other)[0], levels)
    other.context.close()


def test_the_address_holds_the_drawing_only_while_it_tells_the_settings_too(page, server):
    complete_upper_half(page, server, "completions_shown=1&complete_seed=3&live=false")
    assert "drawing=" in page.url and "complete_seed=3" in page.url
    seed = page.get_by_label("Seed", exact=True)
    seed.fill("8")
    seed.press("Enter")
    page.wait_for_url("**complete_seed=8**")
    page.get_by_text("belong to an earlier drawing or other settings").wait_for()
    settled(page)
    assert "drawing=" not in page.url and "complete_seed=8" in page.url
    assert seed.input_value() == "8"
    seed.fill("3")
    seed.press("Enter")
    page.wait_for_url("**drawing=**")
    settled(page)
    assert "complete_seed=3" in page.url and seed.input_value() == "3"


def test_the_sheet_is_played_scrubbed_sorted_and_taken_back(page, server):
    before = complete_upper_half(page, server, "completions_shown=6&live=false")
    root = page.locator(SHEET)
    root.focus()
    for key, position in (("Home", 0), ("ArrowDown", 28), ("ArrowRight", 29), ("End", 784)):
        page.keyboard.press(key)
        page.locator(f"{SHEET}[data-position='{position}']").wait_for()
    page.locator(f"{SHEET} .px-speed").select_option("5")
    page.keyboard.press("Space")
    page.locator(f"{SHEET}[data-playing=true]").wait_for()
    page.keyboard.press("Space")
    page.locator(f"{SHEET}[data-playing=false]").wait_for()
    page.keyboard.press("End")

    buttons = page.locator(".pxr .px-cells button")
    page.get_by_role("button", name="Most likely first").click()
    bits = sheet(page)[1]["bits"]
    order = buttons.evaluate_all("all => all.map(b => Number(b.dataset.image))")
    assert order == sorted(range(6), key=bits.__getitem__) and order != list(range(6))

    buttons.first.click(position={"x": 20, "y": 40})
    page.get_by_role("button", name="Take to the canvas").click()
    wait_known(page, 784)
    assert drawing(page)["level"] == sheet(page)[0][order[0]].tolist()
    tool(page, "Undo")
    assert drawing(page) == before


def test_clicks_in_one_message_with_a_request_of_the_sheet_count(page, server):
    complete_upper_half(page, server)
    for name in ("New", "Complete"):
        before = page.locator(SHEET).get_attribute("data-run")
        page.locator(SHEET).evaluate(PULL_AND_CLICK, name)
        if name == "New":
            page.get_by_text("The completions belong to an earlier drawing").wait_for()
        else:
            page.locator(f"{SHEET}:not([data-run='{before}'])").wait_for()
    wait_done(page)


def test_a_completion_opens_on_the_generate_page_at_a_pixel(page, server):
    complete_upper_half(page, server)
    levels, _ = sheet(page)
    cell = page.locator(".pxr .px-cells button").nth(2)
    box = cell.bounding_box()
    cell.click(position={"x": 10.5 * box["width"] / 28, "y": 20.5 * box["height"] / 28})
    page.locator(".pxr-name", has_text=re.compile("3, .* % · row 20, column 10")).wait_for()
    page.get_by_role("button", name="Open on the Generate page").click()
    page.locator(".pxc[data-position='784']").wait_for()
    shown = page.locator(".pxc[data-position]").evaluate(
        "e => ({level: [...e.__player.trace.level], pinned: e.__player.pinned})"
    )
    assert shown == {"level": levels[2].tolist(), "pinned": 20 * 28 + 10}


def upload(page, name, content):
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )


def test_uploads_become_drawings_and_bad_files_are_named(page, server):
    open_canvas(page, server)
    page.get_by_test_id("stMain").get_by_text("Upload", exact=True).click()
    page.locator("input[type=file]").wait_for(state="attached")
    picture = np.arange(784, dtype=np.uint8).reshape(28, 28)
    good = io.BytesIO()
    Image.fromarray(picture).save(good, "PNG")
    upload(page, "good.png", good.getvalue())
    wait_known(page, 784)
    assert drawing(page)["level"] == picture.ravel().tolist()
    before = drawing(page)
    for name, content, message in (
        ("bad.png", b"no picture at all", "bad.png: is no picture that can be read"),
        ("cut.png", good.getvalue()[:60], "cut.png: cannot be decoded"),
    ):
        upload(page, name, content)
        page.get_by_text(message).wait_for()
        assert drawing(page) == before
    settled(page)
    assert page.locator("[data-testid=stException]").count() == 0
    tool(page, "Undo")
    assert not known(page)


def test_on_a_phone_completions_fit_and_answer_to_a_finger(phone, server):
    open_canvas(phone, server, FEW)
    start_from_gallery(phone, "Lower half", 392)
    phone.locator(".pxd-canvas").scroll_into_view_if_needed()
    phone.touchscreen.tap(*point(phone, 3, 3))
    settled(phone)
    press_complete(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.locator(SHEET).evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    phone.locator(".pxr .px-cells button").nth(1).tap()
    phone.locator(".pxr-name", has_text="2, ").wait_for()
