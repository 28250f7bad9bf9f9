"""The server half of the player: pulls, new rules, lost messages, sheets."""

import numpy as np
import pytest
import torch

from pixelcnn.config import SamplingRule
from pixelcnn.sampling import sample
from pixelcnn.sampling.rules import draw
from pixelcnn.ui.browser.wire import decode
from pixelcnn.ui.generate.code_panel import sampling_loop
from pixelcnn.ui.generate.drawing import Drawing
from pixelcnn.ui.shared.history import History, Subject, rule_text

from .tiny import tiny_model
from .tiny_drawing import (
    COLD,
    DEPENDENCY,
    MODEL,
    PLAIN,
    TOTAL,
    WARM,
    expected,
    finish,
    new_drawing,
    picture,
    pull,
)


def test_pulled_pixels_make_the_picture_that_sample_draws():
    drawing = new_drawing(label=1, image=2)
    have, levels = 0, []
    while have < TOTAL:
        header, arrays = pull(drawing, have=have)
        assert header["start"] == have and header["count"] == len(arrays["level"]) > 0
        levels.append(arrays["level"][:, 0])
        have += header["count"]
    assert header["done"] and header["total"] == TOTAL
    wanted = sample(MODEL, seed=5, first_image=2, label=1)
    assert np.array_equal(np.concatenate(levels), wanted.flatten())
    assert torch.equal(picture(drawing), wanted)


def test_a_pull_that_is_repeated_gets_the_same_pixels():
    drawing = new_drawing()
    _, first = pull(drawing, have=0)
    pull(drawing, have=16)
    for _ in range(3):
        header, again = pull(drawing, have=0)
        assert header["count"] >= 16 and header["revision"] == 0
        for name, values in first.items():
            assert np.array_equal(again[name][: len(values)], values)
    assert len(drawing.branches) == 1


def test_a_pull_without_need_draws_nothing():
    drawing = new_drawing()
    pull(drawing)
    count = drawing.current.count
    header, _ = pull(drawing, have=3)
    assert drawing.current.count == count and header["count"] == count - 3


def test_faster_playing_draws_more_at_once():
    slow, fast = new_drawing(), new_drawing()
    assert pull(slow)[0]["count"] == 16
    assert pull(fast, speed=10_000)[0]["count"] > 16


@pytest.mark.parametrize("numbers", [(-5, -7, -9), (10**9, 10**9, 0), (10**9, 0, 10**9)])
def test_senseless_numbers_do_not_break_a_pull(numbers):
    drawing = new_drawing()
    pull(drawing)
    have, position, revision = numbers
    header, _ = pull(drawing, have=have, position=position, revision=revision)
    assert 0 <= header["start"] <= header["start"] + header["count"] <= TOTAL
    assert torch.equal(picture(drawing), sample(MODEL, seed=5))


