"""The ASGI application of a replica: routes, size limits, headers (Azure ML v1: scoring-container contract)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from mljupyter import __version__
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.messages import INFERENCE, PARAMETERS, encode_error, is_json, request_id_meta, request_meta
from mljupyter.scoring.open_inference import routes as open_inference
from mljupyter.scoring.protocol import Headers, unpack_headers
from mljupyter.scoring.server.answer_stream import AnswerStream
from mljupyter.scoring.server.calls import Answer, refusal
from mljupyter.scoring.server.content_coding import PIECE_BYTES, CodingError, Decoder, decoded_headers, decoder_for
from mljupyter.scoring.server.http_protocol import closing_answer
from mljupyter.scoring.server.response_headers import CrossOrigin, IdentifierError, answer_ids
from mljupyter.scoring.server.supervisor import Supervisor
from mljupyter.scoring.server.swagger import DEPLOYED_VERSION, Service, SwaggerError, swagger

if TYPE_CHECKING:
    from mljupyter.scoring.logs.insights import Insights
    from mljupyter.scoring.server.replica_key import ReplicaKey

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_HTML = (b"content-type", b"text/html; charset=utf-8")
_CLOSE = (b"connection", b"close")
_BUSY = (b"x-mlj-busy", b"1")
_RETRY = (b"retry-after", b"1")
_RUN_FAILED = {flag: (b"x-ms-run-function-failed", str(flag).encode()) for flag in (False, True)}
_METHODS = {
    "/": ("GET", "HEAD", "OPTIONS"),
    "/score": ("GET", "POST", "OPTIONS"),
    "/swagger.json": ("GET", "HEAD", "OPTIONS"),
    "/-/state": ("GET", "HEAD"),
}
_ALIVE = b"alive"  # the query of a health check that asks whether the server answers at all
_USAGE = b"usage"  # the query for the state together with the usage of the container
_RUN = ("GET", "POST")
# Answers without reading the body, and closes the connection.
_NOT_THE_ROUTER = closing_answer(
    401, "this replica answers only its router: send requests to the endpoint's scoring URI"
)
_NO_LENGTH = (204, 304)
_EVENTS = b"text/event-stream"
_NEEDS_HEAD = "mlj.head"  # in the scope of a request whose headers the worker needs
_KEPT_BYTES = 65536  # of a streamed answer, for its record
_BODIES_HELD = 4  # in units of the largest allowed body: the memory for large bodies that are being received


class RequestError(Exception):
    """A request is refused before it reaches the script."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ClientGoneError(Exception):
    """The client has disconnected before its request was complete."""


