"""The sheet of completions, which grows while they are drawn."""

from collections.abc import Callable

from pixelcnn.ui.browser.bundle import component

_component = component("complete/completions", "playback", "sheet")


def completions(
    message: bytes,
    *,
    key: str,
    on_pull: Callable[[], None],
    on_take: Callable[[], None],
    on_open: Callable[[], None],
    on_pin: Callable[[], None],
) -> None:
    """Mount the sheet; mount it inside a fragment and a keyed container, like the player.

    A trigger's value is in `st.session_state[key]["pull"]` (`"take"`, `"open"`, `"pin"`) while its
    callback runs.

    Arguments:
        message: the newest message of `CompletionRun`.
        key: key of the component.
        on_pull: the browser wants more pixels: `{run, serial}`.
        on_take: a completion goes back to the canvas: `{run, image, pixel}`.
        on_open: a completion is opened on the Generate page at a pixel: `{run, image, pixel}`.
        on_pin: a completion gets a class of its own, or None: `{run, image, pixel, label}`.
    """
    _component(
        key=key,
        data=message,
        on_pull_change=on_pull,
        on_take_change=on_take,
        on_open_change=on_open,
        on_pin_change=on_pin,
    )
