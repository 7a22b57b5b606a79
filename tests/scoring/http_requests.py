"""Requests as bytes, and the exact answers that a replica gives: names, order and case of headers included.

``python -m tests.scoring.http_requests`` asks a replica of this tree and writes `http_answers.json`. Read the
differences before they are committed: each is a change that clients can see.
"""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

from tests.scoring.conftest import Replica
from tests.scoring.replicas import replica_of
from tests.waiting import HANG_SECONDS

ANSWERS = Path(__file__).with_name("http_answers.json")

SCRIPT = """
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse

def init(): pass

def pieces(count):
    for number in range(count):
        yield b"piece %d " % number

@rawhttp
def run(request):
    body = request.get_data()
    kind = body.decode("latin-1")
    if kind == "stream":
        return AMLResponse(pieces(1), 200)  # how several arrive depends on time
    if kind.isdigit():
        return AMLResponse("body of the script", int(kind), {"X-Own": "value", "x-more": "1, 2"})
    if kind == "raise":
        raise ValueError("no")
    return {
        "method": request.method,
        "query": request.args.to_dict() if hasattr(request.args, "to_dict") else dict(request.args),
        "headers": sorted([name, value] for name, value in request.headers.items()),
        "body": kind[:100],
        "size": len(body),
    }
"""
FLAGS = ("--max-body-bytes", "300000", "--max-header-bytes", "8000", "--idle-timeout", "2")
ENVIRONMENT = {"SERVICE_NAME": "iris"}
_ID = b"x-request-id: given\r\n"
_HOST = b"host: h\r\n"


def post(body: bytes, *headers: bytes, path: bytes = b"/score", version: bytes = b"1.1") -> bytes:
    """Return a POST request."""
    lines = b"".join(line + b"\r\n" for line in headers)
    start = b"POST %b HTTP/%b\r\n%b%b%b" % (path, version, _HOST, _ID, lines)
    return start + b"content-length: %d\r\n\r\n%b" % (len(body), body)


def get(path: bytes, *headers: bytes, method: bytes = b"GET", version: bytes = b"1.1", ids: bytes = _ID) -> bytes:
    """Return a request without a body."""
    lines = b"".join(line + b"\r\n" for line in headers)
    return b"%b %b HTTP/%b\r\n%b%b%b\r\n" % (method, path, version, _HOST, ids, lines)


_CHUNKED = b"POST /score HTTP/1.1\r\n" + _HOST + _ID + b"transfer-encoding: chunked\r\n\r\n"
_LAST = get(b"/", b"connection: close")
_PATHS = (
    b"/",
    b"/?alive",
    b"/score",
    b"/swagger.json",
    b"/swagger.json?version=3",
    b"/swagger.json?version=9",
    b"/nothing",
)
_INFERENCE = (b"/v2", b"/v2/health/live", b"/v2/health/ready", b"/v2/models/iris", b"/v2/models/other", b"/v2/nothing")
_READING = (b"GET", b"HEAD", b"OPTIONS")
_OTHERS = (b"POST", b"PUT", b"DELETE", b"PATCH", b"TRACE")

