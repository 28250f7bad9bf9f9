"""Synchronized players: the same random numbers through several settings, side by side."""

from pixelcnn.ui.browser.bundle import component

_component = component("shared/side_by_side", "playback")


def together(message: bytes, *, key: str) -> None:
    """Mount the players; playing, stepping and hovering need no server.

    Arguments:
        message: made with `pixelcnn.ui.browser.messages.encode_panels`.
        key: key of the component.
    """
    _component(key=key, data=message)
