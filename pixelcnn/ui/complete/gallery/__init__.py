"""Small pictures to choose from."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from pixelcnn.data.pictures import Picture
from pixelcnn.ui.browser.bundle import bundle, read
from pixelcnn.ui.browser.wire import encode

_component = st.components.v2.component(
    "pixelcnn_gallery",
    html='<div class="pxg-frame"><div class="pxg" role="group"></div></div>',
    css=read("complete/gallery/gallery.css"),
    js=bundle("complete/gallery/gallery.js"),
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
    message = encode(
        {"titles": list(titles), "named": named},
        {f"picture{n}": np.atleast_3d(picture) for n, picture in enumerate(pictures)},
    )
    _component(key=key, data=message, on_choose_change=on_choose)
