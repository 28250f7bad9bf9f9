"""Stored numbers, or numbers measured while one waits: what the views of the two share."""

import streamlit as st

from pixelcnn.measurements import Measurement

STORED, LIVE = "Stored numbers", "Measure here"


def choose_numbers(view: str) -> bool:
    """Ask whether stored numbers are shown or new ones measured; True means measured here."""
    choice = st.segmented_control(
        "Numbers",
        [STORED, LIVE],
        default=STORED,
        required=True,
        key=f"{view}_numbers",
        bind="query-params",
        help="Stored: measured once, shipped with the checkpoints, needs no data. Here: computed "
        "now from the test sets.",
    )
    return choice == LIVE


def ask_images(view: str) -> int:
    """Ask how many test images of each set are scored."""
    return st.slider(
        "Test images of each set", 20, 1000, 100, 20, key=f"{view}_images", bind="query-params"
    )


def say_source(measurement: Measurement, what: str) -> None:
    """Say where stored numbers come from, and warn if the weights have changed since."""
    st.caption(f"{what}; measured by `{measurement.command}`.")
    if measurement.outdated:
        st.warning(
            f"The weights of {', '.join(measurement.outdated)} have changed since: these numbers "
            f"belong to other weights. Measure here, or run `{measurement.command}` again.",
            icon=":material/warning:",
        )
