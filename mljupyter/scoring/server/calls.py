"""A call of `run()` on its way through the front, and the answer it ends with."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from mljupyter.scoring.worker.results import encode_error


class Answer(NamedTuple):
    """What to send to the client.

    `seconds` is how long `run()` took, None when it did not run to its end. `busy` asks the router to try another
    replica; `retry` tells the client that a later attempt may succeed. `headers` are the script's own, packed as in
    `protocol.pack_headers`; empty means that the body is JSON.
    """

    status: int
    body: bytes
    run_failed: bool = False
    seconds: float | None = None
    busy: bool = False
    retry: bool = False
    headers: bytes = b""


def refusal(message: str, busy: bool) -> Answer:
    """Return a 503 that the router (`busy`) or else the client may try again."""
    return Answer(503, encode_error(503, message), busy=busy, retry=True)


def failure(status: int, message: str) -> Answer:
    """Return the answer to a call that the worker did not bring to its end."""
    return Answer(status, encode_error(status, message), run_failed=True)


class Run:
    """One `run()` of the worker, and how many of the calls it is made for are still unanswered."""

    __slots__ = ("left", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.left = size


class Call:
    """One request for `run()`: what to send to the worker, and the future of its answer.

    `routed` tells whether the router has sent it and can take it elsewhere. `alone` marks a call that is run again by
    itself, since the worker died while it ran this and others. `arrived_at` is when the router took it, on the loop's
    clock.
    """

    __slots__ = (
        "alone", "arrived_at", "body", "future", "head", "number", "patience", "routed", "run", "sent_at", "size",
    )  # fmt: skip

    def __init__(
        self, number: int, head: bytes, body: tuple[bytes, ...], size: int, future: asyncio.Future[Answer]
    ) -> None:
        self.number = number
        self.head = head
        self.body = body
        self.size = size
        self.future = future
        self.arrived_at = 0.0
        self.sent_at = 0.0
        self.patience: asyncio.TimerHandle | None = None
        self.run: Run | None = None
        self.routed = False
        self.alone = False

    @property
    def abandoned(self) -> bool:
        """Whether the client has been answered although the worker still runs the call."""
        return self.future.done()

    def stop_waiting(self) -> None:
        """Cancel the timer that limits how long the call waits."""
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None

    def settle(self, answer: Answer) -> None:
        """Answer the client, once."""
        self.stop_waiting()
        if not self.future.done():
            self.future.set_result(answer)
