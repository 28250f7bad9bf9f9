"""The parts of the Generate page: the drawing in the session, the live player, the exports."""

import time

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pixelcnn.config import SamplingRule
from pixelcnn.data.datasets import class_names
from pixelcnn.ui.generate import exports
from pixelcnn.ui.generate.drawing import Drawing
from pixelcnn.ui.generate.player import player
from pixelcnn.ui.shared import controls, downloads, history, made
from pixelcnn.ui.shared.history import Subject
from pixelcnn.ui.shared.resources import LoadedModel, show_causality

PLAYER = "player"
SENDING_SECONDS = 0.1
"""Time for the player's message to leave, see `export`."""
LATE_SECONDS = 2.0
"""Longest time by which a message of the browser is late."""


def prepare(
    model: LoadedModel, subject: Subject, rule: SamplingRule, place: DeltaGenerator
) -> None:
    """Make the session's drawing fit the controls: begin a new one, or tell it a new rule.

    What cannot be drawn is said at the place given, and the page ends.
    """
    st.session_state["prepared"] = controls.settings()
    drawing: Drawing | None = st.session_state.get("drawing")
    identity = (subject, model.modified_ns)
    if drawing is None or st.session_state.get("identity") != identity:
        start = _asked_start(identity)
        if start is None:
            start = _history_of_link(model, rule) if drawing is None else _plain(rule)
        try:
            drawing = Drawing(
                model.model, model.dependency, subject, start, _captions(model, subject)
            )
        except ValueError as error:
            place.error(f"This cannot be drawn. {error}", icon=":material/error:")
            st.stop()
        drawing.pin = st.session_state.pop("begin_at", None)
        st.session_state["drawing"] = drawing
        st.session_state["identity"] = identity
        # The first pixels travel with the page: no round trip before something is seen.
        with drawing.lock:
            drawing.current.draw(16, 0.05)
            message = drawing.message(drawing.current, 0)
        st.session_state["message"] = message
    drawing.want(rule)
    if drawing.ask != st.session_state.get("asked", 0):
        st.session_state["asked"] = drawing.ask
        with drawing.lock:
            branch = drawing.current
            message = drawing.message(branch, branch.count, holds=subject.checkpoint)
        st.session_state["message"] = message
    _write_link(drawing)


@st.fragment(key="live")
def live() -> None:
    """Mount the player; its requests rerun only this fragment."""
    with st.container(key="stage"):
        player(
            st.session_state["message"],
            key=PLAYER,
            on_pull=_on_pull,
            on_fork=_on_fork,
            on_open=_on_open,
            on_select=_on_select,
        )
    if problem := st.session_state.pop("problem", None):
        st.warning(problem, icon=":material/warning:")
    # A request of the player may have changed a setting, or may have come in one message with a
    # change by the visitor: Streamlit then reruns only the fragment.
    if st.session_state["prepared"] != controls.settings() or "untold" in st.session_state:
        st.rerun()


def export() -> None:
    """Offer the drawing as files; outside of `live`, so that a pull does not send it again."""
    # Streamlit sends every 10 ms. If a pull has the fragment run again before its message of this
    # run is sent, that message is dropped, but not the one that the run is over: the browser takes
    # the player away and mounts it anew.
    time.sleep(SENDING_SECONDS)
    drawing: Drawing = st.session_state["drawing"]
    made.leave(made.GENERATE, exports.made(drawing))
    subject = drawing.subject
    name = f"{subject.checkpoint}-seed{subject.seed}-{subject.image}"
    with st.container(horizontal=True):
        _offer_sheet()
        popover = st.popover("Download", icon=":material/download:")
    with popover:
        st.caption("The finished picture: what is not drawn yet is drawn first, by the same rule.")
        formats = downloads.picture_formats(exports, large=16, data="Trace")
        downloads.offer(formats, drawing, name, "download")


def _offer_sheet() -> None:
    """Let the visitor go back to the sheet from which a picture was opened, if one was."""
    sheet = st.session_state.get("sheet")
    if sheet and st.session_state["pictures"] == 1:
        st.button(
            f"Back to the sheet of {sheet['pictures']}",
            icon=":material/grid_view:",
            on_click=lambda: st.session_state.update(sheet),
        )


def about(model: LoadedModel) -> None:
    """Tell what the model is and what was checked about it."""
    config, info = model.model.config, model.info
    seen, past = model.coverage
    scores = ", ".join(
        f"{bits:.3f} bits/dim on {split} images" for split, bits in info.bits_per_dim.items()
    )
    st.caption(
        f"**{model.name}** · {model.model.title}, {model.model.num_parameters:,} parameters, "
        f"{config.num_levels} levels, {info.images_seen:,} images seen"
        + (f" · {scores}" if scores else "")
        + f" · receptive field: {100 * seen / past:.1f} % of the past"
    )
    show_causality(model)  # begins only now: the first picture comes first


