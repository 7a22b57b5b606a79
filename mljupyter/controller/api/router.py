"""HTTP routes for the router and for access tokens."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mljupyter.controller.api.documents import certificate_member, document_of, text_member
from mljupyter.controller.router.service import RouterService, token_document
from mljupyter.spec import RouterRecord, RouterSpec


class RouterApi:
    """Answers requests about the router; `routes` are its routes."""

    def __init__(self, service: RouterService) -> None:
        self._service = service
        self.routes = [
            Route("/v1/router", self._show, methods=["GET"]),
            Route("/v1/router", self._put, methods=["PUT"]),
            Route("/v1/router/replacement", self._replace, methods=["POST"]),
            Route("/v1/router/token-keys", self._rotate, methods=["POST"]),
            Route("/v1/endpoints/{name}/token", self._token, methods=["POST"]),
        ]

    async def _show(self, _: Request) -> Response:
        return _record(await self._service.in_force())

    async def _put(self, request: Request) -> Response:
        body = await document_of(request)
        spec, overwrite = RouterSpec.parse(body.get("spec", {})), bool(body.get("overwriteDomain"))
        return _record(await self._service.put(spec, overwrite_domain=overwrite, certificate=certificate_member(body)))

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
