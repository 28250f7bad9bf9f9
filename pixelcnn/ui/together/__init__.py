"""Synchronized players: the same random numbers through several settings, side by side."""

import streamlit as st

from pixelcnn.ui.files import SHARED, read

_component = st.components.v2.component(
    "pixelcnn_together",
    html=read("together/together.html"),
    css=read("base.css", "together/together.css"),
    js=read(*SHARED, "together/together.js"),
)


def together(message: bytes, *, key: str) -> None:
    """Mount the players; playing, stepping and hovering need no server.

    Arguments:
        message: made with `pixelcnn.ui.messages.encode_panels`.
        key: key of the component.
    """
    _component(key=key, data=message)
