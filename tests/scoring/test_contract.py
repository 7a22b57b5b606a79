"""Routes, status codes, headers, input and output of the scoring-container contract."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable

import pytest

from tests.scoring.conftest import Replica

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
Serve = Callable[..., Replica]


def test_health_is_a_plain_text(echo: Replica) -> None:
    answer = echo.client.get("/")
    assert (answer.status_code, answer.text) == (200, "Healthy")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream"])
def test_a_post_body_reaches_run_as_text_whatever_its_type(echo: Replica, content_type: str) -> None:
    answer = echo.client.post("/score", content='{"å": 1}'.encode(), headers={"content-type": content_type})
    assert answer.status_code == 200
    assert answer.json() == '{"å": 1}'
    assert answer.headers["content-type"] == "application/json"


def test_an_empty_body_is_an_empty_string(echo: Replica) -> None:
    assert echo.score("").json() == ""


def test_query_parameters_reach_run_as_a_json_string(echo: Replica) -> None:
    answer = echo.client.get("/score?a=1&a=x&b=[2,3]&c=plain&d=")
    assert json.loads(answer.json()) == {"a": [1, "x"], "b": [2, 3], "c": "plain", "d": ""}


@pytest.mark.parametrize("path", ["/", "/swagger.json"])
def test_options_is_answered_on_every_route(echo: Replica, path: str) -> None:
    answer = echo.client.options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (200, "GET, HEAD, OPTIONS", b"")


def test_options_is_answered_without_run(echo: Replica) -> None:
    before = echo.state()["completed"]
    answer = echo.client.options("/score")
    assert answer.status_code == 200
    assert "POST" in answer.headers["allow"]
    assert echo.state()["completed"] == before


def test_bytes_that_are_not_utf8_are_400(echo: Replica) -> None:
    answer = echo.score(b"ab\xff")
    assert answer.status_code == 400
    assert "UTF-8" in answer.json()["message"]
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert "x-ms-run-fn-exec-ms" not in answer.headers


@pytest.mark.parametrize("path", ["/nothing", "/score/", "/Score", "/-/nothing", "/%00"])
def test_an_unknown_path_is_a_json_404_without_ids(echo: Replica, path: str) -> None:
    answer = echo.client.get(path)
    assert answer.status_code == 404
    assert answer.json()["message"]
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert "x-request-id" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/score"), ("DELETE", "/score"), ("POST", "/"), ("POST", "/swagger.json")]
)
def test_a_wrong_method_is_a_json_405_that_names_the_right_ones(echo: Replica, method: str, path: str) -> None:
    answer = echo.client.request(method, path)
    assert answer.status_code == 405
    assert answer.json()["message"]
    assert "GET" in answer.headers["allow"]
    assert "x-request-id" not in answer.headers


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, {"x-request-id": "*", "x-ms-request-id": "*", "x-ms-client-request-id": None}),
        ({"x-request-id": "A"}, {"x-request-id": "A", "x-ms-request-id": "A", "x-ms-client-request-id": None}),
        ({"x-ms-request-id": "B"}, {"x-request-id": "*", "x-ms-request-id": "B", "x-ms-client-request-id": "B"}),
        ({"x-ms-client-request-id": "C"}, {"x-request-id": "*", "x-ms-request-id": "C", "x-ms-client-request-id": "C"}),
        (
            {"x-request-id": "A", "x-ms-request-id": "B", "x-ms-client-request-id": "C"},
            {"x-request-id": "A", "x-ms-request-id": "B", "x-ms-client-request-id": "C"},
        ),
    ],
)
def test_ids_come_back_or_are_made_up(echo: Replica, sent: dict[str, str], expected: dict[str, str | None]) -> None:
    answer = echo.client.post("/score", content="x", headers=sent)
    for name, value in expected.items():
        if value == "*":
            assert UUID4.fullmatch(answer.headers[name])
        else:
            assert answer.headers.get(name) == value


def test_other_headers_of_the_contract(echo: Replica) -> None:
    answer = echo.score("x", TraceId="t-1")
    assert answer.headers["traceid"] == "t-1"
    assert answer.headers["x-ms-server-version"].startswith("mljupyter/")
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert re.fullmatch(r"\d+\.\d{3}", answer.headers["x-ms-run-fn-exec-ms"])


@pytest.mark.parametrize("name", ["x-request-id", "x-ms-request-id", "x-ms-client-request-id"])
def test_an_id_of_more_than_100_characters_is_431(echo: Replica, name: str) -> None:
    assert echo.client.post("/score", content="x", headers={name: "i" * 100}).status_code == 200
    answer = echo.client.post("/score", content="x", headers={name: "i" * 101})
    assert answer.status_code == 431
    assert name in answer.json()["message"]


def test_a_body_over_the_limit_is_413_by_its_announced_length(echo: Replica) -> None:
    assert echo.score(b"x" * 300_000).status_code == 200
    answer = echo.score(b"x" * 300_001)
    assert answer.status_code == 413
    assert "300000" in answer.json()["message"]


def test_a_streamed_body_over_the_limit_is_413(echo: Replica) -> None:
    pieces = (b"x" * 10_000 for _ in range(31))
    assert echo.client.post("/score", content=pieces).status_code == 413
    assert echo.client.post("/score", content=(b"x" * 10_000 for _ in range(30))).json() == "x" * 300_000


def test_a_malformed_request_costs_only_its_connection(echo: Replica) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(echo.socket))
        raw.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
    assert echo.health() == 200


def test_a_client_that_leaves_during_its_upload_is_forgotten(echo: Replica) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(echo.socket))
        raw.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
    assert echo.score("next").json() == "next"
    assert "Traceback" not in echo.log()


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("", "swagger"),
        ("?version=2", "swagger"),
        ("?version=2.0", "swagger"),
        ("?version=3", "openapi"),
        ("?version=3.1", "openapi"),
    ],
)
def test_swagger_describes_the_scoring_route(echo: Replica, query: str, key: str) -> None:
    document = echo.client.get(f"/swagger.json{query}").json()
    assert document[key].startswith("2" if key == "swagger" else "3")
    assert document["info"]["title"] == "ML service"
    assert "200" in document["paths"]["/score"]["post"]["responses"]


def test_an_unknown_swagger_version_is_404(echo: Replica) -> None:
    assert "4" in echo.client.get("/swagger.json?version=4").json()["message"]
    assert echo.client.get("/swagger.json?version=").status_code == 404
    assert echo.client.get("/swagger.json?version=4").status_code == 404


RESULTS = """
def init():
    pass

