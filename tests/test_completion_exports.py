"""Completions as files: pictures, animation, data."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn.config import SamplingRule
from pixelcnn.data.datasets import dequantize
from pixelcnn.ui.complete import exports
from pixelcnn.ui.complete.run import CompletionRun, Request
from pixelcnn.ui.shared.sketch import from_text

from .tiny_completion import MODEL, NAMES, READER, SIDE, SIDES, finish, new_run


def test_the_picture_holds_the_exact_levels():
    run = new_run("prefix")
    values = np.asarray(Image.open(io.BytesIO(exports.as_png(run, 1))))
    assert values.shape == (2 * SIDE + 2, 3 * SIDE + 4)
    wanted = dequantize(torch.from_numpy(run.levels()), 4).numpy()[:, 0]
    assert np.array_equal(values[:SIDE, :SIDE], wanted[0])
    assert np.array_equal(values[SIDE + 2 :, SIDE + 2 : 2 * SIDE + 2], wanted[4])


def test_the_animation_begins_with_the_known_pixels_and_ends_with_the_completions():
    run = new_run("prefix", "lower-half", SIDES)
    with Image.open(io.BytesIO(exports.as_gif(run))) as animation:
        first = np.asarray(animation.convert("RGB"))[::4, ::4]
        animation.seek(animation.n_frames - 1)
        last = np.asarray(animation.convert("RGB"))[::4, ::4]
    known = run.sketch.known
    grey = dequantize(torch.from_numpy(run.levels()), 4).numpy()[0, 0]
    is_grey = (first == first[..., :1]).all(-1)[:SIDE, :SIDE]
    assert np.array_equal(is_grey, known) and np.array_equal(
        first[:SIDE, :SIDE, 0][known], grey[known]
    )
    assert np.array_equal(last[:SIDE, :SIDE, 0], grey)


@pytest.mark.parametrize(
    ("method", "model", "exactly"), [("particles", MODEL, True), ("learned", READER, False)]
)
def test_npz_and_json_hold_the_same_and_reproduce_the_completions(method, model, exactly):
    run = new_run(method, "around-box", model, seed=4, exactly=exactly)
    with np.load(io.BytesIO(exports.as_npz(run)), allow_pickle=False) as arrays:
        npz = dict(arrays)
    trace = json.loads(exports.as_json(run))
    settings = trace.pop("settings")
    assert json.loads(str(npz.pop("settings"))) == settings
    assert npz.keys() == trace.keys()
    for name, values in npz.items():
        np.testing.assert_allclose(values.astype(float), np.array(trace[name]), atol=1e-6)
    assert np.array_equal(npz["levels"], run.levels()[:, 0])
    assert len(npz["effective_sample_size"]) == (run.steps if method == "particles" else 0)
    assert npz["hints"].any() != exactly and not (npz["hints"] & npz["known"]).any()
    request = {name: settings[name] for name in Request.__dataclass_fields__ if name != "rule"}
    request["rule"] = SamplingRule.from_dict(settings["rule"])
    again = finish(CompletionRun(model, from_text(settings["drawing"]), Request(**request), NAMES))
    assert np.array_equal(again.levels(), run.levels())


def test_a_pinned_class_makes_other_pictures_for_the_other_pages():
    run = new_run("prefix")
    made = exports.made(run)
    before = made.key()
    run.pin(((0, 1),))
    assert made.key() != before
