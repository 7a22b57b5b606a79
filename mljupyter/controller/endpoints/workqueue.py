"""A work queue of keys: duplicates are merged, no key is processed twice at a time, failures are retried."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 30.0


class WorkQueue:
    """Keys that need work.

    A key that is added while it is worked on is handed out again afterwards. A key whose work fails is retried after a
    pause that doubles with each failure in a row, so that one broken item neither spins nor delays the others.
    """

    def __init__(self) -> None:
        self._ready: asyncio.Queue[str] = asyncio.Queue()
        self._waiting: set[str] = set()
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def add(self, key: str) -> None:
        """Request work on a key now."""
        if timer := self._timers.pop(key, None):
            timer.cancel()
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Request work on a key after a pause, unless it is requested earlier."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(seconds, 0.0)
        if (timer := self._timers.get(key)) is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._due, key)

    def failures(self, key: str) -> int:
        """Return the number of failures in a row of the work on a key."""
        return self._failures.get(key, 0)

    async def run(self, work: Callable[[str], Awaitable[None]], failed: Callable[[str, Exception], None]) -> None:
        """Work on keys until cancelled, on several different ones concurrently.

        Parameters:
            work: does the work for a key.
            failed: called with the exception of `work`, before the key is put back.

        """
        async with asyncio.TaskGroup() as tasks:
            while True:
                key = await self._ready.get()
                self._waiting.discard(key)
                self._working.add(key)
                tasks.create_task(self._work_on(key, work, failed))

    async def _work_on(
        self, key: str, work: Callable[[str], Awaitable[None]], failed: Callable[[str, Exception], None]
    ) -> None:
        try:
            await work(key)
        except Exception as error:  # noqa: BLE001 - after any error, the loop continues
            failed(key, error)
            count = self._failures[key] = self.failures(key) + 1
            self.add_after(key, min(FIRST_PAUSE * 2.0 ** (count - 1), LONGEST_PAUSE))
        else:
            self._failures.pop(key, None)
        finally:
            self._working.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    def _due(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)
