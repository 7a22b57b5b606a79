"""The scripts and requests that the scoring server and azureml-inference-server-http are compared by."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field

import httpx

ORIGIN = "https://page.example"


@dataclass(frozen=True)
class Server:
    """A scoring script with the environment variables of its server."""

    script: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """One request to a server; `name` says in the differences which one it is.

    `chunked` sends the body without its length. `exact` compares the text of the answer, not the JSON value.
    """

    name: str
    server: str
    method: str = "POST"
    path: str = "/score"
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False
    exact: bool = False


# Each request to `plain` and `raw` says what to answer, so that one server is enough for many results.
SERVERS = {
    "plain": Server("""
        import collections, dataclasses, datetime, decimal, enum, json, logging, pickle, sys, uuid
        import flask, numpy, pandas
        from azureml_inference_server_http.api.aml_response import AMLResponse

        class Colour(enum.IntEnum):
            RED = 1

        class Text(str): pass

        @dataclasses.dataclass
        class Point:
            x: int

        def deep(n): return [] if n == 0 else [deep(n - 1)]

        def endless(): return endless()

        def circle():
            found = []
            found.append(found)
            return found

        def throw(error): raise error

        def nested():
            found = []
            for _ in range(100000): found = [found]
            return found

        def say(text):
            print("printed", text)
            print("printed to stderr", text, file=sys.stderr)
            sys.stdout.write("without a line end " + text)
            for level in ("debug", "info", "warning", "error"):
                getattr(logging.getLogger("of.script"), level)("logged %s %s", level, text)
                getattr(logging, level)("root %s %s", level, text)
            return text

        def init(): say("in init")

        def run(data, request_headers):
            return data[1:] if data.startswith("=") else eval(data)
    """),
    "schema": Server("""
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
    """),
    "nested": Server("""
        import datetime, numpy, pandas
        from inference_schema.schema_decorators import input_schema, output_schema
        from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
        from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
        from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

        FRAME = pandas.DataFrame({"a": [1], "b": ["x"], "c": [1.5], "t": [pandas.Timestamp("2020-01-02")]})
        PARTS = {"rows": NumpyParameterType(numpy.array([1])), "flag": StandardPythonParameterType(True)}

        def init(): pass

        @input_schema("frame", PandasParameterType(FRAME, enforce_shape=False))
        @input_schema("parts", StandardPythonParameterType(PARTS))
        @input_schema("day", StandardPythonParameterType(datetime.date(2020, 1, 2)))
        @output_schema(StandardPythonParameterType({"sums": [1.0]}))
        def run(frame, parts=None, day=None, request_headers=None):
            found = [type(frame).__name__, [str(one) for one in frame.dtypes], frame.shape]
            if parts is not None:
                found += [type(parts["rows"]).__name__, parts.get("flag")]
            return [*found, str(day), sorted(set(request_headers) & {"Content-Type"})]
    """),
    "raw": Server("""
        import flask
        from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
        from azureml_inference_server_http.api.aml_response import AMLResponse

        def init(): pass

        def parts():
            yield "one "
            yield "two"

        @rawhttp
        def run(request):
            return eval(request.args.get("do", "request.method"))
    """),
    "named": Server("""
        def init(): pass
        def run(a, b): return [a, b]
    """),
    "limited": Server(
        """
        import time

        def init(): pass

        def run(data):
            time.sleep(float(data or 0))
            return data
        """,
        {"AML_CORS_ORIGINS": f"{ORIGIN}, https://other.example", "SCORING_TIMEOUT_MS": "1000"},
    ),
}


def _result(name: str, expression: str, **more: bool) -> Request:
    return Request(name, "plain", body=expression.encode(), **more)


def _raw(name: str, expression: str, method: str = "POST", body: bytes | None = None, **headers: str) -> Request:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    path = f"/score?{httpx.QueryParams({'do': expression})}"
    return Request(f"raw {name}", "raw", method, path, body, named)


def _schema(name: str, body: bytes, server: str = "schema", content_type: str | None = "application/json") -> Request:
    headers = {} if content_type is None else {"content-type": content_type}
    return Request(f"{server} {name}", server, body=body, headers=headers)


_FORM = (
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x\r\n'
    b'Content-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\ninside\r\n--x--\r\n'
)
_MULTIPART = "multipart/form-data; boundary=x"
_FRAME = b'{"frame": [{"a": 1, "b": "y", "c": 2, "t": "2021-01-01"}]'
_ROWS = b'{"data": [[1, 2]]}'
_OTHER_METHODS = ("PUT", "HEAD", "DELETE", "PATCH", "TRACE")

RESULTS = {
    "number": "1.5",
    "list": "[1, 'two', None, True]",
    "object": "{'a': {'b': [1]}}",
    "none": "None",
    "true": "True",
    "empty text": "''",
    "unicode": "'\\u00fc \\u4e2d \\U0001f600'",
    "lone surrogate": "'\\ud800'",
    "large integer": "10 ** 30",
    "tuple": "('text', 201)",
    "nan": "[float('nan'), float('inf')]",
    "headers": "request_headers.get('Content-Length')",
    "numpy float": "numpy.float64(1.5)",
    "numpy text": "numpy.str_('a')",
    "enum": "Colour.RED",
    "subclass of text": "Text('a')",
    "ordered dict": "collections.OrderedDict(a=1)",
    "named tuple": "collections.namedtuple('T', 'a')(1)",
    "numbers as keys": "{1: 'a', 2.5: 'b', True: 'c', None: 'd'}",
    "deep": "deep(50)",
    "megabyte": "'x' * 1_000_000",
    "generator": "(part for part in ('one ', 'two'))",
    "module name": "__name__",
    "pickle": "pickle.loads(pickle.dumps(datetime.date(2020, 1, 2))).year",
    "response": "AMLResponse('text', 201)",
    "response of bytes": "AMLResponse(b'bytes', 200, {'Content-Type': 'image/jpeg'})",
    "response of JSON": "AMLResponse({'a': 1}, 200, json_str=True)",
    "response of unicode JSON": "AMLResponse({'a': '\\u00fc'}, 200, json_str=True)",
    "response of NaN": "AMLResponse([float('nan')], 200, json_str=True)",
    "response of JSON that is none": "AMLResponse(numpy.array([1]), 200, json_str=True)",
    "response of text as JSON": "AMLResponse('a', 200, json_str=True)",
    "response of unicode": "AMLResponse('\\u00fc', 200)",
    "response of None": "AMLResponse(None, 200)",
    "response of nothing": "AMLResponse('', 200)",
    "response of a list": "AMLResponse(['a', 'b'], 200)",
    "response with headers": "AMLResponse('x', 200, {'X-Part': 'a, b', 'x-request-id': 'mine'})",
    "response with headers of the server": "AMLResponse('x', 200, {'x-ms-run-fn-exec-ms': '1'})",
    "response with a number as header": "AMLResponse('x', 200, {'X-Part': 5})",
    "response with a line end in a header": "AMLResponse('x', 200, {'X-Part': 'a\\r\\nb'})",
    "response with its length": "AMLResponse('x', 200, {'Content-Length': '5'})",
    "response with a location": "AMLResponse('x', 302, {'Location': '/elsewhere'})",
    "failed response": "AMLResponse('x', 400, run_function_failed=True)",
    "response of 204": "AMLResponse('', 204)",
    "response of 304": "AMLResponse('', 304)",
    "response of 404": "AMLResponse('x', 404)",
    "response of 418": "AMLResponse('x', 418)",
    "response of 499": "AMLResponse('x', 499)",
    "response of 500": "AMLResponse('x', 500)",
    "response of 503": "AMLResponse('x', 503)",
    "response of 599": "AMLResponse('x', 599)",
    "response of a status as text": "AMLResponse('x', '201')",
    "response of a generator": "AMLResponse((part for part in ('one ', 'two')), 200)",
    "response of Flask": "flask.Response('x', 202, {'X-Part': 'a'})",
    "response of Flask by JSON": "flask.Response(json.dumps([1]), mimetype='application/json')",
    "exception": "1 / 0",
    "exception without text": "throw(ValueError())",
    "exception group": "throw(ExceptionGroup('two', [ValueError(1), KeyError(2)]))",
    "stop iteration": "throw(StopIteration())",
    "assertion": "throw(AssertionError('not so'))",
    "timeout error": "throw(TimeoutError('too long'))",
    "memory error": "throw(MemoryError())",
    "recursion": "endless()",
    "unicode error": "b'\\xff'.decode()",
    "syntax error": "1 +",
    "abort of Flask": "flask.abort(404)",
}
UNSENDABLE = {
    "array": "numpy.array([1])",
    "numpy integer": "numpy.int64(1)",
    "numpy bool": "numpy.bool_(True)",
    "list of arrays": "[numpy.array([1])]",
    "frame": "pandas.DataFrame({'a': [1]})",
    "series": "pandas.Series([1])",
    "timestamp": "pandas.Timestamp(0)",
    "bytes": "b'bytes'",
    "bytearray": "bytearray(b'bytes')",
    "set": "{1}",
    "complex": "1j",
    "date": "datetime.date(2020, 1, 2)",
    "decimal": "decimal.Decimal('1.5')",
    "uuid": "uuid.UUID(int=1)",
    "data class": "Point(1)",
    "tuples as keys": "{(1, 2): 'a'}",
    "numpy keys": "{numpy.int64(1): 'a'}",
    "class": "Point",
    "function": "run",
    "object without JSON": "object()",
    "circle": "circle()",
    "too deep": "nested()",
    "iterator": "iter([1, 2])",
    "class of responses": "AMLResponse",
}
EXITS = {
    "generator exit": "throw(GeneratorExit())",
    "base exception": "throw(BaseException('base'))",
    "system exit": "exit(1)",
    "system exit of nothing": "throw(SystemExit())",
    "keyboard interrupt": "throw(KeyboardInterrupt())",
}
MISTAKES = {
    "of a dict": "AMLResponse({'a': 1}, 200)",
    "of a number": "AMLResponse(5, 200)",
    "with a header beyond Latin-1": "AMLResponse('x', 200, {'X-Part': '\\u4e2d'})",
    "of no status": "AMLResponse('x', 'abc')",
    "of 99": "AMLResponse('x', 99)",
    "of 1000": "AMLResponse('x', 1000)",
}
_KINDS = {"result": RESULTS, "unsendable": UNSENDABLE, "exit": EXITS, "mistaken response": MISTAKES}

REQUESTS = [
    Request("health", "plain", "GET", "/"),
    Request("health with a query", "plain", "GET", "/?a=1"),
    *(Request(f"health by {method}", "plain", method, "/") for method in ("HEAD", "POST", "OPTIONS", "PUT")),
    Request("unknown path", "plain", "GET", "/nothing"),
    *(Request(f"path {path}", "plain", "POST", path, b"1") for path in ("/score/", "/SCORE", "/score/x")),
    Request("path with escapes", "plain", "POST", "/%73core", b"1"),
    *(Request(f"method {method}", "plain", method) for method in _OTHER_METHODS),
    Request("options", "plain", "OPTIONS"),
    Request("options of swagger", "plain", "OPTIONS", "/swagger.json"),
    Request("text", "plain", body=b"=hello"),
    Request("text that is not JSON", "plain", body=b"={", headers={"content-type": "application/json"}),
    Request("body without content type", "plain", body=b"=", headers={}),
    Request("body with another content type", "plain", body=b"=x", headers={"content-type": "image/png"}),
    Request("body in chunks", "plain", body=b"=x", chunked=True),
    Request("body with a byte order mark", "plain", body=b"=\xef\xbb\xbfx"),
    Request("body with zeros", "plain", body=b"=\x00\x01"),
    Request("body in unicode", "plain", body="=ü 中 😀".encode()),
    Request("body in Latin-1", "plain", body=b"=\xe9", headers={"content-type": "text/plain; charset=latin-1"}),
    Request("large body", "plain", body=b"len(data) #" + b"x" * 2_000_000),
    Request("form of parts as text", "plain", body=b"=" + _FORM, headers={"content-type": _MULTIPART}),
    Request("form as text", "plain", body=b"=x", headers={"content-type": "application/x-www-form-urlencoded"}),
    Request("gzip", "plain", body=gzip.compress(b"'unpacked'", mtime=0), headers={"content-encoding": "gzip"}),
    Request("deflate", "plain", body=zlib.compress(b"'unpacked'"), headers={"content-encoding": "deflate"}),
    Request("identity", "plain", body=b"'as it is'", headers={"content-encoding": "identity"}),
    Request("unknown coding", "plain", body=b"'as it is'", headers={"content-encoding": "br"}),
    Request("compressed text", "plain", body=gzip.compress(b"=x", mtime=0), headers={"content-encoding": "gzip"}),
    Request("request of Flask as text", "plain", body=b"flask.request.method"),
    Request("empty body of text", "limited", body=b""),
    Request("no body", "limited", "POST"),
    Request("no text", "plain", body=b"\xff\xfe"),
    Request("query", "plain", "GET", "/score?a=1&a=x&b=%5B2%5D&c="),
    Request("query that is odd", "plain", "GET", "/score?a=%ff&b&c=1.0&d=null&e=%22x%22&f=+x&g=1;h=2"),
    Request("query of a post", "plain", "POST", "/score?a=1", b"=x"),
    Request("get with a body", "plain", "GET", "/score", b"=x"),
    Request("get without anything", "limited", "GET", "/score"),
    Request("ids", "plain", body=b"1", headers={"x-request-id": "one", "x-ms-client-request-id": "two"}),
    Request("legacy id", "plain", body=b"1", headers={"x-ms-request-id": "three", "traceid": "four"}),
    Request("both ids", "plain", body=b"1", headers={"x-request-id": "one", "x-ms-request-id": "three"}),
    Request("long id", "plain", body=b"1", headers={"x-request-id": "i" * 101}),
    Request("id of 100 characters", "plain", body=b"1", headers={"x-request-id": "i" * 100}),
    Request("long client id", "plain", body=b"1", headers={"x-ms-client-request-id": "i" * 101}),
    Request("empty id", "plain", body=b"1", headers={"x-request-id": ""}),
    Request("id beyond ASCII", "plain", body=b"1", headers={"x-request-id": "\u00e9"}),
    Request("ids of health", "plain", "GET", "/", headers={"x-request-id": "one"}),
    Request("ids of an unknown path", "plain", "GET", "/nothing", headers={"x-request-id": "one", "traceid": "t"}),
    Request("ids of a failure", "plain", body=b"1 / 0", headers={"x-request-id": "one", "traceid": "t"}),
    Request(
        "headers of a script",
        "plain",
        body=b"{n: v for n, v in request_headers.items() if n.startswith(('X-', 'Trace', 'Cookie', 'Content-Type'))}",
        headers={
            "x-mine": "a",
            "X-UPPER-case": "b",
            "x_under": "c",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "tracestate": "a=1",
            "cookie": "c=1; d=2",
            "content-type": "text/plain",
        },
    ),
    Request(
        "traced", "plain", body=b"1", headers={"traceparent": f"00-{'4b' * 16}-{'f0' * 8}-01", "tracestate": "a=1"}
    ),
    *(_result(f"{kind} {name}", expression) for kind, found in _KINDS.items() for name, expression in found.items()),
    _result("result layout", "{'a': [1, 2]}", exact=True),
    _schema("body", b'{"data": [[1, 2]], "note": "n"}'),
    Request("empty body", "schema", body=b"", headers={"content-type": "application/json"}),
    _schema("default", b'{"data": [[1, 2]], "more": 1}'),
    _schema("missing", b'{"note": "n"}'),
    _schema("no object", b"[1]"),
    _schema("null", b"null"),
    _schema("no JSON", b"{"),
    _schema("no text", b"\xff\xfe"),
    _schema("NaN", b'{"data": [[NaN, 1]]}'),
    _schema("twice the same", b'{"data": [[1, 2]], "note": "a", "note": "b"}'),
    _schema("shape", b'{"data": [[1, 2, 3]]}'),
    _schema("text for numbers", b'{"data": [["a", "b"]]}'),
    _schema("another type", b'{"data": [[1, 2]], "note": 5}'),
    _schema("null for a parameter", b'{"data": null}'),
    _schema("many rows", b'{"data": [[1, 2], [3, 4]]}'),
    _schema("byte order mark", b"\xef\xbb\xbf" + _ROWS),
    _schema("UTF-16", _ROWS.decode().encode("utf-16")),
    *(
        _schema(f"content type {one}", _ROWS, content_type=one)
        for one in (
            *("text/plain", "application/json; charset=utf-8", "APPLICATION/JSON", "text/json", "application/a+json"),
            *("application/x-www-form-urlencoded", "", "application/jsonx", _MULTIPART),
        )
    ),
    _schema("without content type", _ROWS, content_type=None),
    Request("schema query", "schema", "GET", "/score?data=%5B%5B1,2%5D%5D&note=n"),
    Request("schema query without", "schema", "GET", "/score"),
    Request("schema options", "schema", "OPTIONS"),
    _schema("frame", _FRAME + b"}", "nested"),
    _schema("all parts", _FRAME + b', "parts": {"rows": [1, 2], "flag": false}, "day": "2020-05-06"}', "nested"),
    _schema("frame of many rows", _FRAME[:-1] + b', {"a": 2, "b": "", "c": null, "t": null}]}', "nested"),
    _schema("frame without a column", b'{"frame": [{"a": 1}]}', "nested"),
    _schema("frame of lists", b'{"frame": [[1, "x", 1.5, "2021-01-01"]]}', "nested"),
    _schema("frame of no rows", b'{"frame": []}', "nested"),
    _schema("frame of a wrong type", b'{"frame": [{"a": "x", "b": 1, "c": 2, "t": "2021-01-01"}]}', "nested"),
    _schema("frame by its split", b'{"frame": {"columns": ["a"], "data": [[1]]}}', "nested"),
    _schema("part missing", _FRAME + b', "parts": {"flag": true}}', "nested"),
    _schema("day of no date", _FRAME + b', "day": "soon"}', "nested"),
    Request("named", "named", body=b'{"a": 1, "b": 2}', headers={"content-type": "application/json"}),
    *(
        Request(f"swagger {version} of {server}", server, "GET", f"/swagger.json{query}")
        for server in ("plain", "schema", "nested")
        for version, query in (("default", ""), ("2.0", "?version=2.0"), ("3", "?version=3"), ("3.1", "?version=3.1"))
    ),
    Request("swagger of no version", "plain", "GET", "/swagger.json?version=9"),
    Request("swagger by POST", "plain", "POST", "/swagger.json"),
    _raw("method", "request.method", "GET"),
    _raw("options", "request.method", "OPTIONS"),
    *(_raw(f"by {method}", "request.method", method) for method in _OTHER_METHODS),
    _raw("without body", "[request.content_type, request.content_length, request.mimetype]", "GET"),
    _raw("empty body", "[request.content_length, request.get_data(as_text=True)]", body=b""),
    _raw(
        "body",
        "[request.content_type, request.content_length, request.get_json()]",
        body=b"[1]",
        content_type="application/json",
    ),
    _raw("data", "[request.data.decode(), request.get_data(as_text=True)]", body=b"x"),
    _raw("bytes", "list(request.get_data())", body=b"\x00\xff"),
    _raw("stream of the body", "request.stream.read().decode()", body=b"x"),
    _raw("JSON", "[request.is_json, request.json]", body=b"[1]", content_type="application/json"),
    _raw("JSON that is none", "request.get_json()", body=b"{", content_type="application/json"),
    _raw("JSON of another type", "request.get_json()", body=b"[1]", content_type="text/plain"),
    _raw("JSON silently", "request.get_json(silent=True)", body=b"{", content_type="application/json"),
    _raw("JSON by force", "request.get_json(force=True)", body=b"[1]"),
    _raw("form", "request.form['a']", body=b"a=1", content_type="application/x-www-form-urlencoded"),
    _raw(
        "form of many",
        "[request.form.getlist('a'), request.form.to_dict(), request.values['a']]",
        body=b"a=1&a=2&b=%C3%BC",
        content_type="application/x-www-form-urlencoded",
    ),
    _raw("form without", "request.form['b']", body=b"a=1", content_type="application/x-www-form-urlencoded"),
    _raw(
        "multipart",
        "[request.form['a'], request.files['f'].filename, request.files['f'].read().decode()]",
        body=_FORM,
        content_type=_MULTIPART,
    ),
    _raw(
        "headers", "[request.headers.get('x-mine'), request.headers['X-Mine'], 'X-No' in request.headers]", x_mine="a"
    ),
    _raw("cookies", "request.cookies", cookie="c=1; d=2"),
    _raw("args", "[request.args.get('no'), request.args.getlist('do')[0][:8], len(request.query_string) > 0]"),
    _raw("user agent", "str(request.user_agent)", user_agent="mine"),
    _raw("accepts", "[request.accept_mimetypes.best, 'application/json' in request.accept_mimetypes]", accept="a/b"),
    _raw(
        "authorization", "[request.authorization.username, request.authorization.password]", authorization="Basic YTpi"
    ),
    _raw("encoding", "[request.content_encoding, request.mimetype_params]", content_type="text/plain; charset=x"),
    _raw("host", "[request.host, request.host_url, request.root_path, request.is_secure]", host="a.example:5"),
    _raw("address", "isinstance(request.remote_addr, str)"),
    _raw("stream", "AMLResponse(parts(), 200)"),
    _raw("class", "isinstance(request, AMLRequest)"),
    _raw("class of Flask", "isinstance(request, flask.Request)"),
    _raw("request of Flask", "flask.request.method"),
    _raw("exception", "1 / 0"),
    _raw("path", "[request.path, request.full_path.partition('?')[0], request.scheme]"),
    Request("allowed origin", "limited", body=b"0", headers={"origin": ORIGIN}),
    Request("second allowed origin", "limited", body=b"0", headers={"origin": "https://other.example"}),
    Request("another origin", "limited", body=b"0", headers={"origin": "https://evil.example"}),
    Request("no origin", "limited", body=b"0"),
    Request("allowed origin at an error", "limited", body=b"x", headers={"origin": ORIGIN}),
    Request("allowed origin at health", "limited", "GET", "/", headers={"origin": ORIGIN}),
    Request(
        "preflight",
        "limited",
        "OPTIONS",
        headers={
            "origin": ORIGIN,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        },
    ),
    Request(
        "preflight of another origin",
        "limited",
        "OPTIONS",
        headers={"origin": "https://evil.example", "access-control-request-method": "POST"},
    ),
    Request("in time", "limited", body=b"0.01"),
    Request("too late", "limited", body=b"3"),
]

HEADERS = (
    *("content-type", "x-request-id", "x-ms-request-id", "x-ms-client-request-id", "x-ms-run-function-failed"),
    *("x-ms-run-fn-exec-ms", "traceid", "x-part", "allow", "location", "vary", "traceparent"),
    *("access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers"),
    *("access-control-allow-credentials", "access-control-expose-headers", "access-control-max-age"),
)

SAID = (
    *("printed in init", "printed to stderr in init", "without a line end in init"),
    *(f"{who} {level} in init" for who in ("logged", "root") for level in ("debug", "info", "warning", "error")),
)
"""What the script `plain` writes in `init()`: it is in a server's log, or not."""

