"""Pictures of checkpoints on the Train page: drawn in the background, shown when done."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
import torch

from pixelcnn.config import SamplingRule
from pixelcnn.data.pictures import Picture, enlarge, grid, pictures, png_bytes
from pixelcnn.sampling import iter_samples
from pixelcnn.storage import load_checkpoint
from pixelcnn.ui.shared.long_work import result_of

PICTURES = 20
"""Two of each class, where there are ten."""
COLUMNS = 10
SCREEN_PIXELS = 900
"""Width of a sheet, roughly."""


@dataclass(frozen=True)
class Sheet:
    """Pictures that a checkpoint drew."""

    pictures: list[Picture]
    images_seen: int
    """Training progress of the checkpoint."""
    modified_ns: int
    """When it was written: the newest checkpoint of a run changes."""


def choose_temperature(key: str) -> float:
    """Let the visitor choose the temperature of the pictures."""
    return st.slider(
        "Temperature of the pictures", 0.0, 1.5, 1.0, 0.05, key=key,
        help="1 is the model itself; lower is smoother. The noise stays the same.",
    )  # fmt: skip


def sheet_of(path: Path, num_images: int, temperature: float, slot: str) -> Sheet | None:
    """Give the pictures of a checkpoint, picture i of class i modulo the number of classes.

    While newer ones are drawn, a bar says how far they are, and these are older ones, if any.

    Arguments:
        path: of the checkpoint. What has been begun is drawn to its end before the newest state
            of the file is begun: it may be saved again and again.
        num_images: how many.
        temperature: see `SamplingRule`; the noise is always the same.
        slot: place on the page, see `result_of`.

    Raises:
        OSError: if the file is not there.
    """
    modified = path.stat().st_mtime_ns
    return result_of(
        ("sheet", path, num_images, temperature),
        lambda: draw(path, num_images, temperature),
        slot=slot,
        button=None,
        what="Drawing the pictures",
        is_current=lambda sheet: sheet.modified_ns == modified,
    )


def draw(path: Path, num_images: int, temperature: float) -> Generator[float, None, Sheet]:
    """Draw the pictures of a checkpoint as it is now; yields the share that is done.

    Raises:
        CheckpointError: if the checkpoint cannot be used.
    """
    modified = path.stat().st_mtime_ns
    model, info = load_checkpoint(path)
    classes = info.config.num_classes
    levels = yield from iter_samples(
        model,
        num_images=num_images,
        rule=SamplingRule(temperature=temperature),
        label=torch.arange(num_images) % classes if classes else None,
    )
    return Sheet(pictures(levels, info.config.num_levels), info.images_seen, modified)


def laid_out(drawn: Sequence[Picture], columns: int = COLUMNS) -> Picture:
    """Lay pictures out, large enough for a screen."""
    scale = max(1, SCREEN_PIXELS // (columns * (drawn[0].shape[1] + 2)))
    return enlarge(grid(drawn, columns), scale)


def show_sheet(drawn: Sequence[Picture], caption: str, file_name: str) -> None:
    """Show pictures, with a button to download them."""
    st.image(laid_out(drawn), caption=caption, alt=caption, width="content")
    st.download_button(
        "PNG",
        png_bytes(grid(drawn, COLUMNS)),
        file_name=file_name,
        mime="image/png",
        icon=":material/download:",
        on_click="ignore",
        key=f"download-{file_name}",
    )
