"""The controller's HTTP interface, on its Unix socket."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mljupyter.client.bounds import LONGEST_POLL, MOST_DECISIONS, MOST_LOG_LINES
from mljupyter.client.errors import ControllerError, InvalidSpecError
from mljupyter.client.unix_socket import USER_HEADER
from mljupyter.controller.api.documents import certificate_member, document_of, text_member, whole_member
from mljupyter.controller.api.query import poll_timeout, whole_number
from mljupyter.controller.endpoints.service import Service
from mljupyter.controller.storage.history import Change
from mljupyter.spec import EndpointRecord, EndpointSpec, SpecError
from mljupyter.spec.version import LARGEST_NUMBER

log = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]
_READS = ("GET", "HEAD", "OPTIONS")


async def _at_once() -> None:
    """Return at once: on one machine, a change is stored when it is accepted."""


class Api:
    """Answers the requests of clients.

    `last_request` is the time of the newest request, on the monotonic clock in seconds.

    Parameters:
        service: the operations on endpoints.
        stop: called to end the controller, with True when replicas and router are to end too.
        others: further routes.
        settled: returns when changes are stored, and raises `ControllerError` for one that was undone. A client gets
            its answer after that.

    """

    def __init__(
        self,
        service: Service,
        stop: Callable[[bool], None],
        others: Iterable[Route] = (),
        settled: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self._service = service
        self._stop = stop
        self._settled = settled
        self.last_request = time.monotonic()
        routes = [
            Route("/v1/status", self._status, methods=["GET"]),
            Route("/v1/stop", self._stop_process, methods=["POST"]),
            Route("/v1/endpoints", self._list, methods=["GET"]),
            Route("/v1/endpoints", self._create, methods=["POST"]),
            Route("/v1/changes", self._watch_all, methods=["GET"]),
            Route("/v1/endpoints/{name}", self._get, methods=["GET"]),
            Route("/v1/endpoints/{name}", self._replace, methods=["PUT"]),
            Route("/v1/endpoints/{name}", self._delete, methods=["DELETE"]),
            Route("/v1/endpoints/{name}/keys", self._keys, methods=["GET"]),
            Route("/v1/endpoints/{name}/keys/{which:str}", self._regenerate, methods=["POST"]),
            Route("/v1/endpoints/{name}/logs", self._logs, methods=["GET"]),
            Route("/v1/endpoints/{name}/logs/follow", self._follow_logs, methods=["GET"]),
            Route("/v1/endpoints/{name}/records", self._records, methods=["GET"]),
            Route("/v1/endpoints/{name}/scaling", self._scaling, methods=["GET"]),
            *others,
        ]
        self.application = Starlette(routes=[self._guarded(route) for route in routes])

    def _guarded(self, route: Route) -> Route:
        """Return a route that answers errors as documents, and whose requests count as use of the controller."""
        handler: Handler = route.endpoint

        async def answer(request: Request) -> Response:
            self.last_request = time.monotonic()
            try:
                response = await handler(request)
                if request.method not in _READS:
                    await self._settled()
                return response
            except ControllerError as error:
                return refusal(error)
            except SpecError as error:
                return refusal(InvalidSpecError(error.message))
            except Exception:
                log.exception("%s %s failed", request.method, request.url.path)
                return refusal(ControllerError("the controller failed; its log says how: mljupyter controller logs"))
            finally:
                self.last_request = time.monotonic()

        return Route(route.path, answer, methods=list(route.methods or ()))

    async def _status(self, _: Request) -> Response:
        return JSONResponse(self._service.status())

    async def _stop_process(self, request: Request) -> Response:
        self._stop(request.query_params.get("force") == "true")
        return JSONResponse({}, status_code=202)

    async def _list(self, _: Request) -> Response:
        return JSONResponse([record.document() for record in self._service.endpoints()])

    async def _watch_all(self, request: Request) -> Response:
        changes = await self._service.changes(request.query_params.get("after", ""), poll_timeout(request))
        return Response(changes.json_text(), media_type="application/json")

    async def _create(self, request: Request) -> Response:
        body = await document_of(request)
        record = self._service.create(
            await self._service.with_certificate(EndpointSpec.parse(body.get("spec", {})), certificate_member(body)),
            overwrite=bool(body.get("overwrite")),
            primary_key=text_member(body, "primaryKey"),
            secondary_key=text_member(body, "secondaryKey"),
            generation=whole_member(body, "generation"),
            user=user_of(request),
        )
        return _record(record, 202)

    async def _get(self, request: Request) -> Response:
        name = request.path_params["name"]
        after = whole_number(request, "after", -1, -1, LARGEST_NUMBER)
        return _record(await self._service.watch(name, after, poll_timeout(request)))

    async def _replace(self, request: Request) -> Response:
        body = await document_of(request)
        generation = whole_member(body, "generation")
        spec = EndpointSpec.parse(body.get("spec", {}))
        spec = await self._service.with_certificate(spec, certificate_member(body))
        return _record(self._service.replace(spec, generation, Change(user_of(request))), 202)

    async def _delete(self, request: Request) -> Response:
        gone = await self._service.delete(request.path_params["name"], timeout_seconds=LONGEST_POLL)
        return Response(status_code=204 if gone else 202)

    async def _keys(self, request: Request) -> Response:
        keys = self._service.keys(request.path_params["name"])
        return JSONResponse({"primary": keys.primary, "secondary": keys.secondary})

    async def _regenerate(self, request: Request) -> Response:
        which = request.path_params["which"]
        if which not in ("primary", "secondary"):
            raise InvalidSpecError(f"{which!r} is not a key: there are 'primary' and 'secondary'.")
        body = await document_of(request)
        await self._service.regenerate_key(request.path_params["name"], which, text_member(body, "key"))
        return Response(status_code=204)

    async def _logs(self, request: Request) -> Response:
        query = request.query_params
        text = await asyncio.to_thread(
            self._service.logs,
            request.path_params["name"],
            lines=whole_number(request, "lines", 5000, 1, MOST_LOG_LINES),
            version=query.get("version"),
            replica=query.get("replica"),
            startup=query.get("startup") == "true",
            names=query.get("names") == "true",
        )
        return Response(text, media_type="text/plain; charset=utf-8")

    async def _follow_logs(self, request: Request) -> Response:
        query = request.query_params
        followed = await self._service.follow_logs(
            request.path_params["name"],
            cursor=query.get("cursor"),
            lines=whole_number(request, "lines", 100, 0, MOST_LOG_LINES),
            version=query.get("version"),
            timeout_seconds=poll_timeout(request),
            names=query.get("names") == "true",
        )
        return JSONResponse({"lines": followed.lines, "cursor": followed.cursor})

    async def _records(self, request: Request) -> Response:
        text = await asyncio.to_thread(
            self._service.records,
            request.path_params["name"],
            count=whole_number(request, "count", 1000, 1, MOST_LOG_LINES),
            version=request.query_params.get("version"),
        )
        return Response(text, media_type="application/jsonl")

    async def _scaling(self, request: Request) -> Response:
        name, version = request.path_params["name"], request.query_params.get("version")
        most = whole_number(request, "most", MOST_DECISIONS, 1, MOST_DECISIONS)
        return JSONResponse([item.document() for item in self._service.scaling_history(name, version, most)])


def user_of(request: Request) -> str:
    """Return the user name that a request states. It is trusted: only the owner and root can open the socket."""
    return "".join(character for character in unquote(request.headers.get(USER_HEADER, "")) if character.isprintable())


def _record(record: EndpointRecord, status_code: int = 200) -> Response:
    return Response(record.json_text(), status_code=status_code, media_type="application/json")


def refusal(error: ControllerError) -> Response:
    """Return the answer that carries an error to a client."""
    return JSONResponse({"code": error.code, "message": error.message}, status_code=error.status_code)
