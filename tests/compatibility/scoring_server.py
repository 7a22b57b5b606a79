"""The comparison of the scoring server with azureml-inference-server-http 1.5.1: the same requests, the same scripts.

The answers of the original are in a file, so that a test needs nothing of Azure. To record them again, with an
interpreter whose environment has the package, inference-schema, NumPy and flask-cors:

    python -m tests.compatibility.scoring_server PYTHON
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import tomllib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent
RECORD = HERE / "scoring-server-1.5.1.json"
DIFFERENCES = HERE / "scoring-server-differences.toml"
_START_SECONDS = 60.0

# Each request to `plain` and `raw` says what to answer, so that one server is enough for many results.
SCRIPTS = {
    "plain": """
        import json
        import numpy
        from azureml_inference_server_http.api.aml_response import AMLResponse

        def init(): pass

        def run(data, request_headers):
            return data[1:] if data.startswith("=") else eval(data)
    """,
    "schema": """
        import numpy
        from inference_schema.schema_decorators import input_schema, output_schema
        from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
        from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

        def init(): pass

        @input_schema("data", NumpyParameterType(numpy.array([[1.0, 2.0]])))
        @input_schema("note", StandardPythonParameterType("text"))
        @output_schema(NumpyParameterType(numpy.array([1.0])))
        def run(data, note="none"):
            return [data.sum().item(), note]
    """,
    "raw": """
        from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
        from azureml_inference_server_http.api.aml_response import AMLResponse

        def init(): pass

        def parts():
            yield "one "
            yield "two"

        @rawhttp
        def run(request):
            return eval(request.args.get("do", "request.method"))
    """,
    "named": """
        def init(): pass
        def run(a, b): return [a, b]
    """,
}


@dataclass(frozen=True)
class Request:
    """One request to the server of a script; `name` says in the differences which one it is."""

    name: str
    script: str
    method: str = "POST"
    path: str = "/score"
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def _result(name: str, expression: str) -> Request:
    return Request(f"result {name}", "plain", body=expression.encode())


def _raw(name: str, expression: str, method: str = "POST", body: bytes | None = None, **headers: str) -> Request:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    path = f"/score?{httpx.QueryParams({'do': expression})}"
    return Request(f"raw {name}", "raw", method, path, body, named)


_JSON = {"content-type": "application/json"}
REQUESTS = [
    Request("health", "plain", "GET", "/"),
    Request("unknown path", "plain", "GET", "/nothing"),
    Request("wrong method", "plain", "PUT"),
    Request("options", "plain", "OPTIONS"),
    Request("text", "plain", body=b"=hello"),
    Request("empty body", "schema", body=b"", headers=_JSON),
    Request("no text", "plain", body=b"\xff\xfe"),
    Request("gzip", "plain", body=gzip.compress(b"'unpacked'", mtime=0), headers={"content-encoding": "gzip"}),
    Request("deflate", "plain", body=zlib.compress(b"'unpacked'"), headers={"content-encoding": "deflate"}),
    Request("identity", "plain", body=b"'as it is'", headers={"content-encoding": "identity"}),
    Request("unknown coding", "plain", body=b"'as it is'", headers={"content-encoding": "br"}),
    Request("query", "plain", "GET", "/score?a=1&a=x&b=%5B2%5D&c="),
    Request("ids", "plain", body=b"1", headers={"x-request-id": "one", "x-ms-client-request-id": "two"}),
    Request("legacy id", "plain", body=b"1", headers={"x-ms-request-id": "three", "traceid": "four"}),
    Request("long id", "plain", body=b"1", headers={"x-request-id": "i" * 101}),
    _result("number", "1.5"),
    _result("list", "[1, 'two', None, True]"),
    _result("object", "{'a': {'b': [1]}}"),
    _result("none", "None"),
    _result("nan", "[float('nan'), float('inf')]"),
    _result("headers", "request_headers.get('Content-Length')"),
    _result("array", "numpy.array([1])"),
    _result("numpy float", "numpy.float64(1.5)"),
    _result("object without JSON", "object()"),
    _result("exception", "1 / 0"),
    _result("system exit", "exit(1)"),
    _result("response", "AMLResponse('text', 201)"),
    _result("response of bytes", "AMLResponse(b'bytes', 200, {'Content-Type': 'image/jpeg'})"),
    _result("response of JSON", "AMLResponse({'a': 1}, 200, json_str=True)"),
    _result("response of None", "AMLResponse(None, 200)"),
    _result("response of a dict", "AMLResponse({'a': 1}, 200)"),
    _result("response of a number", "AMLResponse(5, 200)"),
    _result("response with headers", "AMLResponse('x', 200, {'X-Part': 'a, b', 'x-request-id': 'mine'})"),
    _result("failed response", "AMLResponse('x', 400, run_function_failed=True)"),
    _result("response of 500", "AMLResponse('x', 500)"),
    _result("response of a generator", "AMLResponse((part for part in ('one ', 'two')), 200)"),
    _result("generator", "(part for part in ('one ', 'two'))"),
    Request("schema", "schema", body=b'{"data": [[1, 2]], "note": "n"}', headers=_JSON),
    Request("schema default", "schema", body=b'{"data": [[1, 2]], "more": 1}', headers=_JSON),
    Request("schema other type", "schema", body=b'{"data": [[1, 2]]}', headers={"content-type": "text/plain"}),
    Request("schema missing", "schema", body=b'{"note": "n"}', headers=_JSON),
    Request("schema no object", "schema", body=b"[1]", headers=_JSON),
    Request("schema no JSON", "schema", body=b"{", headers=_JSON),
    Request("schema no text", "schema", body=b"\xff\xfe", headers=_JSON),
    Request("schema shape", "schema", body=b'{"data": [[1, 2, 3]]}', headers=_JSON),
    Request("schema query", "schema", "GET", "/score?data=%5B%5B1,2%5D%5D&note=n"),
    Request("named", "named", body=b'{"a": 1, "b": 2}', headers=_JSON),
    *(
        Request(f"swagger {version} of {script}", script, "GET", f"/swagger.json{query}")
        for script in ("plain", "schema")
        for version, query in (("default", ""), ("2.0", "?version=2.0"), ("3", "?version=3"), ("3.1", "?version=3.1"))
    ),
    Request("swagger of no version", "plain", "GET", "/swagger.json?version=9"),
    _raw("method", "request.method", "GET"),
    _raw("options", "request.method", "OPTIONS"),
    _raw("without body", "[request.content_type, request.content_length, request.mimetype]", "GET"),
    _raw("empty body", "[request.content_length, request.get_data(as_text=True)]", body=b""),
    _raw(
        "body",
        "[request.content_type, request.content_length, request.get_json()]",
        body=b"[1]",
        content_type="application/json",
    ),
    _raw("form", "request.form['a']", body=b"a=1", content_type="application/x-www-form-urlencoded"),
    _raw(
        "multipart",
        "[request.form['a'], request.files['f'].filename, request.files['f'].read().decode()]",
        body=b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x\r\n'
        b'Content-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\ninside\r\n--x--\r\n',
        content_type="multipart/form-data; boundary=x",
    ),
    _raw("stream", "AMLResponse(parts(), 200)"),
    _raw("class", "isinstance(request, AMLRequest)"),
    _raw("path", "[request.path, request.full_path.partition('?')[0], request.scheme]"),
]
_HEADERS = (
    *("content-type", "x-request-id", "x-ms-request-id", "x-ms-client-request-id", "x-ms-run-function-failed"),
    *("x-ms-run-fn-exec-ms", "traceid", "x-part", "allow"),
)
Answers = dict[str, dict[str, Any]]


def ask(client: httpx.Client, request: Request) -> dict[str, Any]:
    """Send a request and return the answer in a form that can be compared: status, headers, body."""
    with client.stream(request.method, request.path, content=request.body, headers=request.headers) as answer:
        content = answer.read()
    found = {name: ", ".join(answer.headers.get_list(name)) for name in _HEADERS if name in answer.headers}
    for name, value in found.items():
        if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value):
            found[name] = "generated"
        elif name.endswith("-ms"):
            found[name] = "a number"
        elif name == "allow":
            found[name] = ", ".join(sorted(value.split(", ")))
    chunked = {"length": "chunked" if "transfer-encoding" in answer.headers else "known"}
    return {"status": answer.status_code, "body": _body(content, answer.status_code), **chunked, **found}


def _body(content: bytes, status: int) -> Any:
    try:
        found = json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")
    if status >= 400 and isinstance(found, dict) and isinstance(found.get("message"), str):
        return dict.fromkeys(found, "a text")
    if isinstance(found, dict) and "paths" in found:
        return dict(_leaves(_without_wording(found)))
    return found


def _without_wording(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_wording(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {name: "a text" if name == "description" else _without_wording(one) for name, one in value.items()}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the members of a document by their paths."""
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for name, member in value.items():
        yield from _leaves(member, f"{path}.{name}" if path else name)


