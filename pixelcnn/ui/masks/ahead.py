"""Drawing and computing in the background what a visitor may ask for next."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import numpy as np
import streamlit as st
import torch

from pixelcnn.config import SamplingRule
from pixelcnn.models.rows import MANY_IMAGES
from pixelcnn.sampling import Sampler, label_tensor, make_noise
from pixelcnn.storage import CheckpointError, list_checkpoints
from pixelcnn.ui.masks.shown import SAMPLE, Shown, kept, sample_of
from pixelcnn.ui.shared.controls import MAX_SEED, next_seed
from pixelcnn.ui.shared.resources import LoadedModel, load

OTHERS = 6
"""Other models that are prepared, at most; `resources` keeps a few more."""
TOGETHER = MANY_IMAGES - 1
"""Pictures drawn together: faster than one by one, and on one core."""

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
    near = [(min(seed + 1, MAX_SEED), label), (next_seed(), label)]
    near += [(seed, other) for other in classes if other != label]
    others = [name for name in list_checkpoints() if name != model.name][:OTHERS]
    wanted = {model.name: near} | {name: [(seed, label)] for name in others}
    is_over = st.session_state["ahead"] = threading.Event()

    def draw() -> None:
        if is_over.wait(0.3):  # a quick next click is not slowed down
            return
        drawn = []
        for name, pictures in wanted.items():
            with contextlib.suppress(CheckpointError, OSError):  # the page says what is wrong
                of = load(name)
                if of.info.dataset != model.info.dataset or not of.model.config.num_classes:
                    pictures = [(number, None) for number, _ in pictures]  # its classes are others
                missing = [picture for picture in pictures if not _is_drawn(of, *picture).is_set()]
                for part in range(0, len(missing), TOGETHER):
                    _draw(of, missing[part : part + TOGETHER], is_over)
                drawn += [(of, *picture) for picture in pictures]
            if is_over.is_set():
                return
        # Other classes come last: of them the least is lost.
        drawn.sort(key=lambda picture: (picture[0].name, picture[1]) == (model.name, seed))
        for of, number, kind in drawn if prepare is not None else ():
            levels = sample_of(of, number, kind)
            for _ in prepare(of, Shown(levels, kind, "", (SAMPLE, number, kind))):
                if is_over.is_set():
                    return
        is_over.set()

    threading.Thread(target=draw, daemon=True).start()


@kept(64)
def _is_drawn(model: LoadedModel, seed: int, label: int | None) -> threading.Event:
    """Remember, for all visitors and as long as `sample_of` does, that a picture is drawn."""
    return threading.Event()


def _draw(
    model: LoadedModel, pictures: list[tuple[int, int | None]], is_over: threading.Event
) -> None:
    """Draw pictures together, and leave them to `sample_of`, unless all is over before.

    Arguments:
        model: what draws them.
        pictures: seed and class of each.
        is_over: set when there is something better to do.
    """
    config = model.model.config
    noise = np.concatenate([make_noise(config, num_images=1, seed=seed) for seed, _ in pictures])
    label = None
    if config.num_classes:
        classes = [config.num_classes if c is None else c for _, c in pictures]
        label = label_tensor(classes, len(pictures))
    sampler = Sampler(model.model, noise, label)
    while not sampler.done:
        if is_over.is_set():
            return
        sampler.step(SamplingRule())
    for picture, levels in zip(pictures, torch.from_numpy(sampler.levels), strict=True):
        sample_of(model, *picture, levels[None])
        _is_drawn(model, *picture).set()
