"""The drawing of the session: one for each size of picture, kept from page to page."""

import secrets
from typing import Any

import streamlit as st

from pixelcnn.models import ModelConfig
from pixelcnn.ui.shared.canvas import canvas, read_change
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.sketch import GIVEN, MAX_SIDE, Sketch, blank, from_text

CANVAS = "canvas"


def prepare(config: ModelConfig) -> None:
    """Make the session's drawing fit the model; the first one may come with the link."""
    if config.num_channels != 1 or max(config.height, config.width) > MAX_SIDE:
        st.info(
            f"This page completes grey pictures of at most {MAX_SIDE} x {MAX_SIDE} pixels. This "
            f"model draws {config.height} x {config.width} pixels with {config.num_channels} "
            "channels: `pixelcnn.complete` does it in Python.",
            icon=":material/palette:",
        )
        st.stop()
    state = st.session_state
    if "sketches" not in state:
        state["sketches"] = {}
        state["sketch_revision"] = secrets.randbits(40)  # no two sessions have the same ones
        state["sketch_fresh"], state["sketch_link"] = True, ""
        state["sketch_kind"] = None
        if text := st.query_params.get("drawing"):
            _read_link(text, config)
    state["sketch_size"] = size = (config.height, config.width)
    sketch = state["sketches"].get(size) or blank(*size, config.num_levels)
    state["sketches"][size] = sketch.with_levels(config.num_levels)
    if state["sketch_kind"] != (kind := (*size, config.num_levels)):
        state["sketch_kind"] = kind  # the canvas in the browser is of another kind
        state["sketch_revision"] += 1


def current() -> Sketch:
    """Give the drawing that fits the model."""
    return st.session_state["sketches"][st.session_state["sketch_size"]]


def show_canvas(**more: Any) -> None:
    """Mount the canvas with the session's drawing.

    Arguments:
        more: further arguments of `canvas`.
    """
    state = st.session_state
    with st.container(key="canvas-frame"):
        canvas(
            current(),
            key=CANVAS,
            revision=state["sketch_revision"],
            fresh=state["sketch_fresh"],
            link=state["sketch_link"],
            on_change=on_change,
            **more,
        )


def origin() -> str | None:
    """Name the data set that the drawing's picture comes from; None if it is not known."""
    is_given = (current().state == GIVEN).any()
    return st.session_state.get("sketch_origin") or None if is_given else None


def put(sketch: Sketch, origin: str | None = None) -> None:
    """Replace the drawing by one of the same size; the canvas can take it back.

    Arguments:
        sketch: the new drawing.
        origin: data set that its picture comes from; None keeps what was known of it.
    """
    state = st.session_state
    if origin is not None:
        state["sketch_origin"] = origin
    old = current()
    assert sketch.level.shape == old.level.shape
    state["sketches"][state["sketch_size"]] = sketch.with_levels(old.num_levels)
    state["sketch_revision"] += 1
    state["sketch_fresh"] = False


def on_change() -> None:
    """Take in what was drawn on the canvas, unless it was drawn on what is replaced since."""
    state = st.session_state
    if CANVAS not in state:
        return  # the change came in one message with a change of page, where the browser keeps it
    value = state[CANVAS]["drawing"]
    if not value or value["revision"] != state["sketch_revision"]:
        return
    state["sketches"][state["sketch_size"]] = read_change(value, current())
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
    if sketch.level.shape != (config.height, config.width):
        st.warning(
            f"The drawing in this link has {sketch.height} x {sketch.width} pixels; this model "
            f"needs {config.height} x {config.width}. Choose a model of that size to use it.",
            icon=":material/warning:",
        )
    else:
        st.session_state["sketch_link"] = text
        st.session_state["begin_from_link"] = True
    st.session_state["sketches"][sketch.level.shape] = sketch
