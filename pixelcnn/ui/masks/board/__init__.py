"""The board: panels of pixels and kernel entries to hover over, click, slide and play."""

from collections.abc import Callable

import streamlit as st

from pixelcnn.ui.browser.bundle import component
from pixelcnn.ui.masks.board.message import Board, Frames, Look, Panel

__all__ = ["Board", "Frames", "Look", "Panel", "board"]

_component = component("masks/board")


def board(
    content: Board,
    *,
    key: str,
    on_pick: Callable[[str, int], None] | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> None:
    """Mount a board, or change what the one with this key shows.

    Arguments:
        content: what is shown.
        key: of the component.
        on_pick: called with the name of the mark that the visitor moved, and its new pixel.
        on_frame: called with the frame that the visitor stays at, if it is another one.
    """

    def picked() -> None:
        if key not in st.session_state:  # the visitor has gone to another page at that moment
            return
        pick = st.session_state[key]["pick"]
        st.session_state[f"{key}_echo"] = int(pick["number"])
        for name, before in content.marks.items():
            moved = pick["marks"].get(name, before)
            if on_pick is not None and moved != before:
                on_pick(name, int(moved))
        if on_frame is not None and pick["frame"] != content.frames.start:
            on_frame(int(pick["frame"]))

    with st.container(key=f"{key}_stage"):
        _component(
            key=key,
            data=content.message(st.session_state.get(f"{key}_echo", 0)),
            on_pick_change=picked,
        )
