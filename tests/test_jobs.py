"""Long work of all visitors: shared, in turns, dropped with the last visitor, results bounded."""

import threading
import time

import pytest
from streamlit.testing.v1 import AppTest

from pixelcnn.ui.shared import jobs as module
from pixelcnn.ui.shared.jobs import Jobs, Results, Visitor

ANNA, BEN = Visitor("anna"), Visitor("ben")
PATIENCE = 30


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def finish(job):
    job.wait(PATIENCE)
    assert not job.running


class Work:
    """Steps that are counted, and that can be held up."""

    def __init__(self, count=3, *, result="done", error=None, log=None, name=""):
        self.count, self.result, self.error = count, result, error
        self.log, self.name = log if log is not None else [], name
        self.begun, self.closed, self.gate = 0, threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self):
        self.begun += 1
        try:
            for number in range(self.count):
                assert self.gate.wait(PATIENCE)
                self.log.append(self.name)
                yield (number + 1) / self.count
            if self.error:
                raise self.error
            return self.result
        finally:
            self.closed.set()


ENDLESS = 10**9


def test_what_several_ask_for_is_done_once_and_its_result_is_kept():
    jobs, work = Jobs(), Work()
    work.gate.clear()
    first = jobs.begin("key", work, ANNA)
    assert jobs.begin("key", work, BEN) is first is jobs.running("key")
    work.gate.set()
    finish(first)
    assert work.begun == 1 and first.done == 1 and first.error is None
    assert jobs.results.get("key") == "done" and jobs.running("key") is None


def test_a_work_is_dropped_with_its_last_visitor_and_cleans_up_and_can_begin_anew():
    jobs, work = Jobs(), Work(ENDLESS)
    job = jobs.begin("key", work, ANNA)
    jobs.begin("key", work, BEN)
    until(lambda: work.begun)
    job.cancel(ANNA)
    assert job.cancelled_by(ANNA) and not job.asked_by(ANNA), "asking is not joining"
    assert job.running and job.asked_by(BEN)
    job.cancel(BEN)
    assert not job.running and job.dropped and not job.join(ANNA)
    assert work.closed.wait(PATIENCE) and jobs.results.get("key") is None
    again = jobs.begin("key", work, ANNA)
    until(lambda: work.begun == 2)
    assert again is not job
    again.cancel(ANNA)


@pytest.mark.parametrize("how", ["went to another page", "closed the browser"])
def test_a_visitor_who_left_drops_the_work_and_one_who_asks_again_keeps_it(monkeypatch, how):
    monkeypatch.setattr(module, "GRACE", 0.2)
    here = how == "went to another page"
    carol = Visitor("carol", lambda: here)
    jobs, work = Jobs(), Work(ENDLESS)
    job = jobs.begin("key", work, ANNA)
    for _ in range(3):
        job.doubt(ANNA, 0.2)
        assert job.asked_by(ANNA)
    time.sleep(0.4)
    assert job.asked_by(ANNA)
    jobs.begin("key", work, carol)
    job.cancel(ANNA)
    if here:
        job.doubt(carol, 0.2)
    assert work.closed.wait(PATIENCE) and job.dropped and not job.cancelled_by(carol)


def test_works_take_turns_so_that_a_long_one_does_not_make_a_short_one_wait():
    jobs, long, short = Jobs(at_once=1), Work(ENDLESS), Work(5)
    job = jobs.begin("long", long, ANNA)
    finish(jobs.begin("short", short, BEN))
    assert job.running and jobs.results.get("short") == "done"
    job.cancel(ANNA)


def test_steps_of_works_come_in_the_order_in_which_they_were_asked_for():
    jobs, log = Jobs(at_once=1), []
    works = [Work(3, log=log, name=name) for name in "abc"]
    works[0].gate.clear()
    asked = [jobs.begin(work.name, work, ANNA) for work in works]
    works[0].gate.set()
    for job in asked:
        finish(job)
    assert log == list("abc" * 3)


