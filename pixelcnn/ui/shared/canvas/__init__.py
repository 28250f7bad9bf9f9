"""The canvas: draw on the model's own pixels, and say which of them are known."""

import base64
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pixelcnn.ui.browser.bundle import component
from pixelcnn.ui.browser.wire import encode
from pixelcnn.ui.shared.sketch import Sketch, channels_last

_component = component("shared/canvas")


def canvas(
    sketch: Sketch,
    *,
    key: str,
    revision: int,
    fresh: bool,
    link: str,
    order: int | None = None,
    hints: bool = False,
    pause_ms: int = 0,
    ignored: NDArray[np.bool_] | None = None,
    on_change: Callable[[], None],
) -> None:
    """Mount the canvas. The browser keeps the drawing while it is changed there.

    While `on_change` runs, `st.session_state[key]["drawing"]` is `{revision, level, state}`, the
    last two in base64, see `read_change`.

    Arguments:
        sketch: what the server knows; it replaces the drawing only with a new revision.
        key: key of the component.
        revision: how often the server replaced the drawing.
        fresh: whether this session has no drawing yet, so that the browser may give back the one
            it had before a reload.
        link: the drawing in the address of the page, or "": to a fresh session the browser gives
            back only what was drawn under the same address.
        order: raster order to show as arrows, 0..7.
        hints: whether pixels that are drawn by hand are hints.
        pause_ms: how long no other change may follow before one is sent; 0 sends it at once.
        ignored: (H, W), known pixels to be crossed out.
        on_change: called after every change.
    """
    sections = {"level": channels_last(sketch.level), "state": sketch.state}
    if ignored is not None and ignored.any():
        sections["ignored"] = ignored.astype(np.uint8)
    header = {
        "height": sketch.height,
        "width": sketch.width,
        "channels": len(sketch.level),
        "levels": sketch.num_levels,
        "revision": revision,
        "fresh": fresh,
        "link": link,
        "order": order,
        "hints": hints,
        "pause_ms": pause_ms,
    }
    _component(key=key, data=encode(header, sections), on_drawing_change=on_change)


def read_change(value: dict[str, object], sketch: Sketch) -> Sketch:
    """Turn what the browser sends into a sketch of the same shape and levels.

    Raises:
        ValueError: if it is not one.
    """
    level, state = (
        np.frombuffer(base64.b64decode(str(value[name]), validate=True), np.uint8)
        for name in ("level", "state")
    )
    shape = sketch.state.shape
    return Sketch(
        level.reshape(*shape, -1).transpose(2, 0, 1), state.reshape(shape), sketch.num_levels
    )
