"""Long work in a thread: how far it is, how long it takes, its result. Knows no Streamlit."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from typing import Any

FORGOTTEN_AFTER = 60.0
"""Seconds after which a work that nobody asks about stops: its visitor has left."""


class Work:
    """A generator run in a thread of its own, for everybody who watches it.

    Arguments:
        key: what the result depends on.
        steps: yields the share that is done, 0 to 1, and returns the result.
        on_result: called with key and result when it is finished, from the thread.
        turns: if given, the work waits until it gets one of them.
    """

    def __init__(
        self,
        key: Hashable,
        steps: Generator[float, None, Any],
        on_result: Callable[[Hashable, Any], None],
        turns: threading.Semaphore | None = None,
    ) -> None:
        self.key = key
        self.done = 0.0
        """Share that is done."""
        self.error: Exception | None = None
        """Why it failed."""
        self.waiting = turns is not None
        """Whether it waits for other works to end."""
        self.forgotten = False
        """Whether it was stopped because nobody had asked about it for a while."""
        self._steps = steps
        self._on_result = on_result
        self._turns = turns
        self._cancelled = threading.Event()
        self._watchers: set[str] = set()
        self._left: set[str] = set()
        self._begun = self._asked = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True, name="work")
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is at work and will have a result."""
        return self._thread.is_alive() and not self._cancelled.is_set()

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds to the end; None while nothing can be said."""
        seconds = time.monotonic() - self._begun
        return seconds * (1 / self.done - 1) if self.done > 0.01 and seconds > 0.5 else None

    def join(self, visitor: str) -> None:
        """Begin to watch."""
        self._left.discard(visitor)
        self._watchers.add(visitor)
        self._asked = time.monotonic()

    def watched_by(self, visitor: str) -> bool:
        """Whether it runs and this visitor watches; asking keeps it from being forgotten."""
        if visitor in self._left:
            return False
        self._asked = time.monotonic()
        return self.running

    def left_by(self, visitor: str) -> bool:
        """Whether this visitor has cancelled it."""
        return visitor in self._left

    def leave(self, visitor: str) -> None:
        """Stop to watch; when nobody watches any more, it stops at the next step."""
        self._left.add(visitor)
        self._watchers.discard(visitor)
        if not self._watchers:
            self._cancelled.set()

    def wait(self, seconds: float) -> None:
        """Wait until it ends, at most so long."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while self.waiting and not self._over():
                self.waiting = not self._turns.acquire(timeout=0.1)
            self._begun = time.monotonic()
            while not self._over():
                self.done = next(self._steps)
            self._steps.close()
        except StopIteration as stop:
            self._on_result(self.key, stop.value)
        except Exception as error:  # shown on the page by whoever asks for the result
            self.error = error
        finally:
            if self._turns is not None and not self.waiting:
                self._turns.release()

    def _over(self) -> bool:
        if time.monotonic() - self._asked > FORGOTTEN_AFTER and not self._cancelled.is_set():
            self.forgotten = True
            self._cancelled.set()
        return self._cancelled.is_set()


class Works:
    """The works of all visitors: what several ask for is done once.

    Arguments:
        on_result: called with key and result of each work that is finished, from its thread.
        at_once: how many may compute at the same time; the others wait.
    """

    def __init__(self, on_result: Callable[[Hashable, Any], None], at_once: int) -> None:
        self._on_result = on_result
        self._turns = threading.Semaphore(at_once)
        self._works: dict[Hashable, Work] = {}
        self._lock = threading.Lock()

    def running(self, key: Hashable) -> Work | None:
        """Give the work under way for a key, if there is one."""
        work = self._works.get(key)
        return work if work is not None and work.running else None

    def begin(
        self, key: Hashable, make: Callable[[], Generator[float, None, Any]], computes: bool
    ) -> Work:
        """Begin a work, or give the one under way for the same key.

        Arguments:
            key: everything that the result depends on.
            make: begins it; yields the share done, returns the result.
            computes: whether it needs the processor, and so a turn.
        """
        with self._lock:
            self._works = {k: work for k, work in self._works.items() if work.running}
            if key not in self._works:
                turns = self._turns if computes else None
                self._works[key] = Work(key, make(), self._on_result, turns)
            return self._works[key]


class Results:
    """Finished results by what they depend on, for all visitors; the oldest are dropped."""

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
            while len(self._values) > self._size:
                self._values.popitem(last=False)
