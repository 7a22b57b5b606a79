"""Read the router's statistics at low cost: without requests, only a short summary is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.telemetry.metrics.router_statistics import QUESTION, SUMMARY, RouterStatistics, is_quiet, parse

_MERGE_TAKES = 0.02  # seconds; later merges are seen at the next reading
_FORGETS_WITHIN = 5.0  # seconds, in which the router forgets the counts of a removed version


class RouterReader:
    """Reads the router's counts of all versions.

    While no request begins or ends, it reads a short summary. Otherwise it reads all counts, and parses them if they
    have changed. The router merges the histograms of its threads after its answer, so then it is read a second time,
    for histograms that are as new as the counters. The summary is enough when all counts have stayed after that and no
    request is on its way: copies of requests may end later than they.

    Attributes:
        whole_readings: how often all counts were read.

    """

    def __init__(self, admin: LocalHttp) -> None:
        self._admin = admin
        self._body = b""
        self._summary = b""
        self._settled = False
        self._whole_until = 0.0
        self._identity = ""
        self._statistics = RouterStatistics({})
        self._reading = asyncio.Lock()
        self.whole_readings = 0

    def expect_change(self) -> None:
        """Read all counts for some seconds: the configuration has changed, and counts of removed versions go."""
        self._settled = False
        self._whole_until = time.monotonic() + _FORGETS_WITHIN

    async def read(self, identity: str = "") -> RouterStatistics:
        """Return the router's counts: the same object while nothing changes, and of each version that stays.

        Parameters:
            identity: that of the router, whose counts begin at zero when it changes.

        Raises:
            ControllerError: when it does not answer.

        """
        async with self._reading:
            self._settled = self._settled and identity == self._identity
            self._identity = identity
            try:
                return await self._read()
            except UNREACHABLE as error:
                raise ControllerError(f"the router does not answer: {type(error).__name__}.") from None

    async def _read(self) -> RouterStatistics:
        summary = await self._ask(SUMMARY)
        if self._settled and summary == self._summary:
            return self._statistics
        self._settled = False
        body = await self._ask(QUESTION)
        changed = body != self._body
        if changed:
            await asyncio.sleep(_MERGE_TAKES)
            self._body = await self._ask(QUESTION)
            self._statistics = parse(self._body).keeping(self._statistics)
        same = not changed and summary == self._summary and is_quiet(summary)
        self._settled = same and not self._statistics.busy and time.monotonic() >= self._whole_until
        self._summary = summary
        return self._statistics

    async def _ask(self, question: Mapping[str, str]) -> bytes:
        self.whole_readings += question is QUESTION
        _, body = await self._admin.get("/stats", **question)
        return body
