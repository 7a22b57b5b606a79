"""HTTP routes for metrics: the time series of an endpoint, the Prometheus exposition, and the settings."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mljupyter.client.errors import EndpointNotFoundError, InvalidSpecError, PortInUseError, ReplicaNotFoundError
from mljupyter.controller.api.documents import document_of
from mljupyter.controller.metrics.collector import Collector
from mljupyter.controller.metrics.port import MetricsPort
from mljupyter.controller.storage.store import Store
from mljupyter.spec.version import LARGEST_NUMBER
from mljupyter.telemetry.metrics.prometheus import CONTENT_TYPE, exposition
from mljupyter.telemetry.metrics.report import Period, report
from mljupyter.telemetry.metrics.store import KEEP_MINUTES

_ENABLED, _PORT = "metrics", "metricsPort"
_LONGEST_BODY = 1000


class MetricsApi:
    """Answers requests about metrics.

    Parameters:
        store: the endpoints, and the settings.
        collector: collects the metrics.
        port: the TCP port that Prometheus scrapes.

    """

    def __init__(self, store: Store, collector: Collector, port: MetricsPort) -> None:
        self._store = store
        self._collector = collector
        self._port = port

    async def begin(self) -> None:
        """Apply the stored settings. A port that is in use by now is given up."""
        self._collector.enabled = self._store.setting(_ENABLED) != "off"
        if port := self._store.setting(_PORT):
            try:
                await self._port.open(int(port))
            except PortInUseError as error:
                self._port.complain(error.message)

    @property
    def routes(self) -> list[Route]:
        """The routes of these operations."""
        return [
            Route("/v1/endpoints/{name}/metrics", self._metrics, methods=["GET"]),
            Route("/v1/replicas/{id}/usage", self._usage, methods=["GET"]),
            Route("/v1/metrics", self._settings, methods=["GET"]),
            Route("/v1/metrics", self._set, methods=["PUT"]),
            Route("/metrics", self._exposition, methods=["GET"]),
        ]

    async def _metrics(self, request: Request) -> Response:
        name, query = request.path_params["name"], request.query_params
        record = self._store.find(name)
        if record is None:
            raise EndpointNotFoundError.named(name, self._store.names())
        now = time.time()
        every = _whole(query.get("every"), "every", 1, KEEP_MINUTES)
        after = _whole(query.get("after"), "after", 0, LARGEST_NUMBER)
        seconds = _whole(query.get("since"), "since", 1, KEEP_MINUTES) or 900
        begin = now - seconds if after is None else max(after, now - seconds)
        created = record.created_time.timestamp()
        if created > now:  # the clock was set back since, and the creation time is meaningless
            created = 0.0
        begin = max(begin, created)
        try:
            period = Period.of(now, begin, every)
        except ValueError as error:
            raise InvalidSpecError(str(error)) from None
        merge = query.get("merge") == "true"
        await self._collector.write_idle(name)
        found = await self._collector.in_thread(
            partial(report, self._collector.series, name, period, merge=merge, created=created)
        )
        return JSONResponse(found)

    async def _usage(self, request: Request) -> Response:
        replica_id = request.path_params["id"]
        used = await self._collector.usage(replica_id)
        if used is None:
            raise ReplicaNotFoundError(f"no replica {replica_id[:100]!r} runs that can be measured.")
        return JSONResponse({"cpuSeconds": used.cpu_seconds, "memoryBytes": used.memory_bytes})

    async def _exposition(self, _: Request) -> Response:
        return Response(exposition(self._collector.totals()), headers={"content-type": CONTENT_TYPE})

    async def _settings(self, _: Request) -> Response:
        return JSONResponse({"enabled": self._collector.enabled, "port": self._port.number})

    async def _set(self, request: Request) -> Response:
        change = await _change(request)
        if "port" in change:
            port = change["port"]
            if port is None:
                await self._port.close()
            else:
                await self._port.open(port)
            self._store.put_setting(_PORT, "" if port is None else str(port))
        if "enabled" in change:
            self._collector.enabled = change["enabled"]
            self._store.put_setting(_ENABLED, "on" if change["enabled"] else "off")
        return await self._settings(request)


async def _change(request: Request) -> dict[str, Any]:
    change = await document_of(request, _LONGEST_BODY)
    if not change.keys() <= {"enabled", "port"}:
        raise InvalidSpecError("the settings of metrics are 'enabled' and 'port'.")
    if "enabled" in change and not isinstance(change["enabled"], bool):
        raise InvalidSpecError(f"enabled is {change['enabled']!r}: it must be true or false.")
    port = change.get("port")
    if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535):
        raise InvalidSpecError(f"port is {port!r}: it must be a whole number from 1 to 65535, or null for none.")
    return change


def _whole(text: str | None, name: str, least: int, most: int) -> int | None:
    if text is None:
        return None
    try:
        value = int(float(text))
    except (ValueError, OverflowError):  # not a number, NaN or infinite
        raise InvalidSpecError(f"{name} is {text[:50]!r}: it must be a number of seconds.") from None
    if not least <= value <= most:
        upper = f", and at most {most} ({most // 86400} days)" if most == KEEP_MINUTES else ""
        raise InvalidSpecError(f"{name} is {text[:50]!r}: it must be at least {least}{upper}.")
    return value