class Application:
    """The ASGI application. While `draining` is true it refuses new requests and closes connections.

    With a `key` it answers only requests that carry the key, which are the router's, and health checks. `cut_off`
    closes the connection of a request in the middle of its answer.
    """

    def __init__(
        self,
        configuration: Configuration,
        supervisor: Supervisor,
        log: LogCapture,
        insights: Insights | None = None,
        key: ReplicaKey | None = None,
        cut_off: Callable[[Scope], None] = lambda scope: None,
    ) -> None:
        self._configuration = configuration
        self._supervisor = supervisor
        self._dispatcher = supervisor.dispatcher
        self._log = log
        self._insights = insights
        self._key = key
        self._cut_off = cut_off
        # On a port without a key any client could forge the time when the router received a request.
        self._trusts_start = key is not None or configuration.unix_socket is not None
        self._cross_origin = CrossOrigin(configuration.cors_origins)
        self._max_body = configuration.max_body_bytes
        self._held = 0
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an internal error is logged, and answered 500 without its traceback."""
        if scope["type"] != "http":
            return
        if self._key is not None and not self._key.admits(scope["method"], scope["path"], scope["headers"]):
            await _NOT_THE_ROUTER(scope, receive, send)
            return
        insights = self._insights
        began = time.time() if insights is not None else 0.0
        try:
            status, headers, body = await self._respond(scope, receive)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 (an internal traceback must not reach the client)
            import traceback

            self._log.record("E", "".join(traceback.format_exception(error)))
            status, headers, body = (
                500,
                [_JSON],
                encode_error(500, "internal error of the scoring server; see its log", "ScoringServerFailed"),
            )
        if isinstance(body, AnswerStream):
            await self._stream(scope, receive, send, status, headers, body, began)
            return
        # The client does not get a busy answer: the router tries another replica.
        if insights is not None and scope["path"] == "/score" and scope["method"] in _RUN and _BUSY not in headers:
            insights.request(scope, began, time.time() - began, status, headers, body)
        if self._cross_origin.enabled and scope["path"] in _METHODS:
            headers += self._cross_origin.headers(scope["method"], scope["headers"])
        if status not in _NO_LENGTH:
            headers.append((b"content-length", b"%d" % len(body)))
        if self.draining:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stream(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        status: int,
        headers: Headers,
        stream: AnswerStream,
        began: float,
    ) -> None:
        """Send an answer in pieces, until its end or until the client leaves.

        If it is cut off, a client that reads events gets one of the type ``error``. Any other one gets no end, so that
        it does not take the part for the whole.
        """
        if self._cross_origin.enabled:
            headers += self._cross_origin.headers(scope["method"], scope["headers"])
        if self.draining:
            headers.append(_CLOSE)
        kept = bytearray()
        gone = asyncio.ensure_future(receive())  # it returns when the client has left
        gone.add_done_callback(lambda _: stream.leave())
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            while (piece := await stream.next()) is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                stream.taken(len(piece))
                if self._insights is not None:
                    kept += piece[: _KEPT_BYTES - len(kept)]
            if stream.error:
                request_id = dict(headers).get(b"x-request-id", b"").decode("latin-1")
                self._log.record("E", f"the answer to request {request_id} was cut off: {stream.error.decode()}")
            events = any(name == b"content-type" and value.startswith(_EVENTS) for name, value in headers)
            if stream.error and not events:
                self._cut_off(scope)
                await gone
            elif not stream.left:
                last = b"event: error\ndata: %b\n\n" % stream.error if stream.error else b""
                await send({"type": "http.response.body", "body": last})
        finally:
            stream.leave()
            gone.cancel()
            if self._insights is not None:
                self._insights.request(scope, began, time.time() - began, status, headers, bytes(kept))

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes | AnswerStream]:
        path, method = scope["path"], scope["method"]
        methods = _METHODS.get(path)
        if methods is None and open_inference.is_open_inference(path):
            return await self._open_inference(scope, receive)
        if methods is None:
            headers = [_JSON, _RUN_FAILED[False]]
            return (
                404,
                headers,
                encode_error(404, f"there is no {path[:200]}; the routes are /score, / and /swagger.json"),
            )
        if method not in methods:
            allowed = ", ".join(methods)
            headers = [_JSON, _RUN_FAILED[False], (b"allow", allowed.encode())]
            return 405, headers, encode_error(405, f"{path} takes {allowed}, not {method}")
        request_id = legacy_id = client_id = trace_id = started = length = kind = coding = b""
        for name, value in scope["headers"]:
            if name == b"content-length":
                length = value
            elif name == b"content-type":
                kind = value
            elif name == b"content-encoding":
                coding = coding + b"," + value if coding else value
            elif name == b"x-mlj-start":
                started = value if self._trusts_start else b""
            elif name == b"x-request-id":
                request_id = value
            elif name == b"x-ms-request-id":
                legacy_id = value
            elif name == b"x-ms-client-request-id":
                client_id = value
            elif name == b"traceid":
                trace_id = value
            elif name == b"accept" and _EVENTS in value.lower():
                scope[_NEEDS_HEAD] = True  # run() may give a generator, whose worker needs the header
        try:
            headers = answer_ids(request_id, legacy_id, client_id, trace_id)
        except IdentifierError as error:
            return 431, [_JSON, _RUN_FAILED[False], *error.headers], encode_error(431, str(error))
        if method == "OPTIONS":
            failed = [_RUN_FAILED[False]] if path == "/score" else []
            return 200, [_HTML, *failed, *headers, (b"allow", ", ".join(methods).encode())], b""
        if path != "/score":
            status, media, body = await self._inform(path, scope)
            return status, [media, *headers] if media is _TEXT else [media, _RUN_FAILED[False], *headers], body
        try:
            self._check_type(scope, kind)
            answer = await self._score(scope, receive, length, coding, started, headers[0][1])
        except CodingError as error:
            refused = [_JSON, _RUN_FAILED[False], *error.headers, *headers]
            return error.status, refused, encode_error(error.status, str(error))
        except RequestError as error:
            return error.status, [_JSON, _RUN_FAILED[False], *headers], encode_error(error.status, str(error))
        return answer.status, self._answer_headers(answer, headers), answer.body

    async def _open_inference(self, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes | AnswerStream]:
        """Answer a request of the Open Inference Protocol. One to infer is a request to `/score` from here on."""
        path, method = scope["path"], scope["method"]
        scope["path"] = "/"  # web pages may read the answers that they may read at other paths
        sent = dict(scope["headers"])
        settings = self._configuration
        named = sent.get(open_inference.VERSIONS_HEADER, b"") if self._trusts_start else b""
        versions = open_inference.versions_of(named, settings.service_version)
        try:
            route = open_inference.route_of(path)
            open_inference.check_target(route, settings.service_name, versions)
        except open_inference.NotFoundError as error:
            return 404, [_JSON], open_inference.error_document(str(error))
        if method not in route.methods:
            allowed = ", ".join(route.methods)
            text = f"{path[:200]} takes {allowed}, not {method}"
            return 405, [_JSON, (b"allow", allowed.encode())], open_inference.error_document(text)
        if method == "OPTIONS":
            return 200, [_HTML, (b"allow", ", ".join(route.methods).encode())], b""
        if route.action != "infer":
            status, document = self._open_inference_state(route, versions)
            return status, [_JSON], document
        scope["path"] = "/score"
        scope[INFERENCE] = {"model": route.model, "version": settings.service_version}
        scope[_NEEDS_HEAD] = True
        status, headers, body = await self._respond(scope, receive)
        if status >= 400 and isinstance(body, bytes):
            headers = [_JSON, *(header for header in headers if header[0] != _JSON[0])]
            body = open_inference.translated_error(body)
        return status, headers, body

    def _open_inference_state(self, route: open_inference.Route, versions: list[str]) -> tuple[int, bytes]:
        if route.action == "server":
            return 200, open_inference.server_document(__version__)
        if route.action == "live":
            return 200, open_inference.live_document()
        ready = self._dispatcher.ready and not self.draining
        if route.action in ("ready", "model-ready"):
            return 200 if ready else 503, open_inference.ready_document(ready, route.model)
        interface = self._supervisor.interface
        if interface is None:
            return 503, open_inference.error_document("Starting: the tensors of the model are not known yet")
        reason = open_inference.missing_schema(interface.tensors)
        if reason is not None or interface.tensors is None:
            return 400, open_inference.error_document(f"{reason}")
        return 200, open_inference.model_document(route.model, versions, interface.tensors)

    def _check_type(self, scope: Scope, content_type: bytes) -> None:
        """Refuse a body of the wrong type before it is queued; the worker checks requests whose headers it gets."""
        interface = self._supervisor.interface
        if interface is None or interface.mode != PARAMETERS or scope["method"] != "POST":
            return
        if not is_json(content_type.decode("latin-1")) and INFERENCE not in scope:
            raise RequestError(415, "run() takes named parameters: send JSON with Content-Type: application/json")

    async def _score(
        self, scope: Scope, receive: Receive, length: bytes, coding: bytes, started: bytes, request_id: bytes
    ) -> Answer:
        if self.draining:
            return refusal("the replica is stopping", busy=True)
        if length and int(length) > self._max_body:
            raise RequestError(413, f"the request body has {int(length)} bytes; at most {self._max_body} are allowed")
        decoder = decoder_for(coding) if coding else None
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        body: bytes = message["body"]
        if message["more_body"] or decoder is not None:
            return await self._score_large(scope, receive, message, decoder, started, request_id)
        if len(body) > self._max_body:
            raise RequestError(413, f"the request body has more than {self._max_body} bytes")
        return await self._submit(scope, (body,), len(body), started, request_id)

    async def _score_large(
        self,
        scope: Scope,
        receive: Receive,
        message: dict[str, Any],
        decoder: Decoder | None,
        started: bytes,
        request_id: bytes,
    ) -> Answer:
        """Receive a body that comes in pieces or is compressed; the memory of all such bodies together is limited."""
        pieces: list[bytes] = []
        received = size = 0
        unpacked = " when it is decompressed" if decoder is not None else ""
        try:
            while True:
                received += len(message["body"])
                if received > self._max_body:  # data that decompresses to nothing has no end otherwise
                    raise RequestError(413, f"the request body has more than {self._max_body} bytes")
                for piece in decoder.feed(message["body"]) if decoder is not None else (message["body"],):
                    pieces.append(piece)
                    size += len(piece)
                    self._held += len(piece)
                    if size > self._max_body:
                        raise RequestError(413, f"the request body has more than {self._max_body} bytes{unpacked}")
                    if self._held > self._max_body * _BODIES_HELD:
                        return refusal("too many large request bodies at once", busy=bool(started))
                    if decoder is not None and len(piece) == PIECE_BYTES:
                        await asyncio.sleep(0)  # other requests go on while a large one is decompressed
                if not message["more_body"]:
                    break
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
            if decoder is not None:
                decoder.finish(received)
                scope["headers"] = decoded_headers(scope["headers"], size)
            if self.draining:
                return refusal("the replica is stopping", busy=True)
            return await self._submit(scope, tuple(pieces), size, started, request_id)
        finally:
            self._held -= size

    async def _submit(
        self, scope: Scope, body: tuple[bytes, ...], size: int, started: bytes, request_id: bytes
    ) -> Answer:
        interface = self._supervisor.interface
        head = b""
        if interface is None or interface.needs_head or scope["method"] == "GET" or _NEEDS_HEAD in scope:
            head = request_meta(scope, request_id)
        elif self._insights is not None:
            head = request_id_meta(request_id)
        if self._insights is not None:
            self._insights.begin(request_id, scope["headers"])
            if self._insights.collects:
                scope["mlj.input"] = body
        submitted = self._dispatcher.submit(head, body, size, _milliseconds(started))
        return submitted if isinstance(submitted, Answer) else await submitted

    def _answer_headers(self, answer: Answer, ids: Headers) -> Headers:
        own = unpack_headers(answer.headers) if answer.headers else [_JSON]
        headers = [*own, _RUN_FAILED[answer.run_failed], *ids]
        if answer.seconds is not None:
            headers.append((b"x-ms-run-fn-exec-ms", b"%.3f" % (answer.seconds * 1000)))
        if answer.busy:
            headers.append(_BUSY)
        if answer.retry:
            headers.append(_RETRY)
        if answer.run_failed:
            self._log.record("E", f"request {ids[0][1].decode('latin-1')} was answered {answer.status}")
        return headers

    async def _inform(self, path: str, scope: Scope) -> tuple[int, tuple[bytes, bytes], bytes]:
        if path == "/":
            if scope["query_string"] == _ALIVE:
                return 200, _TEXT, b"Alive"
            if self.draining:
                return 503, _TEXT, b"Stopping"
            return (200, _TEXT, b"Healthy") if self._dispatcher.ready else (503, _TEXT, b"Starting")
        if path == "/-/state":
            state = self._state()
            if scope["query_string"] == _USAGE:
                state |= await _usage()
            return 200, _JSON, json.dumps(state).encode()
        asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("version", ["2"])[0]
        interface = self._supervisor.interface
        if interface is None:
            return 503, _JSON, encode_error(503, "Starting: the schema of the scoring script is not known yet")
        try:
            return 200, _JSON, swagger(asked, self._service(scope["headers"]), self._configuration.app_root, interface)
        except SwaggerError as error:
            return 404, _JSON, encode_error(404, str(error))

    def _service(self, headers: Headers) -> Service:
        """Return the service as its client reaches it: directly, or through the router, which says so."""
        sent = dict(headers)
        settings = self._configuration
        base = sent.get(b"x-mlj-base", b"").decode("latin-1") if self._trusts_start else ""
        version = DEPLOYED_VERSION if base else settings.service_version
        scheme = "https" if sent.get(b"x-forwarded-proto") == b"https" else "http"
        return Service(settings.service_name, version, base or settings.service_path_prefix, scheme)

    def _state(self) -> dict[str, Any]:
        calls = self._dispatcher
        return {
            "state": "draining" if self.draining else "ready" if calls.ready else "starting",
            "running": calls.running,
            "waiting": calls.waiting,
            "completed": calls.completed,
            "failed": calls.failed,
            "quarantined": calls.quarantined,
            "runs": calls.run_count,
            "worker_restarts": self._supervisor.restarts,
            "run_seconds_sum": calls.run_seconds_sum,
            "run_seconds_count": calls.run_seconds_count,
            "started": calls.started,
            "wait_seconds_sum": calls.wait_seconds_sum,
            "streamed": calls.streamed,
            "first_piece_seconds_sum": calls.first_piece_seconds_sum,
            "replica": self._configuration.replica,
            "worker_pid": self._supervisor.worker_pid,
            **({"insights": self._insights.counts()} if self._insights is not None else {}),
        }


async def _usage() -> dict[str, Any]:
    """Return CPU time and memory of the container; nothing where they are not known."""
    from mljupyter.scoring.server.usage import measured  # most replicas are never asked

    used = await asyncio.get_running_loop().run_in_executor(None, measured)  # a busy kernel answers slowly
    return {} if used is None else {"usage": used._asdict()}


def _milliseconds(value: bytes) -> float | None:
    try:
        return float(value) if value else None
    except ValueError:
        return None
