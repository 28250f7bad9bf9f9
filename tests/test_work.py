"""Long work in a thread: results, errors, cancelling, being forgotten."""

import threading
import time

import pytest

from pixelcnn.ui import work as module
from pixelcnn.ui.work import Results, Work


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
    assert not work.cancelled and work.error is None


def test_cancelled_work_stops_at_the_next_step_and_cleans_up_and_has_no_result():
    gate, closed, results = threading.Event(), threading.Event(), Results(4)
    work = Work("a", steps(10**6, gate=gate, closed=closed), results.put)
    assert work.running
    work.cancel()
    gate.set()
    until_over(work)
    assert work.cancelled and closed.wait(10) and "a" not in results and work.done < 1


def test_an_error_is_kept_for_the_page():
    results = Results(4)
    work = Work("a", steps(2, error=ValueError("no such thing")), results.put)
    until_over(work)
    assert str(work.error) == "no such thing" and "a" not in results


def test_work_that_nobody_asks_about_stops(monkeypatch):
    monkeypatch.setattr(module, "FORGOTTEN_AFTER", 0.05)

    def endless():
        while True:
            time.sleep(0.01)
            yield 0.5

    work = Work("a", endless(), Results(4).put)
    work.wait(10)
    assert work.cancelled and not work.running


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
    results.drop("b")
    assert "b" not in results
