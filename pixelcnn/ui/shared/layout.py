"""The frame that every page shares: title, icon, menu."""

import gc
import sys
import threading
from collections.abc import Collection
from pathlib import Path

import streamlit as st

from pixelcnn.ui.shared import glossary, links, long_work

PAGES = [
    ("app.py", "Generate", ":material/animation:", "Watch a picture being drawn"),
    ("pages/complete.py", "Complete", ":material/draw:", "Draw a part, the model draws the rest"),
    ("pages/masks.py", "Masks", ":material/grid_on:", "What a prediction can read"),
    ("pages/measure.py", "Measure", ":material/straighten:", "How probable is a picture?"),
    ("pages/family.py", "Family", ":material/family_history:", "RNN, transformer, PixelCNN"),
    ("pages/train.py", "Train", ":material/model_training:", "Let a model learn, and watch it"),
]
"""File, name, icon and tooltip of each page, in the order of the menu."""
FOLDER = Path(__file__).parent
PRESENT = {"present": "1"}
"""In a link: the page is shown on a projector."""


def begin_importing_torch() -> None:
    """Start the import, which takes a second or two, while the first words go to the screen."""
    if "torch" not in sys.modules:
        threading.Thread(target=_import_torch, daemon=True).start()


def _import_torch() -> None:
    gc.disable()  # an import makes no garbage, looking for it takes a third of the time
    try:
        import torch

        # The browser is on the same cores, and so is whatever else runs: with two threads, each of
        # the small operations of loading a model and of its first pixel waits for the other.
        torch.set_num_threads(1)
        gc.freeze()  # nor is there any garbage among these 300,000 objects later on
    finally:
        gc.enable()


def choose_view(title: str, views: Collection[str], key: str, first: str) -> str:
    """Let the visitor choose a part of a page; where a link names none, the first is open."""
    return links.bound(
        st.segmented_control,
        title,
        list(views),
        default=first,
        required=True,
        key=key,
        label_visibility="collapsed",
    )


def page(title: str, introduction: str) -> None:
    """Begin a page: complete alone, whether it is reached by the menu or by a deep link."""
    is_another = long_work.enter(title)
    # An emoji, because an icon from a font would be fetched from the network.
    st.set_page_config(page_title=f"{title} · PixelCNN", page_icon="🧵", layout="wide")
    entering = (FOLDER / "entering.js").read_text(encoding="utf-8")
    st.html(f"<script>{entering}</script>", unsafe_allow_javascript=True)
    st.html(FOLDER / "page.css")
    is_presented = st.query_params.get("present") == PRESENT["present"]
    if is_presented:
        st.html(FOLDER / "present.css")
        with st.container(horizontal=True, vertical_alignment="center"):
            _menu(PRESENT)
            st.button(
                "End the presentation",
                icon=":material/close:",
                on_click=lambda: st.query_params.pop("present", None),
            )
    else:
        with st.sidebar:
            st.markdown("**PixelCNN, live**")
            _menu(None)
            st.button(
                "Presentation",
                icon=":material/slideshow:",
                type="tertiary",
                on_click=lambda: st.query_params.update(PRESENT),
                help="Larger type and no sidebar, for a projector. A link with `present=1` begins "
                "so.",
            )
    st.markdown(f"### {title}")
    st.caption(introduction, help=glossary.explain(title))
    links.begin(is_another)


def _menu(query: dict[str, str] | None) -> None:
    for file, name, icon, help_text in PAGES:
        st.page_link(file, label=name, icon=icon, help=help_text, query_params=query)
