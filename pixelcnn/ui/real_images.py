"""The real test sets on a page: read where they are, or fetched after one click."""

import threading
import time
from collections.abc import Generator
from pathlib import Path

import streamlit as st
from torch import Tensor

from pixelcnn.data import DATASETS, DataError, data_dir, dataset_of, load_dataset
from pixelcnn.ui.long_work import result_of, results

BYTES = {"fashion-mnist": 30_878_645, "mnist": 11_594_722}
"""Size of the compressed files, where it is known."""


def test_set(name: str, slot: str) -> tuple[Tensor, Tensor] | None:
    """Give the test images of a data set; without the data, offer to fetch it and return None.

    Arguments:
        name: key of `DATASETS`.
        slot: place on the page, see `result_of`.

    Returns:
        uint8 (N, C, H, W) with values 0..255, and int64 (N,).
    """
    try:
        return _test_set(name, str(data_dir()))
    except DataError as error:
        title = dataset_of(name).title
        if any(_raw(name).glob("*ubyte")):  # there, but damaged
            st.error(str(error), icon=":material/error:")
            return None
        size = f" ({BYTES[name] / 1e6:.0f} MB)" if name in BYTES else ""
        st.caption(f"{title} is not in the folder `{data_dir()}`.")
        key = ("download", name, str(data_dir()))
        if result_of(
            key,
            lambda: _fetch(name),
            slot=slot,
            button=f"Download {title}{size}",
            what=f"Downloading {title}",
        ):
            results().drop(key)  # the files may go again
            st.rerun()
        return None


@st.cache_resource(max_entries=4, show_spinner="Reading the test set …")
def _test_set(name: str, folder: str) -> tuple[Tensor, Tensor]:
    return load_dataset(name, "test", folder, download=False)


def _raw(name: str) -> Path:
    return data_dir() / DATASETS[name].torchvision_name / "raw"


def _fetch(name: str) -> Generator[float, None, bool]:
    """Download in a thread, which goes on if nobody waits for it; yields the share by bytes."""
    failed: list[DataError] = []

    def fetch() -> None:
        try:
            load_dataset(name, "test", download=True)
        except DataError as error:
            failed.append(error)

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    while thread.is_alive():
        have = sum(path.stat().st_size for path in _raw(name).glob("*.gz"))
        yield min(have / BYTES[name], 0.99) if name in BYTES else 0.0
        time.sleep(0.2)
    if failed:
        raise failed[0]
    return True
