"""Long work of all visitors: done once for all who wait for it, dropped when the last one leaves.

A work is a generator that yields the share that is done, or what it has found so far with its
`progress`, and returns its result. Works take turns at the processor, step by step: none makes
another wait for longer than a step. Knows no Streamlit.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from pixelcnn.durations import in_words

Steps = Generator[Any, None, Any]
AT_ONCE = 2
"""Steps computed at the same time; more would only make all of them slower."""
WAITING = 32
"""Works at the same time that wait for the network or for another process."""
KEPT = 100
"""Finished results that are kept."""
GRACE = 10.0
"""Seconds in which a visitor who has left may come back."""


@dataclass(frozen=True)
class Visitor:
    """Somebody who waits for work."""

    name: str
    """Tells one from another."""
    is_here: Callable[[], bool] = field(default=lambda: True, compare=False)
    """Whether the browser is still connected; called from any thread."""


class Job:
    """A work under way, or over; the same one for everybody who waits for it."""

    def __init__(self, key: Hashable, steps: Steps) -> None:
        self.key = key
        self.done = 0.0
        """Share that is done."""
        self.latest: Any = None
        """What it yielded last."""
        self.error: Exception | None = None
        """Why it failed."""
        self.steps = steps
        self._until: dict[Visitor, float] = {}
        """Time until which each visitor waits for it."""
        self._cancelled_by: set[Visitor] = set()
        self.dropped = False
        """Whether it was stopped because nobody waited for it any more."""
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._begun = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether it is under way, and somebody waits for it."""
        return not (self.over.is_set() or self.dropped)

    @property
    def time_left(self) -> str:
        """Expected time to the end, written after a comma; "" while nothing can be said."""
        seconds = time.monotonic() - self._begun
        if self.done <= 0.01 or seconds <= 0.5:
            return ""
        return f", about {in_words(seconds * (1 / self.done - 1))} left"

    def join(self, visitor: Visitor) -> bool:
        """Wait for it too; False if it is over, or dropped."""
        with self._lock:
            if self.running:
                self._until[visitor] = math.inf
                self._cancelled_by.discard(visitor)
            return self.running

    def asked_by(self, visitor: Visitor) -> bool:
        """Say whether a visitor still waits for it; asking ends every doubt."""
        return visitor in self._until and self.join(visitor)

    def keep(self) -> bool:
        """End the doubts about all who wait for it; False if it is over, or dropped."""
        return any([self.asked_by(visitor) for visitor in list(self._until)])

    def doubt(self, visitor: Visitor, seconds: float) -> None:
        """Take a visitor to have left, unless that one asks again within some seconds."""
        with self._lock:
            if visitor in self._until:
                self._until[visitor] = min(self._until[visitor], time.monotonic() + seconds)

    def cancel(self, visitor: Visitor) -> None:
        """Let a visitor leave; when nobody waits any more, it stops after the present step."""
        with self._lock:
            self._cancelled_by.add(visitor)
            self._until.pop(visitor, None)
            self.dropped = self.dropped or not self._until

    def cancelled_by(self, visitor: Visitor) -> bool:
        """Say whether a visitor has cancelled it."""
        return visitor in self._cancelled_by

    def wait(self, seconds: float) -> None:
        """Return when it is over, or after a time."""
        self.over.wait(seconds)

    def is_wanted(self) -> bool:
        """Say whether somebody is still here who waits for it."""
        for visitor in list(self._until):
            if not visitor.is_here():
                self.doubt(visitor, GRACE)
        with self._lock:
            now = time.monotonic()
            self._until = {v: until for v, until in self._until.items() if until > now}
            self.dropped = not self._until
            return not self.dropped


class Results:
    """Results by what they depend on; those that nobody asked for the longest are dropped."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """Return a result; None if it is not here."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a result."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._size:
                self._values.popitem(last=False)


class Jobs:
    """The long work of all visitors, and its results.

    Arguments:
        at_once: how many steps are computed at the same time.
        size: how many results are kept.
    """

    def __init__(self, at_once: int = AT_ONCE, size: int = KEPT) -> None:
        self.results = Results(size)
        self._computing = ThreadPoolExecutor(at_once, thread_name_prefix="computing")
        self._waiting = ThreadPoolExecutor(WAITING, thread_name_prefix="waiting")
        self._jobs: dict[Hashable, Job] = {}
        self._lock = threading.Lock()

    def running(self, key: Hashable) -> Job | None:
        """Give the work under way for a key, if there is one."""
        job = self._jobs.get(key)
        return job if job is not None and job.running else None

    def begin(
        self, key: Hashable, make: Callable[[], Steps], visitor: Visitor, computes: bool = True
    ) -> Job:
        """Begin a work, or join the one under way for the same key.

        Arguments:
            key: everything that the result depends on.
            make: begins it; yields the share done, returns the result.
            visitor: who waits for it.
            computes: whether it needs the processor; else it may sleep in its steps.
        """
        with self._lock:
            job = self._jobs.get(key)
            if job is None or not job.join(visitor):
                job = self._jobs[key] = Job(key, make())
                job.join(visitor)
                pool = self._computing if computes else self._waiting
                pool.submit(self._step, job, pool)
            return job

    def _step(self, job: Job, pool: ThreadPoolExecutor) -> None:
        """Do one step of a work, and queue up for the next."""
        try:
            if job.is_wanted():
                job.latest = next(job.steps)
                job.done = min(getattr(job.latest, "progress", job.latest), 1.0)
                pool.submit(self._step, job, pool)
                return
            job.steps.close()
        except StopIteration as stop:
            if stop.value is not None:
                self.results.put(job.key, stop.value)
        except Exception as error:  # shown on the page by whoever asks for the result
            job.error = error
            job.steps.close()
        with self._lock:
            if self._jobs.get(job.key) is job:
                del self._jobs[job.key]
        job.over.set()


JOBS = Jobs()
"""Those of this process."""
