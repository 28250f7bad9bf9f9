"""Synchronized players: the same random numbers through several settings, side by side."""

import streamlit as st

from pixelcnn.ui.browser.bundle import bundle, read

_component = st.components.v2.component(
    "pixelcnn_together",
    html=read("shared/side_by_side/together.html"),
    css=read("browser/base.css", "browser/playback.css", "shared/side_by_side/together.css"),
    js=bundle("shared/side_by_side/together.js"),
)


def together(message: bytes, *, key: str) -> None:
    """Mount the players; playing, stepping and hovering need no server.

    Arguments:
        message: made with `pixelcnn.ui.browser.messages.encode_panels`.
        key: key of the component.
    """
    _component(key=key, data=message)
