"""Long work is a generator that yields how much is done; short work drains it."""

from collections.abc import Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


def drain(work: Generator[Any, None, Result]) -> Result:
    """Do a work to its end, and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value


def part_of(
    work: Generator[float, None, Result], number: int, count: int
) -> Generator[float, None, Result]:
    """Do one of `count` equal parts of a work; yields the share of the whole that is done."""
    while True:
        try:
            share = next(work)
        except StopIteration as stop:
            return stop.value
        yield (number + share) / count
