"""Bytes that a client may send to an HTTP server: requests that are odd in a few ways, HTTP/2, TLS, and noise.

They are for the endpoint at `PATH` and never hold its `KEY`.
"""

from __future__ import annotations

import struct

from hypothesis import strategies as st

KEY = "k-9f31c07a55de4b1c8a"
PATH = "/api/v1/service/locked/score"
OPEN_PATH = "/api/v1/service/open/score"

paths = st.sampled_from([PATH, PATH, OPEN_PATH, "/", "*", "/api/v1/service/open/../locked/score"])
turns = st.lists(
    st.sampled_from(
        [
            *(("/", "//"), ("/", "%2f"), ("/", "%2F"), ("/", "\\"), ("/", "/./"), ("/", "/;/"), ("/", "/%2e%2e/")),
            *(("s", "%73"), ("score", "SCORE"), ("score", "score?a=b"), ("score", "score#"), ("score", "score%00")),
            *(("locked", "open/%2e%2e/locked"), ("/api", "http://open/api"), ("/api", "http://user@127.0.0.1/api")),
        ]
    ),
    max_size=2,
)
methods = st.sampled_from(
    ["POST", "POST", "GET", "OPTIONS", "HEAD", "CONNECT", "TRACE", "PRI", "post", "PUT", "X" * 40]
)
versions = st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", ""])
near_keys = st.sampled_from(["", KEY[2:-2], KEY[::-1], KEY.upper(), f"{KEY[:8]} {KEY[8:]}", "*"])
values = st.one_of(
    st.sampled_from(["", "chunked", "identity", "gzip, chunked", "0", "5", "-1", "5, 5", "0x5", "websocket", "h2c"]),
    st.sampled_from([PATH, OPEN_PATH, "POST", "127.0.0.1", "localhost", "evil.example", "close", "keep-alive"]),
    near_keys.map("Bearer {}".format),
    near_keys,
    st.text(st.characters(max_codepoint=255), max_size=20),
)
names = st.sampled_from(
    [
        *("Authorization", "authorization", "Proxy-Authorization", "Host", "Content-Length", "Transfer-Encoding"),
        *("Connection", "Upgrade", "Expect", "TE", "Trailer", "Content-Type", "X-Original-URL", "X-Rewrite-URL"),
        *("X-HTTP-Method-Override", "X-Forwarded-For", "X-Forwarded-Host", "x-envoy-original-path", "HTTP2-Settings"),
        *("x-mlj-start", "x-mlj-busy", "x-envoy-internal", "x-envoy-retry-on", "azureml-model-deployment", ":path"),
    ]
)
separators = st.sampled_from([": ", ": ", ":", " : ", ":\t", "\r\n : "])
ends = st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r", "\r\n "])
credentials = st.one_of(
    st.just(""),
    *[near_keys.map("Authorization: Bearer {}\r\n".format)] * 3,
    st.builds("Authorization: {}{}\r\n".format, st.sampled_from(["Bearer ", "bearer ", "Basic ", ""]), near_keys),
)
headers = st.lists(st.tuples(names, separators, values, ends).map("".join), min_size=1, max_size=4).map("".join)
hosts = st.sampled_from(["", "Host: a\r\nHost: b\r\n", "Host: evil.example\r\n", "Host: \r\n", "host:127.0.0.1:1\r\n"])
framings = st.sampled_from(
    [
        *("", "Content-Length: {0}\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 99\r\n"),
        *("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 5\r\nContent-Length: 0\r\n"),
        *("Transfer-Encoding: xchunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
    ]
)
payloads = st.sampled_from(
    [b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"5;a=\nb\r\nhello\r\n0\r\nAuthorization: x\r\n\r\n"]
)


aspects = st.sets(st.sampled_from(["method", "path", "version", "host", "headers", "framing", "open"]), max_size=2)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request to the endpoint that is locked which lacks the right key, and is odd in up to two other ways."""
    odd = draw(aspects)
    path = draw(paths) if "path" in odd else PATH
    for old, new in draw(turns) if "path" in odd else ():
        path = path.replace(old, new, 1)
    method = draw(methods) if "method" in odd else "POST"
    version = draw(versions) if "version" in odd else "HTTP/1.1"
    host = draw(hosts) if "host" in odd else "Host: 127.0.0.1\r\n"
    more = draw(headers) if "headers" in odd else ""
    body = draw(payloads) if "framing" in odd else b"hello"
    framing = draw(framings).format(len(body)) if "framing" in odd else f"Content-Length: {len(body)}\r\n"
    close = "" if "open" in odd else "Connection: close\r\n"
    head = f"{method} {path} {version}".rstrip() + f"\r\n{host}{draw(credentials)}{more}{framing}{close}\r\n"
    return head.encode("latin-1") + body


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes with some of them removed, replaced or put in between."""
    content = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(content)))
        content[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(content)


def _literal(name: bytes, value: bytes) -> bytes:
    """A header as HTTP/2 has it, without index and without Huffman's code."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


h2_headers = st.lists(
    st.tuples(
        st.sampled_from([b":method", b":path", b":scheme", b":authority", b"authorization", b"host", b":protocol"]),
        st.sampled_from([b"POST", b"GET", PATH.encode(), b"/", b"http", b"a", b"Bearer x", b"\r\nauthorization: x"]),
    ).map(lambda pair: _literal(*pair)),
    max_size=5,
).map(b"".join)
WHOLE_HEAD = b"".join(
    _literal(*pair)
    for pair in ((b":method", b"POST"), (b":scheme", b"http"), (b":path", PATH.encode()), (b":authority", b"a"))
)
frames = st.one_of(
    st.builds(_frame, st.integers(0, 11), st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=30)),
    st.builds(
        _frame, st.just(1), st.sampled_from([4, 5]), st.sampled_from([1, 3, 5]), h2_headers.map(WHOLE_HEAD.__add__)
    ),
    st.builds(_frame, st.sampled_from([1, 5, 9]), st.integers(0, 15), st.sampled_from([0, 1, 2, 3]), h2_headers),
    st.builds(_frame, st.sampled_from([0, 2, 3, 4, 6, 7, 8]), st.integers(0, 15), st.just(1), st.binary(max_size=12)),
)
http2 = st.lists(frames, max_size=6).map(
    lambda sent: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + b"".join(sent)
)
tls = st.binary(max_size=60).map(lambda body: b"\x16\x03\x01" + struct.pack(">H", len(body)) + body)
conversations = st.one_of(
    *[requests()] * 5,
    st.lists(requests(), min_size=2, max_size=3).map(b"".join),
    damaged(requests()),
    http2,
    damaged(http2),
    tls,
    st.binary(max_size=200),
)
