"""The quarantine: requests that have killed workers repeatedly are refused for a while."""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

ENTRIES = 256
SECONDS = 600.0

_Fingerprint = tuple[int, bytes]


class Quarantine:
    """The digests of the requests that have recently killed a worker of this replica.

    A request is refused after `limit` kills, until `SECONDS` have passed since the last one. Requests are the same if
    their method, query and body are; headers do not count, since ids differ each time. Only certain kills count: the
    worker died while it ran this request and no other. Runs over the time limit do not count.

    The router retries after a broken connection or a busy answer, but passes the 502 of a request that has killed a
    worker on to the client. So only repetitions by the client are counted.

    Parameters:
        limit: the number of kills after which a request is refused; 0 refuses nothing.
        clock: a monotonic clock in seconds.

    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._kills: OrderedDict[_Fingerprint, tuple[int, float]] = OrderedDict()  # the latest kill last
        self._sizes: frozenset[int] = frozenset()

    def charge(self, head: bytes, body: Sequence[bytes], size: int) -> bool:
        """Count a worker's death against the request it ran; return whether that is refused from now on."""
        if not self._limit:
            return False
        self._expire()
        key = _fingerprint(head, body, size)
        kills = self._kills.pop(key, (0, 0.0))[0] + 1
        self._kills[key] = (kills, self._clock())
        if len(self._kills) > ENTRIES:
            self._kills.popitem(last=False)
        self._note_sizes()
        return kills >= self._limit

    def refuses(self, head: bytes, body: Sequence[bytes], size: int) -> bool:
        """Return whether this request is refused. Its digest is computed only if the size matches."""
        if size not in self._sizes:
            return False
        self._expire()
        kills, _ = self._kills.get(_fingerprint(head, body, size), (0, 0.0))
        return kills >= self._limit

    def _expire(self) -> None:
        oldest = self._clock() - SECONDS
        while self._kills:
            key = next(iter(self._kills))
            if self._kills[key][1] > oldest:
                break
            del self._kills[key]
            self._note_sizes()

    def _note_sizes(self) -> None:
        self._sizes = frozenset(size for size, _ in self._kills)


def _fingerprint(head: bytes, body: Sequence[bytes], size: int) -> _Fingerprint:
    digest = hashlib.blake2b(digest_size=16)
    if head:
        asked = json.loads(head)
        digest.update(json.dumps([asked.get("method"), asked.get("query")]).encode())
    digest.update(b"\0")
    for piece in body:
        digest.update(piece)
    return size, digest.digest()
