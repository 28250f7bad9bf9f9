"""Small pictures to choose from."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from pixelcnn.data.pictures import Picture
from pixelcnn.ui.browser.bundle import component
from pixelcnn.ui.browser.wire import encode

_component = component("complete/gallery")


def gallery(
    pictures: Sequence[Picture],
    titles: Sequence[str],
    *,
    key: str,
    on_choose: Callable[[int], None],
    named: bool = False,
) -> None:
    """Show pictures as buttons.

    Arguments:
        pictures: what to show.
        titles: one text for each.
        key: key of the component.
        on_choose: called with the number of a picture after a click on it.
        named: whether the titles stand under the pictures.
    """

    def chosen() -> None:
        if key not in st.session_state:
            return  # the click came in one message with a change of page
        index = int(st.session_state[key]["choose"]["index"])
        if 0 <= index < len(pictures):
            on_choose(index)

    message = encode(
        {"titles": list(titles), "named": named},
        {f"picture{n}": np.atleast_3d(picture) for n, picture in enumerate(pictures)},
    )
    _component(key=key, data=message, on_choose_change=chosen)
