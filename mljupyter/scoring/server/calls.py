"""The calls of `run()` that the server has accepted, and their answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import NamedTuple

from mljupyter.scoring.messages import encode_error
from mljupyter.scoring.server.admission import Action
from mljupyter.scoring.server.answer_stream import AnswerStream


class Answer(NamedTuple):
    """The answer to a client.

    `seconds` is the duration of `run()`, None when it did not return. `busy` asks the router to try another
    replica; `retry` tells the client that a later attempt may succeed. `headers` are the script's own, packed as in
    `protocol.pack_headers`; empty means that the body is JSON. The body is an `AnswerStream` if it comes in pieces.
    """

    status: int
    body: bytes | AnswerStream
    run_failed: bool = False
    seconds: float | None = None
    busy: bool = False
    retry: bool = False
    headers: bytes = b""


def refusal(message: str, busy: bool) -> Answer:
    """Return a 503: the router (`busy`) or otherwise the client may retry."""
    return Answer(503, encode_error(503, message), busy=busy, retry=True)


def failure(status: int, message: str) -> Answer:
    """Return the answer to a call that the worker did not complete."""
    return Answer(status, encode_error(status, message), run_failed=True)


class Run:
    """One `run()` of the worker: the number of its calls, and how many of them are still unanswered."""

    __slots__ = ("left", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.left = size


class Call:
    """One request for `run()`: the bytes for the worker, and `on_answer`, which gets the answer.

    `routed` says whether the router has sent it and can try another replica. `alone` marks a call that is run again
    alone, since the worker died while it ran this and others. `arrived_at` is the time when the router received it, on
    the clock of the event loop. A call that waits is refused with `then` at the time `due`, which may be put off once,
    until `latest` at most; `timer` limits how long one that is run again waits. `stream` is its answer if that comes in
    pieces. `stuck` marks a call that the worker still runs long after its time.
    """

    __slots__ = (
        "alone", "answered", "arrived_at", "body", "due", "head", "latest", "number", "on_answer", "routed", "run",
        "sent_at", "size", "stream", "stuck", "then", "timer",
    )  # fmt: skip

    def __init__(
        self, number: int, head: bytes, body: tuple[bytes, ...], size: int, on_answer: Callable[[Answer], None]
    ) -> None:
        self.number = number
        self.head = head
        self.body = body
        self.size = size
        self.on_answer = on_answer
        self.answered = False
        self.arrived_at = 0.0
        self.sent_at = 0.0
        self.due = math.inf
        self.latest = 0.0
        self.then = Action.OVERDUE
        self.timer: asyncio.TimerHandle | None = None
        self.run: Run | None = None
        self.stream: AnswerStream | None = None
        self.routed = False
        self.alone = False
        self.stuck = False

    @property
    def abandoned(self) -> bool:
        """Whether no client waits for the rest of its answer although the worker still runs the call."""
        return self.answered and (self.stream is None or self.stream.over)

    def stop_waiting(self) -> None:
        """Cancel the timer of the wait."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def settle(self, answer: Answer) -> None:
        """Answer the client, unless it has its answer; end a streamed answer, with an error if `answer` has a body."""
        self.stop_waiting()
        if not self.answered:
            self.answered = True
            self.on_answer(answer)
        elif self.stream is not None and isinstance(answer.body, bytes):
            self.stream.end(answer.body)
