"""The main path of the Measure page in a real browser."""

import csv
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from .player import frame_drawn, settled

MAPS, TOGETHER = ".pxm", ".pxt"


def open_view(page, address, query=""):
    page.goto(f"{address}/measure?{query}")
    settled(page)


def open_maps(page, address, query=""):
    open_view(page, address, query)
    page.locator(f"{MAPS} .pxm-readout:not(:empty)").wait_for()
    page.get_by_text("The picture is most probable as").wait_for()  # then the page runs again
    settled(page)


def maps(page, what):
    return page.locator(MAPS).evaluate(f"e => {{ const m = e.__maps; return {what}; }}")


def pixel_place(page, name, row, col):
    box = page.locator(f"{MAPS} [data-map={name}]").bounding_box()
    side = box["width"] / 28
    return box["x"] + (col + 0.5) * side, box["y"] + (row + 0.5) * side


def test_hovering_the_picture_marks_the_pixel_on_the_curve_and_back(page, server):
    open_maps(page, server, "sample_seed=2&sample_class=Dress")
    page.locator(MAPS).scroll_into_view_if_needed()
    page.mouse.move(*pixel_place(page, "picture", 12, 14))
    assert maps(page, "m.hovered") == 12 * 28 + 14
    spent = round(maps(page, "m.spent[12 * 28 + 15]"))
    words = page.locator(".pxm-readout").inner_text()
    assert "Row 12, column 14" in words and f"{spent:,} of" in words
    line = page.locator(".pxm-line")
    line.scroll_into_view_if_needed()
    box = line.bounding_box()
    x = 46 + (box["width"] - 56) * (500.5 / 784)
    page.mouse.move(box["x"] + x, box["y"] + 60)
    assert maps(page, "m.hovered") == 500
    assert "Row 17, column 24" in page.locator(".pxm-readout").inner_text()
    page.mouse.move(0, 0)
    assert maps(page, "m.hovered") == -1


def test_a_click_shows_the_distribution_and_the_link_brings_it_back(page, server):
    open_maps(page, server, "sample_seed=2")
    page.locator(MAPS).scroll_into_view_if_needed()
    page.mouse.click(*pixel_place(page, "surprise", 10, 15))
    page.get_by_text("What was predicted at row 10, column 15").wait_for()
    page.wait_for_url("**pixel=295*")
    page.locator(MAPS).focus()
    page.keyboard.press("ArrowDown")
    page.get_by_text("What was predicted at row 11, column 15").wait_for()
    page.reload()
    page.get_by_text("What was predicted at row 11, column 15").wait_for()
    page.locator(f"{MAPS} .pxm-readout:not(:empty)").wait_for()
    assert maps(page, "m.selected") == 11 * 28 + 15


def test_the_pixel_of_the_address_is_selected_when_one_goes_back(page, server):
    open_maps(page, server, "sample_seed=2&pixel=100")
    page.locator(MAPS).scroll_into_view_if_needed()
    page.mouse.click(*pixel_place(page, "picture", 10, 15))
    page.get_by_text("What was predicted at row 10, column 15").wait_for()
    page.wait_for_url("**pixel=295*")
    page.go_back()
    page.get_by_text("What was predicted at row 3, column 16").wait_for()
    element = page.locator(MAPS).element_handle()
    page.wait_for_function("e => e.__maps.selected === 100", arg=element)


