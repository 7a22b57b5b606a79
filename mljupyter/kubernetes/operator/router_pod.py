"""RouterPod: one pod of the router, asked through its agent: is a route in force, and how much load is there."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router import request_statistics
from mljupyter.controller.router.demand import DemandReader
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.controller.router.statistics_reader import RouterReader
from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.engine.scaling.demand import Reading
from mljupyter.kubernetes.objects import names
from mljupyter.outside import json_value
from mljupyter.telemetry.metrics.router_statistics import RouterStatistics
from mljupyter.telemetry.metrics.statistics_delta import StatisticsCopy

_ANSWER_WITHIN = 5.0
_POLL = "2"
_WAITS_AT_A_TIME = 16
_OK, _UNKNOWN, _REFUSED = 200, 404, 409


@dataclass(frozen=True)
class RouterLoad:
    """The load that a router pod has counted since its start.

    Parameters:
        time: the monotonic time of the answer.
        cpu_seconds: the CPU time that it has used.
        turns: the number of turns of Envoy's event loop by their duration in seconds.

    """

    time: float
    cpu_seconds: float
    turns: Mapping[float, int]


class RouterPod:
    """A pod of the router.

    Parameters:
        name: its name.
        uid: its uid: the counters of another pod begin at zero.
        address: ``IP:PORT`` of its agent.
        secret: the secret between operator and agents.

    """

    def __init__(self, name: str, uid: str, address: str, secret: str) -> None:
        headers = {names.SECRET_HEADER: secret}
        self.name = name
        self.uid = uid
        self.address = address
        self._admin = LocalHttp(address, _ANSWER_WITHIN, headers)  # one connection, for what is read often
        self._waits = LocalHttp(address, _ANSWER_WITHIN, headers, _WAITS_AT_A_TIME)  # a long one holds up no other one
        self._demand = DemandReader(self._admin)
        self._reader = RouterReader(self._admin)
        self._copy = StatisticsCopy()
        self._identity = ""

    @property
    def identity(self) -> str:
        """Text that changes when its counters start at zero again."""
        return f"{self.uid}/{self._identity}"

    async def learn(self) -> None:
        """Read the identity of its Envoy, whose counters start at zero when it is replaced."""
        _, body = await self._get(self._admin, "/v1/status")
        found = json_value(body)
        self._identity = str(found.get("identity", "")) if isinstance(found, dict) else ""

    async def route_in_force(self, endpoint: str, version: str) -> None:
        """Return when a version of a route is in force; an empty version means no route.

        Raises:
            ControllerError: when that takes too long, or its Envoy refuses it.

        """
        await self._in_force(f"/v1/routes/{quote(endpoint, safe='')}", version, f"the route of {endpoint!r}")

    async def listening_in_force(self, version: str) -> None:
        """Return when a version of the listener settings is in force.

        Raises:
            ControllerError: when that takes too long, or its Envoy refuses it.

        """
        await self._in_force("/v1/listening", version, "the listener settings")

    async def demand(self, most_again: Mapping[str, int]) -> dict[str, Reading]:
        """Return its counters of every version, by cluster; see `DemandReader.read`."""
        return await self._demand.read(most_again)

    async def busy(self) -> frozenset[str]:
        """Return the addresses of the replicas with its requests."""
        return await self._demand.busy()

    async def statistics(self) -> tuple[str, RouterStatistics]:
        """Return its counts of every version with requests so far, after the identity of the Envoy that counted them.

        The counts are the same object while nothing changes.

        Only what has changed since the last reading is sent; see `StatisticsCopy`.

        Raises:
            ControllerError: when it does not answer.

        """
        status, body = await self._get(self._admin, "/v1/statistics", after=self._copy.token)
        if status == _UNKNOWN:  # an agent of an earlier release
            return self.identity, await self._reader.read(self.identity)
        try:
            answer = json_value(body)
            return f"{self.uid}/{answer['identity']}", self._copy.take(answer)
        except (ValueError, TypeError, LookupError, AttributeError):
            raise ControllerError(f"router {self.name} does not tell its statistics ({status}).") from None

    async def counts(self, cluster: str) -> RequestCounts:
        """Return its counts of one version's requests."""
        return await request_statistics.read(self._admin, cluster)

    async def load(self) -> RouterLoad:
        """Return the load that it has counted.

        Raises:
            ControllerError: when it does not answer, or is of a release that does not count it.

        """
        status, body = await self._get(self._admin, "/v1/load")
        try:
            found = json_value(body)
            turns = {float(duration): int(count) for duration, count in found["turns"]}
            return RouterLoad(time.monotonic(), float(found["cpuSeconds"]), turns)
        except (ValueError, TypeError, LookupError):
            raise ControllerError(f"router {self.name} does not tell its load ({status}).") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._admin.close()
        await self._waits.close()

    async def _in_force(self, path: str, version: str, what: str) -> None:
        status, body = await self._get(self._waits, path, version=version, timeout=_POLL)
        if status == _OK:
            return
        try:
            message = str(json.loads(body).get("message") or "")
        except (ValueError, AttributeError):
            message = ""
        verb = "refuses" if status == _REFUSED else "has not followed a change of"
        raise ControllerError(f"router {self.name} {verb} {what}. {message}".rstrip())

    async def _get(self, http: LocalHttp, path: str, **query: str) -> tuple[int, bytes]:
        try:
            return await http.get(path, **query)
        except UNREACHABLE as error:
            raise ControllerError(f"router {self.name} does not answer: {type(error).__name__}.") from None
