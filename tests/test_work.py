"""Long work in a thread: results, errors, cancelling, being forgotten."""

import threading
import time

import pytest

from pixelcnn.ui.shared import work as module
from pixelcnn.ui.shared.work import Results, Work, Works


def steps(count, *, gate=None, result="done", error=None, closed=None):
    try:
        for number in range(1, count + 1):
            if gate is not None:
                assert gate.wait(10)
            yield number / count
        if error:
            raise error
        return result
    finally:
        if closed is not None:
            closed.set()


def until_over(work):
    end = time.monotonic() + 10
    while work.running:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_result_is_kept_by_its_key():
    results = Results(4)
    work = Work(("a", 1), steps(3), results.put)
    until_over(work)
    assert results.get(("a", 1)) == "done" and work.done == 1
    assert not work.forgotten and work.error is None


def test_cancelled_work_stops_at_the_next_step_and_cleans_up_and_has_no_result():
    gate, closed, results = threading.Event(), threading.Event(), Results(4)
    work = Work("a", steps(10**6, gate=gate, closed=closed), results.put)
    work.join("anna")
    work.join("ben")
    work.leave("anna")
    assert work.left_by("anna") and not work.watched_by("anna") and work.watched_by("ben")
    work.leave("ben")
    assert not work.watched_by("ben")
    gate.set()
    assert closed.wait(10) and results.get("a") is None and work.done < 1


def test_an_error_is_kept_for_the_page():
    results = Results(4)
    work = Work("a", steps(2, error=ValueError("no such thing")), results.put)
    until_over(work)
    assert str(work.error) == "no such thing" and results.get("a") is None


def test_work_that_nobody_asks_about_stops(monkeypatch):
    monkeypatch.setattr(module, "FORGOTTEN_AFTER", 0.05)

    def endless():
        while True:
            time.sleep(0.01)
            yield 0.5

    work = Work("a", endless(), Results(4).put)
    work.wait(10)
    assert work.forgotten and not work.running and not work.left_by("anna")


def test_the_time_left_follows_from_the_share_that_is_done():
    gate = threading.Event()

    def half_done():
        yield 0.5
        assert gate.wait(10)

    work = Work("a", half_done(), Results(4).put)
    assert work.seconds_left is None, "nothing is known in the first moment"
    time.sleep(0.7)
    assert work.running and work.seconds_left == pytest.approx(0.75, abs=0.25)
    gate.set()
    until_over(work)


def test_only_the_latest_results_are_kept():
    results = Results(2)
    for key in "abc":
        results.put(key, key.upper())
    assert results.get("a") is None and results.get("b") == "B"
    results.put("d", "D")  # "b" was asked for last, so "c" goes
    assert results.get("c") is None and results.get("b") == "B"


def test_equal_work_is_done_once_and_anew_when_it_was_cancelled():
    gate, results, begun = threading.Event(), Results(4), []
    works = Works(results.put, 2)

    def make():
        begun.append(1)
        return steps(10**6, gate=gate)

    first = works.begin("a", make, True)
    assert works.begin("a", make, True) is first is works.running("a") and len(begun) == 1
    first.join("anna")
    first.leave("anna")
    assert works.running("a") is None and works.begin("a", make, True) is not first
    works.running("a").leave("anna")
    gate.set()


def test_only_a_few_works_compute_at_once_and_what_waits_can_be_cancelled():
    gate, results = threading.Event(), Results(9)
    works = Works(results.put, 1)
    first, second, third = (works.begin(k, lambda: steps(1, gate=gate), True) for k in "abc")
    download = works.begin("d", lambda: steps(1), False)
    until_over(download)
    assert results.get("d") == "done", "what does not compute waits for nobody"
    time.sleep(0.3)
    assert not first.waiting and second.waiting and third.waiting
    third.leave("anna")
    gate.set()
    for work in (first, second):
        until_over(work)
    third.wait(10)
    assert [results.get(k) for k in "abc"] == ["done", "done", None]
