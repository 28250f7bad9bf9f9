"""Links that reproduce a picture, and downloads that hold exactly what was drawn."""

import io
import itertools
import json
import sys
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn.config import SamplingRule
from pixelcnn.data.datasets import quantize
from pixelcnn.data.pictures import UNDRAWN, drawing_frames, gif_bytes, grid
from pixelcnn.sampling import sample
from pixelcnn.ui.generate import exports
from pixelcnn.ui.shared.history import MAX_LENGTH, History, from_text, to_text

from . import tiny_drawing
from .tiny import tiny_model
from .tiny_drawing import COLD, finish

HISTORIES = [
    History(),
    History(((0, COLD), (7, SamplingRule(top_k=3, top_p=0.95))), {3: 1, 29: 0}),
    History(((0, SamplingRule(temperature=0.0)), (29, SamplingRule(temperature=100.0)))),
    History(((0, SamplingRule(temperature=1e-6, top_p=1e-12)),)),
    History(((0, SamplingRule(temperature=0.1 + 0.2, top_p=1 - 2**-53)),)),
    History(((0, SamplingRule(temperature=0.1 * 3 / 7, top_k=256)),)),
    History(((0, SamplingRule(temperature=1, top_p=1)),)),
    History(((0, COLD),), {3: 1}, "completions"),
    History(
        tuple(
            (p, SamplingRule(temperature=1.05 if p % 2 else 0.35, top_k=255, top_p=0.99))
            for p in range(784)
        ),
        {p: 255 for p in range(784)},
    ),
]
"""The last one is the longest that a picture of 28 x 28 pixels can have."""


def new_drawing(num_levels=4, history=None, **subject):
    model = tiny_model(num_levels=num_levels, dtype=torch.float32)
    return tiny_drawing.new_drawing(history, model, **({"seed": 0} | subject))


def read(content):
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("history", HISTORIES)
def test_a_history_survives_the_link(history):
    assert from_text(to_text(history)) == history


def test_random_rules_survive_the_link():
    random = np.random.default_rng(0)
    for scale in 10.0 ** -np.arange(6):
        for _ in range(50):
            temperature, top_p = (random.random(2) * scale + 1e-6).tolist()
            history = History(((0, SamplingRule(temperature=temperature, top_p=top_p)),))
            assert from_text(to_text(history)) == history


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no rule and no forced level"),
        ("nonsense", "'nonsense' is no rule"),
        ("f3_1", "they must start at 0 and rise"),
        ("1_1_0_1", r"rules start at \[1\]"),
        ("0_1_0_1~5_1_0_1~5_0.5_0_1", "must start at 0 and rise"),
        ("0_1_0_1~9_1_0_1~5_1_0_1", "must start at 0 and rise"),
        ("0_1_0_1~", "is no rule"),
        ("0_-1_0_1", "is no rule"),
        ("0_nan_0_1", "is no rule"),
        ("0_1e9_0_1", "is no rule"),
        ("0_101_0_1", "`temperature`"),
        ("0_1_257_1", "`top_k`"),
        ("0_1_0_0", "`top_p`"),
        ("0_1_0_2", "`top_p`"),
        ("0_1_0_1~f1_1_1", "is no rule"),
        ("0_1_0_1" + "~f1_1" * MAX_LENGTH, "characters are more than"),
    ],
)
def test_texts_that_are_no_history_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        from_text(text)


def test_the_rule_of_a_pixel_is_the_last_one_that_began():
    first, second = SamplingRule(), COLD
    history = History(((0, first), (7, second)))
    assert [history.rule_at(p) for p in (0, 6, 7, 29)] == [first, first, second, second]
    assert history.last_rule == second


@pytest.mark.parametrize("num_levels", [2, 4, 7, 200, 256])
def test_png_holds_the_exact_levels(num_levels):
    drawing = new_drawing(num_levels, seed=3)
    wanted = sample(tiny_model(num_levels=num_levels, dtype=torch.float32), seed=3)
    values = read(exports.as_png(drawing, 1))
    assert np.array_equal(quantize(torch.from_numpy(values.copy()), num_levels), wanted[0, 0])
    large = read(exports.as_png(drawing, 16))
    assert large.shape == (5 * 16, 6 * 16)
    assert np.array_equal(large[::16, ::16], values) and np.array_equal(
        large[15::16, 15::16], values
    )


def test_an_export_finishes_the_picture_by_the_rule_in_force():
    drawing = new_drawing(history=History(((0, COLD),)), seed=3)
    drawing.current.draw(0)
    exports.as_json(drawing)
    assert drawing.current.done
    wanted = sample(tiny_model(dtype=torch.float32), seed=3, rule=COLD)
    assert torch.equal(drawing.current.levels(), wanted)


def test_an_export_is_the_whole_course_while_the_player_goes_on():
    drawing = new_drawing(seed=3)
    stop = threading.Event()

    def play():
        for n in itertools.cycle(range(20)):
            if stop.is_set():
                return
            rules = ((0, SamplingRule()), (1 + n, SamplingRule(temperature=0.5 + 0.05 * n)))
            drawing.answer(drawing.course(History(rules)), n)

    player = threading.Thread(target=play)
    player.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads that take turns often meet often
    try:
        traces = [json.loads(exports.as_json(drawing)) for _ in range(20)]
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        player.join()
    for trace in traces:
        again = new_drawing(history=from_text(trace["settings"]["history"]), seed=3).current
        finish(again)
        assert np.array_equal(trace["level"], again.level)
        assert trace["settings"]["total_bits"] == [
            pytest.approx(again.surprise_bits.sum(), rel=1e-5)
        ]


