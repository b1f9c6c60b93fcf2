"""Waiting in tests: for a condition, with a deadline; never for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Generous on purpose: a deadline says that something never happens, not how fast it should.
LONG = 30.0


def eventually(condition: Callable[[], T], within: float = LONG, what: str = "the condition", every: float = 0.01) -> T:
    """The first true value of ``condition``; fails the test when none comes within ``within`` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {within:g} s (last: {value!r})")
        time.sleep(every)