_SCHEMA = """
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
"""
_RAW = "from azureml_inference_server_http.api.aml_request import rawhttp\n"
_INIT = "def init(): pass\n"
_RUN = "def run(data): return data\n"
STARTS = {
    "usual": _INIT + _RUN,
    "of an empty file": "",
    "without run": _INIT,
    "without init": _RUN,
    "with a wrong syntax": "def init(:",
    "with a missing import": "import no_such_module\n" + _INIT + _RUN,
    "that exits at import": "raise SystemExit(0)\n",
    "that raises in init": "def init(): 1 / 0\n" + _RUN,
    "that exits in init": "def init(): exit(0)\n" + _RUN,
    "that is interrupted in init": "def init(): raise KeyboardInterrupt\n" + _RUN,
    "whose init returns a value": "def init(): return 5\n" + _RUN,
    "whose init takes a parameter": "def init(a): pass\n" + _RUN,
    "whose init is a coroutine": "async def init(): pass\n" + _RUN,
    "whose run is no function": _INIT + "run = 5\n",
    "whose run is a lambda": _INIT + "run = lambda data: data\n",
    "whose run is an object": _INIT + "class R:\n  def __call__(self, data): return data\nrun = R()\n",
    "without parameters": _INIT + "def run(): pass\n",
    "with headers only": _INIT + "def run(request_headers): pass\n",
    "with stars": _INIT + "def run(*data): pass\n",
    "with double stars": _INIT + "def run(data, **more): pass\n",
    "with a positional parameter": _INIT + "def run(data, /): pass\n",
    "with a keyword parameter": _INIT + "def run(*, data): pass\n",
    "with two parameters": _INIT + "def run(a, b): pass\n",
    "with rawhttp and schema": _RAW + _SCHEMA + _INIT + "@rawhttp\n@input_schema('data', "
    "StandardPythonParameterType('a'))\n" + _RUN,
    "with a schema of another parameter": _SCHEMA
    + _INIT
    + "@input_schema('other', StandardPythonParameterType('a'))\n"
    + _RUN,
    "with Spark, which is missing": "from inference_schema.parameter_types.spark_parameter_type import "
    "SparkParameterType\n" + _INIT + _RUN,
    "with a driver module": "import types\ndriver_module = types.ModuleType('d')\ndriver_module.__file__ = 'd.py'\n"
    "driver_module.run = lambda data: data\n" + _INIT + "def run(*data): pass\n",
    "that prints what cannot be encoded": _INIT.replace("pass", "print('\\ud800')") + _RUN,
    "with null bytes": "def init(): pass\n\x00",
    "in Latin-1 without saying so": "x = '\udce9'\n" + _INIT + _RUN,
    "in Latin-1": "# -*- coding: latin-1 -*-\nx = '\udce9'\n" + _INIT + _RUN,
    "with a byte order mark": "\ufeff" + _INIT + _RUN,
    "with a data class of annotations as text": "from __future__ import annotations\nimport dataclasses\n"
    "@dataclasses.dataclass\nclass A:\n    x: int\n" + _INIT + _RUN,
    "that changes the directory": "import os\nos.chdir('/')\n" + _INIT + _RUN,
}
"""Scripts that start, or do not."""

