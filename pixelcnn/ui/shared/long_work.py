"""Long work on a page: a button, then a bar with the time left, then the result, kept for all."""

import uuid
from collections.abc import Callable, Generator, Hashable
from typing import Any

import streamlit as st

from pixelcnn.durations import in_words
from pixelcnn.ui.shared.work import Results, Work, Works

KEPT = 64
"""Results that are kept for all visitors."""
AT_ONCE = 2
"""Works that compute at the same time; more would only make all of them slower."""


@st.cache_resource(show_spinner=False)
def results() -> Results:
    """Give the results of all long work done so far, by what they depend on."""
    return Results(KEPT)


@st.cache_resource(show_spinner=False)
def works() -> Works:
    """Give the long work of all visitors that is under way."""
    return Works(results().put, AT_ONCE)


def result_of(
    key: Hashable,
    make: Callable[[], Generator[float, None, Any]],
    *,
    slot: str,
    button: str | None,
    what: str,
    computes: bool = True,
    cancel_note: str | None = None,
) -> Any | None:
    """Return the result of a long work, or show how to get it and return None.

    Visitors who ask for the same watch the same work.

    Arguments:
        key: everything that the result depends on.
        make: begins the work; yields the share done, returns the result.
        slot: name of the place on the page; a session does one work for each place.
        button: text of the button that begins it; None begins at once.
        what: what is being done, for the progress bar.
        computes: whether it needs the processor, and so may have to wait for other works.
        cancel_note: what cancelling does, where that is not plain.

    Returns:
        The result, once it is there; for other visitors, and for the next visit, at once.
    """
    kept = results().get(key)
    if kept is not None:
        st.session_state.pop(_asked(slot), None)
        return kept
    visitor = st.session_state.setdefault("visitor", uuid.uuid4().hex)
    mine: dict[str, Work] = st.session_state.setdefault("works", {})

    work = mine.get(slot)
    if work is not None and work.key != key:  # the settings have changed since
        work.leave(visitor)
        del mine[slot]
        work = None
    shared = work is None and works().running(key) is not None  # somebody asked for the same
    lost = work is None or not (work.running or work.error or work.left_by(visitor))
    asked = st.session_state.get(_asked(slot), False)
    if asked or shared or (button is None and lost):
        work = mine[slot] = works().begin(key, make, computes)
        work.join(visitor)
        st.session_state.pop(_asked(slot), None)  # only now: a rerun may come at any call of `st`
        work.wait(0.3)  # what is quick needs no bar
    if work is not None and work.watched_by(visitor):
        _progress(slot, what, visitor, cancel_note)
        return None
    kept = results().get(key)
    if kept is not None:
        return kept
    if work is not None and work.error is not None:
        st.error(f"This did not work. {work.error}", icon=":material/error:")
    elif work is not None and work.left_by(visitor):
        st.info("Cancelled.", icon=":material/cancel:")
    elif work is not None and work.forgotten:
        st.info(
            "Stopped: for a minute nobody had this page open.",
            icon=":material/hourglass_disabled:",
        )
    st.button(
        button or "Try again",
        key=f"begin-{slot}",
        icon=":material/play_arrow:",
        on_click=_ask,
        args=(slot,),
    )
    return None


def _ask(slot: str) -> None:
    """Remember the click until the work can begin with what is set now.

    The click may come together with a change of the settings, and then nothing that was known
    when the button was drawn is right any more.
    """
    st.session_state[_asked(slot)] = True


def _asked(slot: str) -> str:
    return f"asked-{slot}"


@st.fragment(run_every=0.4)
def _progress(slot: str, what: str, visitor: str, cancel_note: str | None) -> None:
    work: Work = st.session_state["works"][slot]
    if not work.watched_by(visitor):
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        if work.waiting:
            st.progress(0.0, f"{what}: waits until other work is done")
        else:
            left = work.seconds_left
            time_left = "" if left is None else f", about {in_words(left)} left"
            st.progress(work.done, f"{what}: {work.done:.0%}{time_left}")
        st.button("Cancel", key=f"cancel-{slot}", on_click=work.leave, args=(visitor,))
    if cancel_note:
        st.caption(cancel_note)
