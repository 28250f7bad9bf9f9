"""Text that is not ours, in a real browser: shown as it is, and nothing outside is asked for."""

import json
import re

import pytest

from tests import outside
from tests.browser.conftest import serve
from tests.outside import MARKS, SHORT
from tests.test_links import PAGES, SECTIONS
from tests.tiny_runs import wait_for

SINKS = """
import json, sys
import streamlit as st
from pixelcnn.ui.shared.literal import code, literal

for n, text in enumerate(json.loads({texts!r})):
    shown = literal(text)
    with st.container(key=f"text-{{n}}"):
        st.markdown(shown)
        st.markdown(f"**{{shown}}** and {{shown}}.")
        st.markdown(f"|{{shown}}|a|\\n|---|---|\\n|b|{{shown}}|")
        st.caption(shown)
        st.error(f"Wrong. {{shown}}")
        st.progress(0.5, shown)
        st.button(shown, key=f"b{{n}}")
        st.table([{{shown: shown}}])
        st.page_link("http://localhost/", label=shown)
        st.checkbox(shown, key=f"c{{n}}")
        st.metric(shown, 1)
        st.markdown(code(text))
    with st.container(key=f"plain-{{n}}"):
        st.selectbox("a", [text], key=f"s{{n}}")
        st.multiselect("a", [text], [text], key=f"m{{n}}")
st.markdown("end")
"""
SHOWN = 14
"""Times that each text stands there."""


def flat(text: str) -> str:
    return " ".join(text.replace("\u2060", "").replace("\u202e", "\ufffd").split())


def all_shown(place, wanted):
    return wait_for(lambda: flat(place.inner_text()).count(wanted) >= SHOWN, 30)


def test_every_element_shows_text_from_outside_as_it_is(tmp_path, page):
    script = tmp_path / "sinks.py"
    script.write_text(SINKS.format(texts=json.dumps(MARKS)))
    with serve(script) as address:
        page.goto(address)
        page.get_by_text("end", exact=True).wait_for()
        for number, mark in enumerate(MARKS):
            place = page.locator(f".st-key-text-{number}")
            wanted = flat(mark)
            assert all_shown(place, wanted)
            for made in ("img", ".stMarkdown a", ".katex", "del", "em", "h1", "li", "hr", "sup"):
                assert place.locator(made).count() == 0, (made, mark)
            assert place.locator("strong").count() == 1
            plain = page.locator(f".st-key-plain-{number}")
            assert plain.locator("img, a, strong, em, .katex").count() == 0


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """The app over a folder of runs whose every text is marked up."""
    runs = tmp_path_factory.mktemp("outside") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXELCNN_RUNS", str(runs))
        outside.fill_runs()
        with serve("app.py") as address:
            yield address


@pytest.mark.parametrize("name", PAGES)
def test_no_page_asks_for_what_a_link_or_a_file_names(marked, page, name):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    key, values = SECTIONS.get(name, ("", [""]))
    model = "complete_model" if name == "complete" else "model"
    for value in values:
        for query in (dict.fromkeys(PAGES[name].split(), SHORT), {model: "imported:marked"}):
            pairs = query | {"run": "marked"} | ({key: value} if key else {})
            page.goto(f"{marked}/{name}?" + "&".join(f"{k}={quote(v)}" for k, v in pairs.items()))
            app = "[data-testid=stApp][data-test-script-state=notRunning]"
            page.locator(f"{app}[data-test-connection-state=CONNECTED]").wait_for()
            assert page.locator("img[src*=outside], a[href*='//outside']").count() == 0
            assert page.locator("[data-testid=stException]").count() == 0
    assert asked and not [url for url in asked if not url.startswith((marked, "data:", "blob:"))]


def quote(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), text)
