"""The life of the worker: its start, its death, its replacement, and when to give up on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from mljupyter.scoring import exit_codes, protocol
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.server.connection import Connection
from mljupyter.scoring.server.dispatcher import Dispatcher
from mljupyter.scoring.server.worker_process import WorkerProcess
from mljupyter.scoring.server.worker_source import Worker, WorkerSource
from mljupyter.scoring.worker.interface import Interface
from mljupyter.scoring.zygote.forked_worker import ForkedWorker

MAX_DEATHS = 5
"""The worker may die this often in a row, without one answered call in between."""
_FIRST_DELAY_SECONDS = 0.1
_STACK_DUMP_SECONDS = 0.15  # what a worker gets to write its stacks before it is killed
_FAREWELL_SECONDS = 2.0  # what a worker gets for its exit handlers
_LAST_WORDS_SECONDS = 0.1


class Supervisor:
    """Keeps one worker alive for the dispatcher; calls `on_give_up` with an exit status when that is hopeless.

    That includes errors of its own: a front without a working supervisor would neither serve nor end.

    `interface` is what `run()` takes and gives, None before it is known; `restarts` counts replacements.
    """

    def __init__(self, configuration: Configuration, log: LogCapture, on_give_up: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._configuration = configuration
        self._log = log
        self._on_give_up = on_give_up
        self._worker: Worker | None = None
        self._source = WorkerSource(configuration, log, self._on_frame)
        self._connection: Connection | None = None
        self._startup: asyncio.TimerHandle | None = None
        self._closing = False
        self._was_ready = False
        self._replacing = False
        self._failure: str | None = None
        self._deaths = 0
        self._answered_at_death = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self.interface: Interface | None = None
        self.restarts = 0
        self.dispatcher = Dispatcher(configuration, self._replace)

    @property
    def worker_pid(self) -> int | None:
        """The worker's process number, None between two workers."""
        return (self._worker.pid or None) if self._worker else None

    async def adopt(self, worker: Worker) -> None:
        """Take care of a worker that has just been started."""
        self._worker = worker
        self._failure = None
        self._ended.clear()
        if self._startup is None:
            self._startup = self._later(self._configuration.startup_timeout, self._init_timed_out)
        await self._source.meet(worker)
        closed = asyncio.Event()

        def on_close() -> None:
            closed.set()
            if worker is self._worker:  # a template that is no longer needed ends beside the worker that serves
                self.dispatcher.suspend()
            worker.kill()

        def on_exit() -> None:
            with contextlib.suppress(RuntimeError):  # then the loop is closed: the front is leaving
                self._loop.call_soon_threadsafe(lambda: self._spawn(self._on_exit(worker, closed)))

        connection = Connection(self._on_frame, on_close)
        self._connection = connection
        await connection.open(worker.socket)
        worker.watch(on_exit)

    async def close(self) -> None:
        """End the worker: with its exit handlers if it is idle and quick about it, by force otherwise."""
        self._closing = True
        if self._worker is not None:
            await self._end(self._worker)
        self._source.close()

    async def _end(self, worker: Worker) -> None:
        if not self.dispatcher.ready or self.dispatcher.running:
            worker.kill()
        elif self._connection is not None:
            self._connection.transport.write_eof()
        try:
            await asyncio.wait_for(self._ended.wait(), _FAREWELL_SECONDS)
        except TimeoutError:
            self._log.record("W", "the worker did not end by itself and is killed")
            worker.kill()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _FAREWELL_SECONDS)

    def abandon(self, message: str) -> None:
        """Answer every client now, whatever still runs."""
        self.dispatcher.abandon(message)

    def _on_frame(self, connection: Connection, frame: protocol.Frame) -> None:
        if frame.kind == protocol.ANSWER:
            self.dispatcher.answer(frame.call, frame.head, frame.body)
            return
        try:
            self._on_news(connection, frame)
        except Exception as error:  # noqa: BLE001 - whatever it is, the replica must not stay as it is
            self._fail(error)

    def _on_news(self, connection: Connection, frame: protocol.Frame) -> None:
        if frame.kind == protocol.READY:
            self._cancel_startup()
            self.interface = Interface.from_json(frame.head)
            self._was_ready = True
            self._log.record("I", f"the scoring script is ready (worker {frame.call})")
            self.dispatcher.attach(connection, batching=bool(frame.body))
        elif frame.kind == protocol.FAILED:
            self._failure = frame.body.decode("utf-8", "replace")
            if self._worker is not None:  # it ends by itself, unless a thread of the script keeps it
                self._later(_FAREWELL_SECONDS, self._worker.kill)
        elif frame.kind == protocol.TEMPLATE:
            self._begin_preloading(connection)
        else:
            self._source.receive(frame)

    def _begin_preloading(self, connection: Connection) -> None:
        """Make a template of the process that has run `init()`, and let it fork the first worker."""
        process = self._worker
        if not isinstance(process, WorkerProcess) or connection is not self._connection or self._closing:
            return
        if self.dispatcher.ready:  # it serves already and forks nothing, whatever its script has written to the socket
            return
        self._cancel_startup()
        self._source.keep(process, connection)
        self._worker = self._connection = None
        self._start()

    def _replace(self, reason: str) -> None:
        """Kill a worker whose calls do not end; its successor is started as soon as it is gone."""
        if self._worker is None or self._replacing:
            return
        self._replacing = True
        self.dispatcher.suspend()
        self._log.record("E", f"{reason}; the worker {self._worker.pid} is killed and started anew. Its stacks:")
        self._worker.dump_stacks()
        self._later(_STACK_DUMP_SECONDS, self._worker.kill)

    async def _on_exit(self, worker: Worker, closed: asyncio.Event) -> None:
        if worker is not self._worker:
            self._source.on_exit(worker)
            return
        # Its last answers may still be on the way. A process it has forked may hold the socket open: do not wait long.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closed.wait(), _LAST_WORDS_SECONDS)
        never_was = isinstance(worker, ForkedWorker) and not worker.pid and not self._source.has_template
        if not never_was:
            self._cancel_startup()  # else its successor has what is left of the time
        self._worker = None
        if self._connection is not None:
            self._connection.transport.abort()
            self._connection = None
        self._ended.set()
        if self._closing:
            return
        ending = f"the worker process {worker.ending()}"
        deliberate, self._replacing = self._replacing, False
        self.dispatcher.lose(ending, deliberate)
        if never_was:
            self._start()
            return
        if isinstance(worker, ForkedWorker):
            self._source.count_end(self.dispatcher.answered, was_ready=self._was_ready)
        elif not self._was_ready:
            reason = self._failure or f"{ending} before init() of the scoring script had returned"
            self._give_up(exit_codes.SCRIPT_FAILED, reason)
            return
        self.restarts += self._was_ready
        if deliberate:
            self._start()
            return
        self._count_death()
        self._log.record("E", self._failure or f"{ending}; deaths in a row: {self._deaths}")
        if self._deaths > MAX_DEATHS:
            message = f"the worker died {self._deaths} times in a row without answering one request"
            self._give_up(exit_codes.WORKER_KEEPS_DYING, message)
        else:
            delay = _FIRST_DELAY_SECONDS * (2 ** (self._deaths - 2)) if self._deaths > 1 else 0.0
            self._later(delay, self._start)

    def _count_death(self) -> None:
        if self.dispatcher.answered != self._answered_at_death:
            self._deaths = 0
        self._answered_at_death = self.dispatcher.answered
        self._deaths += 1

    def _start(self) -> None:
        if self._closing:
            return
        try:
            worker = self._source.next()
        except OSError as error:
            self._give_up(exit_codes.WORKER_KEEPS_DYING, f"a new worker cannot be started: {error}")
            return
        self._spawn(self.adopt(worker))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    def _later(self, seconds: float, callback: Callable[..., None], *arguments: object) -> asyncio.TimerHandle:
        def guarded() -> None:
            try:
                callback(*arguments)
            except Exception as error:  # noqa: BLE001 - whatever it is, the replica must not stay as it is
                self._fail(error)

        return self._loop.call_later(seconds, guarded)

    def _fail(self, error: BaseException) -> None:
        """End the replica because of an error in this class."""
        import traceback

        self._log.record("E", "".join(traceback.format_exception(error)))
        self._give_up(exit_codes.INTERNAL_ERROR, f"the supervisor of the worker has failed: {error!r}")
        self.dispatcher.abandon("the replica has failed; its log has the reason")

    def _init_timed_out(self) -> None:
        if self._worker is None or self._closing:
            return
        self._closing = True
        reason = f"init() of the scoring script did not return within {self._configuration.startup_timeout:g} s"
        self._log.record("E", f"{reason}. Where the worker is now:")
        self._worker.dump_stacks()
        self._later(_STACK_DUMP_SECONDS, self._give_up, exit_codes.INIT_TIMED_OUT, reason)

    def _cancel_startup(self) -> None:
        if self._startup is not None:
            self._startup.cancel()
            self._startup = None

    def _give_up(self, status: int, reason: str) -> None:
        self._closing = True
        self._log.record("C", f"{reason}; the replica stops with exit status {status}")
        self.dispatcher.refuse_waiting(f"the replica stops: {reason}")
        if self._worker is not None:
            self._worker.kill()
        self._on_give_up(status)
