"""Which models are a family: several kinds that learned the same data set."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pixelcnn.data.datasets import DATASETS
from pixelcnn.evaluation.family import Member
from pixelcnn.evaluation.stored import StoredNumbersError, is_current, load_numbers, numbers_path
from pixelcnn.models import ARCHITECTURES
from pixelcnn.storage import (
    CheckpointError,
    CheckpointInfo,
    list_checkpoints,
    list_prices,
    list_trained_checkpoints,
    read_info,
)
from pixelcnn.ui.shared.links import bound
from pixelcnn.ui.shared.literal import literal

PRICE = "price"
KINDS = ("rnn", "lstm", "gru", "transformer", "classic", "gated", "attention")
"""Their order on the page; other kinds come last."""
HOW = "`python benchmarks/family.py` trains them, one after the other; this page then shows them."


@dataclass(frozen=True)
class Family:
    """Models of several kinds, one data set and, where there are such, one training."""

    dataset: str
    """Key of the data set."""
    members: dict[str, CheckpointInfo]
    """What the checkpoints say, by name."""
    images_seen: int | None
    """What all have in common, to a thousand; None if they had more or less."""

    @property
    def title(self) -> str:
        """Data set, training and size in words."""
        seen = "different trainings"
        if self.images_seen is not None:
            what = "series" if self.dataset == PRICE else "images"
            seen = f"{self.images_seen:,} {what} each"
        count = len(self.members)
        return f"{DATASETS[self.dataset].title}, {seen} ({count} model{'s' * (count != 1)})"

    @property
    def names(self) -> dict[str, str]:
        """Name of each member by its title, which has the name in it where a kind comes twice."""
        kinds = [info.config.architecture for info in self.members.values()]
        found = {}
        for name, kind in zip(self.members, kinds, strict=True):
            title = ARCHITECTURES[kind].title
            found[title if kinds.count(kind) == 1 else f"{title}, {name}"] = name
        return found

    @property
    def far(self) -> int:
        """Steps that count as far: a row of a picture, a quarter of a series."""
        config = next(iter(self.members.values())).config
        return config.width if config.height > 1 else config.width // 4


def families() -> list[Family]:
    """Find the families: the prices first, then those of pictures with most kinds first.

    Models belong together that have seen as many images, to a thousand. Where this leaves a data
    set without any two kinds, all its shipped models are shown together.
    """
    shipped = {**list_prices(), **list_checkpoints()}
    infos = _infos({**shipped, **list_trained_checkpoints()})
    found = []
    for dataset in sorted({info.dataset for info in infos.values()}):
        of_set = {name: info for name, info in infos.items() if info.dataset == dataset}
        shape = DATASETS[dataset].shape
        of_set = {n: i for n, i in of_set.items() if i.config.image_shape == shape}
        groups: dict[int, dict[str, CheckpointInfo]] = {}
        for name, info in of_set.items():
            groups.setdefault(round(info.images_seen, -3), {})[name] = info
        whole = [Family(dataset, g, seen) for seen, g in groups.items() if _kinds(g) > 1]
        together = {name: info for name, info in of_set.items() if name in shipped}
        if not whole and together:
            whole = [Family(dataset, together, None)]
        found += whole
    return sorted(found, key=lambda f: (f.dataset != PRICE, -_kinds(f.members), f.title))


def _kinds(members: dict[str, CheckpointInfo]) -> int:
    return len({info.config.architecture for info in members.values()})


def _infos(paths: dict[str, Path]) -> dict[str, CheckpointInfo]:
    """Read what can be compared: models of one order and one of our data sets, kind by kind."""
    infos = {}
    for name, path in paths.items():
        with contextlib.suppress(CheckpointError):  # the page of a broken one says what is wrong
            info = read_info(path)
            comparable = info.dataset in DATASETS and info.config.num_orders == 1
            if comparable and not ARCHITECTURES[info.config.architecture].reads_evidence:
                infos[name] = info
    rank = {kind: number for number, kind in enumerate(KINDS)}
    return dict(
        sorted(infos.items(), key=lambda item: rank.get(item[1].config.architecture, len(rank)))
    )


def choose_family(place: DeltaGenerator, key: str, pictures: bool = False) -> Family:
    """Let the visitor choose a family; without any, say how to get one, and end the page.

    Arguments:
        place: where the control, or the message, goes.
        key: of the control, in the session state and in the URL.
        pictures: leave out the prices.
    """
    by_title = {f.title: f for f in families() if not (pictures and f.dataset == PRICE)}
    if not by_title:
        place.info(f"There are no models to compare. {HOW}", icon=":material/info:")
        st.stop()
    of_pictures = (t for t, f in by_title.items() if f.dataset != PRICE and f.images_seen)
    first = next(of_pictures, next(iter(by_title)))
    if st.session_state.get(key) not in by_title:
        st.session_state.pop(key, None)
    titles = list(by_title)
    chosen = bound(
        place.selectbox,
        "Family", titles, titles.index(first), key=key,
        help="Models of several kinds that learned the same pictures.",
    )  # fmt: skip
    return by_title[chosen]


def measured(family: Family) -> dict[str, Member]:
    """Read the stored numbers of the members, by title; what is missing or outdated is told."""
    found, missing = {}, []
    for title, name in family.names.items():
        try:
            stored = load_numbers(numbers_path("family", name), Member)
        except (StoredNumbersError, CheckpointError) as error:
            st.error(f"Stored numbers cannot be used. {literal(error)}", icon=":material/error:")
            continue
        if stored and all(is_current(*weights) for weights in stored.weights.items()):
            found[title] = stored.values
        else:
            missing.append(name)
    if missing:
        st.info(
            f"Not measured with its present weights: {literal(', '.join(missing))}. "
            "`python -m pixelcnn measure family NAME` measures a model in some minutes.",
            icon=":material/info:",
        )
    return found
