"""Whatever a client sends, a replica answers with a valid status and a JSON body, and lives on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from tests.scoring.conftest import Replica
from tests.scoring.replicas import replica_of
from tests.waiting import HANG_SECONDS

TEXT = """
import json
def init(): pass
def run(data, request_headers):
    return json.loads(data)
"""
SCHEMA = """
import numpy as np
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
def init(): pass
@input_schema("data", NumpyParameterType(np.array([[1.0]])))
@input_schema("options", StandardPythonParameterType({"a": 1}))
def run(data, options=None):
    return {"data": data.tolist(), "options": options}
"""
RAW = """
import sys
sys.modules["werkzeug"] = None
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
@rawhttp
def run(request):
    return [request.method, dict(request.headers), request.args.to_dict(), request.form.to_dict(), request.cookies,
            request.get_json(silent=True), request.url, len(request.get_data())]
"""
FUZZ = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
parameters = st.fixed_dictionaries({}, optional={"data": values, "options": values, "extra": values})
bodies = st.binary(max_size=300) | (values | parameters).map(lambda value: json.dumps(value).encode())
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=120)
names = st.sampled_from(
    [
        *("content-type", "x-request-id", "x-ms-request-id", "x-ms-client-request-id", "traceid", "x-mlj-start"),
        *("accept", "cookie", "host", "x-forwarded-proto", "origin", "authorization"),
    ]
)
kinds = st.sampled_from(["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
headers = st.lists(st.tuples(names, header_values) | st.tuples(st.just("content-type"), kinds), max_size=5)
queries = st.lists(st.tuples(st.text(max_size=8), st.text(max_size=12)), max_size=4)
methods = st.sampled_from(["POST", "POST", "POST", "GET", "OPTIONS", "PUT", "HEAD"])


@pytest.fixture(scope="module", params=["text", "schema", "raw"])
def target(request: pytest.FixtureRequest) -> Iterator[Replica]:
    script = {"text": TEXT, "schema": SCHEMA, "raw": RAW}[request.param]
    with replica_of(script, "--max-body-bytes", "250", AML_CORS_ORIGINS="*") as replica:
        replica.first_worker = replica.worker_pid()  # type: ignore[attr-defined]
        yield replica


@FUZZ
@given(method=methods, body=bodies, sent=headers, query=queries)
def test_every_request_is_answered_in_json_and_costs_nobody_else(
    target: Replica, method: str, body: bytes, sent: list[tuple[str, str]], query: list[tuple[str, str]]
) -> None:
    encoded = [(name.encode(), value.strip().encode("latin-1")) for name, value in sent]
    try:
        answer = target.client.request(method, "/score", content=body, headers=encoded, params=query)
    except httpx.LocalProtocolError:
        reject()  # the client refuses to send it
    assert answer.status_code in (200, 400, 405, 413, 415, 431, 500, 503)
    if method not in ("OPTIONS", "HEAD"):
        json.loads(answer.content)
        assert answer.headers["content-type"] == "application/json"
    if answer.status_code == 500:
        assert answer.headers["x-ms-run-function-failed"] == "True"
        assert "internal error" not in answer.text


@FUZZ
@given(data=st.binary(max_size=200))
def test_bytes_that_are_not_http_cost_only_their_connection(target: Replica, data: bytes) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(HANG_SECONDS)
        raw.connect(str(target.socket))
        raw.sendall(b"POST /score HTTP/1.1\r\n" + data + b"\r\n\r\n")
        raw.shutdown(socket.SHUT_WR)
        start = raw.recv(20)
    assert not start or start.startswith(b"HTTP/1.1 ")
    assert target.health() == 200


def test_afterwards_the_same_worker_serves(target: Replica) -> None:
    assert target.worker_pid() == target.first_worker  # type: ignore[attr-defined]
    assert isinstance(target.client.get("/"), httpx.Response)
    assert "internal error" not in target.log()