_PACKAGE = {"score/__init__.py": "", "score/helpers.py": "VALUE = 9\n"}
NAMES: dict[str, tuple[str, str, dict[str, str]]] = {
    "in a package of its name": ("score/score.py", "from score.helpers import VALUE", _PACKAGE),
    "beside a package of its name": ("score.py", "from score.helpers import VALUE", _PACKAGE),
    "beside conda.py": ("score.py", "import conda", {"conda.py": "", "mljupyter.py": ""}),
    "joblib.py": ("joblib.py", "import joblib; joblib.hash", {}),
    "numpy.py": ("numpy.py", "import numpy; numpy.array", {}),
    "requests.py": ("requests.py", "import requests; requests.Session", {}),
    "json.py": ("json.py", "import json; json.dumps", {}),
    "types.py": ("types.py", "import types; types.ModuleType", {}),
    "flask.py": ("flask.py", "import flask; flask.Flask", {}),
    "entry_module.py": ("entry_module.py", "import json", {}),
    "beside entry_module.py": ("json.py", "import entry_module; entry_module.VALUE", {"entry_module.py": "VALUE = 1"}),
    "with a helper": ("code/score.py", "from code_helper import VALUE", {"code_helper.py": "VALUE = 1"}),
    "with a helper of the library's name": ("score.py", "import random; random.random()", {"random.py": "1 / 0"}),
    "a relative import": ("score/score.py", "from . import helpers", _PACKAGE),
    "with dashes": ("my-score.py", "import json", {}),
    "with dots": ("my.score.py", "import json", {}),
    "a number": ("1.py", "import json", {}),
}
"""Scripts by their names: the entry script, its first statement, and the files beside it."""