def test_a_work_that_its_visitor_left_does_not_block_even_in_a_step_that_hangs():
    jobs, hanging, other = Jobs(at_once=2), Work(), Work(50)
    hanging.gate.clear()
    job = jobs.begin("hanging", hanging, ANNA)
    until(lambda: hanging.begun)
    job.cancel(ANNA)
    finish(jobs.begin("other", other, BEN))
    assert jobs.results.get("other") == "done" and not hanging.closed.is_set()
    hanging.gate.set()
    assert hanging.closed.wait(PATIENCE) and hanging.log == [""]


def test_only_so_many_steps_are_computed_at_once_and_what_only_waits_needs_no_turn():
    jobs, at_work, most, lock = Jobs(at_once=2), 0, 0, threading.Lock()

    def counted():
        nonlocal at_work, most
        for number in range(5):
            with lock:
                at_work += 1
                most = max(most, at_work)
            time.sleep(0.002)
            with lock:
                at_work -= 1
            yield number / 5

    for job in [jobs.begin(n, counted, ANNA) for n in range(6)]:
        finish(job)
    assert most <= 2
    blocked = [Work(), Work()]
    for number, work in enumerate(blocked):
        work.gate.clear()
        jobs.begin(("blocked", number), work, ANNA)
    finish(jobs.begin("download", Work(), BEN, computes=False))
    assert jobs.results.get("download") == "done"
    for work in blocked:
        work.gate.set()


def test_a_failure_is_kept_for_the_page_and_the_work_can_be_tried_again():
    jobs, work = Jobs(), Work(error=ValueError("no such thing"))
    job = jobs.begin("key", work, ANNA)
    finish(job)
    assert str(job.error) == "no such thing" and jobs.results.get("key") is None
    work.error = None
    finish(jobs.begin("key", work, ANNA))
    assert jobs.results.get("key") == "done"


def test_the_time_left_follows_from_the_share_that_is_done():
    jobs, gate = Jobs(), threading.Event()

    def half_done():
        yield 0.5
        assert gate.wait(PATIENCE)

    job = jobs.begin("key", half_done, ANNA)
    assert job.time_left == "", "nothing is known in the first moment"
    until(lambda: job.time_left)
    about, seconds, *unit = job.time_left.removeprefix(", ").split()
    assert [about, *unit] == ["about", "s", "left"] and round(0.5) <= int(seconds) < PATIENCE
    gate.set()


def test_only_the_results_asked_for_last_are_kept():
    jobs = Jobs(size=2)
    for key in "abc":
        finish(jobs.begin(key, Work(result=key.upper()), ANNA))
    assert [jobs.results.get(key) for key in "abc"] == [None, "B", "C"]
    jobs.results.get("b")
    jobs.results.put("d", "D")
    assert [jobs.results.get(key) for key in "bcd"] == ["B", None, "D"]
    assert Results(1).get("a") is None


def test_on_a_page_work_is_shown_cancelled_left_and_begun_again(monkeypatch):
    monkeypatch.setattr("pixelcnn.ui.shared.long_work.GRACE", 0.2)

    def script():
        import time

        import streamlit as st

        from pixelcnn.ui.shared.long_work import enter, result_of

        def endless():
            while True:
                time.sleep(0.01)
                yield 0.25

        enter("one page" if "elsewhere" not in st.session_state else "another")
        if "elsewhere" not in st.session_state:
            result_of("endless", endless, slot="here", button=None, what="Working")

    page = AppTest.from_function(script, default_timeout=PATIENCE)

    def shown():
        assert not page.run().exception
        return page.session_state["jobs"]["here"]

    def press(label):
        next(button for button in page.button if button.label == label).click()

    first = shown()
    until(lambda: shown() is first and "Working: 25\xa0%" in page.get("progress")[0].proto.text)
    press("Cancel")
    assert shown() is first and first.dropped and page.info[0].value == "Cancelled."
    press("Try again")
    second = shown()
    assert second.running and second is not first and page.get("progress")
    page.session_state["elsewhere"] = True
    page.run()
    until(lambda: second.dropped)
    del page.session_state["elsewhere"]
    assert shown().running, "who comes back finds it begun again"
    press("Cancel")
    assert shown().dropped
