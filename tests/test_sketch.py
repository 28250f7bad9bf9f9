"""Partial pictures: what is known, what a link carries, and what it refuses."""

import base64
import zlib

import numpy as np
import pytest
import torch

from pixelcnn.data.datasets import dequantize
from pixelcnn.ui.shared.sketch import (
    DRAWN,
    GIVEN,
    MAX_TEXT,
    UNKNOWN,
    Sketch,
    from_text,
    given,
    to_text,
)

from .tiny_completion import same


def random_sketch(height=5, width=7, num_levels=256, channels=1):
    random = np.random.default_rng(0)
    level = random.integers(0, num_levels, (channels, height, width), dtype=np.uint8)
    return Sketch(level, random.integers(0, 3, (height, width), dtype=np.uint8), num_levels)


def test_a_link_of_earlier_opens():
    sketch = from_text("AQL_eNpjZGJ2BAAAVQBI")
    assert sketch.level.tolist() == [[[3, 65]]] and sketch.state.tolist() == [[1, 2]]


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (28, 28), (64, 64), (32, 32, 3)])
@pytest.mark.parametrize("num_levels", [2, 4, 256])
def test_a_drawing_survives_the_link(size, num_levels):
    height, width, *channels = size
    sketch = random_sketch(height, width, num_levels, *channels)
    text = to_text(sketch)
    assert same(from_text(text), sketch)
    assert len(text) <= MAX_TEXT and not set(text) - set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


def packed(head, body):
    return base64.urlsafe_b64encode(bytes(head) + zlib.compress(bytes(body))).decode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is damaged"),
        ("!!!!", "is damaged"),
        ("AAAA", "does not hold 0 x 0"),
        ("ä" * 8, "is damaged"),
        ("A" * (MAX_TEXT + 1), "are more than"),
        (packed([2, 3, 255], [0] * 11), "does not hold 2 x 3 pixels"),
        (packed([2, 3, 255], [0] * 13), "does not hold 2 x 3 pixels"),
        (packed([2, 3, 255], [0] * 10**6), "does not hold 2 x 3 pixels"),
        (packed([2, 3, 255], [0] * 12)[:-6], "does not hold|damaged"),
        (packed([0, 3, 255], []), "at most 64 x 64"),
        (packed([65, 1, 255], [0] * 130), "at most 64 x 64"),
        (packed([2, 3, 0], [0] * 12), r"number of levels \(1\)"),
        (packed([2, 3, 3], [0] * 11 + [4]), "level 4 of a pixel must lie in 0..3"),
        (packed([2, 3, 3], [3] + [0] * 11), "state 3 of a pixel must lie in 0..2"),
    ],
)
def test_texts_that_are_no_drawing_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        from_text(text)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("exactly", [True, False])
def test_strokes_reach_the_model_as_facts_or_as_hints_and_unknown_levels_never(exactly, channels):
    sketch = random_sketch(channels=channels)
    levels, known, hints = (values[0].numpy() for values in sketch.evidence(exactly))
    known, hints = known[0], hints[0]
    is_hint = (sketch.state == DRAWN) & (not exactly)
    assert np.array_equal(hints, is_hint) and np.array_equal(sketch.hints(exactly), is_hint)
    assert np.array_equal(known, (sketch.state != UNKNOWN) & ~is_hint)
    assert np.array_equal(levels, np.where(known | hints, sketch.level, 0))
    whole = sketch.filled(255 - sketch.level, exactly)  # a picture in which only facts stay
    assert ((whole.level == sketch.level) == known).all()
    assert np.array_equal(whole.state, np.where(known, sketch.state, GIVEN))


def test_the_same_pixels_drawn_instead_of_given_are_other_evidence():
    sketch = random_sketch()
    under = Sketch(np.where(sketch.known, sketch.level, 7).astype(np.uint8), sketch.state)
    drawn = Sketch(sketch.level, np.where(sketch.known, DRAWN, UNKNOWN).astype(np.uint8))
    assert sketch.same_evidence(under) and not sketch.same_evidence(drawn)


def test_a_given_picture_lies_under_its_covered_pixels():
    picture = given(random_sketch().level, 256)
    upper, left = np.zeros((2, 5, 7), bool)
    upper[:2], left[:, :3] = True, True
    covered = picture.covered(upper)
    assert np.array_equal(covered.known, upper)
    assert np.array_equal(covered.covered(left).known, left)
    assert same(covered.covered(np.ones((5, 7), bool)), picture)


def test_of_a_drawing_by_hand_only_what_was_drawn_can_be_known():
    state = np.zeros((5, 7), np.uint8)
    state[1:4, 2] = DRAWN
    drawing = Sketch(np.full((1, 5, 7), 9, np.uint8), state)
    upper = np.zeros((5, 7), bool)
    upper[:2] = True
    assert np.array_equal(drawing.covered(upper).known, (state > 0) & upper)
    assert (drawing.covered(upper).state[state == 0] == UNKNOWN).all()


@pytest.mark.parametrize("num_levels", [2, 4, 7, 256])
def test_levels_survive_as_greys(num_levels):
    sketch = random_sketch(num_levels=num_levels)
    assert same(sketch.with_levels(256).with_levels(num_levels), sketch)
    greys = dequantize(torch.from_numpy(sketch.level), num_levels)
    assert np.array_equal(sketch.with_levels(256).level, greys)
