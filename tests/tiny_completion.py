"""Tiny completions as the Complete page draws them."""

import numpy as np
import torch

from pixelcnn.completion import occlusion
from pixelcnn.progress import drain
from pixelcnn.ui.complete import exports
from pixelcnn.ui.complete.run import CompletionRun, Request
from pixelcnn.ui.shared.sketch import DRAWN, Sketch, given

from .tiny import random_levels, tiny_model

SIDE = 6


NAMES = ("one", "two", "three")


MODEL = tiny_model(height=SIDE, width=SIDE, num_classes=3, dtype=torch.float32)


SIDES = tiny_model(height=SIDE, width=SIDE, num_classes=3, num_orders=8, dtype=torch.float32)


READER = tiny_model(
    "conditioned", height=SIDE, width=SIDE, num_classes=3, twist=True, dtype=torch.float32
)


COLOURS, COLOUR_READER = (
    tiny_model(name, height=SIDE, width=SIDE, num_classes=3, num_channels=3, dtype=torch.float32)
    for name in ("gated", "conditioned")
)


def sketch_of(left="upper-half", model=MODEL, seed=0):
    level = random_levels(model.config, 1, seed)[0].numpy()
    known = occlusion(left, SIDE, SIDE)[0, 0].numpy()
    return given(level, model.config.num_levels).covered(known)


def with_stroke(sketch):
    """The same with a stroke by hand down a column: over what was given, and over the unknown."""
    state = sketch.state.copy()
    state[1:-1, 2] = DRAWN
    return Sketch(sketch.level, state, sketch.num_levels)


def new_run(method, left="upper-half", model=MODEL, **request):
    """Begin completions; of a drawing with a stroke, if strokes are hints."""
    request = Request("tiny", method, **({"num_images": 5, "num_particles": 16} | request))
    sketch = sketch_of(left, model)
    return CompletionRun(model, sketch if request.exactly else with_stroke(sketch), request, NAMES)


def same(one, other):
    """Whether every pixel of two sketches is the same."""
    pixels = zip((one.level, one.state), (other.level, other.state), strict=True)
    return one.num_levels == other.num_levels and all(np.array_equal(*p) for p in pixels)


def finish(run):
    drain(exports.iter_finish(run))
    return run
