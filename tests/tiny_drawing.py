"""A tiny picture being drawn, asked for pixels as the browser asks."""

import math

import numpy as np
import torch

from pixelcnn.config import SamplingRule
from pixelcnn.inspection.receptive_field import dependency_maps
from pixelcnn.sampling import make_noise
from pixelcnn.ui.browser.wire import decode
from pixelcnn.ui.generate.drawing import Drawing
from pixelcnn.ui.shared.history import History, Subject

from .tiny import naive_levels, tiny_model

HEIGHT, WIDTH, TOTAL = 6, 13, 78
MODEL = tiny_model(height=HEIGHT, width=WIDTH, num_classes=3, dilations=(1,), dtype=torch.float32)
DEPENDENCY = np.packbits(dependency_maps(MODEL), axis=1)
PLAIN, COLD, WARM = SamplingRule(), SamplingRule(temperature=0.5), SamplingRule(top_k=3)


def new_drawing(history=None, **subject):
    subject = Subject("tiny", **({"seed": 5} | subject))
    captions = ["any class"] * subject.num_images
    return Drawing(MODEL, DEPENDENCY, subject, history or History(), captions)


def pull(
    drawing, run=None, *, revision=None, have=0, position=None, seen=None, speed=1.0, turn=None
):
    """Ask as the browser does; returns header and arrays."""
    branch = drawing.current
    position = have if position is None else position
    return decode(
        drawing.answer_pull(
            run=run or branch.run,
            revision=len(branch.rewinds) if revision is None else revision,
            have=have,
            position=position,
            seen=position if seen is None else seen,
            speed=speed,
            holds="tiny",
            turn=drawing.turn if turn is None else turn,
        )
    )


def fork(drawing, position, level, request="1", run=None):
    return decode(
        drawing.answer_fork(run or drawing.current.run, position, level, request, "tiny")
    )


def finish(drawing):
    drawing.current.draw(drawing.current.total, math.inf)


def picture(drawing):
    finish(drawing)
    return drawing.current.levels()


def expected(history, **subject):
    """What the slow loop draws under a history."""
    noise = make_noise(
        MODEL.config,
        num_images=1,
        seed=subject.get("seed", 5),
        first_image=subject.get("image", 0),
    )
    label = subject.get("label")
    label = None if label is None else torch.tensor([label])
    return naive_levels(MODEL, noise, history.rule_at, label, history.forced)
