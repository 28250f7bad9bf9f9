"""What a page has made, left in the session for the other pages."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import streamlit as st

from pixelcnn.models import ModelConfig
from pixelcnn.ui.shared.jobs import Steps

GENERATE, COMPLETE = "Generate", "Complete"


@dataclass(frozen=True)
class Made:
    """Pictures of a page, which need not be finished."""

    config: ModelConfig
    """Of the model that draws them."""
    captions: list[str]
    """What each of them is."""
    classes: list[str | None]
    """The class that each was asked for; None for any class."""
    key: Callable[[], Hashable]
    """Tells these pictures from others that the page may make of them."""
    finish: Callable[[], Steps]
    """Draws them to their end; the result is levels, int64 (B, C, H, W)."""


def leave(page: str, made: Made | None) -> None:
    """Leave what a page has made."""
    st.session_state[f"made-{page}"] = made


def left_by(page: str) -> Made | None:
    """Give what a page has left."""
    return st.session_state.get(f"made-{page}")
