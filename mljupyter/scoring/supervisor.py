"""The life of the worker: its start, its death, its replacement, and when to give up on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from mljupyter.scoring import exit_codes, protocol
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.connection import Connection
from mljupyter.scoring.dispatcher import Dispatcher
from mljupyter.scoring.interface import Interface
from mljupyter.scoring.log_capture import LogCapture
from mljupyter.scoring.preloading import ForkedWorker, Template
from mljupyter.scoring.worker_process import WorkerProcess

MAX_DEATHS = 5
"""The worker may die this often in a row, without one answered call in between."""
MAX_FORKED_ENDS = 4
"""After so many forked workers in a row that ended without one answered call, workers are started without a fork."""
_FIRST_DELAY_SECONDS = 0.1
_STACK_DUMP_SECONDS = 0.15  # what a worker gets to write its stacks before it is killed
_FAREWELL_SECONDS = 2.0  # what a worker gets for its exit handlers
_LAST_WORDS_SECONDS = 0.1

Worker = WorkerProcess | ForkedWorker


class Supervisor:
    """Keeps one worker alive for the dispatcher; calls `on_give_up` with an exit status when that is hopeless.

    `interface` is what `run()` takes and gives, None before it is known; `restarts` counts replacements.
    """

    def __init__(self, configuration: Configuration, log: LogCapture, on_give_up: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._configuration = configuration
        self._log = log
        self._on_give_up = on_give_up
        self._worker: Worker | None = None
        self._template: Template | None = None
        self._preload = configuration.preload
        self._forked_ends = 0
        self._answered_at_end = 0
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
        self._startup = self._loop.call_later(self._configuration.startup_timeout, self._init_timed_out)
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
        await self._loop.create_unix_connection(lambda: connection, sock=worker.socket)
        worker.watch(on_exit)

    async def close(self) -> None:
        """End the worker: with its exit handlers if it is idle and quick about it, by force otherwise."""
        self._closing = True
        if self._worker is not None:
            await self._end(self._worker)
        if self._template is not None:
            self._template.process.kill()

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
            await self._ended.wait()

    def abandon(self, message: str) -> None:
        """Answer every client now, whatever still runs."""
        self.dispatcher.abandon(message)

    def _on_frame(self, connection: Connection, frame: protocol.Frame) -> None:
        if frame.kind == protocol.ANSWER:
            self.dispatcher.answer(frame.call, frame.head, frame.body)
        elif frame.kind == protocol.READY:
            self._cancel_startup()
            self.interface = Interface.from_json(frame.head)
            self._was_ready = True
            self._log.record("I", f"the scoring script is ready (worker {frame.call})")
            self.dispatcher.attach(connection, batching=bool(frame.body))
        elif frame.kind == protocol.FAILED:
            self._failure = frame.body.decode("utf-8", "replace")
            if self._worker is not None:  # it ends by itself, unless a thread of the script keeps it
                self._loop.call_later(_FAREWELL_SECONDS, self._worker.kill)
        elif frame.kind == protocol.TEMPLATE:
            self._begin_preloading(connection)
        elif self._template is not None:
            self._template.receive(frame)

    def _begin_preloading(self, connection: Connection) -> None:
        """Make a template of the process that has run `init()`, and let it fork the first worker."""
        process = self._worker
        if not isinstance(process, WorkerProcess) or self._closing:
            return
        self._cancel_startup()
        self._log.record("I", f"init() is done; workers are forked from process {process.pid}")
        self._template = Template(process, connection.descriptor, self._log)
        self._worker = self._connection = None
        self._start()

    def _end_preloading(self, reason: str) -> None:
        """Start workers without a fork from now on."""
        self._log.record("W", f"preloading is off, each new worker runs init() itself: {reason}")
        self._preload = False
        if self._template is not None:
            self._template.process.kill()
            self._template = None

    def _replace(self, reason: str) -> None:
        """Kill a worker whose calls do not end; its successor is started as soon as it is gone."""
        if self._worker is None or self._replacing:
            return
        self._replacing = True
        self.dispatcher.suspend()
        self._log.record("E", f"{reason}; the worker {self._worker.pid} is killed and started anew. Its stacks:")
        self._worker.dump_stacks()
        self._loop.call_later(_STACK_DUMP_SECONDS, self._worker.kill)

    async def _on_exit(self, worker: Worker, closed: asyncio.Event) -> None:
        if worker is not self._worker:
            self._on_template_exit(worker)
            return
        # Its last answers may still be on the way. A process it has forked may hold the socket open: do not wait long.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closed.wait(), _LAST_WORDS_SECONDS)
        self._cancel_startup()
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
        if isinstance(worker, ForkedWorker):
            self._count_forked_end()
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
            self._loop.call_later(delay, self._start)

    def _on_template_exit(self, process: Worker) -> None:
        template = self._template
        if template is None or template.process is not process:
            return
        self._template = None
        if not self._closing:
            self._log.record("E", f"the process that workers are forked from {process.ending()}")
        template.lost()

    def _count_forked_end(self) -> None:
        if self.dispatcher.answered != self._answered_at_end:
            self._forked_ends = 0
        self._answered_at_end = self.dispatcher.answered
        self._forked_ends += 1
        if self._preload and (self._forked_ends >= MAX_FORKED_ENDS or not self._was_ready):
            self._end_preloading(f"{self._forked_ends} forked workers in a row ended without one answered request")

    def _count_death(self) -> None:
        if self.dispatcher.answered != self._answered_at_death:
            self._deaths = 0
        self._answered_at_death = self.dispatcher.answered
        self._deaths += 1

    def _start(self) -> None:
        if self._closing:
            return
        try:
            worker = self._new_worker()
        except OSError as error:
            self._give_up(exit_codes.WORKER_KEEPS_DYING, f"a new worker cannot be started: {error}")
            return
        self._spawn(self.adopt(worker))

    def _new_worker(self) -> Worker:
        if self._template is not None:
            try:
                return self._template.fork()
            except OSError as error:
                self._end_preloading(f"the template cannot be reached: {error}")
        return WorkerProcess(self._configuration, self._log, self._preload)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _init_timed_out(self) -> None:
        if self._worker is None or self._closing:
            return
        self._closing = True
        reason = f"init() of the scoring script did not return within {self._configuration.startup_timeout:g} s"
        self._log.record("E", f"{reason}. Where the worker is now:")
        self._worker.dump_stacks()
        self._loop.call_later(_STACK_DUMP_SECONDS, self._give_up, exit_codes.INIT_TIMED_OUT, reason)

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
