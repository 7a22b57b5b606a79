"""Server-Sent Events: the answer to a client that accepts them, for a `run()` that yields."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from mljupyter.scoring import protocol
from mljupyter.scoring.worker.results import encode_result

EVENTS_TYPE = "text/event-stream"
_EVENTS_HEADERS: protocol.Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]
_LAST_EVENT = b"event: end\ndata: {}\n\n"  # a browser's EventSource would take the end for a lost connection


def accepts_events(accept: str) -> bool:
    """Return whether the value of a request's header `Accept` names Server-Sent Events."""
    return any(part.partition(";")[0].strip().lower() == EVENTS_TYPE for part in accept.split(","))


def events_of(results: Generator[Any, Any, Any]) -> Iterator[bytes]:
    """Yield the results of a `run()` as events: the JSON of each one; raise ResultError when one has no JSON."""
    try:
        for result in results:
            yield b"data: %b\n\n" % encode_result(result)
        yield _LAST_EVENT
    finally:
        results.close()


def events_headers() -> bytes:
    """Return the packed headers of a stream of events."""
    return protocol.pack_headers(_EVENTS_HEADERS)
