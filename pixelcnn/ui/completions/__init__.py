"""The sheet of completions, which grows while they are drawn."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

_FOLDER = Path(__file__).parent
_PLAYER = _FOLDER.parent / "player"
# One module made of several files: components v2 takes a single script. The order is that of use.
_SCRIPTS = (
    _PLAYER / "leaving.js",
    _PLAYER / "trace.js",
    _PLAYER / "pictures.js",
    _PLAYER / "panels.js",
    _FOLDER / "growth.js",
    _FOLDER / "completions.js",
)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _html() -> str:
    """Put the player's transport, which is the same here, into the page."""
    player = _read(_PLAYER / "player.html")
    start = player.index('<div class="pxc-controls">')
    transport = player[start : player.index('<div class="pxc-right', start)]
    return _read(_FOLDER / "completions.html").replace("TRANSPORT", transport)


_component = st.components.v2.component(
    "pixelcnn_completions",
    html=_html(),
    css=_read(_PLAYER / "player.css") + _read(_FOLDER / "completions.css"),
    js="\n".join(_read(path) for path in _SCRIPTS),
)


def completions(
    message: bytes,
    *,
    key: str,
    on_pull: Callable[[], None],
    on_take: Callable[[], None],
    on_open: Callable[[], None],
) -> None:
    """Mount the sheet; mount it inside a fragment and a keyed container, like the player.

    A trigger's value is in `st.session_state[key]["pull"]` (`"take"`, `"open"`) while its callback
    runs.

    Arguments:
        message: the newest message of `CompletionRun`.
        key: key of the component.
        on_pull: the browser wants more pixels: `{run, serial}`.
        on_take: a completion goes back to the canvas: `{run, image, pixel}`.
        on_open: a completion is opened on the Generate page at a pixel: `{run, image, pixel}`.
    """
    _component(
        key=key,
        data=message,
        on_pull_change=on_pull,
        on_take_change=on_take,
        on_open_change=on_open,
    )
