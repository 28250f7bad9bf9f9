"""The player: watch a PixelCNN draw an image pixel by pixel."""

from collections.abc import Callable

import streamlit as st

from pixelcnn.ui.browser.bundle import bundle, read

_component = st.components.v2.component(
    "pixelcnn_player",
    html=read("generate/player/player.html"),
    css=read("browser/base.css", "browser/playback.css", "generate/player/player.css"),
    js=bundle("generate/player/player.js"),
)


def player(
    message: bytes | None,
    *,
    key: str,
    on_pull: Callable[[], None] | None = None,
    on_fork: Callable[[], None] | None = None,
    on_open: Callable[[], None] | None = None,
    on_select: Callable[[], None] | None = None,
) -> None:
    """Mounts the player, which keeps what it has received and plays it without the server.

    A trigger's value is in `st.session_state[key]["pull"]` (`"fork"`, `"open"`, `"select"`)
    while its callback runs; none runs while the visitor goes to another page. Mount the player
    inside a fragment and a keyed container: the pulls then rerun only the fragment, and elements
    inserted above do not mount it anew.

    Arguments:
        message: The newest message, made with `encode`; None while there is nothing yet.
        key: Key of the component, and of its triggers in the session state.
        on_pull: The browser needs pixels, or answers a changed `ask`:
            `{run, revision, have, position, seen, speed, holds, turn}`. `speed` is in pixels per
            second, 10,000 for "fastest" and for jumps.
        on_fork: Another level is forced at a drawn pixel: `{run, position, level, id}`. `id` is
            the same when the browser repeats a request that got no answer.
        on_open: A picture of a sheet was clicked: `{image}`.
        on_select: Another branch was chosen: `{run}`.
    """
    _component(
        key=key,
        data=message,
        on_pull_change=_unless_left(key, on_pull),
        on_fork_change=_unless_left(key, on_fork),
        on_open_change=_unless_left(key, on_open),
        on_select_change=_unless_left(key, on_select),
    )


def _unless_left(key: str, act: Callable[[], None] | None) -> Callable[[], None]:
    """Make a callback; a trigger without one would not reach the session state.

    A trigger may come in one message with a change of page. Its value is gone by then.
    """

    def run() -> None:
        if act is not None and key in st.session_state:
            act()

    return run
