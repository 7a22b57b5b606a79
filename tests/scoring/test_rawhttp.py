"""Scripts that take the request itself and decide the whole answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.scoring.conftest import Replica
from tests.scoring.replicas import replica_of

Serve = Callable[..., Replica]

HOMES = {
    "contrib": "azureml.contrib.services",
    "server": "azureml_inference_server_http.api",
}
SCRIPT = """
import json, sys
{before}
from {home}.aml_request import AMLRequest, rawhttp
from {home}.aml_response import AMLResponse

def init(): pass

@rawhttp
def run(request):
    assert isinstance(request, AMLRequest)
    return eval(request.args["do"]) if "do" in request.args else AMLResponse(request.get_data(), 200)
"""
KINDS = ["contrib", "server", "contrib without werkzeug"]


@pytest.fixture(scope="module", params=KINDS)
def raw(request: pytest.FixtureRequest) -> Iterator[Replica]:
    home, _, without = request.param.partition(" ")
    if not without:
        pytest.importorskip("werkzeug")
    before = "sys.modules['werkzeug'] = None" if without else ""
    with replica_of(SCRIPT.format(home=HOMES[home], before=before)) as replica:
        yield replica


def test_bytes_go_in_and_out_as_they_are(raw: Replica) -> None:
    body = bytes(range(256)) * 40
    answer = raw.client.post("/score", content=body)
    assert answer.content == body
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert "x-ms-run-fn-exec-ms" in answer.headers


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("request.method", "POST"),
        ("request.path", "/score"),
        ("request.headers['x-thing']", "1,2"),
        ("request.headers.get('absent', 'none')", "none"),
        ("request.args.getlist('n')", ["1", "2"]),
        ("request.args.get('n')", "1"),
        ("request.get_json()", {"a": [1]}),
        ("request.json['a']", [1]),
        ("request.is_json", True),
        ("request.data.decode()", '{"a": [1]}'),
        ("request.get_data(as_text=True)", '{"a": [1]}'),
        ("request.content_type", "application/json"),
        ("request.content_length", 10),
        ("request.host", "replica"),
        ("request.base_url", "http://replica/score"),
        ("request.url.startswith('http://replica/score?do=')", True),
        ("request.cookies.get('k')", "v"),
        ("[name for name in request.headers.keys() if name.lower().startswith('x-mlj')]", []),
    ],
)
def test_the_request_has_what_scripts_use(raw: Replica, expression: str, expected: object) -> None:
    headers = [("content-type", "application/json"), ("X-Thing", "1"), ("x-thing", "2"), ("cookie", "k=v")]
    answer = raw.client.post(
        "/score",
        params=[("do", expression), ("n", "1"), ("n", "2")],
        content=b'{"a": [1]}',
        headers=[*headers, ("x-mlj-start", "0")],
    )
    assert answer.json() == expected


def test_a_form_is_taken_apart(raw: Replica) -> None:
    answer = raw.client.post(
        "/score", params={"do": "[request.form['a'], request.form.getlist('b')]"}, data={"a": "1 &", "b": ["x", "y"]}
    )
    assert answer.json() == ["1 &", ["x", "y"]]


def test_a_get_request_reaches_run_and_options_does_not(raw: Replica) -> None:
    assert raw.client.get("/score", params={"do": "request.method"}).json() == "GET"
    assert raw.client.options("/score").status_code == 200


def test_a_request_without_a_body_has_neither_type_nor_length(raw: Replica) -> None:
    asked = "[request.content_type, request.content_length, request.mimetype, request.get_data(as_text=True)]"
    assert raw.client.get("/score", params={"do": asked}).json() == [None, None, "", ""]
    empty = raw.client.post("/score", params={"do": asked}, content=b"", headers={"content-length": "0"})
    assert empty.json() == [None, 0, "", ""]


@pytest.mark.parametrize(
    ("expression", "status", "body", "content_type"),
    [
        ("AMLResponse('text', 201)", 201, b"text", "text/html; charset=utf-8"),
        ("AMLResponse(b'\\xff\\x00', 200, {'Content-Type': 'image/jpeg'})", 200, b"\xff\x00", "image/jpeg"),
        ("AMLResponse(bytearray(b'ab'), 200, {'content-type': 'a/b'})", 200, b"ab", "a/b"),
        ("AMLResponse(['a', b'b'], 200)", 200, b"ab", "text/html; charset=utf-8"),
        ("AMLResponse({'a': 1}, 200, json_str=True)", 200, b'{"a": 1}', "application/json"),
        ("AMLResponse('text', 200, json_str=True)", 200, b'"text"', "application/json"),
        ("AMLResponse(None, 200)", 200, b"{}", "application/json"),
        ("AMLResponse('text', '202 Accepted')", 202, b"text", "text/html; charset=utf-8"),
        ("AMLResponse('gone', 404)", 404, b"gone", "text/html; charset=utf-8"),
        ("AMLResponse('', 204)", 204, b"", "text/html; charset=utf-8"),
        ("{'plain': 'result'}", 200, b'{"plain":"result"}', "application/json"),
    ],
)
def test_the_response_is_the_scripts(
    raw: Replica, expression: str, status: int, body: bytes, content_type: str
) -> None:
    answer = raw.client.post("/score", params={"do": expression})
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (status, body, content_type)


def test_header_values_with_commas_become_repeated_headers(raw: Replica) -> None:
    answer = raw.client.post("/score", params={"do": "AMLResponse('', 200, {'X-Part': 'a, b,c', 'X-One': '1'})"})
    assert answer.headers.get_list("x-part") == ["a", "b", "c"]
    assert answer.headers["x-one"] == "1"


def test_headers_can_be_changed_after_the_response_is_made(raw: Replica) -> None:
    change = "r.headers.__setitem__('Allow', 'OPTIONS'), setattr(r, 'status_code', 203)"
    script = f"(lambda r: ({change}, r)[-1])(AMLResponse('', 200))"
    answer = raw.client.post("/score", params={"do": script})
    assert (answer.status_code, answer.headers["allow"]) == (203, "OPTIONS")


@pytest.mark.parametrize(
    ("expression", "status", "failed"),
    [
        ("AMLResponse('x', 400)", 400, "False"),
        ("AMLResponse('x', 400, run_function_failed=True)", 400, "True"),
        ("AMLResponse('x', 500)", 500, "True"),
        ("AMLResponse('x', 503, run_function_failed=False)", 503, "True"),
        ("1/0", 500, "True"),
    ],
)
def test_the_header_tells_whether_run_failed(raw: Replica, expression: str, status: int, failed: str) -> None:
    answer = raw.client.post("/score", params={"do": expression})
    assert (answer.status_code, answer.headers["x-ms-run-function-failed"]) == (status, failed)


@pytest.mark.parametrize(
    "expression",
    [
        "AMLResponse('x', 200, {'X-Bad': 'a\\r\\nx-evil: 1'})",
        "AMLResponse('x', 200, {'bad name': 'a'})",
        "AMLResponse('x', 200, {'X-Bad': '\\u20ac'})",
        "AMLResponse('x', 99)",
        "AMLResponse('x', 'OK')",
        "AMLResponse({'a': 1}, 200)",
        "AMLResponse(object(), 200, json_str=True)",
    ],
)
def test_a_response_that_http_cannot_carry_is_a_500_in_json(raw: Replica, expression: str) -> None:
    answer = raw.client.post("/score", params={"do": expression})
    assert answer.status_code == 500
    assert answer.json()["message"]
    assert "x-evil" not in answer.headers


def test_the_servers_own_headers_cannot_be_set_by_a_script(raw: Replica) -> None:
    headers = "{'x-request-id': 'forged', 'Content-Length': '3', 'Transfer-Encoding': 'chunked', 'x-mlj-busy': '1'}"
    answer = raw.client.post(
        "/score", params={"do": f"AMLResponse('text', 200, {headers})"}, headers={"x-request-id": "mine"}
    )
    assert answer.text == "text"
    assert answer.headers.get_list("x-request-id") == ["mine"]
    assert answer.headers["content-length"] == "4"
    assert "x-mlj-busy" not in answer.headers


def test_a_response_object_of_flask_is_taken_as_it_is(serve: Serve) -> None:
    pytest.importorskip("werkzeug")
    script = """
    from werkzeug.wrappers import Response
    def init(): pass
    def run(data): return Response(data, status=202, headers={"X-A": "b"}, mimetype="text/csv")
    """
    answer = serve(script).score("1,2")
    assert (answer.status_code, answer.text, answer.headers["x-a"]) == (202, "1,2", "b")
    assert answer.headers["content-type"].startswith("text/csv")


def test_an_undecorated_script_may_return_a_response(serve: Serve) -> None:
    script = """
    from azureml.contrib.services.aml_response import AMLResponse
    def init(): pass
    def run(data): return AMLResponse(data, 418)
    """
    answer = serve(script).score("tea")
    assert (answer.status_code, answer.text) == (418, "tea")


def test_rawhttp_and_a_schema_exclude_each_other(launch: Serve) -> None:
    script = """
    from azureml.contrib.services.aml_request import rawhttp
    from inference_schema.schema_decorators import input_schema
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    def init(): pass
    @rawhttp
    @input_schema("data", StandardPythonParameterType(1))
    def run(data): pass
    """
    replica = launch(script)
    assert replica.wait_exit() == 3
    assert "both @rawhttp and @input_schema" in replica.log()
