"""The real test sets on a page: read where they are, or fetched after one click."""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Generator
from concurrent.futures import Future, wait
from pathlib import Path

import streamlit as st
from torch import Tensor

from pixelcnn.data.datasets import DamagedDataError, DataError, data_dir, dataset_of, load_dataset
from pixelcnn.ui.shared.jobs import JOBS
from pixelcnn.ui.shared.literal import code, literal
from pixelcnn.ui.shared.long_work import result_of
from pixelcnn.ui.shared.public import is_public

BYTES = {"fashion-mnist": 30_878_645, "mnist": 11_594_722, "cifar10": 170_498_071}
"""Size of the compressed files, where it is known."""


def test_set(name: str, slot: str) -> tuple[Tensor, Tensor] | None:
    """Give the test images of a data set; without the data, offer to fetch it and return None.

    Arguments:
        name: key of `DATASETS`.
        slot: place on the page, see `result_of`.

    Returns:
        uint8 (N, C, H, W) with values 0..255, and int64 (N,).
    """
    folder = data_dir()
    key = ("download", name, str(folder))
    under_way = JOBS.running(key) is not None
    if not under_way:
        try:
            return _test_set(name, str(folder))
        except DamagedDataError as error:
            st.error(literal(error), icon=":material/error:")
            return None
        except DataError:
            pass
    title = dataset_of(name).title
    if is_public():
        st.caption(f"{title} is not on this server.")
        return None
    size = f" ({BYTES[name] / 1e6:.0f} MB)" if name in BYTES else ""
    st.caption(f"{title} is not in the folder {code(folder)}.")
    result_of(
        key,
        lambda: _fetch(name, folder),
        slot=slot,
        button=f"Download {title}{size}",
        what=f"Downloading {title}",
        computes=False,
        cancel_note="Cancel: no other file is begun, and nothing is kept. The file that is being "
        "downloaded is finished first.",
    )
    if under_way and JOBS.running(key) is None:  # it ended in this moment
        st.rerun()
    return None


@st.cache_resource(max_entries=4, show_spinner="Reading the test set …")
def _test_set(name: str, folder: str) -> tuple[Tensor, Tensor]:
    return load_dataset(name, "test", folder, download=False)


def _fetch(name: str, folder: Path) -> Generator[float, None, None]:
    """Download into a folder of its own, and move the files when all are there.

    Yields the share of the bytes.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=".download-", dir=folder))
    except OSError as error:
        raise DataError(f"The folder {str(folder)!r} cannot be written to: {error}.") from error

    fetching = Future()

    def fetch() -> None:
        try:
            fetching.set_result(load_dataset(name, "test", place, download=True))
        except Exception as error:
            fetching.set_exception(error)

    # A thread of its own, which does not keep the server from ending: it cannot be stopped.
    threading.Thread(target=fetch, daemon=True).start()
    try:
        while not fetching.done():
            have = sum(_size(path) for path in place.rglob("*.gz"))
            yield have / BYTES.get(name, float("inf"))
            wait([fetching], 0.2)
        if error := fetching.exception():
            raise DataError(str(error).replace(str(place), str(folder))) from error
        for path in [p for p in place.rglob("*") if p.is_file()]:
            target = folder / path.relative_to(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    finally:
        _remove(place)
        if not fetching.done():  # without a folder its next file fails
            with contextlib.suppress(OSError):
                place.touch()
            fetching.add_done_callback(lambda _: _remove(place))


def _remove(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    with contextlib.suppress(OSError):
        place.unlink()


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):  # gone since it was listed
        return path.stat().st_size
    return 0
