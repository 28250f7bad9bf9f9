"""Branches of a drawing: by a new rule, by a forced level, and after a lost message."""

import numpy as np
import pytest
import torch

from pixelcnn.config import SamplingRule
from pixelcnn.sampling import sample
from pixelcnn.ui.generate.drawing import MAX_BRANCHES
from pixelcnn.ui.shared.history import History, from_text, to_text

from .tiny_drawing import COLD, MODEL, PLAIN, expected, finish, fork, new_drawing, picture, pull


@pytest.fixture(autouse=True)
def enough_time(monkeypatch):
    """What one answer draws is decided by the pixels asked for, however slow the machine is."""
    monkeypatch.setattr("pixelcnn.ui.generate.drawing.SECONDS_PER_ANSWER", 60)


def test_a_new_rule_draws_unseen_pixels_anew_in_the_same_branch():
    drawing = new_drawing()
    pull(drawing, speed=10_000)
    run, count = drawing.current.run, drawing.current.count
    drawing.want(COLD)
    assert drawing.ask == 1
    header, _ = pull(drawing, have=count, position=7)
    assert header["run"] == run and header["revision"] == 1 and header["start"] == 7
    assert [r["start"] for r in header["rules"]] == [0, 7]
    assert len(drawing.branches) == 1
    history = History(((0, PLAIN), (7, COLD)))
    assert drawing.current.history == history
    assert torch.equal(picture(drawing), expected(history))


def test_a_new_rule_before_seen_pixels_makes_a_branch():
    drawing = new_drawing()
    pull(drawing)
    trunk = drawing.current
    drawing.want(COLD)
    header, _ = pull(drawing, have=16, position=6, seen=12)
    assert header["run"] != trunk.run and header["parent"] == trunk.run
    assert header["fork"] == header["start"] == 6
    assert header["branches"][1]["text"] == "from row 0, column 6: temperature 0.5"
    assert torch.equal(picture(drawing), expected(History(((0, PLAIN), (6, COLD)))))
    drawing.select(trunk.run)
    assert torch.equal(picture(drawing), sample(MODEL, seed=5))


def test_a_new_rule_survives_the_loss_of_the_message_that_told_of_its_branch():
    drawing = new_drawing()
    pull(drawing)
    trunk = drawing.current
    drawing.want(COLD)
    request = {"run": trunk.run, "revision": 0, "have": 16, "position": 6, "seen": 12, "turn": 0}
    first, arrays = pull(drawing, **request)
    for _ in range(2):
        again, repeated = pull(drawing, **request)
        assert (again["run"], again["start"]) == (first["run"], first["start"])
        assert np.array_equal(repeated["level"][: len(arrays["level"])], arrays["level"])
    assert drawing.rule == COLD and len(drawing.branches) == 2
    mounted_anew = pull(drawing, run=first["run"], turn=first["turn"])[0]
    assert (mounted_anew["run"], mounted_anew["start"]) == (first["run"], 0)
    # Once the viewer has followed the turn, the old branch means that he went back to it.
    assert pull(drawing, **request | {"turn": first["turn"]})[0]["run"] == trunk.run
    assert drawing.rule == PLAIN


def test_a_selected_branch_stays_although_its_child_was_never_heard_of():
    drawing = new_drawing()
    pull(drawing)
    trunk = drawing.current
    drawing.want(COLD)
    pull(drawing, have=16, position=6, seen=12)
    drawing.select(trunk.run)
    assert pull(drawing, run=trunk.run, have=16, position=6, seen=12)[0]["run"] == trunk.run
    assert drawing.rule == PLAIN and len(drawing.branches) == 2


def test_a_fork_forces_a_level_and_goes_on_in_a_branch():
    drawing = new_drawing()
    finish(drawing)
    trunk = drawing.current
    was = int(trunk.level[20, 0])
    header, arrays = fork(drawing, 20, (was + 1) % 4)
    assert header["parent"] == trunk.run and header["fork"] == header["start"] == 20
    assert arrays["level"][0, 0] == (was + 1) % 4
    assert header["forced"] == [{"position": 20, "level": (was + 1) % 4, "was": was}]
    assert header["branches"][1]["text"] == f"row 1, column 7: level {was} → {(was + 1) % 4}"
    assert torch.equal(picture(drawing), expected(History(((0, PLAIN),), {20: (was + 1) % 4})))
    assert torch.equal(trunk.levels(), sample(MODEL, seed=5))


def test_a_fork_of_a_fork_keeps_what_was_forced_before():
    drawing = new_drawing()
    finish(drawing)
    fork(drawing, 20, 3, "a")
    finish(drawing)
    fork(drawing, 50, 0, "b")
    wanted = History(((0, PLAIN),), {20: 3, 50: 0})
    assert drawing.current.history == wanted
    assert torch.equal(picture(drawing), expected(wanted))
    assert [f["position"] for f in pull(drawing)[0]["forced"]] == [20, 50]


