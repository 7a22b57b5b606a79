"""The HTTP API of a router's agent, for the operator: statistics of Envoy, its load, and the configuration in force."""

from __future__ import annotations

import contextlib
import hmac
import json
import math
import secrets

import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import mljupyter
from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.files import ConfigurationRefusedError
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.router_agent.agent import Agent
from mljupyter.telemetry.metrics.statistics_delta import StatisticsSource

_LONGEST_WAIT = 10.0
_ADMIN_WITHIN = 5.0
_OK = 200
_TURNS = {
    "format": "json",
    "filter": r"^listener_manager\.worker_\d+\.dispatcher\.loop_duration_us$",
    "histogram_buckets": "detailed",
}
_MICROSECOND = 1e-6


def application(agent: Agent, secret: str) -> Starlette:
    """Return the application. `secret` must be in the header of all requests but the probes."""
    return _Api(agent, secret).application


class _Api:
    def __init__(self, agent: Agent, secret: str) -> None:
        self._agent = agent
        self._secret = secret.encode()
        self._counting = ""  # the identity of the Envoy whose statistics these are
        self._source = StatisticsSource(secrets.token_hex(8))
        self.application = Starlette(
            routes=[
                Route("/healthz", self._alive),
                Route("/readyz", self._ready),
                Route("/v1/status", self._status),
                Route("/v1/routes/{name}", self._route),
                Route("/v1/listening", self._listening),
                Route("/v1/load", self._load),
                Route("/v1/statistics", self._changed_statistics),
                *(Route(path, self._statistics) for path in ("/stats", "/stats/prometheus", "/clusters")),
            ]
        )

    async def _alive(self, request: Request) -> Response:
        return Response(b"ok\n")

    async def _ready(self, request: Request) -> Response:
        return Response(b"ready\n") if self._agent.ready else Response(b"not ready\n", 503)

    async def _status(self, request: Request) -> Response:
        if (refusal := self._refused(request)) is not None:
            return refusal
        router, problem = self._agent.router, self._agent.problem
        found = router.problem.document() if router.problem is not None else None
        if found is None and problem is not None:
            found = {"code": "ApiServerUnreachable", "message": problem}
        return JSONResponse(
            {
                "identity": router.identity,
                "up": router.up,
                "problem": found,
                "release": mljupyter.__version__,
                "routes": len(self._agent.routes),
            }
        )

    async def _route(self, request: Request) -> Response:
        if (refusal := self._refused(request)) is not None:
            return refusal
        version = request.query_params.get("version", "")
        try:
            present = await self._agent.route_in_force(request.path_params["name"], version, _wait(request))
        except ConfigurationRefusedError as error:
            return JSONResponse({"message": error.message}, 409)
        return JSONResponse({"version": present}, 200 if present == version else 202)

    async def _listening(self, request: Request) -> Response:
        if (refusal := self._refused(request)) is not None:
            return refusal
        version = request.query_params.get("version", "")
        try:
            present = await self._agent.listening_in_force(version, _wait(request))
        except ConfigurationRefusedError as error:
            return JSONResponse({"message": error.message}, 409)
        return JSONResponse({"version": present}, 200 if present == version else 202)

    async def _load(self, request: Request) -> Response:
        """Answer with the CPU that this pod has used, and the turns of Envoy's event loop so far, by their duration."""
        if (refusal := self._refused(request)) is not None:
            return refusal
        identity = self._agent.router.identity
        status, body = await self._ask("/stats", **_TURNS)
        if status != _OK:
            return Response(body, status, media_type="application/json")
        return JSONResponse({"identity": identity, "cpuSeconds": _cpu_seconds(), "turns": _turns(body)})

    async def _changed_statistics(self, request: Request) -> Response:
        """Answer with the statistics of clusters that have changed since an earlier answer; see `StatisticsSource`."""
        if (refusal := self._refused(request)) is not None:
            return refusal
        router, drained = self._agent.router, self._agent.drained
        identity = router.identity
        try:
            statistics = await router.statistics()
        except ControllerError as error:
            return Response(_message(error.message), 503)
        if router.identity != identity:
            return Response(_message("the router has just started again."), 503)
        if identity != self._counting:  # the counters of another Envoy begin at zero
            self._counting, self._source = identity, StatisticsSource(secrets.token_hex(8))
        self._source.put(statistics)
        answer = self._source.answer(request.query_params.get("after", ""))
        self._agent.told(drained=drained)
        return JSONResponse({"identity": self._counting, **answer})

    async def _statistics(self, request: Request) -> Response:
        if (refusal := self._refused(request)) is not None:
            return refusal
        status, body = await self._ask(request.url.path, **dict(request.query_params))
        return Response(body, status)

    async def _ask(self, path: str, **query: str) -> tuple[int, bytes]:
        """Return the answer of Envoy's admin interface, or 503 with a message."""
        address = self._agent.router.admin_address
        if address is None:
            return 503, _message("the router does not run.")
        admin = LocalHttp(address, _ADMIN_WITHIN)
        try:
            return await admin.get(path, **query)
        except UNREACHABLE as error:
            return 503, _message(f"the router does not answer: {type(error).__name__}.")
        finally:
            await admin.close()

    def _refused(self, request: Request) -> Response | None:
        sent = request.headers.get(names.SECRET_HEADER, "").encode("latin-1")
        if hmac.compare_digest(sent, self._secret):
            return None
        return JSONResponse({"message": f"send the secret of this router in the header {names.SECRET_HEADER}."}, 401)


def _message(text: str) -> bytes:
    return json.dumps({"message": text}).encode()


def _turns(body: bytes) -> list[tuple[float, int]]:
    """Return the durations of turns in seconds, in the middle of their buckets, each with the number of turns."""
    found = [
        ((bucket["lower_bound"] + bucket["width"] / 2) * _MICROSECOND, int(bucket["count"]))
        for item in json.loads(body)["stats"]
        for detail in item.get("histograms", {}).get("details", ())
        for bucket in detail["totals"]
    ]
    return sorted((round(duration, 9), count) for duration, count in found)


def _cpu_seconds() -> float:
    """Return the CPU time that the processes of this pod have used: this one, its Envoy, and children that ended."""
    own = psutil.Process()
    used = own.cpu_times()
    total = used.user + used.system + used.children_user + used.children_system
    for child in own.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = child.cpu_times()
            total += times.user + times.system
    return float(total)


def _wait(request: Request) -> float:
    try:
        seconds = float(request.query_params.get("timeout", "0"))
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else 0.0
