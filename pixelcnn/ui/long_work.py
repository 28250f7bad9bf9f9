"""Long work on a page: a button, then a bar with the time left, then the result, kept for all."""

from collections.abc import Callable, Generator, Hashable
from typing import Any

import streamlit as st

from pixelcnn.ui.work import Results, Work

KEPT = 64
"""Results that are kept for all visitors."""


@st.cache_resource(show_spinner=False)
def results() -> Results:
    """Give the results of all long work done so far, by what they depend on."""
    return Results(KEPT)


def result_of(
    key: Hashable,
    make: Callable[[], Generator[float, None, Any]],
    *,
    slot: str,
    button: str | None,
    what: str,
) -> Any | None:
    """Return the result of a long work, or show how to get it and return None.

    Arguments:
        key: everything that the result depends on.
        make: begins the work; yields the share done, returns the result.
        slot: name of the place on the page; a session does one work for each place.
        button: text of the button that begins it; None begins at once.
        what: what is being done, for the progress bar.

    Returns:
        The result, once it is there; for other visitors, and for the next visit, at once.
    """
    kept = results().get(key)
    if kept is not None:
        return kept
    works: dict[str, Work] = st.session_state.setdefault("works", {})
    work = works.get(slot)
    if work is not None and work.key != key:  # the settings have changed since
        work.cancel()
        work = None
    if work is None and button is None:
        work = works[slot] = Work(key, make(), results().put)
        work.wait(0.3)  # what is quick needs no bar
    if work is not None and work.running:
        _progress(slot, what)
        return None
    kept = results().get(key)
    if kept is not None:
        return kept
    _offer(work, button or "Try again", slot, key, make)
    return None


def _offer(
    work: Work | None,
    button: str,
    slot: str,
    key: Hashable,
    make: Callable[[], Generator[float, None, Any]],
) -> None:
    if work is not None and work.error is not None:
        st.error(f"This did not work. {work.error}", icon=":material/error:")
    elif work is not None and work.cancelled:
        st.info("Cancelled.", icon=":material/cancel:")

    def begin() -> None:
        st.session_state["works"][slot] = Work(key, make(), results().put)

    st.session_state.setdefault("works", {})
    st.button(button, key=f"begin-{slot}", icon=":material/play_arrow:", on_click=begin)


@st.fragment(run_every=0.4)
def _progress(slot: str, what: str) -> None:
    work: Work = st.session_state["works"][slot]
    if not work.running:
        st.rerun()
    left = work.seconds_left
    time_left = "" if left is None else f", about {_seconds(left)} left"
    bar, button = st.columns([5, 1], vertical_alignment="center")
    bar.progress(work.done, f"{what}: {work.done:.0%}{time_left}")
    button.button("Cancel", key=f"cancel-{slot}", on_click=work.cancel, width="stretch")


def _seconds(seconds: float) -> str:
    """Write a duration.

    >>> _seconds(7.2), _seconds(185)
    ('7 s', '3:05 minutes')
    """
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60}:{whole % 60:02} minutes"
