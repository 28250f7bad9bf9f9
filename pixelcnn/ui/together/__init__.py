"""Synchronized players: the same random numbers through several settings, side by side."""

from pathlib import Path

import streamlit as st

_FOLDER = Path(__file__).parent
_PLAYER = _FOLDER.parent / "player"
# One module made of several files: components v2 takes a single script. The order is that of use.
_SCRIPTS = (
    _PLAYER / "trace.js",
    _PLAYER / "pictures.js",
    _PLAYER / "panels.js",
    _FOLDER / "together.js",
)

_component = st.components.v2.component(
    "pixelcnn_together",
    html=(_FOLDER / "together.html").read_text(encoding="utf-8"),
    css=(_FOLDER / "together.css").read_text(encoding="utf-8"),
    js="\n".join(path.read_text(encoding="utf-8") for path in _SCRIPTS),
)


def together(message: bytes, *, key: str) -> None:
    """Mount the players; playing, stepping and hovering need no server.

    Arguments:
        message: made with `pixelcnn.ui.messages.encode_panels`.
        key: key of the component.
    """
    _component(key=key, data=message)
