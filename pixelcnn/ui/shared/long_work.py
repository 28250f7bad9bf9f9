"""Long work on a page: a bar with the time left and a way to cancel it, then the result."""

import uuid
from collections.abc import Callable, Hashable
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pixelcnn.evaluation.stored import percent
from pixelcnn.ui.shared.jobs import GRACE, JOBS, Job, Steps, Visitor
from pixelcnn.ui.shared.literal import literal

UNASKED = 60.0
"""Seconds after which a work is dropped that the page it began on does not show any more."""


def visitor() -> Visitor:
    """Give the visitor of this session."""
    if "visitor" not in st.session_state:
        session = get_script_run_ctx().session_id
        st.session_state["visitor"] = Visitor(uuid.uuid4().hex, lambda: _is_connected(session))
    return st.session_state["visitor"]


def enter(page: str) -> bool:
    """Note that a page begins: what it does not ask for, another page or view did, is dropped.

    Returns:
        Whether another page was open before.
    """
    is_another = st.session_state.get("page") != page
    seconds = GRACE if is_another else UNASKED
    st.session_state["page"] = page
    for job in _mine().values():
        job.doubt(visitor(), seconds)
    return is_another


def begin(slot: str, key: Hashable, make: Callable[[], Steps], computes: bool = True) -> Job:
    """Begin a work that has no bar, or join it; see `result_of`."""
    job = _mine()[slot] = JOBS.begin(key, make, visitor(), computes)
    return job


def cancel(slot: str) -> None:
    """Leave the work at a place of the page, if there is one."""
    if slot in _mine():
        _mine()[slot].cancel(visitor())


def result_of(
    key: Hashable,
    make: Callable[[], Steps],
    *,
    slot: str,
    button: str | None,
    what: str,
    computes: bool = True,
    cancel_note: str | None = None,
    is_current: Callable[[Any], bool] = lambda result: True,
    patience: float = 0.3,
) -> Any | None:
    """Return the result of a long work, or show how to get it and return None.

    Visitors who ask for the same wait for the same work.

    Arguments:
        key: everything that the result depends on.
        make: begins the work; yields the share done, returns the result.
        slot: name of the place on the page; a session does one work for each place.
        button: text of the button that begins it; None begins at once.
        what: what is being done, for the progress bar.
        computes: whether it needs the processor; else it waits for something else.
        cancel_note: what cancelling does, where that is not plain.
        is_current: whether a result is up to date; one that is not is returned meanwhile.
        patience: seconds in which a work may end before there is a bar.

    Returns:
        The result, once it is there; for other visitors, and for the next visit, at once.
    """
    result = JOBS.results.get(key)
    if result is not None and is_current(result):
        st.session_state.pop(_asked(slot), None)
        return result
    me, job = visitor(), _mine().get(slot)
    if job is not None and job.key != key:  # the settings have changed since
        job.cancel(me)
        job = None
    asked = st.session_state.get(_asked(slot), False)
    settled = job is not None and (job.asked_by(me) or job.error or job.cancelled_by(me))
    shared = JOBS.running(key) is not None  # somebody asked for the same
    if asked or (not settled and (shared or button is None)):
        job = begin(slot, key, make, computes)
        st.session_state.pop(_asked(slot), None)  # only now: a rerun may come at any call of `st`
        job.wait(patience)
    if job is not None and job.asked_by(me):
        _progress(slot, what, cancel_note)
        return result
    result = JOBS.results.get(key)
    if result is not None and is_current(result):
        return result
    if job is not None and job.error is not None:
        st.error(f"This did not work. {literal(job.error)}", icon=":material/error:")
    elif job is not None and (job.dropped or job.cancelled_by(me)):
        why = "" if job.cancelled_by(me) else ", because you left the page"
        st.info(f"Cancelled{why}.", icon=":material/cancel:")
    st.button(
        button or "Try again",
        key=f"begin-{slot}",
        icon=":material/play_arrow:",
        on_click=_ask,
        args=(slot,),
    )
    return result


def _ask(slot: str) -> None:
    """Remember the click until the work can begin with what is set now.

    The click may come together with a change of the settings, and then nothing that was known
    when the button was drawn is right any more.
    """
    st.session_state[_asked(slot)] = True


def _asked(slot: str) -> str:
    return f"asked-{slot}"


def _mine() -> dict[str, Job]:
    """Give the works of this session by their place on the page."""
    return st.session_state.setdefault("jobs", {})


def _is_connected(session: str) -> bool:
    return not runtime.exists() or runtime.get_instance().is_active_session(session)


@st.fragment(run_every=0.4)
def _progress(slot: str, what: str, cancel_note: str | None) -> None:
    job = _mine()[slot]
    if not job.asked_by(visitor()):
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(job.done, f"{what}: {percent(job.done, 0)}{job.time_left}")
        st.button("Cancel", key=f"cancel-{slot}", on_click=cancel, args=(slot,))
    if cancel_note:
        st.caption(cancel_note)
