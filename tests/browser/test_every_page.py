"""What holds for every page: axe finds no fault, the keyboard, a projector and a phone do well."""

from importlib.resources import files

import pytest

from .player import settled

SECTIONS = ["Masks", "Why+A+then+B&wrong=true", "Receptive+field", "Prove+it", "Build+your+own"]
VIEWS = ["Score+a+picture", "Same+dice", "Temperatures", "Calibration", "Paradox", "Models"]
FAMILY = ["A+price,+week+after+week", "Side+by+side", "How+far+each+looks", "Who+is+better?"]
PAGES = [
    *("", "?pictures=10", "complete"),
    *(f"masks?section={section}" for section in SECTIONS),
    *(f"masks?step={step}" for step in range(1, 8)),
    *(f"measure?view={view}" for view in VIEWS),
    *(f"family?family_view={view}" for view in FAMILY),
    *(f"train?tab={tab}" for tab in ("New+run", "Runs", "Compare")),
]
STYLED = """() => [...document.querySelectorAll("[data-testid=stCaptionContainer]")]
    .every(caption => getComputedStyle(caption).opacity > 0.7)"""
"""What `page.css` does to captions; it comes as an element of the page, at times a bit late."""
FAULTS = """async part => (await axe.run(
    {include: [[`[data-testid=${part}]`]], exclude: [["[data-testid=stStatusWidget]"]]}))
    .violations.flatMap(rule => rule.nodes.map(node =>
    [rule.id, node.target.flat().join(" "), node.html.slice(0, 120), node.failureSummary]))"""
"""Streamlit's own Stop button is left out: it fades in while a script runs."""
NOT_TO_BE_SEEN = """() => ["stMain", "stSidebar"].filter(name => {
    const shown = document.querySelector(`[data-testid=${name}]`);
    const handle = name === "stSidebar" ? 6 : 1;
    return shown?.clientWidth > 0 && shown.scrollWidth > shown.clientWidth + handle; })"""
"""A folded sidebar has no width; the handle of an open one stands out by 6 pixels."""


@pytest.fixture(scope="module")
def axe():
    """The rules that read a page as those do who cannot see it, or not well."""
    pytest.importorskip("axe_playwright_python")
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def open_at(page, server, path):
    page.goto(f"{server}/{path}")
    page.locator("[data-testid=stMain] :is(h1, h2, h3)").first.wait_for()
    settled(page)
    page.wait_for_function(STYLED)


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("dark", 390)])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_no_fault_and_nothing_is_wider_than_the_screen(
    page, server, axe, path, theme, width
):
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 844})
    open_at(page, server, path)
    page.evaluate(axe)
    # On a phone the sidebar is folded, though axe still finds it there.
    assert page.evaluate(FAULTS, "stApp" if width > 390 else "stMain") == []
    page.wait_for_function(f"({NOT_TO_BE_SEEN})().length === 0")  # Plotly takes two steps to fit


def test_the_tab_key_enters_a_row_of_views_at_the_chosen_one_and_shows_where_it_is(page, server):
    open_at(page, server, "measure?view=Calibration")
    page.get_by_role("link", name="Link to heading").first.focus()
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.role") != "radio":
        page.keyboard.press("Tab")
    focused = page.locator("[role=radio]:focus")
    assert focused.inner_text() == "Calibration"
    assert focused.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


@pytest.mark.parametrize("path", ["complete", "masks", "measure", "train"])
def test_presented_there_is_no_sidebar_and_larger_type_and_the_menu_leads_on_so(
    page, server, path
):
    size = "parseFloat(getComputedStyle(document.documentElement).fontSize)"
    open_at(page, server, path)
    usual = page.evaluate(size)
    open_at(page, server, f"{path}?present=1")
    assert not page.get_by_test_id("stSidebar").is_visible()
    assert page.evaluate(size) > 1.2 * usual
    page.get_by_test_id("stMain").get_by_role("link", name="Masks").click()
    page.wait_for_url("**/masks?*present=1*")
    page.get_by_role("button", name="End").click()
    page.get_by_test_id("stSidebar").wait_for()
    assert "present" not in page.url
