"""Read the router's statistics at low cost: an answer that has not changed is not parsed again."""

from __future__ import annotations

import asyncio

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.telemetry.metrics.router_statistics import QUESTION, RouterStatistics, parse

_MERGE_TAKES = 0.02  # seconds; later merges are seen at the next reading


class RouterReader:
    """Reads the router's counts of all versions.

    The router merges the histograms of its threads after its answer. So after any change it is read a second time, for
    histograms that are as new as the counters.
    """

    def __init__(self, admin: LocalHttp) -> None:
        self._admin = admin
        self._body = b""
        self._statistics = RouterStatistics({})

    async def read(self) -> RouterStatistics:
        """Return the router's counts: the same object while nothing changes.

        Raises:
            ControllerError: when it does not answer.

        """
        try:
            body = await self._ask()
            if body != self._body:
                await asyncio.sleep(_MERGE_TAKES)
                self._body = await self._ask()
                self._statistics = parse(self._body)
        except UNREACHABLE as error:
            raise ControllerError(f"the router does not answer: {type(error).__name__}.") from None
        return self._statistics

    async def _ask(self) -> bytes:
        _, body = await self._admin.get("/stats", **QUESTION)
        return body
