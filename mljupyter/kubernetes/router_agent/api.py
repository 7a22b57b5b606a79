"""The HTTP API of a router's agent, for the operator: statistics of Envoy, and the configuration in force."""

from __future__ import annotations

import hmac
import math

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import mljupyter
from mljupyter.controller.router.files import ConfigurationRefusedError
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.router_agent.agent import Agent

_LONGEST_WAIT = 10.0
_ADMIN_WITHIN = 5.0


def application(agent: Agent, secret: str) -> Starlette:
    """Return the application. `secret` must be in the header of all requests but the probes."""
    return _Api(agent, secret).application


class _Api:
    def __init__(self, agent: Agent, secret: str) -> None:
        self._agent = agent
        self._secret = secret.encode()
        self.application = Starlette(
            routes=[
                Route("/healthz", self._alive),
                Route("/readyz", self._ready),
                Route("/v1/status", self._status),
                Route("/v1/routes/{name}", self._route),
                Route("/v1/listening", self._listening),
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

    async def _statistics(self, request: Request) -> Response:
        if (refusal := self._refused(request)) is not None:
            return refusal
        address = self._agent.router.admin_address
        if address is None:
            return JSONResponse({"message": "the router does not run."}, 503)
        admin = LocalHttp(address, _ADMIN_WITHIN)
        try:
            status, body = await admin.get(request.url.path, **dict(request.query_params))
        except UNREACHABLE as error:
            return JSONResponse({"message": f"the router does not answer: {type(error).__name__}."}, 503)
        finally:
            await admin.close()
        return Response(body, status)

    def _refused(self, request: Request) -> Response | None:
        sent = request.headers.get(names.SECRET_HEADER, "").encode("latin-1")
        if hmac.compare_digest(sent, self._secret):
            return None
        return JSONResponse({"message": f"send the secret of this router in the header {names.SECRET_HEADER}."}, 401)


def _wait(request: Request) -> float:
    try:
        seconds = float(request.query_params.get("timeout", "0"))
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT) if math.isfinite(seconds) else 0.0