def test_a_repeated_fork_request_makes_one_branch():
    drawing = new_drawing()
    finish(drawing)
    trunk = drawing.current.run
    first, _ = fork(drawing, 20, 3, "same", trunk)
    again, arrays = fork(drawing, 20, 3, "same", trunk)
    assert first["run"] == again["run"] and len(drawing.branches) == 2
    assert again["start"] == 20 and arrays["level"][0, 0] == 3
    assert fork(drawing, 20, 3, "other", trunk)[0]["run"] != first["run"]


def test_a_fork_of_a_branch_that_is_gone_makes_none():
    drawing = new_drawing()
    pull(drawing)
    header, arrays = fork(drawing, 3, 1, "late", run="dropped")
    assert len(drawing.branches) == 1 and drawing.current.history == History()
    assert header["run"] == drawing.current.run and header["start"] == 0
    assert header["fork_request"] == "late" and header["turn"] == 0
    assert torch.equal(picture(drawing), sample(MODEL, seed=5))


def test_every_answer_to_a_fork_names_its_request():
    drawing = new_drawing()
    assert pull(drawing)[0]["fork_request"] is None
    for _ in range(2):
        assert fork(drawing, 3, 1, "a")[0]["fork_request"] == "a"
    assert pull(drawing)[0]["fork_request"] is None


def test_no_level_can_be_forced_on_a_sheet():
    sheet = new_drawing(num_images=3)
    finish(sheet)
    with pytest.raises(ValueError, match="in a single picture; this is a sheet of 3"):
        fork(sheet, 3, 1)
    assert len(sheet.branches) == 1
    assert torch.equal(sheet.current.levels(), sample(MODEL, num_images=3, seed=5))


def test_a_new_rule_at_a_forced_pixel_not_seen_yet_keeps_it_forced():
    drawing = new_drawing()
    finish(drawing)
    header, _ = fork(drawing, 20, 3)
    drawing.want(COLD)
    pull(drawing, have=20 + header["count"], position=20, seen=20)
    assert len(drawing.branches) == 2
    assert torch.equal(picture(drawing), expected(History(((0, PLAIN), (20, COLD)), {20: 3})))


@pytest.mark.parametrize(("position", "level"), [(-1, 0), (16, 0), (3, 4), (3, -1)])
def test_impossible_forks_are_refused_and_leave_no_branch(position, level):
    drawing = new_drawing()
    pull(drawing)
    with pytest.raises(ValueError, match="`position`|`level`"):
        fork(drawing, position, level)
    assert len(drawing.branches) == 1


def test_a_stale_run_gets_the_current_branch_from_the_start():
    drawing = new_drawing()
    pull(drawing)
    header, arrays = pull(drawing, run="of another picture", have=50)
    assert header["run"] == drawing.current.run and header["start"] == 0
    assert len(arrays["level"]) == drawing.current.count


@pytest.mark.parametrize("of_the_first", [True, False])
def test_old_branches_are_dropped_but_not_the_first_the_current_one_nor_its_parent(of_the_first):
    drawing = new_drawing()
    finish(drawing)
    trunk = drawing.current
    fork(drawing, 1, 3, "parent")
    parent = trunk if of_the_first else drawing.current
    for i in range(MAX_BRANCHES + 3):
        finish(drawing)
        fork(drawing, i, 3, str(i), parent.run)
        assert len(drawing.branches) <= MAX_BRANCHES
        assert {trunk, parent, drawing.current} <= set(drawing.branches)


def test_a_dropped_branch_is_forgotten_even_by_its_children():
    import gc
    import weakref

    drawing = new_drawing()
    for i in range(MAX_BRANCHES + 2):  # each a child of the one before
        finish(drawing)
        fork(drawing, 1, i % 4, str(i))
        if i == 0:
            oldest = weakref.ref(drawing.current)
    gc.collect()
    assert oldest() is None


def test_forced_pixels_and_rules_of_a_history_draw_the_same_picture_again():
    drawing = new_drawing(label=2)
    pull(drawing, speed=10_000)
    drawing.want(COLD)
    pull(drawing, have=9, position=9)
    finish(drawing)
    fork(drawing, 33, 2)
    drawing.want(SamplingRule(temperature=1.15, top_k=3, top_p=0.95))
    pull(drawing, have=44, position=44)
    wanted = picture(drawing)
    text = to_text(drawing.current.history)
    replayed = new_drawing(from_text(text), label=2)
    assert torch.equal(picture(replayed), wanted)
    assert torch.equal(wanted, expected(from_text(text), label=2))
    assert replayed.rule == drawing.rule and replayed.ask == 0
