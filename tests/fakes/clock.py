"""A clock that jumps: an event loop on it never sleeps, so that minutes of waiting take milliseconds."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import mock

_TURN = 1e-6  # seconds that each turn of the loop takes: time goes on, as everywhere
_LONGEST_TEST = 7 * 86_400.0  # on the fake clock: a test that waits for something that never comes fails


class FakeClock:
    """Time in seconds. It stands still while something can be done, and jumps to the next timer when nothing can."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Return an event loop on this clock. It waits for nothing outside of itself: all peers must be on it."""
        return asyncio.SelectorEventLoop(_Selector(self))


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        self._clock.now += _TURN
        if found or (timeout is not None and timeout <= 0):
            return found
        if timeout is None:
            raise AssertionError("the test waits for something that can never come: no timer is set")
        self._clock.now += timeout
        if self._clock.now > _LONGEST_TEST:
            raise AssertionError("the test waits for something that does not come")
        return found


def on_fake_clock(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an asynchronous test on a loop whose clock jumps; `time.monotonic` is that clock meanwhile."""

    @functools.wraps(test)
    def run(*arguments: Any, **keywords: Any) -> None:
        clock = FakeClock()
        with mock.patch("time.monotonic", clock), asyncio.Runner(loop_factory=clock.new_loop) as runner:
            runner.run(test(*arguments, **keywords))

    return run


async def until(condition: Callable[[], object], within: float = 60.0, what: str = "the condition") -> None:
    """Return when a condition holds; fail after `within` seconds of the loop's clock."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not condition():
        assert loop.time() < deadline, f"{what} did not hold within {within:g} s"
        await asyncio.sleep(0.01)
