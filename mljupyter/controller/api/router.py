"""The part of the controller's HTTP interface that is about the router and about tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mljupyter.controller.api.documents import document_of, text_member
from mljupyter.controller.router.service import RouterService, token_document
from mljupyter.spec import RouterRecord, RouterSpec

Handler = Callable[[Request], Awaitable[Response]]


class RouterApi:
    """Answers clients that ask about the router. `routes` are path, handler and method."""

    def __init__(self, service: RouterService) -> None:
        self._service = service
        self.routes: list[tuple[str, Handler, str]] = [
            ("/v1/router", self._show, "GET"),
            ("/v1/router", self._put, "PUT"),
            ("/v1/router/replacement", self._replace, "POST"),
            ("/v1/router/token-keys", self._rotate, "POST"),
            ("/v1/endpoints/{name}/token", self._token, "POST"),
        ]

    async def _show(self, _: Request) -> Response:
        return _record(await self._service.in_force())

    async def _put(self, request: Request) -> Response:
        body = await document_of(request)
        spec = RouterSpec.parse(body.get("spec", {}))
        return _record(await self._service.put(spec, overwrite_domain=bool(body.get("overwriteDomain"))))

    async def _replace(self, _: Request) -> Response:
        return _record(await self._service.replace())

    async def _rotate(self, request: Request) -> Response:
        body = await document_of(request)
        return JSONResponse({"tokenKeys": await self._service.rotate(revoke=bool(body.get("revoke")))})

    async def _token(self, request: Request) -> Response:
        body = await document_of(request)
        subject = (text_member(body, "subject") or "")[:200]
        return JSONResponse(token_document(await self._service.token(request.path_params["name"], subject)))


def _record(record: RouterRecord) -> Response:
    return Response(record.json_text(), media_type="application/json")
