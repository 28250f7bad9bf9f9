"""Long work in a thread: how far it is, how long it takes, its result. Knows no Streamlit."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from typing import Any

FORGOTTEN_AFTER = 60.0
"""Seconds after which a work that nobody asks about stops: its visitor has left."""


class Work:
    """A generator run in a thread of its own.

    Arguments:
        key: what the result depends on.
        steps: yields the share that is done, 0 to 1, and returns the result.
        on_result: called with key and result when it is finished, from the thread.
    """

    def __init__(
        self,
        key: Hashable,
        steps: Generator[float, None, Any],
        on_result: Callable[[Hashable, Any], None],
    ) -> None:
        self.key = key
        self.done = 0.0
        """Share that is done."""
        self.error: Exception | None = None
        """Why it failed."""
        self._steps = steps
        self._on_result = on_result
        self._cancelled = threading.Event()
        self._begun = self._asked = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True, name="work")
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the thread is at work; asking keeps it from being forgotten."""
        self._asked = time.monotonic()
        return self._thread.is_alive()

    @property
    def seconds_left(self) -> float | None:
        """Expected seconds to the end; None while nothing can be said."""
        seconds = time.monotonic() - self._begun
        return seconds * (1 / self.done - 1) if self.done > 0.01 and seconds > 0.5 else None

    @property
    def cancelled(self) -> bool:
        """Whether it was stopped before its end."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop at the next step."""
        self._cancelled.set()

    def wait(self, seconds: float) -> None:
        """Wait until it ends, at most so long."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._cancelled.is_set():
                self.done = next(self._steps)
                if time.monotonic() - self._asked > FORGOTTEN_AFTER:
                    self.cancel()
            self._steps.close()
        except StopIteration as stop:
            self._on_result(self.key, stop.value)
        except Exception as error:  # shown on the page by whoever asks for the result
            self.error = error


class Results:
    """Finished results by what they depend on, for all visitors; the oldest are dropped."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

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

    def drop(self, key: Hashable) -> None:
        """Forget a result."""
        with self._lock:
            self._values.pop(key, None)
