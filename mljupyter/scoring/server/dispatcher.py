"""The dispatcher: it sends requests to the worker, and keeps the queue, the concurrency, the time limit and the counts.

A worker runs at most `concurrency` calls of `run()` at once. With batching, each of them is for several requests.

If a worker dies while it runs one call, that call is the cause: 502. If it ran several, in threads or in a batch, the
cause is unknown: each of them is run again alone on the next worker, and nothing else at the same time. So a crash
fails only the request that causes it. In return `run()` may be started twice for the others, as it may when the router
retries a request after the end of a replica.

An answer may come in pieces. Its call holds its place among the concurrent ones until the last piece, and the time
limit is for all of them. When nobody takes the rest, the worker is told, and ends the call between two pieces.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.messages import encode_error
from mljupyter.scoring.protocol import (
    ANSWER_HEAD,
    BATCH,
    CALL,
    CANCEL,
    GRANT,
    GRANTED,
    MAX_CALL,
    PREFIX,
    RAN,
    RUN_FAILED,
    SHARED,
)
from mljupyter.scoring.server.admission import SHORTEST_STAY_SECONDS, Action, Load, admit, keep
from mljupyter.scoring.server.answer_stream import AnswerStream
from mljupyter.scoring.server.batching import first_batch, seconds_to_wait
from mljupyter.scoring.server.calls import Answer, Call, Run, failure, refusal
from mljupyter.scoring.server.quarantine import SECONDS as QUARANTINE_SECONDS
from mljupyter.scoring.server.quarantine import Quarantine

_SMOOTHING = 0.2
_COALESCE_BYTES = 65536
_SPARE_SECONDS = 60.0  # a request cannot be older than it may wait and run, plus this
_STAMP_SECONDS = 0.001  # the router cuts its timestamp to milliseconds: a shorter age counts as no wait
_LOOK_SECONDS = 0.001  # calls that are due within this time are refused together
_LAST_PIECE_SECONDS = 5.0  # a streamed answer over its time may take this long until its next piece, where it ends

_REFUSALS = {
    (True, Action.BUSY): "the replica is busy",
    (True, Action.OVERDUE): "no run() became free within the time a request may wait; try again later",
    (False, Action.BUSY): "Starting: the replica is not ready yet",
    (False, Action.OVERDUE): "Starting: the replica did not become ready within the time a request may wait",
}
_QUARANTINED = (
    "this request has killed the worker process too often and is refused, until "
    f"{QUARANTINE_SECONDS / 60:g} minutes after the last time; the service's log has the crashes"
)
_UNREADABLE = (0, 0, 0.0)
_NO_ANSWER = "the worker process sent an answer that cannot be read"
_NOT_REPEATED = "the worker process died while it ran this request, and no new one was ready in time to run it again"


class Writer(Protocol):
    """The sending half of the connection to the worker."""

    def write(self, data: bytes) -> bool:
        """Send bytes; return False when the worker is gone and has not received them."""

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send pieces one after another."""


