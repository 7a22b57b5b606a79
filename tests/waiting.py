"""Wait for conditions without sleeping a fixed time, judge times that the product promises, and let threads meet."""

from __future__ import annotations

import operator
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

HANG_SECONDS = 240.0
"""The limit of every wait in a test. It only ends a test that hangs; it says nothing about the speed of the product.

A kubelet alone may take over a minute to end a pod, and the pods that follow wait for it.
"""

COMMAND_SECONDS = 300.0
"""The limit of a whole command or notebook cell, which may start a controller, a router and replicas."""


def wait_until(predicate: Callable[[], T], what: str = "the condition") -> T:
    """Return the first truthy answer of `predicate`; fail when HANG_SECONDS pass without one."""
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > began + HANG_SECONDS:
            raise AssertionError(f"{what} did not hold within {HANG_SECONDS:.0f} s; last answer: {answer!r}")
        time.sleep(pause(took=time.monotonic() - asked, waited=asked - began))


def pause(took: float, waited: float) -> float:
    """Return the seconds until the next look: what is waited for needs the processor more than looking does.

    Looking gets a quarter of the time, or half of it where it takes long. What has not come for a while comes at most a
    twentieth of that while later.

    Parameters:
        took: how long the last look took, in seconds.
        waited: how long the wait has lasted, in seconds.

    """
    return max(0.01, min(took, 1.0), min(max(3 * took, waited / 20), 0.2))


ALONE_SECONDS = 1.0
"""A test that asserts less than this is marked `alone`: it runs when the others are done."""
_WORK, _REFERENCE_SECONDS = 2_000_000, 0.15


def slowness() -> float:
    """Return how many times longer a fixed piece of work takes here and now than on an idle machine; at least 1.

    All that makes a machine slow counts: its processor, other programs, a quota of processor time.
    """
    began = time.perf_counter()
    sum(map(operator.mul, range(_WORK), range(_WORK)))  # without Python's frames, which coverage slows down
    return max(1.0, (time.perf_counter() - began) / _REFERENCE_SECONDS)


def crowd() -> float:
    """Return how many processes have shared a processor on average in the last minute; at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def promised(seconds: float) -> float:
    """Return the limit for a time that the product promises: `seconds`, more where the machine is or was slower.

    The time has passed when this is called. For one of seconds, the moment of the call says little: the other programs
    of the last minute count as well. One below a second is measured by tests with the mark `alone`, so that the moment
    is what counts.

    Example: ``assert took < promised(15)``.
    """
    now = slowness()
    return seconds * (now if seconds < ALONE_SECONDS else now * crowd())


@contextmanager
def switching_often() -> Iterator[None]:
    """Let threads take turns every few microseconds, so that a race is lost within a test instead of once a month."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
