"""One's own images on the Train page: from an upload or a folder to a data set with a preview."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import streamlit as st

from pixelcnn.checkpoints import runs_dir, write_atomically
from pixelcnn.data import DATASETS
from pixelcnn.own_images import (
    PICTURE_SUFFIXES,
    SUFFIX,
    ImageSet,
    ImageSetError,
    SourceImage,
    image_set_bytes,
    make_image_set,
    read_folder,
    read_uploads,
)
from pixelcnn.training.runs import Run, RunError, list_runs

UPLOAD_MB = 64
SIZES = (16, 20, 24, 28, 32, 48, 64)


def image_sets() -> dict[str, str]:
    """List the data sets of own images by their path: name."""
    paths = sorted((runs_dir() / "images").resolve().glob(f"*{SUFFIX}"))
    return {str(path): path.name.removesuffix(SUFFIX) for path in paths}


def add(choose_key: str) -> None:
    """Let the visitor make a data set; it is chosen in the widget of this key afterwards."""
    source = st.segmented_control(
        "Where are the images?",
        ["Upload", "Folder"],
        default="Upload",
        required=True,
        key="own_source",
        help="A folder of the computer on which the app runs is read where it is. Folders inside "
        "it, or inside an uploaded ZIP archive, become classes.",
    )
    if source == "Upload":
        uploads = st.file_uploader(
            "Pictures, or ZIP archives with pictures",
            ["zip", *(suffix[1:] for suffix in sorted(PICTURE_SUFFIXES))],
            accept_multiple_files=True,
            max_upload_size=UPLOAD_MB,
            key="own_files",
        )
        ready = bool(uploads)
    else:
        folder = st.text_input("Folder", key="own_folder", placeholder="/home/me/pictures")
        ready = bool(folder.strip())
    name = st.text_input("Name", "My images", max_chars=30, key="own_name")
    left, right = st.columns(2)
    size = left.selectbox(
        "Size",
        SIZES,
        SIZES.index(28),
        format_func=lambda n: f"{n} x {n} pixels",
        key="own_size",
        help="Every picture is cut to its central square and resized. Twice the size is four "
        "times the work.",
    )
    colour = right.segmented_control(
        "Colour", ["Grey", "RGB"], default="Grey", required=True, key="own_colour"
    )
    if not ready:
        st.caption("Hundreds of pictures of one kind of thing are a good beginning.")
        return
    if not st.button("Make the data set", type="primary", icon=":material/photo_library:"):
        return
    bar = st.progress(0.0, "Reading the pictures …")
    try:
        if source == "Upload":
            images = read_uploads((file.name, file.getvalue()) for file in uploads)
        else:
            images = read_folder(folder.strip())
        made = make_image_set(_counted(images, bar), size=size, colour=colour == "RGB")
        path = _keep(made, name)
    except (ImageSetError, OSError, ValueError) as error:
        bar.empty()
        st.error(f"No data set was made. {error}", icon=":material/error:")
        return
    st.session_state["own_left_out"] = (str(path), made.left_out)
    st.session_state["own_chosen"] = (choose_key, str(path))
    st.rerun()


def apply_choice() -> None:
    """Choose the data set that was just made; only before its widget is drawn."""
    if chosen := st.session_state.pop("own_chosen", None):
        st.session_state[chosen[0]] = chosen[1]


def say_left_out(path: str) -> None:
    """Say which files could not be used when this data set was made."""
    made, left_out = st.session_state.get("own_left_out", ("", ()))
    if made == path and left_out:
        shown = "".join(f"\n- {line}" for line in left_out[:10])
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
    st.session_state["data_set"] = next(iter(DATASETS))


def _counted(images: Iterable[SourceImage], bar: st.delta_generator.DeltaGenerator) -> Iterator:
    for number, image in enumerate(images, 1):
        if number % 50 == 0:
            bar.progress(min(number / (number + 500), 1.0), f"{number:,} pictures read …")
        yield image


def _keep(made: ImageSet, name: str) -> Path:
    """Write the data set; its name tells its content, so nothing is ever overwritten."""
    content = image_set_bytes(made)
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "images"
    _, channels, size, _ = made.levels.shape
    kind = f"{size}px-{'rgb' if channels == 3 else 'grey'}"
    digest = hashlib.sha256(content).hexdigest()[:6]
    path = (runs_dir() / "images").resolve() / f"{plain}-{kind}-{digest}{SUFFIX}"
    write_atomically(path, content)
    return path
