"""A bounded load of requests from threads with keep-alive connections, and what became of each request."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpcore
import httpx

from tests.waiting import HANG_SECONDS

RATE = 250.0
"""Requests per second that a load is held to, unless it is to be as much as its clients can send.

Replicas and pods that start meanwhile need the processor more: a load without a limit takes all of it.
"""
_KEEPALIVE_SECONDS = 5.0
_TIMEOUTS = dict.fromkeys(("connect", "read", "write", "pool"), HANG_SECONDS)
_ERRORS = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)
_LONGEST_TEST = 900.0
"""Seconds after which a load ends by itself. pytest ends a test after 600."""


@dataclass
class Load:
    """Sends requests until it is left, or each client has sent `limit`, but no longer than a test may take.

    All clients together send at most `rate` requests per second; None, or a `limit`, for as many as they can.

    `results` counts status codes, and names of exceptions. `failures` are the times of all but 200, in seconds since
    the start, and `refusals` count the bodies of these answers: they tell who refused a request, and why. `first_sent`
    is when the first request was sent, in seconds of the epoch.
    """

    url: str
    key: str | None = None
    clients: int = 4
    limit: int | None = None
    rate: float | None = RATE
    body: bytes = b"[1, 2]"
    verify: bool = True
    results: Counter[str] = field(default_factory=Counter)
    failures: list[float] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    first_sent: float = float("inf")

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(self.clients)]

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=HANG_SECONDS)

    @property
    def sent(self) -> int:
        """How many requests have been answered or have failed."""
        return sum(self.results.values())

    @property
    def failed(self) -> int:
        """How many requests were not answered with 200."""
        return self.sent - self.results["200"]

    def _send(self) -> None:
        headers = [("authorization", f"Bearer {self.key}")] if self.key else []
        context = None if self.verify else httpx.create_ssl_context(verify=False)
        pause = self.clients / self.rate if self.rate and self.limit is None else 0.0
        # What httpx uses: a request takes less than half of the processor, which the replicas need.
        with httpcore.ConnectionPool(context, keepalive_expiry=_KEEPALIVE_SECONDS) as connections:
            for count in itertools.count():
                late = time.monotonic() - self._began > _LONGEST_TEST
                if self._stop.is_set() or late or count == self.limit:
                    return
                self.first_sent = min(self.first_sent, time.time())
                refusal = ""
                try:
                    answer = connections.request(
                        "POST", self.url, headers=headers, content=self.body, extensions={"timeout": _TIMEOUTS}
                    )
                    outcome = str(answer.status)
                    refusal = "" if outcome == "200" else answer.content.decode(errors="replace")
                except _ERRORS as error:
                    outcome = f"{type(error).__name__}: {error}"
                with self._lock:
                    self.results[outcome] += 1
                    if outcome != "200":
                        self.failures.append(time.monotonic() - self._began)
                    if refusal:
                        self.refusals[refusal] += 1
                if pause:
                    self._stop.wait(pause)