# Each case is what a client sends before it reads to the end. `_LAST` asks for the end.
CASES: dict[str, bytes] = {
    **{
        f"{method.decode()} {path.decode()}": get(path, method=method) + _LAST for method in _READING for path in _PATHS
    },
    **{
        f"{method.decode()} {path.decode()}": get(path, method=method) + _LAST
        for method in _OTHERS
        for path in _PATHS[1:3]
    },
    "CONNECT /score": get(b"/score", method=b"CONNECT") + _LAST,
    **{f"GET {path.decode()}": get(path) + _LAST for path in _INFERENCE},
    **{f"HEAD {path.decode()}": get(path, method=b"HEAD") + _LAST for path in _INFERENCE[:3]},
    "an absolute URL": get(b"http://h/score?a=1") + _LAST,
    "a quoted path": get(b"/sc%6Fre?a=%20&a=2#f") + _LAST,
    "a path that is not UTF-8": get(b"/%ff%fe") + _LAST,
    "a path with a NUL": get(b"/%00") + _LAST,
    "two slashes": get(b"//score") + _LAST,
    "a star": get(b"*", method=b"OPTIONS") + _LAST,
    "a query without a value": get(b"/score?") + _LAST,
    "a body": post(b"hello") + _LAST,
    "an empty body": post(b"") + _LAST,
    "no length": b"POST /score HTTP/1.1\r\n" + _HOST + _ID + b"\r\n" + _LAST,
    "a large body": post(b"x" * 250_000) + _LAST,
    "a body over the limit": post(b"x" * 300_001) + _LAST,
    "a body of chunks": _CHUNKED + b"3\r\nabc\r\n4;name=value\r\ndefg\r\n0\r\n\r\n" + _LAST,
    "chunks over the limit": _CHUNKED + b"493e1\r\n" + b"x" * 0x493E1 + b"\r\n0\r\n\r\n" + _LAST,
    "a chunk without a size": _CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n" + _LAST,
    "a length and chunks": post(b"abc", b"transfer-encoding: chunked") + _LAST,
    "two lengths": post(b"abc", b"content-length: 3") + _LAST,
    "different lengths": post(b"abc", b"content-length: 4") + _LAST,
    "a negative length": post(b"", b"content-length: -1") + _LAST,
    "another transfer coding": post(b"abc", b"transfer-encoding: gzip") + _LAST,
    "expects 100-continue": post(b"hello", b"Expect: 100-Continue") + _LAST,
    "expects 100-continue, too large": post(b"x" * 300_001, b"expect: 100-continue") + _LAST,
    "expects 100-continue, no such path": post(b"hello", b"expect: 100-continue", path=b"/nothing") + _LAST,
    "an unknown content coding": post(b"hello", b"content-encoding: br") + _LAST,
    "two content codings": post(b"hello", b"content-encoding: gzip", b"content-encoding: gzip") + _LAST,
    "damaged gzip": post(b"hello", b"content-encoding: gzip") + _LAST,
    "identity": post(b"hello", b"content-encoding: identity") + _LAST,
    "repeated headers": post(b"hello", b"X-A: 1", b"x-a: 2", b"accept: text/html", b"Accept: text/plain") + _LAST,
    "private headers": post(b"hello", b"x-mlj-other: 1", b"x-mlj-start: 12.5") + _LAST,
    "a start that is no number": post(b"hello", b"x-mlj-start: soon") + _LAST,
    "bytes in a header": post(b"hello", b"x-a: \xc3\xa4\xff") + _LAST,
    "spaces around a value": post(b"hello", b"x-a:  \t b \t ") + _LAST,
    "an empty header": post(b"hello", b"x-a:") + _LAST,
    "a folded header": post(b"hello", b"x-a: 1\r\n 2") + _LAST,
    "a space before the colon": post(b"hello", b"x-a : 1") + _LAST,
    "a NUL in a header": post(b"hello", b"x-a: 1\x002") + _LAST,
    "a bare line feed": post(b"hello", b"x-a: 1\nx-b: 2") + _LAST,
    "a bare carriage return": post(b"hello", b"x-a: 1\rx-b: 2") + _LAST,
    "all ids": post(b"hello", b"x-ms-request-id: old", b"x-ms-client-request-id: client", b"traceid: trace") + _LAST,
    "an id that cannot be printed": post(b"hello", b"x-ms-client-request-id: \x80") + _LAST,
    "a long id": post(b"hello", b"x-ms-client-request-id: " + b"i" * 101) + _LAST,
    "no id": get(b"/score", ids=b"") + _LAST,
    "HTTP/1.0": post(b"hello", version=b"1.0"),
    "HTTP/1.0, keep-alive": post(b"hello", b"connection: keep-alive", version=b"1.0"),
    "HTTP/1.0, stream": post(b"stream", version=b"1.0"),
    "HTTP/1.0, health": get(b"/", version=b"1.0"),
    "HTTP/2.0": get(b"/", version=b"2.0"),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "closes": post(b"hello", b"connection: close"),
    "closes, in other letters": post(b"hello", b"Connection: Keep-Alive, CLOSE"),
    "data after a close": post(b"hello", b"connection: close") + post(b"again"),
    "an upgrade to a web socket": get(
        b"/", b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-version: 13"
    ),
    "an upgrade to HTTP/2": get(b"/", b"connection: upgrade, http2-settings", b"upgrade: h2c", b"http2-settings: AA"),
    "an upgrade with a body": post(b"hello", b"connection: upgrade", b"upgrade: websocket"),
    "the header upgrade alone": get(b"/", b"upgrade: websocket") + _LAST,
    "a stream": post(b"stream") + _LAST,
    "a script that raises": post(b"raise") + _LAST,
    **{f"a status {status}": post(b"%d" % status) + _LAST for status in (200, 201, 204, 205, 299, 304, 404, 500, 599)},
    "pipelined": post(b"one") + get(b"/") + get(b"/nothing") + post(b"two") + get(b"/-/other") + _LAST,
    "pipelined after a stream": post(b"stream") + post(b"one") + _LAST,
    "pipelined, with an early refusal": post(b"x" * 300_001) + post(b"one") + _LAST,
    "empty lines before a request": b"\r\n\r\n" + post(b"hello") + _LAST,
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a head over the limit": post(b"hello", b"x-long: " + b"a" * 9000) + _LAST,
    "many headers over the limit": post(b"hello", *(b"x-%d: 1" % number for number in range(1000))) + _LAST,
    "a long URL": get(b"/score?" + b"a" * 7000) + _LAST,
    "a URL over the limit": get(b"/score?" + b"a" * 9000) + _LAST,
    "a cross-origin request": post(b"hello", b"origin: http://page") + _LAST,
    "a tensor without a schema": post(b"{}", path=b"/v2/models/iris/infer") + _LAST,
    "a tensor for another model": post(b"{}", path=b"/v2/models/other/infer") + _LAST,
    "a wrong method for a tensor": get(b"/v2/models/iris/infer") + _LAST,
}

