"""One's own images on the Train page: from an upload or a folder to a data set with a preview."""

import hashlib
import os
import re
import uuid
from collections.abc import Generator
from pathlib import Path

import streamlit as st

from pixelcnn.data.datasets import DATASETS
from pixelcnn.data.own_images import (
    PICTURE_SUFFIXES,
    SUFFIX,
    ImageSet,
    bytes_in,
    image_set_bytes,
    iter_image_set,
    read_folder,
    read_uploads,
)
from pixelcnn.files import names_in, write_atomically
from pixelcnn.progress import part_of
from pixelcnn.storage import runs_dir
from pixelcnn.training.runs import Run, RunError, list_runs
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.train.settings import PREFIX, kept
from pixelcnn.ui.train.words import set_title

CHOSEN = f"{PREFIX}data_set"
"""Key of the widget in which a data set is chosen."""
UPLOAD_MB = 64
SIZES = (16, 20, 24, 28, 32, 48, 64)


def image_sets() -> dict[str, str]:
    """List the data sets of own images by their path: name."""
    folder = os.path.realpath(runs_dir() / "images")
    names = [name for name in names_in(folder) if name.endswith(SUFFIX)]
    titles = [set_title(name) for name in names]
    return {  # where two have one title, the rest of the file's name tells them apart
        os.path.join(folder, name): title if titles.count(title) == 1 else name
        for name, title in zip(names, titles, strict=True)
    }


def add() -> None:
    """Let the visitor make a data set; it is chosen afterwards."""
    source = st.segmented_control(
        "Where are the images?",
        ["Upload", "Folder"],
        default="Upload",
        required=True,
        help="Folder: the path of a folder on the computer on which the app runs; nothing is "
        "uploaded. Folders inside it, or inside an uploaded ZIP archive, become classes.",
        **kept("own_source"),
    )
    if source == "Upload":
        uploads = st.file_uploader(
            "Pictures, or ZIP archives with pictures",
            ["zip", *(suffix[1:] for suffix in sorted(PICTURE_SUFFIXES))],
            accept_multiple_files=True,
            max_upload_size=UPLOAD_MB,
            key="own_files",
        )
        identity = tuple(file.file_id for file in uploads)
        chosen = [(file.name, file.getvalue()) for file in uploads]
    else:
        identity = chosen = st.text_input(
            "Folder", placeholder="/home/me/pictures", **kept("own_folder")
        ).strip()
    name = st.text_input("Name", "My images", max_chars=30, **kept("own_name"))
    left, right = st.columns(2)
    size = left.selectbox(
        "Size",
        SIZES,
        SIZES.index(28),
        format_func=lambda n: f"{n} x {n} pixels",
        help="Every picture is cut to its central square and resized. Twice the size is four "
        "times the work.",
        **kept("own_size"),
    )
    colour = right.segmented_control(
        "Colour", ["Grey", "RGB"], default="Grey", required=True, **kept("own_colour")
    )
    if not chosen:
        st.caption("Hundreds of pictures of one kind of thing are a good beginning.")
        return

    # Made anew whenever it is asked for: the files of a folder may have changed.
    attempt = st.session_state.setdefault("own_attempt", uuid.uuid4().hex)
    found = result_of(
        (attempt, identity, size, colour, name),
        lambda: _make(chosen, size, colour == "RGB", name),
        slot="own_images",
        button="Make the data set",
        what="Reading the pictures",
    )
    if found is not None:
        st.session_state["own_left_out"], st.session_state["own_made"] = found, found[0]
        del st.session_state["own_attempt"]
        st.rerun()


def apply_choice() -> None:
    """Choose the data set that was just made; only before its widget is drawn."""
    if made := st.session_state.pop("own_made", None):
        st.session_state[CHOSEN] = made


def say_left_out(path: str) -> None:
    """Say which files could not be used when this data set was made."""
    made, left_out = st.session_state.get("own_left_out", ("", ()))
    if made == path and left_out:
        shown = "".join(f"\n- {literal(line)}" for line in left_out[:10])
        more = f"\n- and {len(left_out) - 10} more" if len(left_out) > 10 else ""
        st.warning(
            f"Files that could not be used: {len(left_out)}{shown}{more}",
            icon=":material/warning:",
        )


def offer_to_delete(path: str) -> None:
    """Let the visitor delete a data set."""
    used = sum(_learns_from(run, path) for run in list_runs())
    with st.popover("Delete this data set", icon=":material/delete:", type="tertiary"):
        runs = f" The runs that learn from it ({used}) can then not go on." if used else ""
        st.markdown(f"The pictures that it was made of are not touched.{runs}")
        st.button(
            "Delete for good", type="primary", on_click=_delete, args=(path,), key="delete_data"
        )


def _learns_from(run: Run, path: str) -> bool:
    try:
        return run.config().train.dataset == path
    except RunError:
        return False


def _delete(path: str) -> None:
    Path(path).unlink(missing_ok=True)
    st.session_state[CHOSEN] = next(iter(DATASETS))


def _make(
    source: str | list[tuple[str, bytes]], size: int, colour: bool, name: str
) -> Generator[float, None, tuple[str, tuple[str, ...]]]:
    """Make a data set of a folder or of (name, content) of uploads.

    Yields the share of the bytes that are read, returns its path and the files left out.
    """
    if isinstance(source, str):
        images, num_bytes = read_folder(source), bytes_in(source)
    else:
        images = read_uploads(source)
        num_bytes = sum(len(content) for _, content in source)
    steps = iter_image_set(images, size=size, colour=colour)
    made = yield from part_of(steps, 0, max(num_bytes, 1))
    return str(_keep(made, name)), made.left_out


def _keep(made: ImageSet, name: str) -> Path:
    """Write the data set; its name depends on its content, so nothing is ever overwritten."""
    content = image_set_bytes(made)
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "images"
    _, channels, size, _ = made.levels.shape
    kind = f"{size}px-{'rgb' if channels == 3 else 'grey'}"
    digest = hashlib.sha256(content).hexdigest()[:6]
    path = Path(os.path.realpath(runs_dir() / "images")) / f"{plain}-{kind}-{digest}{SUFFIX}"
    write_atomically(path, content)
    return path
