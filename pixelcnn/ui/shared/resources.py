"""What all visitors share: the loaded models. Read-only once made."""

import contextlib
import gc
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import streamlit as st
import torch
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from pixelcnn.data.datasets import class_names
from pixelcnn.inspection.receptive_field import (
    dependency_maps,
    past_coverage,
    predictions_changed,
)
from pixelcnn.models import Model, ModelConfig, architecture, build_model
from pixelcnn.storage import (
    CheckpointError,
    CheckpointInfo,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    read_info,
)
from pixelcnn.ui.shared.literal import literal
from pixelcnn.ui.shared.long_work import result_of

HEAD_START = 2.0
"""Seconds that the check waits, so that it does not slow the first pixels down."""


@dataclass(frozen=True)
class LoadedModel:
    """A checkpoint in memory, with what the pages tell about it."""

    name: str
    model: Model = field(compare=False)
    info: CheckpointInfo = field(compare=False)
    dependency: NDArray[np.uint8] = field(compare=False)
    """`dependency_maps` of the model, one bit per pair of pixels."""
    coverage: tuple[int, int] = field(compare=False)
    """Pairs (prediction, earlier pixel) that are seen, and all such pairs."""
    reads_future: bool = field(compare=False)
    """Whether its structure lets a prediction read a later pixel."""
    modified_ns: int
    """When the file was last changed: tells one state of a checkpoint from another."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that the model knows; empty without any."""
        return class_names(self.info.dataset, self.model.config.num_classes)


def load(name: str) -> LoadedModel:
    """Load a checkpoint by name, once for all visitors; anew when its file has changed.

    Raises:
        CheckpointError: if it is missing, damaged, foreign or incompatible.
    """
    return _load(name, checkpoint_path(name).stat().st_mtime_ns)


@lru_cache(8)
def _load(name: str, modified_ns: int) -> LoadedModel:
    model, info = load_checkpoint(checkpoint_path(name))
    dependency = dependency_maps(model)
    # Streamlit runs a full collection after every run of a script, 150 ms once torch is loaded;
    # what is frozen is not visited again.
    gc.freeze()
    return LoadedModel(
        name=name,
        model=model,
        info=info,
        dependency=np.packbits(dependency, axis=1),
        coverage=past_coverage(dependency),
        reads_future=bool(np.triu(dependency, 1).any()),
        modified_ns=modified_ns,
    )


def checkpoints_for(shape: tuple[int, int, int]) -> dict[str, CheckpointInfo]:
    """Describe the checkpoints for pictures of this C, H, W, by name; broken ones are left out.

    The page of a broken checkpoint says what is wrong with it.
    """
    infos = {}
    for name, path in list_checkpoints().items():
        with contextlib.suppress(CheckpointError):
            infos[name] = read_info(path)
    return {name: info for name, info in infos.items() if info.config.image_shape == shape}


@lru_cache(64)
def num_parameters(config: ModelConfig) -> int:
    """Count the parameters of a model of this shape, by making one without memory or time."""
    with torch.device("meta"):
        return build_model(config).num_parameters


def reads_evidence(config: ModelConfig) -> bool:
    """Say whether a model of this configuration can be given known pixels and hints."""
    return architecture(config.architecture).reads_evidence


def show_causality(model: LoadedModel) -> None:
    """Say what the causality check of a checkpoint has found; it begins only now."""
    changed: int | None = result_of(
        ("causality", model.name, model.modified_ns),
        lambda: _check(model.model),
        slot="causality",
        button=None,
        what="Checking that no pixel sees the future",
        patience=0.0,
    )
    if changed is None:
        return
    config = model.model.config
    if changed or model.reads_future:
        built = "As it is built, a prediction can read a later pixel. " * model.reads_future
        tried = "Predictions change with levels in their own place, or in later ones." * bool(
            changed
        )
        st.error(f"**Causality check failed.** {built}{tried}", icon=":material/gpp_bad:")
        return
    orders = ", in one of the orders" * (config.num_orders > 1)
    st.caption(
        ":green[:material/verified:] **Causality check passed.** Each of the "
        f"{config.num_dims:,} predictions was tried{orders}: with other levels in its own place "
        "and in all later ones, not a bit of it changes."
    )


def _check(model: Model) -> Generator[float, None, int]:
    begin = time.monotonic() + HEAD_START
    while time.monotonic() < begin:
        time.sleep(0.05)
        yield 0.0
    return (yield from predictions_changed(model, range(model.config.num_dims)))


def load_or_stop(name: str, place: DeltaGenerator) -> LoadedModel:
    """Load a checkpoint, or say why it cannot be used, and end the page there.

    Arguments:
        name: of the checkpoint.
        place: an empty element of the page, for the message.
    """
    try:
        return load(name)
    except CheckpointError as error:
        place.error(f"This checkpoint cannot be used. {literal(error)}", icon=":material/error:")
        st.stop()
