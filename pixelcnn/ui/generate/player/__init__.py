"""The player: watch a PixelCNN draw an image pixel by pixel."""

from collections.abc import Callable

from pixelcnn.ui.browser.bundle import component

_component = component("generate/player", "playback", "sheet")


def player(message: bytes | None, *, key: str, on_ask: Callable[[], None] | None = None) -> None:
    """Mount the player, which keeps what it has received and plays it without the server.

    What it asks is in `st.session_state[key]["ask"]` while the callback runs; it is gone where it
    came in one message with a change of page. Mount the player inside a fragment and a keyed
    container: what it asks then reruns only the fragment, and elements inserted above do not
    mount it anew.

    Arguments:
        message: the newest message of a `Drawing`; None while there is nothing yet.
        key: of the component.
        on_ask: the browser needs something: `{picture, course, have, rule, open}`, see
            `pixelcnn.ui.generate.drawing`.
    """
    _component(key=key, data=message, on_ask_change=on_ask or (lambda: None))
