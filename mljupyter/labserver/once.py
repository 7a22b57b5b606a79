"""Once: a change that a page asks for twice, because it has not got the first answer, is made once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

_KEPT_SECONDS = 600.0
_MOST = 1000


class Once:
    """Remembers the results of requests by the id that the page has given each, for ten minutes.

    Used on the event loop only.
    """

    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, asyncio.Future[Any]]] = {}

    async def result(self, request_id: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Return the result of work, which is begun only if none was begun for this id.

        Parameters:
            request_id: the id; an empty one begins the work in any case.
            work: begins the work.

        Example:
            >>> import asyncio
            >>> once, calls = Once(), []
            >>> async def work():
            ...     calls.append("called")
            ...     return len(calls)
            >>> async def twice():
            ...     return [await once.result("a", work), await once.result("a", work)]
            >>> asyncio.run(twice())
            [1, 1]

        """
        if not request_id:
            return await work()
        self._forget_old()
        known = self._begun.get(request_id)
        if known is None:
            known = time.monotonic(), asyncio.ensure_future(work())
            self._begun[request_id] = known
        return await asyncio.shield(known[1])

    def _forget_old(self) -> None:
        limit = time.monotonic() - _KEPT_SECONDS
        for request_id in list(self._begun):
            begun, future = self._begun[request_id]
            if begun > limit and len(self._begun) < _MOST:
                break  # they are in the order of their begin
            if not future.done():
                continue
            del self._begun[request_id]
