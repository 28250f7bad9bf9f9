"""The server half of the player: courses, what is asked in any order, sheets."""

import numpy as np
import pytest
import torch

from pixelcnn.data.pictures import png_bytes
from pixelcnn.sampling import sample
from pixelcnn.sampling.rules import draw
from pixelcnn.ui.generate import drawing as drawing_module
from pixelcnn.ui.generate.code_panel import sampling_loop
from pixelcnn.ui.generate.drawing import MAX_COURSES
from pixelcnn.ui.shared.history import History, Subject, from_text

from .tiny import tiny_model
from .tiny_drawing import (
    COLD,
    DEPENDENCY,
    MODEL,
    PLAIN,
    TOTAL,
    WARM,
    ask,
    expected,
    finish,
    new_drawing,
)

COURSES = [
    History(),
    History(((0, PLAIN), (7, COLD))),
    History(((0, PLAIN), (7, COLD), (40, WARM))),
    History(((0, PLAIN), (7, COLD)), {20: 3}),
    History(((0, PLAIN), (20, COLD)), {20: 3, 50: 0}),
    History(((0, COLD),)),
    History(((0, WARM),), {0: 2, 77: 1}),
]
"""Some share a beginning, some do not."""


@pytest.mark.parametrize("model", [MODEL, tiny_model(num_channels=3, num_classes=2)])
@pytest.mark.parametrize("rule", [PLAIN, COLD, WARM])
def test_a_course_is_the_picture_that_sample_draws(rule, model):
    drawing = new_drawing(History(((0, rule),)), model, label=1, image=2)
    wanted = sample(model, seed=5, first_image=2, label=1, rule=rule)
    assert torch.equal(finish(drawing.current).levels(), wanted)


@pytest.fixture(scope="module")
def wanted():
    """The pixels of the slow loop, for each course."""
    return [expected(history, label=2).flatten().numpy() for history in COURSES]


@pytest.mark.parametrize("random", range(6))
def test_whatever_is_lost_repeated_or_overtaken_every_course_is_the_same(
    random, wanted, monkeypatch
):
    """A browser that forgets and repeats gets the pixels of the slow loop, and no others."""
    monkeypatch.setattr(drawing_module, "MAX_COURSES", 1 + random)  # some are forgotten
    random = np.random.default_rng(random)
    drawing = new_drawing(label=2)
    held = [0] * len(COURSES)
    for _ in range(120):
        n = random.integers(len(COURSES))
        have = int(random.choice([0, held[n], random.integers(TOTAL + 9), -3]))
        course = drawing.course(COURSES[n])
        if random.random() < 0.5:
            course.draw(0)
        head, arrays = ask(drawing, COURSES[n], have)
        start, end = head["start"], head["start"] + head["count"]
        assert 0 <= start <= max(have, 0) and end <= TOTAL and head["course"] == course.name
        assert np.array_equal(arrays["level"][:, 0], wanted[n][start:end])
        held[n] = max(held[n], end)
    for n, history in enumerate(COURSES):
        assert np.array_equal(finish(drawing.course(history)).level[:, 0], wanted[n])


def test_a_course_shares_what_comes_before_its_first_difference_and_draws_only_the_rest():
    drawing = new_drawing()
    parent = finish(drawing.current)
    for history, shared in ((COURSES[1], 7), (History(((0, PLAIN),), {30: 1}), 30)):
        course = drawing.course(history)
        assert course.count == shared
        for name in ("level", "surprise_bits", "entropy_bits", "rule_probabilities"):
            values = getattr(finish(course), name)[:shared]
            assert np.array_equal(values, getattr(parent, name)[:shared])
    # Of all that are kept, the one that shares most is taken.
    assert drawing.course(History(((0, PLAIN), (7, COLD), (33, WARM)))).count == 33
    assert drawing.course(COURSES[5]).count == 0


def test_of_two_histories_the_first_pixel_that_they_draw_differently_is_found():
    for a in COURSES:
        for b in COURSES:
            differs = [
                p for p in range(TOTAL)
                if a.rule_at(p) != b.rule_at(p) or a.forced.get(p) != b.forced.get(p)
            ]  # fmt: skip
            assert a.first_difference(b) == (differs[0] if differs else None)


def test_a_forced_level_stands_there_and_what_was_drawn_instead_is_told():
    drawing = new_drawing()
    was = int(finish(drawing.current).level[20, 0])
    level = (was + 1) % 4
    head, arrays = ask(drawing, History(((0, PLAIN),), {20: level}), 20)
    assert head["start"] == 20 and arrays["level"][0, 0] == level
    assert head["forced"] == [{"position": 20, "level": level, "was": was}]


def test_no_more_is_drawn_than_is_asked_for():
    drawing = new_drawing()
    head, _ = ask(drawing)
    count = drawing.current.count
    assert count == head["count"] > 0
    if count < TOTAL:  # else the machine was quick
        assert ask(drawing, have=count - 1)[0]["count"] == 1


