"""The main path of the Generate page in a real browser."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import sample
from pixelcnn.data.pictures import pictures
from pixelcnn.storage import save_checkpoint
from pixelcnn.ui.browser.bundle import bundle, read

from ..tiny import tiny_model
from ..tiny_runs import info_of
from .player import (
    PLAYER,
    colours,
    finish,
    open_player,
    pause,
    pin,
    press,
    say_nothing_more,
    settled,
    state,
    wait_for,
)


def test_pixels_appear_by_themselves_pause_holds_and_steps_move_by_a_pixel_or_a_row(page, server):
    open_player(page, server)
    wait_for(page, "p.position > 60")
    pause(page)
    start = state(page)["position"]
    page.wait_for_timeout(600)
    assert state(page)["position"] == start
    for name, moved in (
        ("One pixel forward", 1), ("One pixel back", -1), ("One row back", -28),
        ("One row forward", 28),
    ):  # fmt: skip
        page.get_by_role("button", name=name).click()
        wait_for(page, "p.position === a[0]", start + moved)
        start += moved


def test_keys_drive_the_player_but_leave_the_sliders_alone(page, server):
    open_player(page, server, "seed=8")
    wait_for(page, "p.position > 5")
    page.locator("[data-testid=stMain] h3").first.click()  # focus on nothing: the keys scroll
    page.keyboard.press("Space")
    page.keyboard.press("End")
    page.wait_for_function("document.querySelector('[data-testid=stMain]').scrollTop > 0")
    assert state(page)["playing"] or state(page)["position"] == 784
    page.locator(".pxc-title").click()
    page.keyboard.press("Home")
    wait_for(page, "p.position < 60")
    page.keyboard.press("Space")
    wait_for(page, "!p.playing")
    at = state(page)["position"]
    page.keyboard.press("ArrowRight")
    wait_for(page, "p.position === a[0]", at + 1)
    press(page, "Temperature", "ArrowLeft")
    page.wait_for_url("**temperature=0.95**")
    assert state(page)["position"] == at + 1 and not state(page)["playing"]


def test_a_temperature_changed_during_play_acts_from_the_current_pixel_on(page, server):
    open_player(page, server, "seed=3&class=Ankle+boot")
    wait_for(page, "p.position > 40")
    press(page, "Temperature", "ArrowLeft", times=4)
    # Every press is a rule of its own, if the picture went on in between.
    wait_for(page, "p.trace.rules.at(-1).temperature === 0.8")
    rules = page.locator(PLAYER).evaluate("e => e.__player.trace.rules")
    assert rules[0]["temperature"] == 1.0 and rules[-1]["temperature"] == 0.8
    assert 40 <= rules[-1]["start"] < 784
    page.wait_for_url("**history=**")
    levels = finish(page)
    other = page.context.new_page()
    open_player(other, server, page.url.split("?")[1])
    assert finish(other) == levels, "the copied link draws another picture"


def test_ten_fast_presses_all_count_wherever_an_ask_comes_between(page, server):
    open_player(page, server, "seed=3")
    page.locator(".px-speed").select_option("15")
    # The browser sends both in one message, and as if only the player had changed.
    page.locator(PLAYER).evaluate(
        "e => { window.addEventListener('keydown', () => e.__player.ask()); }"
    )
    # From 1 to 0 there are ten steps, the useful ones close together.
    for key, temperature in (("ArrowLeft", 0), ("ArrowRight", 1.0), ("ArrowLeft", 0)):
        press(page, "Temperature", key, times=10)
        wait_for(page, "p.rule === `${a[0]}_0_1` && p.have > p.position", temperature)
        page.wait_for_timeout(1000)  # for what might take it back
        thumb = page.get_by_role("slider", name="Temperature")
        assert float(thumb.get_attribute("aria-valuetext")) == temperature
        course = state(page)["course"]
        assert course.split("~")[-1].endswith(f"_{temperature:g}_0_1")
        assert page.locator(".pxc-branches button:visible").count() == 0
    page.wait_for_url(lambda url: f"history={course}" in url and "temperature=0" in url)


def test_whatever_is_lost_late_or_repeated_the_picture_is_that_of_its_link(page, server):
    open_player(page, server, "seed=3")
    page.locator(PLAYER).evaluate(
        """e => { const p = e.__player, ask = p.ask.bind(p); let n = 0;
            p.ask = () => {
              p.askedAt = performance.now();
              n += 1;
              if (n % 3 === 0) return;
              setTimeout(ask, 130 * (n % 4));
              if (n % 5 === 0) ask();
            }; }"""
    )
    wait_for(page, "p.position > 20")
    press(page, "Temperature", "ArrowLeft", times=3)
    wait_for(page, "p.rule === '0.85_0_1' && p.position > 150")
    pin(page, 100)
    page.locator(".pxc-level").fill("77")
    page.get_by_role("button", name="Branch", exact=True).click()
    press(page, "Temperature", "ArrowRight")
    wait_for(page, "p.rule === '0.9_0_1' && p.position > 200")
    assert page.locator(".pxc-branches button").count() == 2
    levels = finish(page)
    assert levels[100] == 77
    other = page.context.new_page()
    open_player(other, server, page.url.split("?")[1])
    assert finish(other) == levels, "the copied link draws another picture"


def test_changed_settings_leave_the_player_in_its_place(page, server):
    open_player(page, server, "seed=3")
    wait_for(page, "p.position > 40")
    page.locator(PLAYER).evaluate("e => { e.__player.marked = true; }")
    for key in ["ArrowLeft"] * 4 + ["ArrowRight"] * 3:
        press(page, "Temperature", key)
        page.wait_for_timeout(250)
    wait_for(page, "p.trace.rules.at(-1).temperature === 0.95")
    assert page.locator(PLAYER).evaluate("e => e.__player.marked"), "it was mounted anew"


def test_the_canvas_shows_the_levels_and_every_distribution_gives_the_drawn_one(page, server):
    open_player(page, server, "seed=5&temperature=0.9&class=Dress")
    levels = finish(page)
    page.mouse.move(0, 0)
    assert (colours(page, ".pxc-picture")[:, :3] == np.array(levels)[:, None]).all()
    for position in (0, 100, 390, 391, 500, 783):
        shown = page.locator(PLAYER).evaluate(
            "(e, i) => { const { trace } = e.__player, { rule, model } = trace.probabilities(i);"
            " return {rule: [...rule], model: [...model], u: trace.uniform[i]}; }",
            position,
        )
        rule, level = np.array(shown["rule"], dtype=np.float64), levels[position]
        assert rule.sum() == pytest.approx(1, abs=1e-5)
        assert sum(shown["model"]) == pytest.approx(1, abs=1e-5)
        cumulative = np.cumsum(rule)
        assert cumulative[level] >= shown["u"] - 1e-5
        assert level == 0 or cumulative[level - 1] <= shown["u"] + 1e-5


def test_a_picture_of_colours_is_drawn_channel_by_channel(page, server):
    model = tiny_model(num_channels=3, height=8, width=9, dtype=torch.float32)
    path = Path(os.environ["PIXELCNN_RUNS"]) / "imported" / "colour.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_checkpoint(path, model, info_of(model))
    open_player(page, server, "model=imported:colour&seed=5")
    finish(page)
    (wanted,) = pictures(sample(model, seed=5), 4)
    shown = colours(page, ".pxc-picture", 9, 8).reshape(8, 9, 4)
    assert (shown[..., :3] == wanted).all() and (shown[..., 3] == 255).all()
    box = page.locator(".px-overlay").bounding_box()
    for position in (*range(3 * 40, 3 * 41), -1):  # click by click the channels, then none
        page.mouse.click(box["x"] + box["width"] * 4.5 / 9, box["y"] + box["height"] * 4.5 / 8)
        wait_for(page, "p.pinned === a[0]", position)
    page.get_by_label("Position").fill(str(3 * 40 + 2))  # of the pixel red and green are drawn
    page.mouse.move(0, 0)
    wait_for(page, "p.position === 122 && !p.dirty")
    wanted[4, 4, 2] = 0
    assert (colours(page, ".pxc-picture", 9, 8)[:41, :3] == wanted.reshape(-1, 3)[:41]).all()
    assert page.locator(".pxc-title").inner_text().endswith("at row 4, column 4, green")
    path.unlink()


def test_a_pixel_can_be_forced_and_both_branches_stay(page, server):
    open_player(page, server, "seed=2&class=Bag")
    first = finish(page)
    parent = state(page)["course"]
    position = 9 * 28 + 14
    pin(page, position)
    forced = 0 if first[position] > 128 else 255
    page.locator(".pxc-level").fill("300")
    page.get_by_role("button", name="Branch", exact=True).click()
    assert "300" in page.locator(".pxc-force-message").inner_text()
    page.locator(".pxc-level").fill(str(forced))
    page.get_by_role("button", name="Branch", exact=True).click()
    wait_for(page, "p.trace.name === `${a[0]}~f${a[1]}_${a[2]}`", parent, position, forced)
    second = finish(page)
    assert second[:position] == first[:position] and second[position] == forced
    page.wait_for_url(f"**f{position}_{forced}*")
    page.locator(".pxc-branches button").first.click()
    wait_for(page, "p.trace.name === a[0]", parent)
    assert page.locator(PLAYER).evaluate("e => [...e.__player.trace.level]") == first


def test_a_level_is_forced_by_the_keyboard_marked_and_compared(page, server):
    open_player(page, server, "seed=93")
    first = finish(page)
    page.locator(PLAYER).focus()
    for key in ("ArrowUp",) * 20:
        page.keyboard.press(key)
    position = state(page)["position"] - 1
    page.keyboard.press("Enter")
    wait_for(page, "p.pinned === a[0]", position)
    level = 255 if first[position] < 128 else 0
    page.keyboard.type(str(level))
    page.keyboard.press("Enter")
    wait_for(page, "p.trace.forced.size === 1")
    second = finish(page)
    assert second[position] == level
    page.mouse.move(0, 0)
    page.get_by_role("button", name="Difference", exact=True).click()
    wait_for(page, "!p.dirty && p.screen.view === 'difference'")
    red, _, blue = colours(page, ".pxc-picture")[:, :3].T.astype(int)
    gap = np.sign(np.array(second) - first)
    clear = abs(np.array(second) - first) > 25  # fainter ones look nearly the same
    assert (np.sign(red - blue)[clear] == gap[clear]).all() and clear.any()
    assert (abs(red - blue)[gap == 0] == 0).all()


def test_the_finish_rests_on_the_biggest_surprise_and_leads_on(page, server):
    open_player(page, server, "seed=93")
    levels = finish(page)
    shown = page.locator(PLAYER).evaluate(
        "e => { const p = e.__player; return [p.selected, [...p.trace.surprise_bits]]; }"
    )
    assert shown[0] == int(np.argmax(shown[1]))
    row, col = divmod(shown[0], 28)
    said = say_nothing_more(page)
    assert said.startswith(
        f"Finished. This pixel was the biggest surprise. Row {row}, column {col}"
    )
    page.get_by_role("button", name="Why not the same picture twice?").click()
    wait_for(page, "p.trace.forced.size === 1")
    again = finish(page)
    assert again[: shown[0]] == levels[: shown[0]] and again[shown[0]] != levels[shown[0]]
    page.evaluate("window.same = true")
    page.get_by_role("link", name="What may it see?").click()
    page.wait_for_url("**/masks*")
    assert page.evaluate("window.same"), "the session goes on"
    page.get_by_role("link", name="Generate").first.click()
    page.get_by_role("link", name="New here?").click()
    page.wait_for_url("**/masks?*step=1*")


def test_the_next_uncertain_pixel_is_found_by_key_and_button(page, server):
    open_player(page, server, "seed=93")
    finish(page)
    page.locator(PLAYER).focus()
    page.keyboard.press("Home")
    wait_for(page, "p.position === 0")
    at = 0
    for _ in range(8):
        wanted = page.locator(PLAYER).evaluate(
            """(e, at) => { const p = e.__player;
                while (Math.max(...p.trace.probabilities(at).rule) >= 0.95) at += 1;
                return at + 1; }""",
            at,
        )
        page.keyboard.press("n")
        wait_for(page, "p.position === a[0]", wanted)
        at = wanted
    page.get_by_role("button", name="Next uncertain pixel").click()
    wait_for(page, "p.position > a[0]", at)


def test_a_black_picture_and_noise_are_called_so_with_a_way_out(page, server):
    open_player(page, server, "seed=93&temperature=2")
    finish(page)
    advice = page.locator(".pxc-advice")
    wait_for(page, "!p.dirty")
    assert advice.inner_text().startswith("This is noise (temperature 2.0)")
    open_player(page, server, "seed=93&temperature=0")
    assert not any(finish(page))
    wait_for(page, "!p.dirty")
    assert advice.inner_text().startswith("Nearly all of this picture is black")
    page.get_by_role("button", name="Begin with 10 rows at temperature 1").click()
    wait_for(page, "p.trace.name === '0_1_0_1~280_0_0_1'")
    assert any(finish(page)) and not advice.is_visible()
    page.get_by_role("button", name="Restart with temperature 0.0").click()
    wait_for(page, "p.trace.name === '0_0_0_1'")
    finish(page)
    page.get_by_role("button", name="Restart with temperature 0.9").click()
    page.wait_for_url("**temperature=0.9**")
    assert any(finish(page)) and not advice.is_visible()


def test_a_course_that_was_left_is_as_it_was_and_the_sliders_follow(page, server):
    open_player(page, server, "seed=2&class=Bag")
    first = finish(page)
    press(page, "Temperature", "ArrowLeft")
    wait_for(page, "p.trace.name === '0_0.95_0_1' && p.position > 5")
    cards = page.locator(".pxc-branches button")
    assert "from the start: temperature 0.95" in cards.nth(1).inner_text()
    cards.first.click()
    page.wait_for_url(lambda url: "temperature" not in url)
    wait_for(page, "p.rule === '1_0_1' && p.trace.name === '0_1_0_1'")
    assert finish(page) == first and cards.count() == 2
    # Another page and back: every course is still there.
    page.get_by_role("link", name="Masks").first.click()
    page.wait_for_url("**/masks*")
    page.get_by_role("link", name="Generate").first.click()
    wait_for(page, "p.position === p.total && p.trace.name === '0_1_0_1'")
    cards.nth(1).click()
    wait_for(page, "p.trace.name === '0_0.95_0_1' && p.have > 5")
    assert finish(page) != first


def test_a_sheet_is_drawn_together_and_a_picture_of_it_opened(page, server):
    open_player(page, server, "pictures=4&seed=6")
    page.get_by_role("button", name="To the end").click()
    wait_for(page, "p.done && p.position === p.total")
    sheet = page.locator(PLAYER).evaluate("e => [...e.__player.trace.level]")
    picture = state(page)["picture"]
    page.locator(".px-cells button").nth(2).click()
    wait_for(page, "p.picture !== a[0]", picture)
    settled(page)
    wait_for(page, "p.finished")  # as it was on the sheet, without being played
    assert finish(page) == sheet[2::4]
    assert "image=2" in page.url and "pictures=" not in page.url
    page.get_by_role("button", name="Back to the sheet of 4").click()
    page.wait_for_url("**pictures=4**")
    wait_for(page, "!p.single")
    assert finish(page) == sheet


def test_downloads_hold_the_finished_picture(page, server):
    open_player(page, server, "seed=5&class=Trouser")
    pause(page)
    page.get_by_role("button", name="Download").click()
    files = {}
    for label in ("PNG", "Animated GIF", "Trace, NPZ", "Trace, JSON"):
        with page.expect_download() as download:
            page.get_by_role("button", name=label, exact=True).click()
        files[label] = download.value.path().read_bytes()
    page.keyboard.press("Escape")
    levels = np.array(finish(page)).reshape(28, 28)
    png = np.asarray(Image.open(io.BytesIO(files["PNG"])))
    assert (png == levels).all()
    assert Image.open(io.BytesIO(files["Animated GIF"])).n_frames > 50
    trace = np.load(io.BytesIO(files["Trace, NPZ"]))
    assert (trace["level"].reshape(28, 28) == levels).all()
    np.testing.assert_allclose(trace["rule_probabilities"].sum(1), 1, atol=1e-5)


def test_the_page_says_that_the_causality_check_passed(page, server):
    open_player(page, server)
    page.get_by_text("Causality check passed").wait_for(timeout=300_000)


@pytest.mark.parametrize("size", [(1024, 768), (1400, 900), (1920, 1080)])
def test_picture_distribution_and_play_are_seen_together(page, server, size):
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    open_player(page, server, "seed=93")
    finish(page)
    for place in (".pxc-picture", ".pxc-distribution", ".pxc-cumulative", ".pxc-narration",
                  "[data-way=again]", "[data-do=play]", ".px-scrub"):  # fmt: skip
        box = page.locator(place).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= size[1], place
    assert page.locator(".pxc-picture").bounding_box()["width"] > 0.28 * size[0]


def test_nothing_is_wider_than_a_phone_and_play_is_seen_below_the_picture(phone, server):
    open_player(phone, server)
    wait_for(phone, "p.position > 3")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    play, picture = (
        phone.locator(place).bounding_box() for place in ("[data-do=play]", ".pxc-picture")
    )
    assert picture["y"] + picture["height"] <= play["y"] and play["y"] + play["height"] <= 844
    assert phone.locator(PLAYER).evaluate("e => e.scrollWidth <= e.clientWidth + 1")


LIFE = """async ([html, script]) => {
    const url = URL.createObjectURL(new Blob([script], {type: "text/javascript"}));
    const mount = (await import(url)).default, parentElement = document.createElement("div");
    parentElement.innerHTML = html;
    document.body.append(parentElement);
    const superseded = mount({parentElement, data: null});
    superseded(); // before the next call, as where both waited for the script
    const unmount = mount({parentElement, data: null});
    const player = parentElement.querySelector(".pxc").__player, { signal } = player.stop;
    const told = [parentElement.querySelectorAll("[data-do=end]").length, signal.aborted];
    parentElement.remove();
    unmount();
    return [...told, signal.aborted]; }"""


def test_a_component_is_one_for_each_element_and_ends_with_it(page, server):
    page.goto(server)
    module = bundle("generate/player/player.js")
    told = page.evaluate(LIFE, [read("generate/player/player.html"), module])
    assert told == [1, False, True]
