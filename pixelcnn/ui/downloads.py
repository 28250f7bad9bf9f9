"""Buttons that download something in several formats."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import streamlit as st

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Format(Generic[Subject]):
    """One way to write something as a file."""

    label: str
    suffix: str
    """End of the file's name, with the dot."""
    mime: str
    write: Callable[[Subject], bytes | str]
    """Called by a click only."""
    help: str | None = None


def offer(formats: Iterable[Format[Subject]], subject: Subject, name: str, key: str) -> None:
    """Offer a file in each format, called NAME.SUFFIX."""
    for format in formats:
        st.download_button(
            format.label,
            partial(format.write, subject),
            file_name=name + format.suffix,
            mime=format.mime,
            on_click="ignore",
            width="stretch",
            help=format.help,
            key=f"{key}{format.suffix}",
        )