class Dispatcher:
    """Dispatches the calls of one replica. All methods run on the event loop, and none of them waits.

    `on_stuck` is called with the reason when only a new worker can continue.
    """

    def __init__(self, configuration: Configuration, on_stuck: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._concurrency = configuration.concurrency
        self._most = configuration.max_batch_size
        self._max_wait = configuration.max_queue_wait_ms / 1000
        self._wake_wait = max(configuration.max_wake_wait_ms / 1000, self._max_wait)
        self._ready_at = math.inf  # on the loop's clock
        self._most_waiting = configuration.max_queue_length
        self._timeout = configuration.scoring_timeout_ms / 1000
        self._most_idle = configuration.stream_idle_ms / 1000  # of answers in pieces; 0 for no limit
        self._on_stuck = on_stuck
        self._quarantine = Quarantine(configuration.quarantine_after)
        self._worker: Writer | None = None
        self._batch = 1  # how many requests the worker takes for one run
        self._running: dict[int, Call] = {}  # in the order of starting
        self._runs = 0
        self._waiting: deque[Call] = deque()
        self._suspects: deque[Call] = deque()  # to be run again, each alone
        self._isolating = False  # suspects wait or run
        self._usual_run: float | None = None
        self._expected = 0
        self._free_since = 0.0
        self._next_number = 0
        self._starter: asyncio.Handle | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._looks_at = math.inf
        self._when_idle: Callable[[], None] | None = None
        self.answered = 0
        self.completed = 0
        self.failed = 0
        self.quarantined = 0
        self.run_count = 0
        self.run_seconds_sum = 0.0
        self.run_seconds_count = 0
        self.started = 0
        self.wait_seconds_sum = 0.0
        self.streamed = 0
        self.first_piece_seconds_sum = 0.0

    @property
    def ready(self) -> bool:
        """Whether a worker can take calls."""
        return self._worker is not None

    @property
    def running(self) -> int:
        """The number of requests that the worker has."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """The number of requests that wait for the worker."""
        return len(self._waiting) + len(self._suspects)

    @property
    def idle(self) -> bool:
        """Whether no client waits for an answer."""
        return not self.waiting and all(call.abandoned for call in self._running.values())

    def submit(
        self,
        head: bytes,
        body: tuple[bytes, ...],
        size: int,
        start_ms: float | None,
        on_answer: Callable[[Answer], None],
    ) -> Answer | None:
        """Run, queue or refuse a request.

        Parameters:
            head: what the worker gets beside the body.
            body: the body in pieces.
            size: its size in bytes.
            start_ms: when the router received the request (epoch, in ms); None if it did not come from the router.
            on_answer: is called with the answer, later. It must not raise.

        Returns:
            The answer if there is one at once, which `on_answer` does not get then.

        """
        if self._quarantine.refuses(head, body, size):
            self.quarantined += 1
            return Answer(502, encode_error(502, _QUARANTINED))
        age = None if start_ms is None else self._age(start_ms)
        free = self._runs < self._concurrency and self._worker is not None and not self._isolating
        if free and self._batch == 1 and not self._waiting:
            call = self._new_call(head, body, size, age, on_answer)
            if self._send([call]):
                return None
        elif free and self._batch > 1 and len(self._waiting) < self._batch:
            call = self._new_call(head, body, size, age, on_answer)
            call.routed = start_ms is not None
            self._enqueue(call)
            self._start_soon()
            return None
        max_wait = self._max_wait
        if age is not None and self._loop.time() - age < self._ready_at:
            max_wait = self._wake_wait  # it has waited for a replica to start: that has its own limit
        action, timeout, then = admit(self._load(), age, max_wait, size)
        if action is not Action.WAIT:
            return self._refusal(action)
        call = self._new_call(head, body, size, age, on_answer)
        call.latest = self._loop.time() + max_wait - (age or 0.0)
        self._limit_wait(call, timeout, then)
        self._enqueue(call)
        return None

    def attach(self, worker: Writer, batching: bool) -> None:
        """Send calls to this worker from now on, in batches if it takes them."""
        self._worker = worker
        self._ready_at = min(self._ready_at, self._loop.time())
        self._batch = self._most if batching else 1
        self._expected = 0
        self._pump()

    def suspend(self) -> None:
        """Send no more calls to the worker; it may still answer those it runs."""
        self._worker = None
        for call in self._waiting:
            if call.due == math.inf:  # it would have been sent next
                timeout, then = (
                    (SHORTEST_STAY_SECONDS, Action.BUSY) if call.routed else (self._max_wait, Action.OVERDUE)
                )
                self._limit_wait(call, timeout, then)

    def lose(self, ending: str, deliberate: bool) -> None:
        """Fail or repeat the calls of a worker that has ended; the queue keeps waiting.

        Parameters:
            ending: how it ended, for the error messages.
            deliberate: whether the server has killed it, so that the calls it ran are not the cause.

        """
        calls = self._forget_worker()
        ending += " while it ran this request"
        if len(calls) == 1 and not deliberate:
            call = calls[0]
            if self._quarantine.charge(call.head, call.body, call.size):
                ending += "; it has done so too often, and this request is refused for a while"
        self._isolating = bool(self._suspects)
        for call in calls:
            if call.abandoned:
                continue
            if len(calls) == 1 or deliberate or call.stream is not None:
                self.failed += 1
                call.settle(failure(502, ending))
            else:
                self._isolating = call.alone = True
                call.timer = self._loop.call_later(self._timeout, self._give_up_suspect, call)
                self._suspects.append(call)
        self._check_idle()

    def abandon(self, message: str) -> None:
        """Answer all clients with a 503 now, even those whose call still runs."""
        self.refuse_waiting(message)
        for call in self._forget_worker():
            if not call.abandoned:
                self.failed += 1
                call.settle(failure(503, message))
        self._check_idle()

    def answer(self, number: int, head: bytes, body: bytes) -> None:
        """Pass an answer of the worker to its client, and send the next calls."""
        call = self._running.pop(number, None)
        if call is None or call.run is None:
            return
        status, flags, seconds = ANSWER_HEAD.unpack_from(head) if len(head) >= ANSWER_HEAD.size else _UNREADABLE
        if not (200 <= status <= 599 and 0 <= seconds < math.inf):  # a script has written to the worker's socket
            status, flags, seconds, head, body = 502, RAN | RUN_FAILED, 0.0, b"", encode_error(502, _NO_ANSWER)
        self.answered += 1
        call.run.left -= 1
        if not call.run.left:
            self._run_ended(call)
        ran, run_failed = bool(flags & RAN), bool(flags & RUN_FAILED)
        if ran:
            self.run_seconds_sum += 0.0 if flags & SHARED else seconds
            self.run_seconds_count += not flags & SHARED
            if not call.abandoned or (call.stream is not None and call.stream.left):
                self.failed += run_failed
                self.completed += not run_failed
        call.settle(Answer(status, body, run_failed, seconds if ran else None, headers=head[ANSWER_HEAD.size :]))
        if self._when_idle is not None:
            self._check_idle()

    def begin_stream(self, number: int, head: bytes, first: bytes) -> None:
        """Pass the beginning of an answer that comes in pieces to its client."""
        call = self._running.get(number)
        if call is None or call.stream is not None or len(head) < ANSWER_HEAD.size:
            return
        status, flags, seconds = ANSWER_HEAD.unpack_from(head)
        if not (200 <= status <= 599 and 0 <= seconds < math.inf):  # a script has written to the worker's socket
            return

        def grant(size: int) -> None:
            self._tell(PREFIX.pack(GRANT, number, GRANTED.size, 0) + GRANTED.pack(size))

        def cancel() -> None:
            self._tell(PREFIX.pack(CANCEL, number, 0, 0))
            self._check_idle()

        if call.answered:  # its time was over before the first piece
            cancel()
            return
        self.streamed += 1
        self.first_piece_seconds_sum += self._loop.time() - call.arrived_at
        call.stream = AnswerStream(first, grant, cancel)
        if self._most_idle:
            self._loop.call_later(self._most_idle, self._check_progress, number, call.stream)
        own = head[ANSWER_HEAD.size :]
        call.settle(Answer(status, call.stream, bool(flags & RUN_FAILED), seconds, headers=own))

    def add_piece(self, number: int, piece: bytes) -> None:
        """Pass a further piece of an answer to its client."""
        call = self._running.get(number)
        if call is not None and call.stream is not None:
            call.stream.put(piece)

    def refuse_waiting(self, message: str) -> None:
        """Refuse all waiting requests, since no worker will come for them."""
        for queue in (self._waiting, self._suspects):
            while queue:
                queue.popleft().settle(refusal(message, busy=True))

    def call_when_idle(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, as soon as no client waits for an answer."""
        self._when_idle = callback
        self._check_idle()

    def _age(self, start_ms: float) -> float:
        """Return the age of a request in seconds since the router received it; 0 if that age is impossible.

        Then one of the clocks has been set, which must not refuse a request that has just arrived.
        """
        age = time.time() - start_ms / 1000
        return age if 0 <= age <= self._wake_wait + self._timeout + _SPARE_SECONDS else 0.0

    def _new_call(
        self,
        head: bytes,
        body: tuple[bytes, ...],
        size: int,
        age: float | None,
        on_answer: Callable[[Answer], None],
    ) -> Call:
        self._next_number = (self._next_number + 1) % MAX_CALL
        call = Call(self._next_number, head, body, size, on_answer)
        call.arrived_at = self._loop.time() - max((age or 0.0) - _STAMP_SECONDS, 0.0)
        return call

    def _enqueue(self, call: Call) -> None:
        """Queue a call by its arrival at the router: a retry after another replica's refusal keeps its place."""
        place = len(self._waiting)
        while place and self._waiting[place - 1].arrived_at > call.arrived_at:
            place -= 1
        self._waiting.insert(place, call)

    def _load(self) -> Load:
        elapsed = self._loop.time() - next(reversed(self._running.values())).sent_at if self._running else 0.0
        runs = self._concurrency if self._isolating else self._runs
        waiting = len(self._waiting) + len(self._suspects)
        ready = self._worker is not None
        # By position: half of the time, and under load most requests wait.
        return Load(ready, runs, waiting, self._concurrency, self._usual_run, elapsed, self._batch, self._most_waiting)

    def _refusal(self, action: Action) -> Answer:
        return refusal(_REFUSALS[self.ready, action], busy=action is Action.BUSY)

    def _limit_wait(self, call: Call, seconds: float, action: Action) -> None:
        """Refuse a waiting call with this action unless it is sent before."""
        call.due, call.then = self._loop.time() + seconds, action
        if call.due < self._looks_at:
            self._look_at(call.due)

    def _look_at(self, due: float) -> None:
        """Look at the waiting calls then. One timer serves all, since most are sent long before they are due."""
        if self._look is not None:
            self._look.cancel()
        self._looks_at = due
        self._look = self._loop.call_at(due, self._give_up_overdue)

    def _give_up_overdue(self) -> None:
        self._look, self._looks_at = None, math.inf
        now, load = self._loop.time(), self._load()
        staying: deque[Call] = deque()
        overdue: list[Call] = []
        for call in self._waiting:
            stays = call.due > now + _LOOK_SECONDS or self._keeps(call, load, len(staying), now)
            (staying if stays else overdue).append(call)
        if overdue:
            self._waiting = staying
            for call in overdue:
                call.settle(self._refusal(call.then))
            self._check_idle()
        following = min((call.due for call in self._waiting), default=math.inf)
        if following < self._looks_at:
            self._look_at(following)

    def _keeps(self, call: Call, load: Load, ahead: int, now: float) -> bool:
        """Let a call that would go back to the router stay a little longer, once, if its turn is near."""
        more = min(keep(load, ahead), call.latest - now) if call.then is Action.BUSY else 0.0
        call.latest = 0.0
        call.due = now + more
        return more > 0

    def _give_up_suspect(self, call: Call) -> None:
        self._suspects.remove(call)
        self._isolating = bool(self._suspects) or any(running.alone for running in self._running.values())
        self.failed += 1
        call.settle(failure(502, _NOT_REPEATED))
        self._pump()
        self._check_idle()

    def _run_ended(self, call: Call) -> None:
        assert call.run is not None  # noqa: S101 (for the type checker)
        self._runs -= 1
        now = self._loop.time()
        held = now - call.sent_at
        usual = self._usual_run
        self._usual_run = held if usual is None else usual + _SMOOTHING * (held - usual)
        if self._isolating:
            self._isolating = bool(self._suspects)
        self._expected = call.run.size + len(self._waiting)
        self._free_since = now
        if self._batch > 1 and not self._isolating:
            if self._waiting:
                self._start_soon()
        elif self.waiting:
            self._pump()

    def _start_soon(self) -> None:
        """Start a batch at the end of this turn of the event loop, so that it includes all requests of the turn.

        It is delayed for more requests only if `seconds_to_wait` says so.
        """
        free_for = self._loop.time() - self._free_since
        seconds = seconds_to_wait(len(self._waiting), self._expected, self._batch, self._usual_run, free_for)
        if self._starter is not None:
            if seconds or not isinstance(self._starter, asyncio.TimerHandle):
                return
            self._starter.cancel()
        self._starter = self._loop.call_later(seconds, self._pump) if seconds else self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        if self._starter is not None:
            self._starter.cancel()
            self._starter = None
        while self._worker is not None and self._runs < self._concurrency:
            if self._isolating:
                if self._running or not self._suspects:
                    return
                queue, count = self._suspects, 1
            elif self._waiting:
                queue, count = self._waiting, 1
                if self._batch > 1:
                    count = first_batch((call.size for call in self._waiting), self._batch)
            else:
                return
            if not self._send([queue[0]] if count == 1 else list(itertools.islice(queue, count))):
                return
            for _ in range(count):
                queue.popleft().stop_waiting()

    def _send(self, calls: list[Call]) -> bool:
        assert self._worker is not None  # noqa: S101 (for the type checker: all callers have looked)
        parts = [PREFIX.pack(BATCH, len(calls), 0, 0)] if self._batch > 1 else []
        size = 0
        for call in calls:
            parts += (PREFIX.pack(CALL, call.number, len(call.head), call.size), call.head, *call.body)
            size += call.size
        if size > _COALESCE_BYTES:
            self._worker.writelines(parts)
        elif not self._worker.write(b"".join(parts)):
            self.suspend()
            return False
        now = self._loop.time()
        run = Run(len(calls))
        for call in calls:
            if not call.alone:  # a call that is run again has been counted before
                self.started += 1
                self.wait_seconds_sum += now - call.arrived_at
            call.run, call.sent_at = run, now
            self._running[call.number] = call
        self._runs += 1
        self.run_count += 1
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(self._timeout, self._check_timeouts)
        return True

    def _forget_worker(self) -> list[Call]:
        self.suspend()
        calls, self._running, self._runs = list(self._running.values()), {}, 0
        return calls

    def _check_timeouts(self) -> None:
        """Answer calls over the time limit with 504. One timer, set for the oldest call, serves all of them."""
        self._watchdog = None
        now = self._loop.time()
        following = math.inf
        for call in self._running.values():
            due = call.sent_at + self._timeout
            if due > now + 0.001:
                following = min(following, due)
                break
            if not call.abandoned:
                self.failed += 1
                self._end_overdue(call)
            ends = due if call.stream is None else due + _LAST_PIECE_SECONDS
            if ends > now + 0.001:
                following = min(following, ends)
            else:
                call.stuck = True
        if following < math.inf:
            self._watchdog = self._loop.call_at(following, self._check_timeouts)
        self._replace_stuck(f"run() takes longer than {self._timeout * 1000:g} ms")
        self._check_idle()

    def _check_progress(self, number: int, stream: AnswerStream) -> None:
        """Cut off an answer in pieces if no piece has come and its client has taken nothing for the limit.

        The timer has the number of the call and not the call, which would keep the body of an answered request.
        """
        left = stream.moved_at + self._most_idle - time.monotonic()
        if self._running_stream(number, stream) is None:
            return
        if left > 0.001:
            self._loop.call_later(left, self._check_progress, number, stream)
            return
        if not stream.over:  # else its client has left, and the run goes on
            self.failed += 1
            stream.stop(encode_error(504, f"the answer has not gone on for {self._most_idle * 1000:g} ms"))
        self._loop.call_later(_LAST_PIECE_SECONDS, self._note_stuck, number, stream)
        self._check_idle()

    def _running_stream(self, number: int, stream: AnswerStream) -> Call | None:
        """Return the call that still makes this answer; None if it has ended. Numbers are used again."""
        call = self._running.get(number)
        return call if call is not None and call.stream is stream else None

    def _note_stuck(self, number: int, stream: AnswerStream) -> None:
        call = self._running_stream(number, stream)
        if call is not None:
            call.stuck = True
            self._replace_stuck(f"run() has given no piece for {self._most_idle * 1000:g} ms")

    def _replace_stuck(self, reason: str) -> None:
        """Ask for another worker if stuck runs take all places of this one."""
        stuck = [call for call in self._running.values() if call.stuck]
        if len({call.run for call in stuck}) >= self._concurrency or any(call.alone for call in stuck):
            self._on_stuck(f"{reason} and cannot be interrupted")

    def _end_overdue(self, call: Call) -> None:
        """Answer a call over the time limit; a streamed answer is cut off, and the worker ends it at its next piece."""
        limit = f"{self._timeout * 1000:g} ms"
        if call.stream is None:
            call.settle(failure(504, f"run() did not return within {limit}"))
        else:
            call.stream.stop(encode_error(504, f"run() has not given its last piece within {limit}"))

    def _tell(self, frame: bytes) -> None:
        """Send the worker a message about a streamed answer, if there is one."""
        if self._worker is not None:
            self._worker.write(frame)

    def _check_idle(self) -> None:
        if self._when_idle is not None and self.idle:
            callback, self._when_idle = self._when_idle, None
            callback()