def test_every_number_of_a_message_fits_the_pixel():
    drawing = new_drawing(History(((0, WARM),)))
    _, arrays = pull(drawing, speed=10_000)
    while not drawing.current.done:
        pull(drawing, have=drawing.current.count, speed=10_000)
    header, arrays = pull(drawing, have=0)
    level = arrays["level"].astype(int)
    np.testing.assert_allclose(arrays["model_probs"].sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(arrays["rule_probs"].sum(1), 1, atol=1e-6)
    assert ((arrays["rule_probs"] > 0).sum(1) <= 3).all()
    assert np.array_equal(
        draw(arrays["rule_probs"].astype(float), arrays["uniform"][:, 0]), level[:, 0]
    )
    at_level = np.take_along_axis(arrays["model_probs"], level, 1)
    np.testing.assert_allclose(arrays["surprise_bits"], -np.log2(at_level), atol=1e-4)
    assert header["total_bits"] == [pytest.approx(arrays["surprise_bits"].sum(), rel=1e-5)]
    entropy = -(arrays["model_probs"] * np.log2(arrays["model_probs"])).sum(1)
    np.testing.assert_allclose(arrays["entropy_bits"][:, 0], entropy, atol=1e-4)


def test_the_receptive_field_is_sent_once():
    drawing = new_drawing()
    assert "dependency" not in pull(drawing)[1]
    _, arrays = decode(drawing.message(drawing.current, 0, holds=None))
    assert np.array_equal(arrays["dependency"], DEPENDENCY)


def test_a_new_rule_for_a_finished_picture_draws_it_anew_from_the_start():
    drawing = new_drawing()
    finish(drawing)
    trunk = drawing.current
    drawing.want(COLD)
    header, _ = pull(drawing, have=TOTAL)
    assert header["fork"] == header["start"] == 0 and header["parent"] == trunk.run
    assert header["branches"][1]["text"] == "from the start: temperature 0.5"
    assert torch.equal(picture(drawing), sample(MODEL, seed=5, rule=COLD))
    assert trunk.done


def test_the_same_rule_again_changes_nothing():
    drawing = new_drawing()
    pull(drawing)
    drawing.want(SamplingRule())
    assert drawing.ask == 0
    pull(drawing, have=16)
    assert len(drawing.branches) == 1 and drawing.current.rewinds == []


def test_a_rule_taken_back_before_the_pull_changes_nothing():
    drawing = new_drawing()
    pull(drawing)
    drawing.want(COLD)
    drawing.want(PLAIN)
    header, _ = pull(drawing, have=16, position=4, seen=9)
    assert drawing.ask == 2 and len(drawing.branches) == 1 and header["revision"] == 0


def test_pixels_that_were_rewound_are_sent_again_after_a_lost_message():
    drawing = new_drawing()
    pull(drawing, speed=10_000)
    count = drawing.current.count
    for rule, position in ((COLD, 20), (WARM, 12)):
        drawing.want(rule)
        pull(drawing, have=count, position=position, revision=0)  # the answers are lost
        drawing.current.draw(40, 1)
    header, arrays = pull(drawing, have=count, position=9, seen=9, revision=0)
    assert header["start"] == 12 and header["revision"] == 2
    assert min(header["rewinds"]) == 12  # whatever message arrives, it tells what is not valid
    wanted = expected(History(((0, PLAIN), (12, WARM))))
    assert np.array_equal(arrays["level"][:, 0], wanted.flatten()[12 : 12 + header["count"]])
    assert pull(drawing, have=30, position=9, revision=2)[0]["start"] == 30


def test_picture_i_of_a_sheet_is_the_picture_alone():
    sheet = new_drawing(num_images=5, image=3, label=1)
    header, arrays = pull(sheet, speed=10_000)
    assert header["columns"] == 3 and header["num_images"] == 5 and header["code"] is None
    assert arrays["level"].shape[1] == 5
    assert not {"model_probs", "rule_probs", "dependency"} & arrays.keys()
    together = picture(sheet)
    for i in range(5):
        alone = new_drawing(image=3 + i, label=1)
        assert torch.equal(picture(alone), together[i : i + 1])
        np.testing.assert_allclose(
            alone.current.surprise_bits[:, 0], sheet.current.surprise_bits[:, i], atol=1e-4
        )
        np.testing.assert_allclose(
            alone.current.entropy_bits[:, 0], sheet.current.entropy_bits[:, i], atol=1e-4
        )


def test_a_sheet_can_show_one_class_per_row():
    subject = Subject("tiny", num_images=8, class_per_row=True, label=2)
    assert subject.labels(3) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert subject.labels(0) is None
    assert Subject("tiny", class_per_row=True, label=2).labels(3) == [2]
    assert Subject("tiny", num_images=2).labels(3) is None


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="shows grey pictures; this model has 3 channels"):
        Drawing(tiny_model(num_channels=3), DEPENDENCY, Subject("tiny"), History(), [""])
    with pytest.raises(ValueError, match="must lie in 0..2"):
        new_drawing(label=9)
    with pytest.raises(ValueError, match="`num_images`"):
        new_drawing(num_images=0)
    with pytest.raises(ValueError, match="pixel 78 must lie in 0..77"):
        new_drawing(History(((0, PLAIN),), {78: 0}))
    with pytest.raises(ValueError, match="level 4 must lie in 0..3"):
        new_drawing(History(((0, PLAIN),), {0: 4}))
    with pytest.raises(ValueError, match="top-k 5 must lie in 1..4"):
        new_drawing(History(((0, SamplingRule(top_k=5)),)))


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


def test_rules_are_described_in_a_few_words():
    assert rule_text(PLAIN) == "temperature 1"
    rule = SamplingRule(temperature=0.85, top_k=3, top_p=0.5)
    assert rule_text(rule) == "temperature 0.85, top-k 3, top-p 0.5"
