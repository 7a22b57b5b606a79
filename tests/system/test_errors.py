"""Every error a client can meet has one shape, and a code that docs/errors.md explains: through real sockets."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from mljupyter.engine.envoy.error_replies import OTHERWISE, REPLIES
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.scoring.messages import _CODES
from mljupyter.spec import Authentication, ConnectionLimits, RateLimit, RouterSpec
from mljupyter.targets.machine.client import ControllerClient
from tests.system.conftest import Machine
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"
SCRIPT = """
    import json, os, time

    def init():
        pass

    def run(data):
        asked = json.loads(data)
        if asked == "die":
            os._exit(1)
        if asked == "fail":
            raise ValueError("the model is not happy")
        time.sleep(asked)
        return "done"
    """
TYPED = """
    from inference_schema.schema_decorators import input_schema
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

    def init():
        pass

    @input_schema("number", StandardPythonParameterType(1))
    def run(number):
        return number
    """


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Endpoints of every kind that errors need, and what to reach them by."""
    directory = tmp_path_factory.mktemp("errors") / "workspace"
    directory.mkdir(mode=0o700)
    machine = Machine(directory.resolve(), ControllerClient(directory), ArtifactStore(directory / "artifacts"))
    small = {"max_body_bytes": 1000, "max_queue_wait_ms": 100, "scoring_timeout_ms": 400}
    limits = ConnectionLimits(headers_seconds=0.5, request_seconds=1)
    machine.client.put_router(RouterSpec(limits=limits))
    specs = [
        machine.spec("script", SCRIPT, limits=small),
        machine.spec("typed", TYPED),
        machine.spec("keyed", authentication=Authentication.KEY),
        machine.spec("first", authentication=Authentication.TOKEN),
        machine.spec("second", authentication=Authentication.TOKEN),
        machine.spec("limited").model_copy(update={"rate_limit": RateLimit(requests_per_second=1, burst=2)}),
    ]
    records = [machine.client.create(spec) for spec in specs]
    found = {record.spec.name: str(machine.settle(record).status.scoring_uri) for record in records}
    found["token"] = machine.client.token("second")["token"]
    yield found
    for spec in specs:
        machine.client.delete(spec.name)
    machine.client.stop(force=True)


def raw(uri: str, *pieces: bytes) -> httpx.Response:
    """Send bytes as they are, and return what comes until the connection is closed."""
    parts = urlsplit(uri)
    with socket.create_connection(("127.0.0.1", int(parts.port or 0)), timeout=HANG_SECONDS) as connection:
        for piece in pieces:
            connection.sendall(piece.replace(b"PATH", parts.path.encode()))
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return httpx.Response(int(status.split()[1]), headers=[line.split(": ", 1) for line in lines], content=body)


def at_once(uri: str, count: int) -> httpx.Response:
    """Send requests that take a while side by side; return the answer of one that did not get its turn."""

    def refused() -> httpx.Response | None:
        answers: list[httpx.Response] = []
        send = lambda: answers.append(httpx.post(uri, content=b"0.3"))  # noqa: E731
        threads = [threading.Thread(target=send) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return next((answer for answer in answers if answer.status_code not in (200, 504)), None)

    return wait_until(refused, "a request does not get its turn")


def typed(served: dict[str, str], body: bytes, content_type: str) -> httpx.Response:
    return httpx.post(served["typed"], content=body, headers={"content-type": content_type})


def too_many(uri: str) -> httpx.Response:
    with httpx.Client() as client:
        return next(answer for _ in range(20) if (answer := client.post(uri, content=b"1")).status_code != 200)


HEAD = b"POST PATH HTTP/1.1\r\nhost: localhost\r\n"
CASES: dict[str, tuple[int, str, Callable[[dict[str, str]], httpx.Response]]] = {
    "no HTTP": (400, "BadRequest", lambda s: raw(s["script"], b"NONSENSE\r\n\r\n")),
    "two lengths": (
        400,
        "BadRequest",
        lambda s: raw(s["script"], HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"),
    ),
    "no JSON": (
        400,
        "BadRequest",
        lambda s: typed(s, b"{", "application/json"),
    ),
    "no key": (401, "Unauthorized", lambda s: httpx.post(s["keyed"])),
    "wrong key": (401, "Unauthorized", lambda s: httpx.post(s["keyed"], headers={"authorization": "Bearer x"})),
    "no token": (401, "Unauthorized", lambda s: httpx.post(s["first"])),
    "token of another": (
        403,
        "Forbidden",
        lambda s: httpx.post(s["first"], headers={"authorization": f"Bearer {s['token']}"}),
    ),
    "no endpoint": (404, "NotFound", lambda s: httpx.post(s["script"].replace("/script/", "/nobody/"))),
    "no method": (405, "MethodNotAllowed", lambda s: httpx.put(s["script"])),
    "slow headers": (408, "RequestTimeout", lambda s: raw(s["script"], HEAD)),
    "slow body": (408, "RequestTimeout", lambda s: raw(s["script"], HEAD + b"content-length: 9\r\n\r\n", b"1")),
    "large body": (413, "PayloadTooLarge", lambda s: httpx.post(s["script"], content=b"1" * 1001)),
    "no type": (
        415,
        "UnsupportedMediaType",
        lambda s: typed(s, b"{}", "text/csv"),
    ),
    "rate": (429, "TooManyRequests", lambda s: too_many(s["limited"])),
    "large headers": (431, "HeadersTooLarge", lambda s: httpx.post(s["script"], headers={"x": "1" * 70_000})),
    "script fails": (500, "ScriptFailed", lambda s: httpx.post(s["script"], content=b'"fail"')),
    "script dies": (502, "WorkerFailed", lambda s: httpx.post(s["script"], content=b'"die"')),
    "queue": (503, "ReplicaBusy", lambda s: at_once(s["script"], 4)),
    "too long": (504, "ScoringTimeout", lambda s: httpx.post(s["script"], content=b"5")),
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_is_json_with_a_code(served: dict[str, str], case: str) -> None:
    status, code, ask = CASES[case]
    wait_until(lambda: httpx.post(served["script"], content=b"0").status_code == 200, "the worker is there")
    answer = ask(served)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, "application/json"), (
        answer.text
    )
    document = answer.json()
    assert document["code"] == code
    assert set(document) == {"code", "message"}
    assert len(document["message"]) > 10
    assert "Traceback" not in answer.text
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_an_endpoint_without_a_replica_says_so(machine: Machine) -> None:
    record = machine.client.create(machine.spec(script="raise SystemExit(1)\n" + "def init(): ...\ndef run(data): ..."))
    uri = str(machine.settle(record).status.scoring_uri)
    answer = httpx.post(uri, content=b"1")
    assert (answer.status_code, answer.json()["code"]) == (503, "NoReplicaReady")


def test_the_document_lists_every_code() -> None:
    listed = set(re.findall(r"^### (\w+)$", DOCUMENT.read_text(), re.MULTILINE))
    there_are = {reply.code for reply in REPLIES} | {OTHERWISE, "ScoringServerFailed"} | set(_CODES.values())
    assert there_are <= listed
