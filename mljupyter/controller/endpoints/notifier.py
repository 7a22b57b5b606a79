"""A notifier wakes all waiting tasks when something has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Notifier:
    """Wakes waiting tasks: at each notification they check their condition again."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()

    def notify(self) -> None:
        """Wake all waiting tasks."""
        self._bell.set()
        self._bell = asyncio.Event()

    async def wait_until(self, look: Callable[[], T], timeout_seconds: float) -> T:
        """Return the first truthy result of `look`, or its last one after `timeout_seconds`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            bell = self._bell
            answer = look()
            remaining = deadline - loop.time()
            if answer or remaining <= 0:
                return answer
            try:
                async with asyncio.timeout(remaining):
                    await bell.wait()
            except TimeoutError:
                continue
