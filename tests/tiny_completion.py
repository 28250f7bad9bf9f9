"""Tiny completions as the Complete page draws them."""

import numpy as np
import torch

from pixelcnn.completion import occlusion
from pixelcnn.ui.complete import exports
from pixelcnn.ui.complete.run import CompletionRun, Wish
from pixelcnn.ui.complete.sketch import given

from .tiny import random_levels, tiny_model

SIDE = 6


NAMES = ("one", "two", "three")


MODEL = tiny_model(height=SIDE, width=SIDE, num_classes=3, dtype=torch.float32)


SIDES = tiny_model(height=SIDE, width=SIDE, num_classes=3, num_orders=8, dtype=torch.float32)


def sketch_of(left="upper-half", model=MODEL, seed=0):
    level = random_levels(model.config, 1, seed)[0, 0].numpy()
    known = occlusion(left, SIDE, SIDE)[0, 0].numpy()
    return given(level, model.config.num_levels).covered(known)


def new_run(method, left="upper-half", model=MODEL, **wish):
    wish = Wish("tiny", method, **({"num_images": 5, "num_particles": 16} | wish))
    return CompletionRun(model, sketch_of(left, model), wish, NAMES)


def same(one, other):
    """Whether every pixel of two sketches is the same."""
    pixels = zip((one.level, one.state), (other.level, other.state), strict=True)
    return one.num_levels == other.num_levels and all(np.array_equal(*p) for p in pixels)


def finish(run):
    exports.finish(run)
    return run
