"""Clicks on whatever there is, seeded: no page breaks, and no console shows an error of ours.

`PIXELCNN_FIRE=20` clicks twenty times as often.
"""

import os
import random
import re

import pytest
from playwright.sync_api import Error

CLICKS = 40 * int(os.environ.get("PIXELCNN_FIRE", 1))
CLICKABLE = ", ".join(
    f"{part}:visible"
    for part in ("button:not([disabled])", "[role=slider]", "summary", "canvas", "label", "input")
)
LEFT_OUT = re.compile(r"^(Start|Add to the queue|Delete.*|Download.*|Make the data set|Import)$")
"""Would train, fetch or delete."""
NOT_OURS = {
    r"/(complete|masks|measure|family|train)/_stcore/(health|host-config)": "Streamlit asks "
    "beside the "
    "page at every deep link, gets 404, and then asks at the root",
    r"emit is not a function": "Plotly, when its chart is replaced while it is zoomed",
    r"Failed to load resource.*404": "the console's word for the first",
    r"ResizeObserver loop": "the browser's notice that a layout took two steps; no fault",
}


@pytest.mark.parametrize("name", ["", "complete", "masks", "measure", "family", "train"])
@pytest.mark.usefixtures("no_run_left")  # a click at a button that moved may hit Start
def test_random_clicks_break_nothing(server, browser, name):
    chance = random.Random(name)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, faults = context.new_page(), []
    page.on("pageerror", lambda error: faults.append(f"page: {error}"))
    page.on("console", lambda m: faults.append(f"console: {m.text}") if m.type == "error" else 0)
    page.on("response", lambda r: faults.append(f"{r.status}: {r.url}") if r.status >= 400 else 0)
    page.goto(f"{server}/{name}")
    page.get_by_test_id("stSidebar").wait_for()
    for number in range(CLICKS):
        if number % 20 == 19:
            chance.choice([page.reload, page.go_back])()
            if not page.url.startswith(server):
                page.goto(f"{server}/{name}")
        found = page.locator(CLICKABLE).all()
        if not found:
            page.locator(CLICKABLE).first.wait_for()
            continue
        try:
            one = chance.choice(found)
            if LEFT_OUT.match(one.inner_text(timeout=500).strip()):
                continue
            one.click(timeout=500, force=True)
            page.keyboard.press(chance.choice(["ArrowRight", "ArrowLeft", "Escape", "Tab"]))
        except Error:
            continue  # gone, or below something else
        assert page.get_by_test_id("stException").count() == 0, page.url
    still = f"{server}/{name}"
    page.goto(still)
    page.locator("[data-testid=stApp][data-test-connection-state=CONNECTED]").wait_for()
    assert page.get_by_test_id("stException").count() == 0
    context.close()
    ours = [fault for fault in faults if not any(re.search(known, fault) for known in NOT_OURS)]
    assert not ours, ours


def test_a_step_of_the_guide_and_back_leaves_the_page_whole(server, page):
    page.goto(f"{server}/masks?step=1")
    for step in (1, 2):
        page.get_by_text(f"Step {step} of 7").wait_for()
        page.get_by_role("button", name="Next").click()
    page.get_by_text("Step 3 of 7").wait_for()
    page.go_back()
    page.get_by_text("Step 2 of 7").wait_for()
    assert page.get_by_test_id("stException").count() == 0
    page.get_by_role("radio", name="Prove it").or_(
        page.get_by_role("button", name="Prove it")
    ).first.click()
    page.get_by_text("Does pixel").wait_for()


@pytest.mark.parametrize("query", ["section=Nope", "step=9", "section=Receptive+field&layer=x"])
def test_a_link_that_names_no_such_thing_opens_with_a_notice(server, page, query):
    page.goto(f"{server}/masks?{query}")
    page.get_by_text("in the link must be").first.wait_for()
    assert page.get_by_test_id("stException").count() == 0
