"""Checkpoints in and out: links to the pages that use them, download, import."""

import os
import re
import threading
from itertools import count
from pathlib import Path

import streamlit as st

from pixelcnn.files import read_file, temporary
from pixelcnn.models import ModelConfig
from pixelcnn.storage import (
    CheckpointError,
    CheckpointInfo,
    list_trained_checkpoints,
    load_checkpoint,
    read_info,
    runs_dir,
)
from pixelcnn.ui.shared.layout import PAGES
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.sketch import MAX_SIDE

UPLOAD_MB = 24
NOT_ABOUT_ONE = {"Train", "Family"}
"""Pages that do not open one checkpoint."""
_naming = threading.Lock()
"""Held while a name is chosen and taken: two visitors may import at the same time."""


def links(checkpoint: str, config: ModelConfig, *, label: str | None = None) -> None:
    """Show a link to every page that works with a checkpoint; with a label, to the first only."""
    too_large = {"Complete"} if max(config.height, config.width) > MAX_SIDE else set()
    pages = [page for page in PAGES if page[1] not in NOT_ABOUT_ONE | too_large]
    for file, name, icon, _ in pages if label is None else pages[:1]:
        st.page_link(
            file,
            label=literal(label or name),
            icon=icon,
            query_params={"model": checkpoint},
            help=f"Open this checkpoint on the page {name}.",
        )


def download(path: Path, name: str) -> None:
    """Offer a checkpoint as a file.

    Its bytes, not a function: a click just before a rerun, of which a run makes many, would ask
    for a function that Streamlit has dropped, and nothing would be downloaded.
    """
    st.download_button(
        "Checkpoint file",
        path.read_bytes(),
        file_name=f"{plain_name(name)}.safetensors",
        mime="application/octet-stream",
        icon=":material/download:",
        on_click="ignore",
        key="export",
        help="Weights and settings in one safetensors file, for this app elsewhere.",
    )


def import_checkpoint() -> None:
    """Take checkpoint files from elsewhere; they are read and checked, nothing in them is run."""
    with st.popover(
        "Import",
        icon=":material/upload:",
        width="stretch",
        help="Use a checkpoint file from elsewhere.",
    ):
        st.file_uploader(
            "A checkpoint file (*.safetensors)",
            "safetensors",
            max_upload_size=UPLOAD_MB,
            key="import",
            on_change=_take_in,
            help="From this app elsewhere. It is checked first, and nothing in it is run.",
        )
        if problem := st.session_state.get("import_problem"):
            st.error(literal(problem), icon=":material/error:")
        known = list_trained_checkpoints()
        imported = {n: path for n, path in known.items() if n.startswith("imported:")}
        st.caption("Imported, the newest first" if imported else "Nothing has been imported yet.")
        for name, path in imported.items():
            with st.container(horizontal=True, vertical_alignment="center"):
                label = name.removeprefix("imported:")
                try:
                    links(name, read_info(path).config, label=label)
                except CheckpointError:
                    st.markdown(f"{literal(label)}: cannot be read")
                st.button(
                    "Delete",
                    icon=":material/delete:",
                    type="tertiary",
                    on_click=_forget,
                    args=(name,),
                    key=f"delete-{name}",
                )


def _take_in() -> None:
    """Keep the file that was just uploaded, once."""
    st.session_state["import_problem"] = None
    file = st.session_state["import"]
    if file is None:
        return
    try:
        name, info = keep(file.name, file.getvalue())
    except (CheckpointError, OSError) as error:
        st.session_state["import_problem"] = f"This file was not imported. {error}"
        return
    c = info.config
    st.toast(
        f"Imported as **{literal(name)}**: {c.architecture}, {c.num_levels} levels, {c.height} x "
        f"{c.width}, {info.images_seen:,} images seen.",
        icon=":material/check:",
    )


def _forget(name: str) -> None:
    imported_path(name).unlink(missing_ok=True)


def keep(file_name: str, content: bytes) -> tuple[str, CheckpointInfo]:
    """Check a checkpoint file and keep it among the imported ones.

    Returns:
        Its name for `checkpoint_path`, and what it says about itself.

    Raises:
        CheckpointError: if it is damaged, foreign or incompatible; nothing is kept then.
        OSError: if it cannot be written.
    """
    imported = imported_path("new")
    imported.parent.mkdir(parents=True, exist_ok=True)
    with temporary(imported) as trial:
        trial.write_bytes(content)
        try:
            _, info = load_checkpoint(trial)
        except CheckpointError as error:
            reason = str(error).removeprefix(f"{trial}: ")
            raise CheckpointError(f"{file_name}: {reason}") from error
        with _naming:
            name = _free_name(plain_name(Path(file_name).stem), content)
            trial.replace(imported_path(name))
    return name, info


def _free_name(stem: str, content: bytes) -> str:
    """Give a name that is free, or that of the same content."""
    for number in count(1):
        name = f"imported:{stem}" if number == 1 else f"imported:{stem}-{number}"
        path = imported_path(name)
        if not os.path.lexists(path) or _holds(path, content):
            return name


def _holds(path: Path, content: bytes) -> bool:
    try:
        return read_file(path, len(content)) == content
    except (OSError, ValueError):
        return False


def imported_path(name: str) -> Path:
    """Give the file of an imported checkpoint."""
    return runs_dir() / "imported" / f"{name.removeprefix('imported:')}.safetensors"


def plain_name(name: str) -> str:
    """Leave only what a name of a checkpoint may have.

    >>> plain_name("../Boots & shoes (2)")
    'Boots-shoes-2'
    """
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-_")[:60] or "checkpoint"
