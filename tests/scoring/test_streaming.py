"""Answers in pieces: the first byte at once, honest errors, and an end when the client leaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.scoring.conftest import Replica
from tests.scoring.replicas import replica_of
from tests.waiting import HANG_SECONDS, promised, wait_until

Serve = Callable[..., Replica]
EVENTS = {"accept": "text/event-stream"}

# A gate is a file: the script goes on when the test has made it, so that no test depends on time.
GATES = """
import os, time
from azureml.contrib.services.aml_response import AMLResponse

def init(): pass

def gate(name):
    while not os.path.exists(name):
        time.sleep(0.01)
"""
RESPONDS = (
    GATES
    + """
def pieces(data):
    try:
        yield "first "
        gate(data)
        yield b"second "
        yield ""
        yield bytearray(b"third")
    finally:
        open(data + ".closed", "w").close()

def failing(data):
    yield "first "
    gate(data)
    raise ValueError("half way")

def dying(data):
    yield "first "
    gate(data)
    os._exit(9)

def broken(data):
    raise ValueError("at once")
    yield

def wrong(data):
    yield "first "
    yield 5

def big(data):
    for number in range(64):
        yield bytes([number]) * 200_000

def slow(data):
    yield "first "
    while True:
        time.sleep(0.02)
        yield "more "

def silent(data):
    yield "first "
    time.sleep(3600)

def run(data):
    kind, _, data = data.partition(" ")
    headers = {"Content-Type": "text/event-stream"} if data == "events" else {}
    return AMLResponse(globals()[kind](data), 200, headers)
"""
)
YIELDS = (
    GATES
    + """
def run(data):
    yield {"token": data}
    gate(data)
    yield "two\\nlines"
    if data == "failing":
        raise ValueError("half way")
    if data == "wrong":
        yield object()
    yield [3]
