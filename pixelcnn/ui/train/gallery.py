"""Pictures of checkpoints on the Train page: drawn in the background, shown when done."""

from collections.abc import Sequence

import streamlit as st

from pixelcnn.data.pictures import Picture, enlarge, grid, png_bytes
from pixelcnn.ui.train.sheets import Sheet, Sheets

PICTURES = 20
"""Two of each class, where there are ten."""
COLUMNS = 10
SCREEN_PIXELS = 900
"""Width of a sheet, roughly."""


@st.cache_resource(show_spinner=False)
def sheets() -> Sheets:
    """What draws, for all visitors."""
    return Sheets()


def choose_temperature(key: str) -> float:
    """Let the visitor choose the temperature of the pictures."""
    return st.slider(
        "Temperature of the pictures", 0.0, 1.5, 1.0, 0.05, key=key,
        help="1 is the model itself; lower is smoother. The noise stays the same.",
    )  # fmt: skip


def say_progress(sheet: Sheet) -> None:
    """Show how far a sheet is, or what is wrong with it."""
    if sheet.problem is not None:
        st.error(f"These pictures cannot be drawn. {sheet.problem}", icon=":material/error:")
    elif sheet.pictures is None:
        st.progress(sheet.done, f"Drawing the pictures … {sheet.done:.0%}")


def laid_out(pictures: Sequence[Picture], columns: int = COLUMNS) -> Picture:
    """Lay pictures out, large enough for a screen."""
    scale = max(1, SCREEN_PIXELS // (columns * (pictures[0].shape[1] + 2)))
    return enlarge(grid(pictures, columns), scale)


def show_sheet(pictures: Sequence[Picture], caption: str, file_name: str) -> None:
    """Show pictures, with a button to download them."""
    st.image(laid_out(pictures), caption=caption, width="content")
    st.download_button(
        "PNG",
        png_bytes(grid(pictures, COLUMNS)),
        file_name=file_name,
        mime="image/png",
        icon=":material/download:",
        on_click="ignore",
        key=f"download-{file_name}",
    )
