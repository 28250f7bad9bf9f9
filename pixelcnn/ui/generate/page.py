"""The parts of the Generate page: the drawing in the session, the live player, the exports."""

import time

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pixelcnn.config import SamplingRule
from pixelcnn.ui.generate import exports
from pixelcnn.ui.generate.drawing import Drawing
from pixelcnn.ui.generate.player import player
from pixelcnn.ui.shared import controls, downloads, history, made
from pixelcnn.ui.shared.history import Subject
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.resources import LoadedModel, show_causality

PLAYER = "player"
SENDING_SECONDS = 0.1
"""Time for the player's message to leave, see `export`."""
FIRST_SECONDS = 0.05
"""Time in which the first pixels are drawn: they travel with the page."""


def prepare(
    model: LoadedModel, subject: Subject, rule: SamplingRule, place: DeltaGenerator
) -> None:
    """Make the session's drawing fit the controls: begin a new one, or note a new rule.

    What cannot be drawn is said at the place given, and the page ends.
    """
    state = st.session_state
    before, state["prepared"] = state.get("prepared", {}), controls.settings()
    drawing: Drawing | None = state.get("drawing")
    identity = (subject, model.modified_ns)
    if drawing is None or state.get("identity") != identity:
        start = _start(model, rule)
        pin = state.pop("begin_at", None)
        try:
            drawing = Drawing(
                model.model, model.dependency, subject, start, _captions(model, subject), pin
            )
        except ValueError as error:
            place.error(f"This cannot be drawn. {literal(error)}", icon=":material/error:")
            st.stop()
        drawing.rule = rule
        drawing.current.draw(FIRST_SECONDS)
        state.update(drawing=drawing, identity=identity, message=drawing.message(0))
        state["outdated"] = before
    elif drawing.rule != rule:
        drawing.rule = rule
        state["message"] = drawing.message(drawing.current.total)


def ways() -> None:
    """Lead to the introduction, and back to the sheet from which a picture was opened."""
    sheet = st.session_state.get("sheet")
    with st.container(horizontal=True, key="ways"):
        if sheet and st.session_state["pictures"] == 1:
            st.button(
                f"Back to the sheet of {sheet['pictures']}",
                icon=":material/grid_view:",
                on_click=lambda: st.session_state.update(sheet),
            )
        st.page_link(
            "pages/masks.py",
            label="New here? How it works, in seven steps",
            icon=":material/school:",
            query_params={"step": "1"},
        )


@st.fragment(key="live")
def live() -> None:
    """Mount the player; its requests rerun only this fragment."""
    with st.container(key="stage"):
        player(st.session_state["message"], key=PLAYER, on_ask=_on_ask)
    # What the player asks may have changed a setting, or may have come in one message with a
    # change by the visitor: Streamlit then reruns only the fragment.
    if st.session_state["prepared"] != controls.settings():
        st.rerun()


def export() -> None:
    """Offer the drawing as files; outside of `live`, which runs again whenever the player asks."""
    # Streamlit sends every 10 ms. If the player has the fragment run again before its message of
    # this run is sent, that message is dropped, but not the one that the run is over: the browser
    # takes the player away and mounts it anew.
    time.sleep(SENDING_SECONDS)
    drawing: Drawing = st.session_state["drawing"]
    made.leave(made.GENERATE, exports.made(drawing))
    subject = drawing.subject
    name = f"{subject.checkpoint}-seed{subject.seed}-{subject.image}"
    with st.popover("Download", icon=":material/download:"):
        st.caption("The finished picture: what is not drawn yet is drawn first, by the same rule.")
        formats = downloads.picture_formats(exports, large=16, data="Trace")
        downloads.offer(formats, drawing, name, "download")


def about(model: LoadedModel) -> None:
    """Tell what the model is and what was checked about it."""
    config, info = model.model.config, model.info
    seen, past = model.coverage
    scores = ", ".join(
        f"{bits:.3f} bits/dim on {literal(split)} images"
        for split, bits in info.bits_per_dim.items()
    )
    st.caption(
        f"**{literal(model.name)}** · {model.model.title}, {model.model.num_parameters:,} "
        "parameters, "
        f"{config.num_levels} levels, {info.images_seen:,} images seen"
        + (f" · {scores}" if scores else "")
        + f" · receptive field: {100 * seen / past:.1f} % of the past"
    )
    show_causality(model)  # begins only now: the first picture comes first


def _captions(model: LoadedModel, subject: Subject) -> list[str]:
    names = model.class_names
    labels = subject.labels(model.model.config.num_classes)
    if labels is None:
        return ["any class" if names else ""] * subject.num_images
    return [names[label] for label in labels]


def _start(model: LoadedModel, rule: SamplingRule) -> history.History:
    """Give the history that a drawing begins with: asked for, of the link, or only the rule."""
    state = st.session_state
    if "begin_with" in state:
        return state.pop("begin_with")
    if "drawing" not in state and "history" in st.query_params:
        try:
            read = history.from_text(st.query_params["history"])
            read.check_fits(model.model.config)
            return read
        except ValueError as error:
            st.warning(
                f"The history in this link cannot be used: {literal(error)}. The picture is drawn "
                "without it.",
                icon=":material/warning:",
            )
    return history.History(((0, rule),))


def _on_ask() -> None:
    """Answer the player; the protocol is told in `pixelcnn.ui.generate.drawing`."""
    state = st.session_state
    if PLAYER not in state:
        return  # the request came in one message with a change of page
    drawing: Drawing = state["drawing"]
    asked = state[PLAYER]["ask"]
    if asked["picture"] != drawing.picture:
        # The browser has not heard of this picture, and may bring the settings of the last one.
        old = state["outdated"]
        state.update({k: v for k, v in state["prepared"].items() if state.get(k) == old.get(k)})
        return
    if asked["open"] is not None:
        _open(drawing, int(asked["open"]))
        return
    course = drawing.course(history.from_text(str(asked["course"])))
    rule, levels = course.history.last_rule, drawing.config.num_levels
    sliders = controls.shown_rule(levels)
    if rule != sliders and asked["rule"] == history.rule_to_text(sliders):
        # The visitor knows what the sliders say, and yet looks at this course: they follow.
        controls.show_rule(rule, levels)
    state["message"] = drawing.answer(course, int(asked["have"]))


def _open(drawing: Drawing, image: int) -> None:
    """Let the page show one picture of a sheet, by the same rules at the same pixels."""
    if not 0 <= image < drawing.subject.num_images:
        return
    state, before = st.session_state, controls.settings()
    same = {"begin_with": drawing.current.history, "begin_at": -1}
    kept = ("pictures", "rows", "image", "class")
    state["sheet"] = {k: before[k] for k in kept if k in before} | same
    state.update(same)
    caption = drawing.captions[image]
    per_class = drawing.subject.labels(drawing.config.num_classes) is not None
    controls.show_single(drawing.subject.image + image, caption if per_class else None)
