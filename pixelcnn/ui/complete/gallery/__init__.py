"""Small pictures to choose from."""

import base64
from collections.abc import Callable, Sequence

import streamlit as st

from pixelcnn.data.pictures import Picture, png_bytes
from pixelcnn.ui.browser.bundle import read

_component = st.components.v2.component(
    "pixelcnn_gallery",
    html='<div class="pxg-frame"><div class="pxg" role="group"></div></div>',
    css=read("complete/gallery/gallery.css"),
    js=read("complete/gallery/gallery.js"),
)


def gallery(
    pictures: Sequence[Picture],
    titles: Sequence[str],
    *,
    key: str,
    on_choose: Callable[[], None],
    named: bool = False,
) -> None:
    """Show pictures as buttons.

    Arguments:
        pictures: what to show.
        titles: one text for each.
        key: key of the component; while `on_choose` runs, `st.session_state[key]["choose"]` is
            `{index}`.
        on_choose: called after a click.
        named: whether the titles stand under the pictures.
    """
    _component(
        key=key,
        data=[
            {"title": title, "named": named, "png": base64.b64encode(png_bytes(picture)).decode()}
            for picture, title in zip(pictures, titles, strict=True)
        ],
        on_choose_change=on_choose,
    )
