"""Buttons that download something in several formats."""

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import streamlit as st


@dataclass(frozen=True)
class Format:
    """One way to write something as a file."""

    label: str
    suffix: str
    """End of the file's name, with the dot."""
    mime: str
    write: Callable[[Any], bytes | str]
    """Called by a click only."""
    help: str | None = None


def picture_formats(writers: ModuleType, *, large: int, data: str) -> tuple[Format, ...]:
    """List the formats of pictures that are drawn pixel by pixel.

    Arguments:
        writers: module with a function for each format.
        large: screen pixels for one pixel of the large PNG.
        data: what the numbers are called.
    """
    png = "image/png"
    return (
        Format("PNG", ".png", png, partial(writers.as_png, scale=1), "One pixel each."),
        Format(
            "PNG, large", "-large.png", png, partial(writers.as_png, scale=large), f"{large} x."
        ),
        Format("Animated GIF", ".gif", "image/gif", writers.as_gif, "About five seconds."),
        Format(f"{data}, NPZ", ".npz", "application/zip", writers.as_npz, "Arrays for numpy."),
        Format(f"{data}, JSON", ".json", "application/json", writers.as_json, "The same as text."),
    )


def npz_bytes(settings: dict[str, object], arrays: dict[str, np.ndarray]) -> bytes:
    """Write arrays for numpy, with the settings as JSON text."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, settings=json.dumps(settings), **arrays)
    return buffer.getvalue()


def json_bytes(settings: dict[str, object], arrays: dict[str, np.ndarray]) -> bytes:
    """Write the same as JSON; numbers that are not whole have six digits."""
    lists = {
        name: (values.astype(float).round(6) if values.dtype.kind == "f" else values).tolist()
        for name, values in arrays.items()
    }
    return json.dumps({"settings": settings, **lists}).encode()


def offer(formats: Iterable[Format], subject: object, name: str, key: str) -> None:
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