def differences(theirs: Answers, ours: Answers) -> dict[str, tuple[Any, Any]]:
    """Return what differs: the request's name and the part of the answer, with both values; None for absent."""
    found = {}
    for name, answer in theirs.items():
        mine = ours[name]
        for part in {**answer, **mine}:
            pair = answer.get(part), mine.get(part)
            if all(isinstance(one, dict) for one in pair):
                for leaf in {**pair[0], **pair[1]}:
                    both = pair[0].get(leaf), pair[1].get(leaf)
                    if both[0] != both[1]:
                        found[f"{name}: {part} {leaf}"] = both
            elif pair[0] != pair[1]:
                found[f"{name}: {part}"] = pair
    return found


def unexplained(found: dict[str, tuple[Any, Any]]) -> tuple[dict[str, tuple[Any, Any]], list[str]]:
    """Return the differences without a reason, and the patterns of reasons without a difference."""
    patterns = [one for entry in tomllib.loads(DIFFERENCES.read_text())["difference"] for one in entry["names"]]
    without = {name: pair for name, pair in found.items() if not any(fnmatchcase(name, one) for one in patterns)}
    return without, [one for one in patterns if not any(fnmatchcase(name, one) for name in found)]


def answers(serve: Callable[[str], Any]) -> Answers:
    """Return the answers to all requests; `serve` returns a context with a client for the server of a script."""
    found: Answers = {}
    for script, text in SCRIPTS.items():
        with serve(textwrap.dedent(text)) as client:
            found |= {one.name: ask(client, one) for one in REQUESTS if one.script == script}
    return found


@contextmanager
def original(python: str, text: str) -> Iterator[httpx.Client]:
    """Serve a script with the original, in the environment of an interpreter."""
    with tempfile.TemporaryDirectory() as place, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.close()
        (Path(place) / "score.py").write_text(text)
        command = [python, "-m", "azureml_inference_server_http", "--entry_script", "score.py", "--port", str(port)]
        process = subprocess.Popen([*command, "--model_dir", "."], cwd=place)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_START_SECONDS) as client:
                deadline = time.monotonic() + _START_SECONDS
                while True:
                    try:
                        client.get("/")
                        break
                    except httpx.TransportError:
                        if time.monotonic() > deadline:
                            raise
                        time.sleep(0.2)
                yield client
        finally:
            process.terminate()
            process.wait()


def main(python: str) -> None:
    """Record the answers of the original."""
    found = answers(lambda text: original(python, text))
    RECORD.write_text(json.dumps(found, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
