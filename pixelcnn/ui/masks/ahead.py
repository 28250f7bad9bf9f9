"""Drawing and computing in the background what a visitor may ask for next."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import numpy as np
import streamlit as st
import torch

from pixelcnn.config import SamplingRule
from pixelcnn.models.rows import MANY_IMAGES
from pixelcnn.sampling import Sampler, label_tensor, make_noise
from pixelcnn.sampling.noise import LARGEST_SEED
from pixelcnn.storage import CheckpointError, list_checkpoints
from pixelcnn.ui.masks.shown import SAMPLE, SAMPLES, ShownPicture, sample_of
from pixelcnn.ui.shared import long_work
from pixelcnn.ui.shared.controls import next_seed, settings
from pixelcnn.ui.shared.resources import LoadedModel, load

OTHERS = 6
"""Other models that are prepared, at most; `resources` keeps a few more."""
TOGETHER = MANY_IMAGES - 1
"""Pictures drawn together: faster than one by one, and on one core."""

Prepare = Callable[[LoadedModel, ShownPicture, Mapping[str, Any]], Iterator[None]]
"""Computes ahead, part by part, what a section shows of a model and a picture.

What the visitor looks at there is given by the names in the link.
"""


def draw_ahead(model: LoadedModel, shown: ShownPicture, prepare: Prepare | None) -> None:
    """Draw in the background what a click on seed, class or model asks for.

    Arguments:
        model: the loaded model.
        shown: the picture that is looked at.
        prepare: of the section, called from a thread; or None.
    """
    source, seed, label = shown.key
    if source != SAMPLE:
        return
    classes = [None, *range(model.model.config.num_classes)]
    near = [(min(seed + 1, LARGEST_SEED), label), (next_seed(), label)]
    near += [(seed, other) for other in classes if other != label]
    others = [name for name in list_checkpoints() if name != model.name][:OTHERS]
    wanted = {model.name: near} | {name: [(seed, label)] for name in others}
    looked_at = {**st.query_params, **settings(("wrong", "by"))}

    def draw() -> Generator[float, None, None]:
        time.sleep(0.3)  # a quick next click is not slowed down
        drawn = []
        for name, pictures in wanted.items():
            yield 0.0
            with contextlib.suppress(CheckpointError, OSError):  # the page says what is wrong
                of = load(name)
                if of.info.dataset != model.info.dataset or not of.model.config.num_classes:
                    pictures = [(number, None) for number, _ in pictures]  # its classes are others
                missing = [p for p in pictures if SAMPLES.get((of, *p)) is None]
                for part in range(0, len(missing), TOGETHER):
                    yield from _draw(of, missing[part : part + TOGETHER])
                drawn += [(of, *picture) for picture in pictures]
        # Other classes come last: of them the least is lost.
        drawn.sort(key=lambda picture: (picture[0].name, picture[1]) == (model.name, seed))
        for of, number, kind in drawn if prepare is not None else ():
            levels = sample_of(of, number, kind)
            picture = ShownPicture(levels, kind, "", (SAMPLE, number, kind))
            for _ in prepare(of, picture, looked_at):
                yield 0.0

    long_work.begin("ahead", object(), draw)


def _draw(
    model: LoadedModel, pictures: list[tuple[int, int | None]]
) -> Generator[float, None, None]:
    """Draw pictures, given by seed and class, together, and leave them to `sample_of`."""
    config = model.model.config
    noise = np.concatenate([make_noise(config, num_images=1, seed=seed) for seed, _ in pictures])
    label = None
    if config.num_classes:
        classes = [config.num_classes if c is None else c for _, c in pictures]
        label = label_tensor(classes, len(pictures))
    sampler = Sampler(model.model, noise, label)
    while not sampler.done:
        sampler.step(SamplingRule())
        yield 0.0
    for picture, levels in zip(pictures, torch.from_numpy(sampler.levels), strict=True):
        SAMPLES.put((model, *picture), levels[None])
