"""The maps: a picture, its surprise and its entropy, with the bits spent along the scan."""

from collections.abc import Callable

from pixelcnn.ui.browser.bundle import component

_component = component("measure/maps")


def maps(message: bytes, *, key: str, on_select: Callable[[], None]) -> None:
    """Mount the maps; hovering any of them, or the curve, marks the pixel in all.

    Arguments:
        message: made with `pixelcnn.ui.browser.messages.encode_score`.
        key: key of the component.
        on_select: a pixel was chosen; `st.session_state[key]["select"]` is `{id, pixel}` while
            it runs, the id that of the message.
    """
    _component(key=key, data=message, on_select_change=on_select)