def _captions(model: LoadedModel, subject: Subject) -> list[str]:
    config = model.model.config
    names = class_names(model.info.dataset, config.num_classes)
    labels = subject.labels(config.num_classes)
    if labels is None:
        return ["any class" if names else ""] * subject.num_images
    return [names[label] for label in labels]


def _asked_start(identity: tuple[Subject, int]) -> history.History | None:
    """Give the history that the drawing of this subject was asked to begin with, if it was.

    A pull that the browser sent before it heard of the new settings brings the old ones back for a
    moment: the same drawing is begun twice then, and must begin the same.
    """
    start = st.session_state.pop("begin_with", None)
    if start is not None:
        st.session_state["begun"] = identity, start, time.monotonic()
        return start
    subject, start, at = st.session_state.get("begun", (None, None, 0.0))
    return start if subject == identity and time.monotonic() - at < LATE_SECONDS else None


def _plain(rule: SamplingRule) -> history.History:
    return history.History(((0, rule),))


def _history_of_link(model: LoadedModel, rule: SamplingRule) -> history.History:
    """Read the history that a link carries; without one the rule holds throughout."""
    text = st.query_params.get("history")
    if text is None:
        return _plain(rule)
    try:
        read = history.from_text(text)
        read.check_fits(model.model.config)
    except ValueError as error:
        st.warning(
            f"The history in this link cannot be used: {error}. The picture is drawn without it.",
            icon=":material/warning:",
        )
        return _plain(rule)
    return read


def _write_link(drawing: Drawing) -> None:
    """Keep the address of the page one that reproduces the current branch."""
    if controls.untold(drawing.config):
        return  # writing would take back what the visitor has set
    current = drawing.current.history
    if current.is_plain and current.last_rule == drawing.rule:
        st.query_params.pop("history", None)
    else:
        text = history.to_text(current)
        if st.query_params.get("history") != text:
            st.query_params["history"] = text


def _on_pull() -> None:
    if PLAYER not in st.session_state:
        return  # the request came in one message with a change of page
    drawing: Drawing = st.session_state["drawing"]
    request = st.session_state[PLAYER]["pull"]
    rule = drawing.rule
    with drawing.lock:
        st.session_state["message"] = drawing.answer_pull(
            run=str(request["run"]),
            revision=int(request["revision"]),
            have=int(request["have"]),
            position=int(request["position"]),
            seen=int(request["seen"]),
            speed=float(np.clip(request["speed"], 1, 10_000)),
            holds=request["holds"],
            turn=int(request["turn"]),
        )
    if drawing.rule != rule:  # the visitor went to a branch, and only now this is heard of
        controls.show_rule(drawing.rule, drawing.config.num_levels)
    _write_link(drawing)
    # He may have set something while an address was on its way, which then took it back.
    if untold := controls.untold(drawing.config):
        st.session_state["untold"] = untold


def _on_fork() -> None:
    if PLAYER not in st.session_state:
        return  # the request came in one message with a change of page
    drawing: Drawing = st.session_state["drawing"]
    request = st.session_state[PLAYER]["fork"]
    name, holds = str(request["id"]), drawing.subject.checkpoint
    with drawing.lock:
        try:
            message = drawing.answer_fork(
                run=str(request["run"]),
                position=int(request["position"]),
                level=int(request["level"]),
                request=name,
                holds=holds,
            )
        except ValueError as error:
            st.session_state["problem"] = f"No branch was made. {error}"
            current = drawing.current
            message = drawing.message(current, current.count, holds, fork_request=name)
    st.session_state["message"] = message
    _write_link(drawing)


def _on_select() -> None:
    if PLAYER not in st.session_state:
        return  # the request came in one message with a change of page
    drawing: Drawing = st.session_state["drawing"]
    with drawing.lock:
        drawing.select(str(st.session_state[PLAYER]["select"]["run"]))
        branch = drawing.current
        message = drawing.message(branch, branch.count, holds=drawing.subject.checkpoint)
    # A player that lacks pixels of this branch asks for them.
    st.session_state["message"] = message
    controls.show_rule(drawing.rule, drawing.config.num_levels)
    _write_link(drawing)


def _on_open() -> None:
    if PLAYER not in st.session_state:
        return  # the request came in one message with a change of page
    drawing: Drawing = st.session_state["drawing"]
    image = int(st.session_state[PLAYER]["open"]["image"])
    if 0 <= image < drawing.subject.num_images:
        before = controls.settings()
        # The same rules at the same pixels, else it would be another picture.
        same = {"begin_with": drawing.current.history}
        kept = ("pictures", "rows", "image", "class")
        st.session_state["sheet"] = {k: before[k] for k in kept if k in before} | same
        st.session_state.update(same)
        caption = drawing.captions[image]
        per_class = drawing.subject.labels(drawing.config.num_classes) is not None
        controls.show_single(drawing.subject.image + image, caption if per_class else None)
