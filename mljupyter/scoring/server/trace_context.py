"""Which trace a request belongs to: the one its `traceparent` header names (W3C Trace Context), else one of its own."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from typing import NamedTuple

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_REMEMBERED = 10_000


class TraceContext(NamedTuple):
    """The ids of a request's trace, of its own span, and of the caller's span, all in hexadecimal."""

    trace: str
    span: str
    parent: str = ""


class TraceContexts:
    """The contexts of requests by their ids.

    Both ids follow from the request's id, so that a line that the script logs finds its request before and after it is
    recorded. Only the traces of callers must be remembered for that, of the newest requests.
    """

    def __init__(self) -> None:
        self._named: OrderedDict[str, TraceContext] = OrderedDict()

    def begin(self, request: str, traceparent: bytes) -> TraceContext:
        """Return the context of a request with this header; an unusable one counts as none."""
        own = derived(request)
        found = _TRACEPARENT.fullmatch(traceparent)
        if found is None or traceparent.startswith(b"ff") or not int(found[1], 16) or not int(found[2], 16):
            return own
        context = TraceContext(found[1].decode(), own.span, found[2].decode())
        self._named[request] = context
        if len(self._named) > _REMEMBERED:
            self._named.popitem(last=False)
        return context

    def of(self, request: str) -> TraceContext:
        """Return the context of a request that the script works on or has worked on."""
        return self._named.get(request) or derived(request)


def derived(request: str) -> TraceContext:
    """Return the context of a request that came without one.

    >>> derived("4bf92f35-77b3-4da6-a3ce-929d0e0e4736").trace
    '4bf92f3577b34da6a3ce929d0e0e4736'
    """
    digest = hashlib.blake2b(request.encode("utf-8", "replace"), digest_size=24).hexdigest()
    plain = request.replace("-", "").lower()
    is_uuid = len(request) == 36 and len(plain) == 32 and all(letter in "0123456789abcdef" for letter in plain)
    return TraceContext(plain if is_uuid and int(plain, 16) else digest[:32], digest[32:])
