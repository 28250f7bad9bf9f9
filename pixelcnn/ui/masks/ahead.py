"""Drawing and computing in the background what a visitor may ask for next."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import streamlit as st
import torch

from pixelcnn.checkpoints import CheckpointError, list_checkpoints
from pixelcnn.config import SamplingRule
from pixelcnn.sampling import CachedSampler, label_tensor, make_noise
from pixelcnn.sampling.cached import one_thread
from pixelcnn.ui.controls import MAX_SEED, next_seed
from pixelcnn.ui.masks.shown import SAMPLE, Shown, kept, sample_of
from pixelcnn.ui.resources import LoadedModel, load

OTHERS = 6
"""Other models that are prepared, at most; `resources` keeps a few more."""

Prepare = Callable[[LoadedModel, Shown], Iterator[None]]
"""Computes ahead what a section shows of a model and a picture; one may stop between two parts."""


def draw_ahead(
    model: LoadedModel,
    shown: Shown,
    prepare: Prepare | None = None,
) -> None:
    """Draw in the background what a click on seed, class or model asks for.

    Arguments:
        model: the loaded model.
        shown: the picture that is looked at.
        prepare: computes what the section shows of a model and a picture, from the thread.
    """
    source, seed, label = shown.key
    if source != SAMPLE:
        return
    classes = [None, *range(model.model.config.num_classes)]
    others = [name for name in list_checkpoints() if name != model.name]
    wanted = [(model.name, min(seed + 1, MAX_SEED), label), (model.name, next_seed(), label)]
    wanted += [(name, seed, label) for name in others[:OTHERS]]
    wanted += [(model.name, seed, other) for other in classes if other != label]
    is_over = st.session_state["ahead"] = threading.Event()

    def draw() -> None:
        if is_over.wait(0.3):  # a quick next click is not slowed down
            return
        for name, number, kind in wanted:
            with contextlib.suppress(CheckpointError, OSError):  # the page says what is wrong
                of = load(name)
                if of.info.dataset != model.info.dataset:
                    kind = None  # its classes are others
                is_drawn = _is_drawn(of, number, kind)
                if not is_drawn.is_set():
                    _draw(of, number, kind, is_over)
                if is_over.is_set():
                    return
                is_drawn.set()
                levels = sample_of(of, number, kind)
                if prepare is not None:
                    for _ in prepare(of, Shown(levels, kind, "", (SAMPLE, number, kind))):
                        if is_over.is_set():
                            return
        is_over.set()

    threading.Thread(target=draw, daemon=True).start()


@kept(64)
def _is_drawn(model: LoadedModel, seed: int, label: int | None) -> threading.Event:
    """Remember, for all visitors and as long as `sample_of` does, that a picture is drawn."""
    return threading.Event()


def _draw(model: LoadedModel, seed: int, label: int | None, is_over: threading.Event) -> None:
    """Draw a picture and leave it to `sample_of`, unless all is over before it is finished."""
    noise = make_noise(model.model.config, num_images=1, seed=seed)
    sampler = CachedSampler(model.model, noise, label_tensor(label, 1))
    with one_thread():
        while not sampler.done:
            if is_over.is_set():
                return
            sampler.step(SamplingRule())
    sample_of(model, seed, label, torch.from_numpy(sampler.levels))