"""
)


@pytest.fixture(scope="module")
def responds() -> Iterator[Replica]:
    with replica_of(RESPONDS) as replica:
        yield replica


@pytest.fixture(scope="module")
def yields() -> Iterator[Replica]:
    with replica_of(YIELDS) as replica:
        yield replica


def open_gate(replica: Replica, name: str) -> None:
    (replica.directory / name).touch()


def settled(replica: Replica) -> None:
    wait_until(lambda: replica.state()["running"] == 0, "the end of all calls")


def test_the_first_piece_is_there_before_the_second_is_made(responds: Replica) -> None:
    with responds.client.stream("POST", "/score", content="pieces one") as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"first "
        assert answer.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in answer.headers
        assert answer.headers["x-ms-run-function-failed"] == "False"
        assert "x-request-id" in answer.headers
        assert responds.state()["running"] == 1, "a streamed answer holds its place until its last piece"
        open_gate(responds, "one")
        assert b"".join(pieces) == b"second third"
    settled(responds)
    assert responds.state()["streamed"] >= 1


def test_a_client_that_leaves_ends_the_generator(responds: Replica) -> None:
    with responds.client.stream("POST", "/score", content="slow x") as answer:
        assert next(answer.iter_raw()).startswith(b"first ")
    settled(responds)
    assert responds.score("pieces one").text == "first second third"


def test_its_finally_blocks_are_run(responds: Replica) -> None:
    with responds.client.stream("POST", "/score", content="pieces left") as answer:
        assert next(answer.iter_raw()) == b"first "
    open_gate(responds, "left")
    wait_until((responds.directory / "left.closed").exists, "the end of the generator")
    settled(responds)


@pytest.mark.parametrize("kind", ["failing", "dying", "wrong"])
def test_an_answer_that_is_cut_off_has_no_end(responds: Replica, kind: str) -> None:
    received = b""
    with responds.client.stream("POST", "/score", content=f"{kind} {kind}") as answer:
        assert answer.status_code == 200
        open_gate(responds, kind)
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            for piece in answer.iter_raw():
                received += piece
    assert received == b"first "
    said = {"failing": "half way", "dying": "exit status 9", "wrong": "cannot send a int"}[kind]
    responds.wait_log(said)
    responds.wait_log("was cut off")
    assert wait_until(lambda: responds.health() == 200, "a worker")
    assert responds.score("pieces one").text == "first second third"


def test_a_reader_of_events_gets_the_error_as_an_event(responds: Replica) -> None:
    open_gate(responds, "events")
    answer = responds.score("failing events")
    assert answer.text.startswith("first event: error\ndata: {")
    assert "ValueError" in answer.text and "half way" not in answer.text


def test_an_error_before_the_first_piece_is_an_ordinary_error(responds: Replica) -> None:
    answer = responds.score("broken x")
    assert (answer.status_code, answer.json()["code"]) == (500, "ScriptFailed")
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert "content-length" in answer.headers


def test_a_slow_client_holds_up_the_generator_and_not_the_server(responds: Replica) -> None:
    with responds.client.stream("POST", "/score", content="big x") as answer:
        pieces = answer.iter_raw(100_000)
        assert next(pieces) == bytes(100_000)
        time.sleep(0.3)
        assert responds.state()["running"] == 1, "12.8 MB do not fit into what may be under way"
        rest = b"".join(pieces)
    assert rest == b"".join(bytes([number]) * 200_000 for number in range(64))[100_000:]


def test_the_time_limit_is_for_the_whole_and_needs_no_new_worker(serve: Serve) -> None:
    limit = round(400 * promised(1))  # the first piece must come before
    replica = serve(RESPONDS, "--scoring-timeout-ms", str(limit))
    worker = replica.worker_pid()
    began = time.monotonic()
    with (
        pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
        replica.client.stream("POST", "/score", content="slow x") as answer,
    ):
        answer.read()
    assert time.monotonic() - began < HANG_SECONDS
    replica.wait_log(f"has not given its last piece within {limit} ms")
    settled(replica)
    assert replica.worker_pid() == worker
    assert replica.score("broken x").status_code == 500


@pytest.mark.parametrize("limit", ["SCORING_TIMEOUT_MS", "MLJUPYTER_STREAM_IDLE_MS"])
def test_a_generator_that_never_comes_back_costs_its_worker(serve: Serve, limit: str) -> None:
    replica = serve(RESPONDS, environment={limit: str(round(300 * promised(1)))})
    worker = replica.worker_pid()
    with (
        pytest.raises(httpx.RemoteProtocolError),
        replica.client.stream("POST", "/score", content="silent x") as answer,
    ):
        answer.read()
    wait_until(lambda: replica.state()["worker_pid"] not in (None, worker), "another worker")


def test_a_generator_that_goes_silent_is_cut_off_long_before_its_time_and_one_that_goes_on_is_not(
    serve: Serve,
) -> None:
    limit = round(400 * promised(1))
    replica = serve(RESPONDS, "--concurrency", "2", environment={"MLJUPYTER_STREAM_IDLE_MS": str(limit)})
    worker = replica.worker_pid()
    with replica.client.stream("POST", "/score", content="slow x") as slow:
        pieces = slow.iter_raw()
        with (
            pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"),
            replica.client.stream("POST", "/score", content="pieces silent") as answer,
        ):
            answer.read()
        replica.wait_log(f"the answer has not gone on for {limit} ms")
        began = time.monotonic()
        while time.monotonic() < began + 2 * limit / 1000:
            assert b"more" in next(pieces) + next(pieces)
    open_gate(replica, "silent")
    settled(replica)
    assert replica.worker_pid() == worker


def test_a_client_that_takes_large_pieces_slowly_is_not_taken_for_an_idle_one(serve: Serve) -> None:
    limit = promised(1)  # in seconds
    replica = serve(RESPONDS, environment={"MLJUPYTER_STREAM_IDLE_MS": str(round(limit * 1000))})
    received = 0
    with replica.client.stream("POST", "/score", content="big x") as answer:
        began = time.monotonic()
        for piece in answer.iter_raw(65536):
            received += len(piece)
            if time.monotonic() < began + 1.5 * limit:
                time.sleep(limit / 10)  # the pace of this client: 1 MB take it longer than the limit
    assert received == 64 * 200_000


def test_a_streamed_answer_is_finished_while_the_replica_drains(serve: Serve) -> None:
    replica = serve(RESPONDS)
    with replica.client.stream("POST", "/score", content="pieces drain") as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"first "
        replica.terminate()
        replica.wait_log("1 running")
        open_gate(replica, "drain")
        assert b"".join(pieces) == b"second third"
    assert replica.wait_exit() == 0


def test_streams_run_beside_each_other_and_beside_other_calls(serve: Serve) -> None:
    replica = serve(RESPONDS, "--concurrency", "3")
    expected = b"".join(bytes([number]) * 200_000 for number in range(64))
    found: list[bytes] = []

    def read() -> None:
        with replica.new_client() as client, client.stream("POST", "/score", content="big x") as answer:
            taken = b""
            for piece in answer.iter_raw(1_000_000):
                taken += piece
                time.sleep(0.002)
            found.append(taken)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    open_gate(replica, "one")
    for _ in range(20):
        assert replica.score("pieces one").text == "first second third"
    for reader in readers:
        reader.join(HANG_SECONDS)
    assert found == [expected, expected]


def test_a_run_that_yields_is_a_stream_of_events_where_the_client_accepts_them(yields: Replica) -> None:
    with yields.client.stream("POST", "/score", content="one", headers=EVENTS) as answer:
        pieces = answer.iter_text()
        assert next(pieces) == 'data: {"token":"one"}\n\n'
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        open_gate(yields, "one")
        assert "".join(pieces) == 'data: "two\\nlines"\n\ndata: [3]\n\nevent: end\ndata: {}\n\n'


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, application/json;q=0.9"])
def test_other_clients_get_all_it_has_yielded_as_a_list(yields: Replica, accept: str) -> None:
    open_gate(yields, "all")
    answer = yields.score("all", accept=accept)
    assert answer.json() == [{"token": "all"}, "two\nlines", [3]]
    assert "content-length" in answer.headers and "x-ms-run-fn-exec-ms" in answer.headers


@pytest.mark.parametrize("decorator", ["", "@input_schema('data', StandardPythonParameterType('one two'))"])
def test_a_run_that_returns_a_generator_is_as_one_that_yields(serve: Serve, decorator: str) -> None:
    script = f"""
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema
    def words(data): yield from data.split()
    def init(): pass
    {decorator}
    def run(data): return words(data)
    """
    replica, body = serve(script), "one two"
    if decorator:
        body = json.dumps({"data": body})
    answer = replica.score(body, content_type="application/json", accept="text/html, Text/Event-Stream;q=0.9")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text == 'data: "one"\n\ndata: "two"\n\nevent: end\ndata: {}\n\n'
    assert replica.score(body, content_type="application/json").json() == ["one", "two"]


@pytest.mark.parametrize(("kind", "said"), [("failing", "raised ValueError"), ("wrong", "cannot become JSON")])
def test_an_error_in_the_middle_is_an_event_or_the_whole_answer(yields: Replica, kind: str, said: str) -> None:
    open_gate(yields, kind)
    answer = yields.score(kind, **EVENTS)
    assert answer.status_code == 200
    *_, last = answer.text.removesuffix("\n\n").split("\n\n")
    name, data = last.split("\n")
    assert name == "event: error"
    assert said in json.loads(data.removeprefix("data: "))["message"]
    whole = yields.score(kind)
    assert (whole.status_code, said in whole.json()["message"]) == (500, True)


def test_a_batch_of_requests_gets_whole_answers(serve: Serve) -> None:
    script = """
    from azureml.contrib.services.aml_response import AMLResponse
    batching = True
    def init(): pass
    def run(inputs): return [AMLResponse((part for part in (data, "!")), 200) for data in inputs]
    """
    answer = serve(script).score("a")
    assert (answer.text, answer.headers["content-length"]) == ("a!", "2")


def test_a_response_of_werkzeug_is_streamed_too(serve: Serve, directory: Path) -> None:
    pytest.importorskip("werkzeug")
    script = GATES + (
        "\nfrom werkzeug.wrappers import Response\n"
        "def parts():\n    yield 'first '\n    gate('go')\n    yield 'last'\n"
        "def run(data): return Response(parts(), mimetype='text/plain')\n"
    )
    replica = serve(script)
    with replica.client.stream("POST", "/score") as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == b"first "
        (directory / "go").touch()
        assert b"".join(pieces) == b"last"


def test_records_of_requests_have_the_whole_time_and_the_beginning_of_the_answer(serve: Serve) -> None:
    replica = serve(RESPONDS, environment={"AML_APP_INSIGHTS_ENABLED": "true"})
    open_gate(replica, "one")
    assert replica.score("pieces one").text == "first second third"
    log = replica.wait_log('"Response Value":"first second third"')
    assert '"resultCode":200' in log
