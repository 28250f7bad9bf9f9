"""The drawing of the session: one for each shape of picture, kept from page to page.

It is changed on the canvas, where one draws on the model's own pixels and says which are known.
The browser keeps the drawing while it is changed there; what the server knows replaces it only
with a new revision.
"""

import base64
import secrets

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from pixelcnn.models import ModelConfig
from pixelcnn.ui.browser.bundle import component
from pixelcnn.ui.browser.wire import encode
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.sketch import (
    GIVEN,
    MAX_SIDE,
    Sketch,
    blank,
    channels_last,
    from_text,
)

CANVAS = "canvas"
_component = component("shared/canvas")


def prepare(config: ModelConfig) -> None:
    """Make the session's drawing fit the model; the first one may come with the link."""
    if max(config.height, config.width) > MAX_SIDE:
        st.info(
            f"This page completes pictures of at most {MAX_SIDE} x {MAX_SIDE} pixels. This model "
            f"draws {config.height} x {config.width}: `pixelcnn.complete` does it in Python.",
            icon=":material/palette:",
        )
        st.stop()
    state = st.session_state
    if "sketches" not in state:
        state["sketches"] = {}
        state["sketch_revision"] = secrets.randbits(40)  # no two sessions have the same ones
        state["sketch_fresh"], state["sketch_link"] = True, ""
        if text := st.query_params.get("drawing"):
            _read_link(text, config)
    shape, num_levels = config.image_shape, config.num_levels
    sketch = state["sketches"].get(shape) or blank(shape, num_levels)
    if (shape, num_levels) != (state.get("sketch_shape"), sketch.num_levels):
        state["sketch_revision"] += 1  # the canvas in the browser is of another kind
    state["sketches"][shape], state["sketch_shape"] = sketch.with_levels(num_levels), shape


def current() -> Sketch:
    """Give the drawing that fits the model."""
    return st.session_state["sketches"][st.session_state["sketch_shape"]]


def show_canvas(
    order: int | None = None,
    hints: bool = False,
    pause_ms: int = 0,
    ignored: NDArray[np.bool_] | None = None,
) -> None:
    """Mount the canvas with the session's drawing.

    Arguments:
        order: raster order to show as arrows, 0..7.
        hints: whether pixels that are drawn by hand are hints.
        pause_ms: how long no other change may follow before one is sent; 0 sends it at once.
        ignored: (H, W), known pixels to be crossed out.
    """
    state, sketch = st.session_state, current()
    channels, height, width = sketch.level.shape
    sections = {"level": channels_last(sketch.level), "state": sketch.state}
    if ignored is not None and ignored.any():
        sections["ignored"] = ignored.astype(np.uint8)
    header = {
        "channels": channels,
        "height": height,
        "width": width,
        "levels": sketch.num_levels,
        "revision": state["sketch_revision"],
        # A session without a drawing may get back the one that the browser had before a reload,
        # but only if that was drawn under the same address.
        "fresh": state["sketch_fresh"],
        "link": state["sketch_link"],
        "order": order,
        "hints": hints,
        "pause_ms": pause_ms,
    }
    with st.container(key="canvas-frame"):
        _component(key=CANVAS, data=encode(header, sections), on_drawing_change=_on_change)


def origin() -> str | None:
    """Name the data set that the drawing's picture comes from; None if it is not known."""
    is_given = (current().state == GIVEN).any()
    return st.session_state.get("sketch_origin") or None if is_given else None


def put(sketch: Sketch, origin: str | None = None) -> None:
    """Replace the drawing by one of the same shape; the canvas can take it back.

    Arguments:
        sketch: the new drawing.
        origin: data set that its picture comes from; None keeps what was known of it.
    """
    state = st.session_state
    if origin is not None:
        state["sketch_origin"] = origin
    old = current()
    assert sketch.level.shape == old.level.shape
    state["sketches"][state["sketch_shape"]] = sketch.with_levels(old.num_levels)
    state["sketch_revision"] += 1
    state["sketch_fresh"] = False


def _on_change() -> None:
    """Take in what was drawn on the canvas, unless it was drawn on what is replaced since.

    The browser sends `{revision, level, state}`, the last two in base64.
    """
    state = st.session_state
    if CANVAS not in state:
        return  # the change came in one message with a change of page, where the browser keeps it
    value = state[CANVAS]["drawing"]
    if not value or value["revision"] != state["sketch_revision"]:
        return
    level, pixels = (
        np.frombuffer(base64.b64decode(str(value[name]), validate=True), np.uint8)
        for name in ("level", "state")
    )
    sketch = current()
    shape = sketch.state.shape
    state["sketches"][state["sketch_shape"]] = Sketch(
        level.reshape(*shape, -1).transpose(2, 0, 1), pixels.reshape(shape), sketch.num_levels
    )
    state["sketch_fresh"], state["sketch_changed"] = False, True


def _read_link(text: str, config: ModelConfig) -> None:
    try:
        sketch = from_text(text)
    except ValueError as error:
        st.warning(
            f"The drawing in this link cannot be used: {literal(error)}.",
            icon=":material/warning:",
        )
        return
    if sketch.level.shape != config.image_shape:
        has, needs = (
            f"{height} x {width}" + (f" x {channels}" if channels > 1 else "")
            for channels, height, width in (sketch.level.shape, config.image_shape)
        )
        st.warning(
            f"The drawing in this link has {has} pixels; this model needs {needs}. Choose a model "
            "of that size to use it.",
            icon=":material/warning:",
        )
    else:
        st.session_state["sketch_link"] = text
        st.session_state["begin_from_link"] = True
    st.session_state["sketches"][sketch.level.shape] = sketch
