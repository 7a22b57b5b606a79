"""Give requests to the worker, never more at once than allowed; keep the short queue, the time limit, the counts."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from mljupyter.scoring.admission import Action, Load, admit
from mljupyter.scoring.calls import Answer, Call, failure, refusal
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.protocol import ANSWER_HEAD, CALL, MAX_CALL, PREFIX, RAN, RUN_FAILED

_SMOOTHING = 0.2
_COALESCE_BYTES = 65536

_REFUSALS = {
    (True, Action.BUSY): "the replica is busy",
    (True, Action.OVERDUE): "no run() became free within the time a request may wait; try again later",
    (False, Action.BUSY): "Starting: the replica is not ready yet",
    (False, Action.OVERDUE): "Starting: the replica did not become ready within the time a request may wait",
}


class Writer(Protocol):
    """The sending half of the connection to the worker."""

    def write(self, data: bytes) -> bool:
        """Send bytes; return False when the worker is gone and has not received them."""

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send pieces one after another."""


class Dispatcher:
    """The calls of one replica. Everything happens on the event loop; nothing here waits."""

    def __init__(self, configuration: Configuration, on_stuck: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._concurrency = configuration.concurrency
        self._max_wait = configuration.max_queue_wait_ms / 1000
        self._timeout = configuration.scoring_timeout_ms / 1000
        self._on_stuck = on_stuck
        self._worker: Writer | None = None
        self._running: dict[int, Call] = {}  # in the order of starting
        self._waiting: deque[Call] = deque()
        self._usual_run: float | None = None
        self._next_number = 0
        self._watchdog: asyncio.TimerHandle | None = None
        self._when_idle: Callable[[], None] | None = None
        self.answered = 0
        self.completed = 0
        self.failed = 0
        self.run_seconds_sum = 0.0

    @property
    def ready(self) -> bool:
        """Whether there is a worker to send calls to."""
        return self._worker is not None

    @property
    def running(self) -> int:
        """How many calls the worker has."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many calls wait for the worker."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether nobody waits for an answer."""
        return not self._waiting and all(call.abandoned for call in self._running.values())

    def submit(
        self, head: bytes, body: tuple[bytes, ...], size: int, start_ms: float | None
    ) -> asyncio.Future[Answer] | Answer:
        """Run, queue or refuse a request; `start_ms` is when the router took it, in milliseconds of the epoch."""
        running = len(self._running)
        if running < self._concurrency and not self._waiting and self._worker is not None:
            call = self._new_call(head, body, size)
            if self._send(call):
                return call.future
        age = None if start_ms is None else max(0.0, time.time() - start_ms / 1000)
        action, patience, then = admit(self._load(running), age, self._max_wait)
        if action is not Action.WAIT:
            return self._refusal(action)
        call = self._new_call(head, body, size)
        call.patience = self._loop.call_later(patience, self._give_up, call, then)
        self._waiting.append(call)
        return call.future

    def attach(self, worker: Writer) -> None:
        """Send calls to this worker from now on."""
        self._worker = worker
        self._pump()

    def suspend(self) -> None:
        """Give the worker nothing more; what it runs it may still answer."""
        self._worker = None

    def detach(self, status: int, message: str) -> None:
        """Forget the worker and answer what it ran with `status` and `message`; the queue waits on."""
        self._worker = None
        calls, self._running = list(self._running.values()), {}
        for call in calls:
            if not call.abandoned:
                self.failed += 1
                call.settle(failure(status, message))
        self._check_idle()

    def answer(self, number: int, head: bytes, body: bytes) -> None:
        """Pass on what the worker answered, and give it the next call."""
        call = self._running.pop(number, None)
        if call is None:
            return
        status, flags, seconds = ANSWER_HEAD.unpack_from(head)
        self.answered += 1
        held = self._loop.time() - call.sent_at
        usual = self._usual_run
        self._usual_run = held if usual is None else usual + _SMOOTHING * (held - usual)
        if self._waiting:
            self._pump()
        ran, run_failed = bool(flags & RAN), bool(flags & RUN_FAILED)
        if ran:
            self.run_seconds_sum += seconds
            if not call.abandoned:
                self.failed += run_failed
                self.completed += not run_failed
        call.settle(Answer(status, body, run_failed, seconds if ran else None))
        if self._when_idle is not None:
            self._check_idle()

    def refuse_waiting(self, message: str) -> None:
        """Send away everything that waits: there will be no worker for it."""
        while self._waiting:
            self._waiting.popleft().settle(refusal(message, busy=True))

    def call_when_idle(self, callback: Callable[[], None]) -> None:
        """Call back once, as soon as nobody waits for an answer."""
        self._when_idle = callback
        self._check_idle()

    def _new_call(self, head: bytes, body: tuple[bytes, ...], size: int) -> Call:
        self._next_number = (self._next_number + 1) % MAX_CALL
        return Call(self._next_number, head, body, size, self._loop.create_future())

    def _load(self, running: int) -> Load:
        elapsed = self._loop.time() - next(reversed(self._running.values())).sent_at if running else 0.0
        return Load(self.ready, running, len(self._waiting), self._concurrency, self._usual_run, elapsed)

    def _refusal(self, action: Action) -> Answer:
        return refusal(_REFUSALS[self.ready, action], busy=action is Action.BUSY)

    def _give_up(self, call: Call, action: Action) -> None:
        self._waiting.remove(call)
        call.settle(self._refusal(action))
        self._check_idle()

    def _pump(self) -> None:
        while self._waiting and len(self._running) < self._concurrency and self._worker is not None:
            if not self._send(self._waiting[0]):
                break
            call = self._waiting.popleft()
            if call.patience is not None:
                call.patience.cancel()
                call.patience = None

    def _send(self, call: Call) -> bool:
        assert self._worker is not None  # noqa: S101 (for the type checker: both callers have looked)
        start = PREFIX.pack(CALL, call.number, len(call.head), call.size) + call.head
        if call.size > _COALESCE_BYTES:
            self._worker.writelines((start, *call.body))
        elif not self._worker.write(b"".join((start, *call.body))):
            self.suspend()
            return False
        call.body = ()
        call.sent_at = self._loop.time()
        self._running[call.number] = call
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(self._timeout, self._check_timeouts)
        return True

    def _check_timeouts(self) -> None:
        """Answer calls over the limit with 504; armed for the oldest call, so one timer serves all."""
        self._watchdog = None
        now = self._loop.time()
        for call in self._running.values():
            if call.abandoned:
                continue
            due = call.sent_at + self._timeout
            if due > now + 0.001:
                self._watchdog = self._loop.call_at(due, self._check_timeouts)
                break
            self.failed += 1
            call.settle(failure(504, f"run() did not return within {self._timeout * 1000:g} ms"))
        stuck = sum(call.abandoned for call in self._running.values())
        if stuck >= self._concurrency:
            self._on_stuck(f"run() takes longer than {self._timeout * 1000:g} ms and cannot be interrupted")
        self._check_idle()

    def _check_idle(self) -> None:
        if self._when_idle is not None and self.idle:
            callback, self._when_idle = self._when_idle, None
            callback()
