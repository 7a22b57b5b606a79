"""Remember which requests kill workers, and refuse them."""

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
    """The requests that have killed a worker lately, by digests of what they ask.

    A request is refused from its `limit`-th kill on, until `SECONDS` have passed since the last one. Which request
    it is, its method, query and body decide; other headers do not, since ids differ each time. Only kills that are
    certain count: the worker died while it ran this request and no other. Runs over the time limit do not count.

    It counts for one replica. The router tries again after a broken connection or a busy answer, but passes the 502
    of a request that has killed a worker on to the client; so what is counted are the client's own repetitions.

    Parameters:
        limit: how many kills are too many; 0 refuses nothing.
        clock: seconds that only grow.

    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._kills: OrderedDict[_Fingerprint, tuple[int, float]] = OrderedDict()  # the latest kill last
        self._sizes: frozenset[int] = frozenset()

    def charge(self, head: bytes, body: Sequence[bytes], size: int) -> bool:
        """Count a worker's death against the request it ran; return whether it is refused from now on."""
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
        """Whether this request may not reach the worker. Nothing is digested unless a size matches."""
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
