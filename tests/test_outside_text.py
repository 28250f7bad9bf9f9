"""Text that is not ours is shown as it is: no element of a page interprets it."""

import re

import pytest
from streamlit.testing.v1 import AppTest

from . import outside
from .outside import LINK, SHORT
from .test_links import PAGES, SECTIONS, open_page

pytestmark = pytest.mark.usefixtures("tiny_checkpoints")
PLAIN = {
    ("text_input", "default"), ("text_input", "value"), ("text_area", "default"),
    ("text_area", "value"), ("selectbox", "options"), ("selectbox", "raw_value"),
    ("multi_select", "options"), ("multi_select", "raw_values"), ("code", "code_text"),
    ("bidi_component", "json"), ("bidi_component", "bytes"), ("page_link", "query_string"),
    ("download_button", "url"), ("imgs", "alt"),
}  # fmt: skip
"""What Streamlit shows as it is; a real browser checks it in `tests/browser/test_outside.py`."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELCNN_RUNS", str(tmp_path_factory.mktemp("outside") / "runs"))
        outside.fill_runs()
        yield


def texts_of(message, path=()):
    """Every text in a message of Streamlit to the browser, with the names that lead to it."""
    for field, value in message.ListFields():
        repeated = (
            value if hasattr(value, "__len__") and not isinstance(value, str | bytes) else [value]
        )
        if hasattr(value, "items"):
            repeated = list(value.values())
        for part in repeated:
            here = (*path, field.name)
            if hasattr(part, "ListFields"):
                yield from texts_of(part, here)
            elif isinstance(part, str):
                yield here, part
            elif isinstance(part, bytes):
                yield here, part.decode(errors="replace")


def interpreted(page: AppTest) -> list:
    """Every place where a link of the text from outside is still one."""
    found = []

    def visit(node):
        for child in getattr(node, "children", {}).values():
            visit(child)
        if (message := getattr(node, "proto", None)) is not None and hasattr(
            message, "ListFields"
        ):
            kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(message).__name__).lower()
            for path, text in texts_of(message):
                markup = re.compile(r"(<|\\u003c)img") if kind == "plotly_chart" else LINK
                if markup.search(text) and (kind, path[-1]) not in PLAIN:
                    found.append((kind, path, text[:300]))

    visit(page._tree)
    return found


CASES = [(name, value) for name in PAGES for value in SECTIONS.get(name, ("", [""]))[1]]


@pytest.mark.parametrize(("name", "section"), CASES)
def test_what_a_link_says_is_shown_as_it_is(name, section):
    keys = PAGES[name].split()
    query = dict.fromkeys(keys, SHORT)
    if section:
        query[SECTIONS[name][0]] = section
    page = open_page(name, query)
    assert not page.exception and interpreted(page) == []


@pytest.mark.parametrize("checkpoint", ["imported:marked", "imported:unknown", "imported:broken"])
@pytest.mark.parametrize(("name", "section"), CASES)
def test_what_a_file_says_is_shown_as_it_is(runs, name, section, checkpoint):
    key = "complete_model" if name == "complete" else "model"
    query = {key: checkpoint}
    if section:
        query[SECTIONS[name][0]] = section
    page = open_page(name, query)
    assert not page.exception and interpreted(page) == []


@pytest.mark.parametrize("run", ["marked", "bad"])
def test_what_a_run_says_is_shown_as_it_is(runs, run):
    page = open_page("train", {"tab": "Runs", "run": run})
    assert not page.exception and interpreted(page) == []
    shown = [m.value for m in [*page.markdown, *page.caption, *page.error]]
    marked = any("outside.example" in text for text in shown)
    assert marked == (run == "marked")
