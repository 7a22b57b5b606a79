"""The application of a replica: routes, size limits, headers (Azure ML v1: scoring-container contract).

A request is answered at once, or when its worker has answered; only bodies in parts, compressed bodies and answers in
pieces have a task.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from mljupyter import __version__
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.messages import PARAMETERS, encode_error, is_json, request_id_meta, request_meta
from mljupyter.scoring.open_inference import routes as open_inference
from mljupyter.scoring.protocol import Headers, unpack_headers
from mljupyter.scoring.server.answer_stream import AnswerStream
from mljupyter.scoring.server.calls import Answer, refusal
from mljupyter.scoring.server.content_coding import PIECE_BYTES, CodingError, Decoder, decoded_headers, decoder_for
from mljupyter.scoring.server.http_protocol import ClientGoneError, Exchange
from mljupyter.scoring.server.response_headers import CrossOrigin, IdentifierError, answer_ids, check_own
from mljupyter.scoring.server.supervisor import Supervisor
from mljupyter.scoring.server.swagger import DEPLOYED_VERSION, Service, SwaggerError, swagger

if TYPE_CHECKING:
    from mljupyter.scoring.logs.insights import Insights
    from mljupyter.scoring.server.replica_key import ReplicaKey

_Response = tuple[int, Headers, bytes | AnswerStream]

_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_HTML = (b"content-type", b"text/html; charset=utf-8")
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
_NOT_THE_ROUTER = "this replica answers only its router: send requests to the endpoint's scoring URI"
_NO_LENGTH = (204, 304)
_EVENTS = b"text/event-stream"
_KEPT_BYTES = 65536  # of a streamed answer, for its record
_BODIES_HELD = 4  # in units of the largest allowed body: the memory for large bodies that are being received


class RequestError(Exception):
    """A request is refused before it reaches the script."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Application:
    """The application. While `draining` is true it refuses new requests and closes connections.

    With a `key` it answers only requests that carry the key, which are the router's, and health checks.
    """

    def __init__(
        self,
        configuration: Configuration,
        supervisor: Supervisor,
        log: LogCapture,
        insights: Insights | None = None,
        key: ReplicaKey | None = None,
    ) -> None:
        self._configuration = configuration
        self._supervisor = supervisor
        self._dispatcher = supervisor.dispatcher
        self._log = log
        self._insights = insights
        self._key = key
        # On a port without a key any client could forge the time when the router received a request.
        self._trusts_start = key is not None or configuration.unix_socket is not None
        self._cross_origin = CrossOrigin(configuration.cors_origins)
        self._max_body = configuration.max_body_bytes
        self._held = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.draining = False

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request, now or later; an internal error is logged, and answered 500 without its traceback."""
        if self._key is not None and not self._key.admits(exchange.method, exchange.path, exchange.headers):
            exchange.refuse(401, _NOT_THE_ROUTER)
            return
        if self._insights is not None:
            exchange.began = time.time()
        try:
            response = self._respond(exchange)
            if response is not None:
                self._send(exchange, *response)
        except Exception as error:  # noqa: BLE001 (an internal traceback must not reach the client)
            self._fail(exchange, error)

    def _later(self, exchange: Exchange, coroutine: Coroutine[Any, Any, _Response]) -> None:
        """Answer a request with the result of a task."""

        async def answer() -> None:
            try:
                self._send(exchange, *await coroutine)
            except ClientGoneError:
                pass
            except Exception as error:  # noqa: BLE001 (as above)
                self._fail(exchange, error)

        self._spawn(answer())

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fail(self, exchange: Exchange, error: Exception) -> None:
        import traceback  # hardly a server ever needs it

        self._log.record("E", "".join(traceback.format_exception(error)))
        if exchange.started:
            exchange.cut_off()
            return
        body = encode_error(500, "internal error of the scoring server; see its log", "ScoringServerFailed")
        self._send(exchange, 500, [_JSON], body)

    def _send(self, exchange: Exchange, status: int, headers: Headers, body: bytes | AnswerStream) -> None:
        if exchange.inference is not None and status >= 400 and isinstance(body, bytes):
            headers = [_JSON, *(header for header in headers if header[0] != _JSON[0])]
            body = open_inference.translated_error(body)
        if isinstance(body, AnswerStream):
            self._spawn(self._stream(exchange, status, headers, body))
            return
        # The client does not get a busy answer: the router tries another replica.
        if (
            self._insights is not None
            and exchange.path == "/score"
            and exchange.method in _RUN
            and _BUSY not in headers
        ):
            self._record(exchange, status, headers, body)
        if self._cross_origin.enabled and exchange.path in _METHODS:
            headers += self._cross_origin.headers(exchange.method, exchange.headers)
        if status not in _NO_LENGTH:
            headers.append((b"content-length", b"%d" % len(body)))
        exchange.answer(status, headers, body, self.draining)

    def _record(self, exchange: Exchange, status: int, headers: Headers, body: bytes) -> None:
        if self._insights is not None:
            self._insights.request(
                exchange.method, exchange.headers, exchange.kept, exchange.began, status, headers, body
            )

    async def _stream(self, exchange: Exchange, status: int, headers: Headers, stream: AnswerStream) -> None:
        """Send an answer in pieces, until its end or until the client leaves.

        If it is cut off, a client that reads events gets one of the type ``error``. Any other one gets no end, so that
        it does not take the part for the whole.
        """
        if self._cross_origin.enabled:
            headers += self._cross_origin.headers(exchange.method, exchange.headers)
        kept = bytearray()
        exchange.on_gone = stream.leave
        if exchange.gone:
            stream.leave()
        try:
            piece: bytes | None = stream.present()
            await exchange.begin_pieces(status, headers, piece or b"", self.draining)
            while piece is not None:
                stream.taken(len(piece))
                if self._insights is not None:
                    kept += piece[: _KEPT_BYTES - len(kept)]
                piece = await stream.next()
                if piece is not None:
                    await exchange.send_piece(piece)
            if stream.error:
                request_id = dict(headers).get(b"x-request-id", b"").decode("latin-1")
                self._log.record("E", f"the answer to request {request_id} was cut off: {stream.error.decode()}")
            events = any(name == b"content-type" and value.startswith(_EVENTS) for name, value in headers)
            if stream.error and not events:
                exchange.cut_off()
            elif not stream.left:
                exchange.end_pieces(b"event: error\ndata: %b\n\n" % stream.error if stream.error else b"")
        except Exception as error:  # noqa: BLE001 (as above)
            self._fail(exchange, error)
        finally:
            stream.leave()
            self._record(exchange, status, headers, bytes(kept))

    def _respond(self, exchange: Exchange) -> _Response | None:
        """Return the answer; None if it comes later."""
        path, method = exchange.path, exchange.method
        methods = _METHODS.get(path)
        if methods is None and open_inference.is_open_inference(path):
            return self._open_inference(exchange)
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
        find = exchange.sent.get
        if _EVENTS in find(b"accept", b"").lower():
            exchange.needs_head = True  # run() may give a generator, whose worker needs the header
        try:
            ids = answer_ids(
                find(b"x-request-id", b""),
                find(b"x-ms-request-id", b""),
                find(b"x-ms-client-request-id", b""),
                find(b"traceid", b""),
            )
        except IdentifierError as error:
            return 431, [_JSON, _RUN_FAILED[False], *error.headers], encode_error(431, str(error))
        if method == "OPTIONS":
            failed = [_RUN_FAILED[False]] if path == "/score" else []
            return 200, [_HTML, *failed, *ids, (b"allow", ", ".join(methods).encode())], b""
        if path == "/score":
            return self._score(exchange, ids)
        if path == "/-/state" and exchange.query == _USAGE:
            self._later(exchange, self._state_with_usage(ids))
            return None
        status, media, body = self._inform(path, exchange)
        return status, [media, *ids] if media is _TEXT else [media, _RUN_FAILED[False], *ids], body

    def _open_inference(self, exchange: Exchange) -> _Response | None:
        """Answer a request of the Open Inference Protocol. One to infer is a request to `/score` from here on."""
        path, method = exchange.path, exchange.method
        exchange.path = "/"  # web pages may read the answers that they may read at other paths
        settings = self._configuration
        named = exchange.sent.get(open_inference.VERSIONS_HEADER, b"") if self._trusts_start else b""
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
        exchange.path = "/score"
        exchange.inference = {"model": route.model, "version": settings.service_version}
        exchange.needs_head = True
        return self._respond(exchange)

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

    def _check_type(self, exchange: Exchange, content_type: bytes) -> None:
        """Refuse a body of the wrong type before it is queued; the worker checks requests whose headers it gets."""
        interface = self._supervisor.interface
        if interface is None or interface.mode != PARAMETERS or exchange.method != "POST":
            return
        if not is_json(content_type.decode("latin-1")) and exchange.inference is None:
            raise RequestError(415, "run() takes named parameters: send JSON with Content-Type: application/json")

    def _score(self, exchange: Exchange, ids: Headers) -> _Response | None:
        sent = exchange.sent
        try:
            self._check_type(exchange, sent.get(b"content-type", b""))
            if self.draining:
                return self._response(refusal("the replica is stopping", busy=True), ids)
            length = sent.get(b"content-length")
            if length and int(length) > self._max_body:
                raise RequestError(
                    413, f"the request body has {int(length)} bytes; at most {self._max_body} are allowed"
                )
            coding = sent.get(b"content-encoding")
            decoder = decoder_for(coding) if coding else None
            started = sent.get(b"x-mlj-start", b"") if self._trusts_start else b""
            body, more = exchange.take()
            if more or decoder is not None:
                self._later(exchange, self._score_large(exchange, body, more, decoder, started, ids))
                return None
            if len(body) > self._max_body:
                raise RequestError(413, f"the request body has more than {self._max_body} bytes")
        except (CodingError, RequestError) as error:
            return _refused(error, ids)

        def on_answer(answer: Answer) -> None:
            try:
                self._send(exchange, *self._response(answer, ids))
            except Exception as error:  # noqa: BLE001 (as above)
                if isinstance(answer.body, AnswerStream):
                    answer.body.leave()
                self._fail(exchange, error)

        answer = self._dispatcher.submit(
            self._call_head(exchange, (body,), ids), (body,), len(body), _milliseconds(started), on_answer
        )
        return None if answer is None else self._response(answer, ids)

    async def _score_large(
        self, exchange: Exchange, part: bytes, more: bool, decoder: Decoder | None, started: bytes, ids: Headers
    ) -> _Response:
        """Receive a body that comes in parts or is compressed; the memory of all such bodies together is limited."""
        pieces: list[bytes] = []
        received = size = 0
        unpacked = " when it is decompressed" if decoder is not None else ""
        try:
            while True:
                received += len(part)
                if received > self._max_body:  # data that decompresses to nothing has no end otherwise
                    raise RequestError(413, f"the request body has more than {self._max_body} bytes")
                for piece in decoder.feed(part) if decoder is not None else (part,):
                    pieces.append(piece)
                    size += len(piece)
                    self._held += len(piece)
                    if size > self._max_body:
                        raise RequestError(413, f"the request body has more than {self._max_body} bytes{unpacked}")
                    if self._held > self._max_body * _BODIES_HELD:
                        return self._response(refusal("too many large request bodies at once", busy=bool(started)), ids)
                    if decoder is not None and len(piece) == PIECE_BYTES:
                        await asyncio.sleep(0)  # other requests go on while a large one is decompressed
                if not more:
                    break
                part, more = await exchange.take_more()
            if decoder is not None:
                decoder.finish(received)
                exchange.headers = decoded_headers(exchange.headers, size)
            if self.draining:
                return self._response(refusal("the replica is stopping", busy=True), ids)
            body = tuple(pieces)
            later: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            head = self._call_head(exchange, body, ids)
            answer = self._dispatcher.submit(head, body, size, _milliseconds(started), later.set_result)
            return self._response(answer or await later, ids)
        except (CodingError, RequestError) as error:
            return _refused(error, ids)
        finally:
            self._held -= size

    def _call_head(self, exchange: Exchange, body: tuple[bytes, ...], ids: Headers) -> bytes:
        """Return what the worker gets beside the body, and note the request if requests are recorded."""
        request_id = ids[0][1]
        interface = self._supervisor.interface
        if self._insights is not None:
            self._insights.begin(request_id, exchange.headers)
            if self._insights.collects:
                exchange.kept = body
        if interface is None or interface.needs_head or exchange.method == "GET" or exchange.needs_head:
            return request_meta(exchange.method, exchange.query, exchange.headers, request_id, exchange.inference)
        return b"" if self._insights is None else request_id_meta(request_id)

    def _response(self, answer: Answer, ids: Headers) -> _Response:
        return answer.status, self._answer_headers(answer, ids), answer.body

    def _answer_headers(self, answer: Answer, ids: Headers) -> Headers:
        own = check_own(unpack_headers(answer.headers)) if answer.headers else [_JSON]
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

    def _inform(self, path: str, exchange: Exchange) -> tuple[int, tuple[bytes, bytes], bytes]:
        if path == "/":
            if exchange.query == _ALIVE:
                return 200, _TEXT, b"Alive"
            if self.draining:
                return 503, _TEXT, b"Stopping"
            return (200, _TEXT, b"Healthy") if self._dispatcher.ready else (503, _TEXT, b"Starting")
        if path == "/-/state":
            return 200, _JSON, json.dumps(self._state()).encode()
        asked = parse_qs(exchange.query.decode("latin-1"), keep_blank_values=True).get("version", ["2"])[0]
        interface = self._supervisor.interface
        if interface is None:
            return 503, _JSON, encode_error(503, "Starting: the schema of the scoring script is not known yet")
        try:
            service = self._service(exchange.sent)
            return 200, _JSON, swagger(asked, service, self._configuration.app_root, interface)
        except SwaggerError as error:
            return 404, _JSON, encode_error(404, str(error))

    async def _state_with_usage(self, ids: Headers) -> _Response:
        state = json.dumps(self._state() | await _usage()).encode()
        return 200, [_JSON, _RUN_FAILED[False], *ids], state

    def _service(self, sent: dict[bytes, bytes]) -> Service:
        """Return the service as its client reaches it: directly, or through the router, which says so."""
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


def _refused(error: CodingError | RequestError, ids: Headers) -> _Response:
    further = error.headers if isinstance(error, CodingError) else []
    return error.status, [_JSON, _RUN_FAILED[False], *further, *ids], encode_error(error.status, str(error))


def _milliseconds(value: bytes) -> float | None:
    try:
        return float(value) if value else None
    except ValueError:
        return None
