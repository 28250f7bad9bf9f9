"""Stored numbers, or numbers measured while one waits: what the views of the two share."""

from collections.abc import Callable, Hashable
from functools import lru_cache

import streamlit as st

from pixelcnn.data.datasets import DATASETS, DataError, dataset_of
from pixelcnn.evaluation.stored import Numbers, StoredNumbersError, load_numbers, numbers_path
from pixelcnn.storage import checkpoint_path, weights_digest
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import code, literal
from pixelcnn.ui.shared.resources import LoadedModel

STORED, LIVE = "Stored numbers", "Measure here"


def choose_numbers(view: str) -> bool:
    """Ask whether stored numbers are shown or new ones measured; True means measured here."""
    choice = bound(
        st.segmented_control,
        "Numbers",
        [STORED, LIVE],
        default=STORED,
        required=True,
        key=f"{view}_numbers",
        help="Stored: measured once, shipped with the checkpoints, needs no data. Here: computed "
        "now from the test sets.",
    )
    return choice == LIVE


def ask_images(view: str) -> int:
    """Ask how many test images of each set are scored."""
    key = f"{view}_images"
    return bound(st.slider, "Test images of each set", 20, 1000, 100, 20, key=key)


@lru_cache(64)
def content_of(model: LoadedModel) -> Hashable:
    """Tell a model from every other: its configuration, its data set and a digest of its weights.

    A result that is kept under it is found again after the file was copied or written anew.
    """
    digest = weights_digest(checkpoint_path(model.name))
    return model.model.config, model.info.dataset, digest


def learned_whole_set(model: LoadedModel) -> bool:
    """Say whether a model learned one of `DATASETS`; if not, the page says what it learned."""
    dataset = model.info.dataset
    if dataset in DATASETS:
        return True
    st.info(
        f"{literal(model.name)} learned {literal(title_of(dataset))}: this is measured only for "
        "models of a whole data set with test images: "
        f"{', '.join(d.title for d in DATASETS.values())}.",
        icon=":material/info:",
    )
    return False


def title_of(dataset: str | None) -> str:
    """Name what a model learned."""
    if dataset is None:
        return "a data set that it does not name"
    try:
        return dataset_of(dataset).title
    except DataError:  # one's own images, which may be gone
        return "images of its own"


def stored_numbers(
    name: str, model: LoadedModel, kind: type[Numbers], about: Callable[[Numbers], str]
) -> Numbers | None:
    """Give the numbers stored for a model; None if there are none, and the page says why.

    The page says where they come from, and warns if the weights have changed since.

    Arguments:
        name: "paradox" or "calibration".
        model: a checkpoint.
        kind: what they are read as.
        about: says what was measured.
    """
    try:
        stored = load_numbers(numbers_path(name, model.name), kind)
    except StoredNumbersError as error:
        st.error(f"The stored numbers cannot be used. {literal(error)}", icon=":material/error:")
        return None
    if stored is None:
        st.info(
            f"Nothing is stored for {literal(model.name)}. Measure it here, or run "
            f"{code(f'python -m pixelcnn measure {name} {model.name}')}.",
            icon=":material/info:",
        )
        return None
    st.caption(f"{about(stored.values)}; measured by {code(stored.command)}.")
    if stored.outdated:
        st.warning(
            f"The weights of {literal(', '.join(stored.outdated))} have changed since: these "
            f"numbers belong to other weights. Measure here, or run {code(stored.command)} again.",
            icon=":material/warning:",
        )
    return stored.values