def test_a_stroke_on_the_canvas_is_scored(page, server):
    open_view(page, server, "source=Drawn")
    canvas = page.locator(".pxd-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5, steps=8)
    page.mouse.up()
    page.locator(f"{MAPS} .pxm-readout:not(:empty)").wait_for()
    page.get_by_text("drawn by hand", exact=True).wait_for()
    levels = maps(page, "[...m.levels]")
    drawn = page.locator(".pxd").evaluate("e => [...e.__canvas.sketch.level]")
    assert levels == drawn and max(levels) == 255


def test_surprise_beyond_the_colour_bar_is_marked(page, server):
    picture = np.zeros((28, 28), np.uint8)
    picture[27] = [141] * 27 + [255]  # a great surprise
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    open_view(page, server, "source=Upload")
    file = {"name": "black.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    page.locator("input[type=file]").set_input_files(file)
    page.locator(f"{MAPS} .pxm-readout:not(:empty)").wait_for()
    assert maps(page, "Math.max(...m.surprise)") > 24
    bars = page.locator(".pxm-bar").evaluate_all("bars => bars.map((b) => b.ariaLabel)")
    assert bars[0].endswith("24 bits and more") and bars[1].endswith(" bits")


def test_the_maps_show_the_numbers_that_can_be_downloaded_and_the_picture_its_levels(page, server):
    open_maps(page, server, "sample_seed=5&sample_class=Coat")
    page.get_by_role("button", name="Data").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON", exact=True).click()
    assert len(json.loads(download.value.path().read_text())) == len(rows) == 784
    shown = maps(page, "[...m.surprise]")
    assert [float(row["surprise_bits"]) for row in rows] == pytest.approx(shown, rel=1e-5)
    assert float(rows[-1]["cumulative_bits"]) == pytest.approx(maps(page, "m.spent[784]"))
    levels = maps(page, "[...m.levels]")
    assert [int(row["level"]) for row in rows] == levels
    painted = page.locator(f"{MAPS} [data-map=picture]").evaluate(
        "c => { const x = c.getContext('2d'), s = c.width / 28, out = [];"
        " for (let i = 0; i < 784; i++) out.push(x.getImageData("
        "Math.floor((i % 28 + .5) * s), Math.floor((Math.floor(i / 28) + .5) * s), 1, 1).data[0]);"
        " return out; }"
    )
    assert painted == levels


def together(page, what):
    return page.locator(TOGETHER).evaluate(f"e => {{ const t = e.__together; return {what}; }}")


def open_together(page, address, query=""):
    open_view(page, address, f"view=Common+noise&{query}")
    page.locator(f"{TOGETHER}[data-position]").wait_for()


def wait_for(page, condition):
    element = page.locator(TOGETHER).element_handle()
    page.wait_for_function(f"e => {{ const t = e.__together; return {condition}; }}", arg=element)


def test_the_players_run_in_step_and_mark_the_first_difference(page, server):
    open_together(page, server, "common_t=1.0&common_t=0.6&common_t=1.2&common_seed=3")
    wait_for(page, "t.position > 20")
    page.get_by_role("button", name="Pause", exact=True).click()
    held = together(page, "t.position")
    page.wait_for_timeout(400)
    assert together(page, "t.position") == held
    page.get_by_role("button", name="One pixel forward").click()
    assert together(page, "t.position") == held + 1
    page.keyboard.press("Home")
    assert together(page, "t.position") == 0
    page.keyboard.press("End")
    wait_for(page, "t.position === 784")
    frame_drawn(page)
    first = together(page, "t.panels.map((p) => p.leaves)")
    levels = together(page, "t.panels.map((p) => [...p.levels])")
    for number in (1, 2):
        differs = [a != b for a, b in zip(levels[0], levels[number], strict=True)]
        assert first[number] == differs.index(True)
        row, col = divmod(first[number], 28)
        told = page.locator(".pxt-told").nth(number).inner_text()
        assert f"row {row}, column {col}; {sum(differs)} of 784 pixels differ" in told
    page.locator(".px-scrub").fill(str(first[1]))
    page.get_by_text("Still the same.").first.wait_for()
    assert page.locator(".pxt-difference").nth(1).is_visible()
    page.get_by_label("Differences from the first").uncheck()
    page.locator(".pxt-difference").nth(1).wait_for(state="hidden")


def test_long_work_shows_progress_and_can_be_cancelled(page, server):
    open_view(page, server, "view=Temperatures&sweep_images=16")
    page.get_by_role("button", name="Draw 112 pictures").click()
    page.get_by_text(re.compile(r"Drawing: \d+\xa0%, about [\d a-z]+ left")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled.").wait_for()
    page.get_by_role("button", name="Draw 112 pictures").wait_for()


def test_a_sweep_is_drawn_and_shown(page, server):
    open_view(page, server, "view=Temperatures&sweep=0.8&sweep=1.0&sweep_images=2")
    page.get_by_role("button", name="Draw 4 pictures").click()
    page.get_by_alt_text("Samples at temperature 0.8").wait_for()
    page.get_by_text("diversity, % of the grey range").first.wait_for()


@pytest.mark.parametrize("view", ["Paradox", "Calibration", "Models"])
def test_stored_numbers_are_shown_and_nothing_is_asked_of_the_network(page, server, view):
    foreign = []
    page.on(
        "request",
        lambda r: None if r.url.startswith((server, "data:", "blob:")) else foreign.append(r.url),
    )
    open_view(page, server, f"view={view}")
    page.get_by_text("measured by").or_(page.get_by_text("Nothing is stored")).or_(
        page.get_by_text("Measured by")
    ).or_(page.get_by_text("Not measured")).first.wait_for()
    assert not foreign


@pytest.mark.parametrize("view", ["Score a picture", "Same dice"])
def test_nothing_is_wider_than_a_phone(phone, server, view):
    open_view(phone, server, f"view={view.replace(' ', '+')}")
    component = phone.locator(MAPS if view == "Score a picture" else TOGETHER)
    component.wait_for()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert component.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
