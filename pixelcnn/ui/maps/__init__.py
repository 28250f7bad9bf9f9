"""The maps: a picture, its surprise and its entropy, with the bits spent along the scan."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

_FOLDER = Path(__file__).parent
_PLAYER = _FOLDER.parent / "player"
# One module made of several files: components v2 takes a single script. The order is that of use.
_SCRIPTS = (
    _PLAYER / "trace.js",
    _PLAYER / "pictures.js",
    _PLAYER / "panels.js",
    _FOLDER / "maps.js",
)

_component = st.components.v2.component(
    "pixelcnn_maps",
    html=(_FOLDER / "maps.html").read_text(encoding="utf-8"),
    css=(_FOLDER / "maps.css").read_text(encoding="utf-8"),
    js="\n".join(path.read_text(encoding="utf-8") for path in _SCRIPTS),
)


def maps(message: bytes, *, key: str, on_select: Callable[[], None]) -> None:
    """Mount the maps; hovering any of them, or the curve, marks the pixel in all.

    Arguments:
        message: made with `pixelcnn.ui.messages.encode_score`.
        key: key of the component.
        on_select: a pixel was chosen; `st.session_state[key]["select"]` is `{id, pixel}` while
            it runs, the id that of the message.
    """
    _component(key=key, data=message, on_select_change=on_select)
