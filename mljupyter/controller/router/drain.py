"""A replaced router is drained before it ends: no connection is cut while a request may be on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import httpcore
import psutil

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.demand import DemandReader
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.controller.router.process import RouterProcess
from mljupyter.controller.router.statistics_reader import RouterReader
from mljupyter.engine.envoy import activator, grpc
from mljupyter.engine.scaling.demand import Reading
from mljupyter.telemetry.metrics.router_statistics import RouterStatistics

IDLE_WITHIN = 30.0
REQUESTS_WITHIN = 900.0
_LOOK_EVERY = 0.05
_LOOK_AT_CONNECTIONS_EVERY = 0.5
_NO_CLIENTS = ("http.admin.", f"http.{activator.NAME}.", f"http.{grpc.NAME}.")
_CONNECTIONS, _REQUESTS = ".downstream_cx_active", ".downstream_rq_active"

log = logging.getLogger(__name__)


class DrainingRouter:
    """A replaced router, while it still has requests.

    Parameters:
        process: the router's process.
        address: the address of its admin interface.

    Attributes:
        counted: its counts when it had answered its last request; None before, or if they could never be read.

    """

    def __init__(self, process: RouterProcess, address: str) -> None:
        self._process = process
        self._admin = LocalHttp(address, timeout=5)
        self._demand = DemandReader(self._admin)
        self._reader = RouterReader(self._admin)
        self._known: RouterStatistics | None = None
        self.counted: RouterStatistics | None = None

    @property
    def identity(self) -> str:
        """The identity of its counters."""
        return str(self._process.identity)

    async def statistics(self) -> RouterStatistics | None:
        """Return its counts of every version: the last ones when it does not answer, None when there are none."""
        with contextlib.suppress(ControllerError):
            self._known = await self._reader.read(self.identity)
        return self._known

    async def demand(self, most_again: Mapping[str, int]) -> dict[str, Reading]:
        """Return the counters of its requests by cluster, none when it does not answer; see `DemandReader.read`."""
        try:
            return await self._demand.read(most_again)
        except ControllerError:
            return {}

    async def busy(self) -> frozenset[str]:
        """Return the addresses of the replicas with its requests, none when it does not answer."""
        try:
            return await self._demand.busy()
        except ControllerError:
            return frozenset()

    async def drain(
        self,
        *,
        after: float = 0.0,
        within: float = REQUESTS_WITHIN,
        finished: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Stop the listeners of clients and end it when its clients are gone. Return when it has ended.

        Each answer tells its client to close the connection. Connections without a request are closed after
        `IDLE_WITHIN` seconds, those with one at its end, or after `within`.

        Parameters:
            after: seconds in which it still accepts connections, when no other router listens on its port.
            within: seconds after which it ends in any case.
            finished: awaited when it has answered its last request, before it ends.

        """
        identity, began = self._process.identity, time.monotonic()
        try:
            if after:
                await self._admin.post("/healthcheck/fail")
                await asyncio.sleep(after)
            await self._admin.post("/drain_listeners?inboundonly")  # requests still wait at the private listeners
            await self._admin.post("/healthcheck/fail")
            while identity.alive():
                connections, requests = await self._active()
                waited = time.monotonic() - began
                if not connections or (not requests and waited > IDLE_WITHIN) or waited > within:
                    break
                await asyncio.sleep(_LOOK_EVERY)
            if finished is not None:
                await finished()
        except UNREACHABLE as error:
            log.warning("router (pid %d) does not answer any more: %s", identity.pid, type(error).__name__)
            if not isinstance(error, httpcore.TimeoutException):  # its socket was removed, and it serves
                await self._until_clients_have_gone(IDLE_WITHIN)
        self.counted = await self.statistics()
        await self._process.end()
        log.info("the drained router (pid %d) has ended after %.1f s", identity.pid, time.monotonic() - began)

    async def _until_clients_have_gone(self, seconds: float) -> None:
        """Wait until a router that does not answer has no client connections, at most the given number of seconds."""
        until = time.monotonic() + seconds
        while self._process.identity.alive() and time.monotonic() < until:
            if not await asyncio.to_thread(_has_clients, self._process.identity.pid):
                return
            await asyncio.sleep(_LOOK_AT_CONNECTIONS_EVERY)

    async def close(self) -> None:
        """Close the connection to its admin interface."""
        await self._admin.close()

    async def _active(self) -> tuple[int, int]:
        """Return the numbers of connections and of requests."""
        _, body = await self._admin.get("/stats", format="json", filter=r"^http\..*\.downstream_(cx|rq)_active$")
        found = {item["name"]: int(item["value"]) for item in json.loads(body)["stats"] if "name" in item}
        clients = {name: value for name, value in found.items() if not name.startswith(_NO_CLIENTS)}
        connections = sum(value for name, value in clients.items() if name.endswith(_CONNECTIONS))
        return connections, sum(value for name, value in clients.items() if name.endswith(_REQUESTS))


def _has_clients(pid: int) -> bool:
    """Return whether a process has open connections to its listening ports, according to the system."""
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return False
    ports = {one.laddr.port for one in found if one.status == psutil.CONN_LISTEN}
    return any(one.status == psutil.CONN_ESTABLISHED and one.laddr.port in ports for one in found)
