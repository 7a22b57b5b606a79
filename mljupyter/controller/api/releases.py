"""HTTP routes for rollouts, promotions, rollbacks and the history of an endpoint."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mljupyter.client.errors import InvalidSpecError
from mljupyter.controller.api.documents import document_of, text_member, whole_member
from mljupyter.controller.endpoints.releases import Releases
from mljupyter.spec import EndpointRecord, RolloutPlan


class ReleaseApi:
    """Answers requests about rollouts. `user` returns the name of the user who sent a request."""

    def __init__(self, releases: Releases, user: Callable[[Request], str]) -> None:
        self._releases = releases
        self._user = user

    @property
    def routes(self) -> list[Route]:
        """The routes of these operations."""
        base = "/v1/endpoints/{name}"
        return [
            Route(f"{base}/history", self._history, methods=["GET"]),
            Route(f"{base}/rollout", self._start, methods=["POST"]),
            Route(f"{base}/rollout/{{action}}", self._control, methods=["POST"]),
            Route(f"{base}/promote", self._promote, methods=["POST"]),
            Route(f"{base}/rollback", self._rollback, methods=["POST"]),
        ]

    async def _history(self, request: Request) -> Response:
        return JSONResponse([entry.document() for entry in self._releases.history(request.path_params["name"])])

    async def _start(self, request: Request) -> Response:
        plan = RolloutPlan.parse(await document_of(request))
        return _accepted(await self._releases.start(request.path_params["name"], plan, self._user(request)))

    async def _control(self, request: Request) -> Response:
        name, action, user = request.path_params["name"], request.path_params["action"], self._user(request)
        if action == "pause":
            return _accepted(self._releases.pause(name, user))
        if action == "resume":
            return _accepted(await self._releases.resume(name))
        if action == "abort":
            return _accepted(self._releases.abort(name, user))
        raise InvalidSpecError(f"{action!r} is not an action on a rollout: there are 'pause', 'resume', 'abort'.")

    async def _promote(self, request: Request) -> Response:
        version = text_member(await document_of(request), "version")
        return _accepted(self._releases.promote(request.path_params["name"], str(version), self._user(request)))

    async def _rollback(self, request: Request) -> Response:
        body = await document_of(request)
        number, generation = whole_member(body, "number"), whole_member(body, "generation")
        record = self._releases.rollback(request.path_params["name"], number, generation, self._user(request))
        return _accepted(record)


def _accepted(record: EndpointRecord) -> Response:
    return Response(record.json_text(), status_code=202, media_type="application/json")