class Odd:
    def __repr__(self):
        return "odd"

def run(data):
    import numpy
    return eval(data)
"""


@pytest.fixture(scope="module")
def results() -> object:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="mlj") as path:
        replica = Replica(Path(path), RESULTS)
        try:
            yield replica.wait_ready()
        finally:
            replica.end()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("None", {}),
        ("'text'", "text"),
        ("{'a': [1, 2.5, None]}", {"a": [1, 2.5, None]}),
        ("(1, 2)", [1, 2]),
        ("True", True),
        ("numpy.float64(1.5)", 1.5),
        ("'\\ud800'", "\ud800"),
        ("[float('inf'), -float('inf')]", [float("inf"), -float("inf")]),
        ("{1: 2, None: 3, True: 4}", {"1": 4, "null": 3}),
    ],
)
def test_results_become_json(results: Replica, expression: str, expected: object) -> None:
    answer = results.score(expression)
    assert answer.status_code == 200
    assert json.loads(answer.content) == expected


def test_nan_and_infinities_are_written_as_the_reference_server_writes_them(results: Replica) -> None:
    assert results.score("[float('nan'), numpy.float64('inf'), -numpy.inf]").text == "[NaN,Infinity,-Infinity]"


@pytest.mark.parametrize(
    ("expression", "type_name"),
    [
        ("__import__('pandas').DataFrame({'a': [1]})", "DataFrame"),
        ("__import__('pandas').Series([1])", "Series"),
        ("numpy.bool_(True)", "bool"),
        ("numpy.int64(1)", "int64"),
        ("b'bytes'", "bytes"),
        ("numpy.array([1])", "ndarray"),
        ("{'a': numpy.float32(1)}", "float32"),
        ("[Odd()]", "Odd"),
        ("{(1, 2): 3}", "tuple"),
        ("{1, 2}", "set"),
    ],
)
def test_a_result_that_is_not_json_is_a_500_naming_its_type(results: Replica, expression: str, type_name: str) -> None:
    answer = results.score(expression)
    assert answer.status_code == 500
    assert type_name in answer.json()["message"]
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert "x-ms-run-fn-exec-ms" in answer.headers


@pytest.mark.parametrize(
    "expression",
    [
        "1/0",
        "exit(3)",
        "(_ for _ in ()).throw(KeyboardInterrupt)",
        "(lambda f: f(f))(lambda f: f(f))",
        "(_ for _ in ()).throw(MemoryError)",
    ],
)
def test_whatever_run_raises_costs_only_its_request(results: Replica, expression: str) -> None:
    worker = results.worker_pid()
    answer = results.score(expression, x_request_id="the-one")
    assert answer.status_code == 500
    assert "log" in answer.json()["message"]
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert results.score("1").json() == 1
    assert results.worker_pid() == worker


def test_the_traceback_of_run_is_in_the_log_and_not_in_the_answer(serve: Serve) -> None:
    replica = serve(
        "def init(): pass\ndef helper():\n    raise ValueError('secret detail')\ndef run(data):\n    helper()\n"
    )
    answer = replica.score("x", x_request_id="the-one")
    assert "secret detail" not in answer.text
    assert "ValueError" in answer.json()["message"]
    replica.wait_log("request the-one was answered 500")
    log = replica.wait_log("ValueError: secret detail")
    assert "in helper" in log
    assert "mljupyter" not in log.split("Traceback")[1].split("secret detail")[0]


def test_request_headers_are_given_to_a_run_that_asks(serve: Serve) -> None:
    replica = serve("def init(): pass\ndef run(data, request_headers):\n    return [data, request_headers]\n")
    answer = replica.client.post(
        "/score", content="d", headers=[("X-Thing", "1"), ("x-thing", "2"), ("x-mlj-start", "0")]
    )
    data, headers = answer.json()
    assert data == "d"
    assert headers["X-Thing"] == "1,2"
    assert headers["Content-Length"] == "1"
    assert not [name for name in headers if name.lower().startswith("x-mlj")]


@pytest.mark.parametrize("signature", ["*, data", "request_headers, data", "data, other=1", "payload"])
def test_run_may_name_and_order_its_parameters(serve: Serve, signature: str) -> None:
    name = "payload" if "payload" in signature else "data"
    assert serve(f"def init(): pass\ndef run({signature}):\n    return {name}\n").score("d").json() == "d"


def test_a_body_of_megabytes_goes_through_both_ways(serve: Serve) -> None:
    body = "é" * 4_000_000
    assert serve().score(body.encode()).json() == body


def test_the_server_version_can_be_hidden(serve: Serve) -> None:
    replica = serve(environment={"SERVER_VERSION_LOG_RESPONSE_ENABLED": "false"})
    assert "x-ms-server-version" not in replica.score("x").headers