@pytest.mark.parametrize("num_levels", [2, 4, 256])
@pytest.mark.parametrize("num_images", [1, 5])
def test_the_animation_begins_empty_and_ends_with_the_picture(num_levels, num_images):
    drawing = new_drawing(num_levels, num_images=num_images)
    scale = 10 if num_images == 1 else 3
    last = read(exports.as_png(drawing, scale))
    with Image.open(io.BytesIO(exports.as_gif(drawing))) as animation:
        assert animation.n_frames >= 30
        first = np.asarray(animation.convert("RGB"))
        assert (first[0, 0] == UNDRAWN).all()
        animation.seek(animation.n_frames - 1)
        shown = np.asarray(animation.convert("RGB"))
        assert animation.info["duration"] >= 2000
    assert np.array_equal(shown, np.repeat(last[:, :, None], 3, 2))


def test_the_animation_of_all_grey_levels_is_exact():
    picture = np.arange(256, dtype=np.uint8).reshape(8, 32)
    content = gif_bytes(drawing_frames(picture))
    with Image.open(io.BytesIO(content)) as animation:
        animation.seek(animation.n_frames - 1)
        assert np.array_equal(np.asarray(animation.convert("L")), picture)


def test_frames_add_pixels_in_raster_order():
    picture = np.arange(30, dtype=np.uint8).reshape(5, 6)
    frames = drawing_frames(picture, pixels_per_frame=7)
    assert len(frames) == 6
    for frame, drawn in zip(frames, (0, 7, 14, 21, 28, 30), strict=True):
        undrawn = (frame.reshape(-1, 3) == UNDRAWN).all(1)
        assert undrawn.tolist() == [i >= drawn for i in range(30)]
    assert np.array_equal(frames[-1][:, :, 0], picture)


def test_pictures_of_a_grid_stand_two_white_pixels_apart():
    parts = [np.full((2, 3), value, np.uint8) for value in (10, 20, 30)]
    result = grid(parts, 2)
    assert result.shape == (6, 8)
    assert (result[:2, :3] == 10).all() and (result[:2, 5:] == 20).all()
    assert (result[4:, :3] == 30).all() and (result[4:, 5:] == 255).all()
    assert (result[2:4] == 255).all() and (result[:, 3:5] == 255).all()
    assert grid(parts, 9).shape == (2, 13)
    with pytest.raises(ValueError, match=r"`columns` \(=0\) must be at least 1"):
        grid(parts, 0)


@pytest.fixture
def traced():
    rules = ((0, COLD), (11, SamplingRule(top_k=2)))
    return new_drawing(history=History(rules, {9: 2}), seed=4)


def test_npz_and_json_hold_the_whole_trace(traced):
    with np.load(io.BytesIO(exports.as_npz(traced)), allow_pickle=False) as arrays:
        npz = dict(arrays)
    level = npz["level"]
    assert np.array_equal(level, traced.current.level)
    for name in ("model_probabilities", "rule_probabilities"):
        np.testing.assert_allclose(npz[name].sum(1), 1, atol=4e-6)
    cumulative, uniform = npz["rule_probabilities"].astype(float).cumsum(1), npz["uniform"][:, 0]
    for position in range(30):
        if position == 9:  # forced
            continue
        at = level[position, 0]
        assert cumulative[position, at] > uniform[position] - 4e-6
        assert at == 0 or cumulative[position, at - 1] <= uniform[position] + 4e-6
    at_level = np.take_along_axis(npz["model_probabilities"], level.astype(int), 1)
    np.testing.assert_allclose(2.0 ** -npz["surprise_bits"], at_level, atol=1e-5)
    trace = json.loads(exports.as_json(traced))
    assert json.loads(str(npz.pop("settings"))) == trace.pop("settings")
    assert npz.keys() == trace.keys()
    for name, values in npz.items():
        np.testing.assert_allclose(values, trace[name], atol=1e-6)


def test_settings_reproduce_the_picture(traced):
    settings = json.loads(exports.as_json(traced))["settings"]
    assert settings["forced"] == {"9": 2} and len(settings["rules"]) == 2
    assert (settings["height"], settings["width"], settings["num_levels"]) == (5, 6, 4)
    again = new_drawing(history=from_text(settings["history"]), seed=settings["seed"])
    finish(again.current)
    assert torch.equal(again.current.levels(), traced.current.levels())
    total = traced.current.surprise_bits.sum()
    assert settings["total_bits"] == [pytest.approx(total, rel=1e-5)]


def test_the_trace_of_a_sheet_has_one_column_per_picture():
    drawing = new_drawing(num_images=3, seed=1)
    with np.load(io.BytesIO(exports.as_npz(drawing)), allow_pickle=False) as arrays:
        assert arrays["level"].shape == (30, 3)
        assert "model_probabilities" not in arrays
        wanted = sample(tiny_model(dtype=torch.float32), num_images=3, seed=1)
        assert np.array_equal(arrays["level"].T.reshape(3, 1, 5, 6), wanted)
