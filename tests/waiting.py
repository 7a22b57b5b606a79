"""Wait for conditions without sleeping a fixed time, and let threads meet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

HANG_SECONDS = 90.0
"""The limit of every wait in a test. It only ends a test that hangs; it says nothing about the speed of the product."""


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, what: str = "the condition") -> T:
    """Return the first truthy answer of `predicate`; fail when `timeout` seconds pass without one."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not hold within {timeout} s; last answer: {answer!r}")
        time.sleep(0.01)


@contextmanager
def switching_often() -> Iterator[None]:
    """Let threads take turns every few microseconds, so that a race is lost within a test instead of once a month."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