_VARIABLE = (
    (re.compile(rb"date: [^\r]+"), b"date: DATE"),
    (re.compile(rb"x-ms-server-version: mljupyter/[^\r]+"), b"x-ms-server-version: VERSION"),
    (re.compile(rb"x-ms-run-fn-exec-ms: [0-9.]+"), b"x-ms-run-fn-exec-ms: MS"),
    (re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), b"UUID"),
)


def asked(replica: Replica, request: bytes, size: int = 0) -> str:
    """Return what a replica sends until it closes the connection, with what changes each time replaced.

    Parameters:
        replica: the replica.
        request: the bytes of a client that keeps its side open.
        size: bytes in one packet; 0 for all in one.

    """
    received = b""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(HANG_SECONDS)
        raw.connect(str(replica.socket))
        try:
            for start in range(0, len(request), size or len(request)):
                raw.sendall(request[start : start + (size or len(request))])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it is refused already
        try:
            while piece := raw.recv(1 << 20):
                received += piece
        except ConnectionResetError:
            pass
    for pattern, name in _VARIABLE:
        received = pattern.sub(name, received)
    return received.decode("latin-1")


def main() -> None:
    """Write the answers of this tree."""
    with replica_of(SCRIPT, *FLAGS, **ENVIRONMENT) as replica:
        answers = {}
        for name, request in CASES.items():
            answers[name] = asked(replica, request)
    ANSWERS.write_text(json.dumps(answers, indent=1) + "\n")


if __name__ == "__main__":
    main()