def test_old_courses_are_forgotten():
    drawing = new_drawing()
    first = finish(drawing.current)
    for p in range(MAX_COURSES + 3):
        drawing.course(History(((0, PLAIN),), {p: 1}))
        assert len(drawing._courses) <= MAX_COURSES
    again = drawing.course(first.history)
    assert again is not first and np.array_equal(finish(again).level, first.level)


def test_every_number_of_a_message_fits_the_pixel():
    drawing = new_drawing(History(((0, WARM),)))
    finish(drawing.current)
    header, arrays = ask(drawing)
    level = arrays["level"].astype(int)
    np.testing.assert_allclose(arrays["model_probabilities"].sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(arrays["rule_probabilities"].sum(1), 1, atol=1e-6)
    assert ((arrays["rule_probabilities"] > 0).sum(1) <= 3).all()
    assert np.array_equal(
        draw(arrays["rule_probabilities"].astype(float), arrays["uniform"][:, 0]), level[:, 0]
    )
    at_level = np.take_along_axis(arrays["model_probabilities"], level, 1)
    np.testing.assert_allclose(arrays["surprise_bits"], -np.log2(at_level), atol=1e-4)
    assert header["png_bytes"] == [len(png_bytes(p)) for p in drawing.current.pictures()]
    entropy = -(arrays["model_probabilities"] * np.log2(arrays["model_probabilities"])).sum(1)
    np.testing.assert_allclose(arrays["entropy_bits"][:, 0], entropy, atol=1e-4)


def test_what_the_browser_holds_or_can_tell_is_not_sent():
    drawing = new_drawing()
    plain = finish(drawing.current)
    _, arrays = ask(drawing)
    assert np.array_equal(arrays["dependency"], DEPENDENCY) and "rule_probabilities" not in arrays
    assert np.array_equal(plain.rule_probabilities, plain.model_probabilities)
    _, arrays = ask(drawing, COURSES[1], have=7)
    assert "dependency" not in arrays and "rule_probabilities" in arrays


def test_picture_i_of_a_sheet_is_the_picture_alone():
    sheet = new_drawing(num_images=5, image=3, label=1)
    header, arrays = ask(sheet)
    assert header["columns"] == 3 and len(header["captions"]) == 5 and header["code"] is None
    assert arrays["level"].shape[1] == 5
    assert not {"model_probabilities", "rule_probabilities", "dependency"} & arrays.keys()
    together = finish(sheet.current)
    for i in range(5):
        alone = finish(new_drawing(image=3 + i, label=1).current)
        assert torch.equal(alone.levels(), together.levels()[i : i + 1])
        for name in ("surprise_bits", "entropy_bits"):
            one, all_ = getattr(alone, name)[:, 0], getattr(together, name)[:, i]
            np.testing.assert_allclose(one, all_, atol=1e-4)


def test_a_sheet_can_show_one_class_per_row():
    subject = Subject("tiny", num_images=8, class_per_row=True, label=2)
    assert subject.labels(3) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert subject.labels(0) is None
    assert Subject("tiny", class_per_row=True, label=2).labels(3) == [2]
    assert Subject("tiny", num_images=2).labels(3) is None
    for count in range(10, 65):
        sheet = Subject("tiny", num_images=count, class_per_row=True)
        labels, columns = sheet.labels(10), sheet.columns(10)
        assert set(labels) == set(range(10)), f"a sheet of {count} shows not all classes"
        assert all(len({*labels[i : i + columns]}) == 1 for i in range(0, count, columns))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="must lie in 0..2"):
        new_drawing(label=9)
    with pytest.raises(ValueError, match="`num_images`"):
        new_drawing(num_images=0)
    new_drawing().course(from_text("0_1_0_1~77_0.5_4_1~f77_3"))
    for bad, message in (
        ("0_1_0_1~78_0.5_0_1", "pixel 78 must lie in 0..77"),
        ("0_1_0_1~f78_0", "pixel 78 must lie in 0..77"),
        ("0_1_0_1~f0_4", "level 4 must lie in 0..3"),
        ("0_1_5_1", "top-k 5 must lie in 1..4"),
    ):
        with pytest.raises(ValueError, match=message):
            new_drawing().course(from_text(bad))


def test_the_shown_loop_is_that_of_the_naive_sampler():
    loop = sampling_loop()
    lines = loop["lines"]
    assert lines[0] == "for row in range(height):"
    at = {step["what"]: lines[step["line"]].strip() for step in loop["steps"]}
    assert at["col"] == "for col in range(width):"
    assert at["forward"] == "everything = forward(model, levels, label, order)"
    assert at["logits"] == "logits = everything[:, :, channel, row, col]"
    assert at["draw"] == "level = draw(probability, u)"
    order = ["row", "col", "forward", "logits", "rule", "noise", "draw", "store"]
    indices = [next(s["line"] for s in loop["steps"] if s["what"] == what) for what in order]
    assert indices == sorted(set(indices))
    compile("\n".join(["def f():", *(f"    {line}" for line in lines)]), "loop", "exec")
