"""The supervisor of a worker: it starts, watches and replaces the worker process, and decides when to give up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from mljupyter.scoring import exit_codes, protocol
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.messages import Interface
from mljupyter.scoring.server.connection import Connection
from mljupyter.scoring.server.dispatcher import Dispatcher
from mljupyter.scoring.server.stack_dump import seconds_to_wait
from mljupyter.scoring.server.worker_process import WorkerProcess
from mljupyter.scoring.server.worker_source import Worker, WorkerSource
from mljupyter.scoring.server.zygote_client import ForkedWorker

MAX_DEATHS = 5
"""The supervisor gives up after more deaths than this in a row without an answered call in between."""
_FIRST_DELAY_SECONDS = 0.1
_EXIT_SECONDS = 2.0  # the time a worker has for its exit handlers
_LAST_ANSWERS_SECONDS = 0.1


class Supervisor:
    """Keeps one worker alive for the dispatcher; calls `on_give_up` with an exit status when that has failed.

    It also gives up after an internal error: a server without a working supervisor would neither serve nor end.

    `interface` describes the input and output of `run()`, None before it is known; `restarts` counts replacements.
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
        """The process id of the worker, None between two workers."""
        return (self._worker.pid or None) if self._worker else None

    async def adopt(self, worker: Worker) -> None:
        """Supervise a worker that has just been started."""
        self._worker = worker
        self._failure = None
        self._ended.clear()
        if self._startup is None:
            self._startup = self._later(self._configuration.startup_timeout, self._init_timed_out)
        await self._source.connect_zygote(worker)
        closed = asyncio.Event()

        def on_close() -> None:
            closed.set()
            if worker is self._worker:  # a zygote that is no longer needed ends while the worker serves
                self.dispatcher.suspend()
            worker.kill()

        def on_exit() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, since the server ends
                self._loop.call_soon_threadsafe(lambda: self._spawn(self._on_exit(worker, closed)))

        connection = Connection(self._on_frame, on_close)
        self._connection = connection
        await connection.open(worker.socket)
        worker.watch(on_exit)

    async def close(self) -> None:
        """End the worker: it may run its exit handlers if it is idle and they are quick; otherwise it is killed."""
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
            await asyncio.wait_for(self._ended.wait(), _EXIT_SECONDS)
        except TimeoutError:
            self._log.record("W", "the worker did not end by itself and is killed")
            worker.kill()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _EXIT_SECONDS)

    def abandon(self, message: str) -> None:
        """Answer all clients with a 503 now, even those whose call still runs."""
        self.dispatcher.abandon(message)

    def _on_frame(self, connection: Connection, frame: protocol.Frame) -> None:
        if frame.kind == protocol.ANSWER:
            self.dispatcher.answer(frame.call, frame.head, frame.body)
            return
        try:
            if frame.kind == protocol.PIECE:
                self.dispatcher.add_piece(frame.call, frame.body)
                return
            if frame.kind == protocol.STREAM:
                self.dispatcher.begin_stream(frame.call, frame.head, frame.body)
                return
            self._on_message(connection, frame)
        except Exception as error:  # noqa: BLE001 - any error here must end the replica, which would hang otherwise
            self._fail(error)

    def _on_message(self, connection: Connection, frame: protocol.Frame) -> None:
        if frame.kind == protocol.READY:
            self._cancel_startup()
            self.interface = Interface.from_json(frame.head)
            self._was_ready = True
            self._log.record("I", f"the scoring script is ready (worker {frame.call})")
            self.dispatcher.attach(connection, batching=bool(frame.body))
        elif frame.kind == protocol.FAILED:
            self._failure = frame.body.decode("utf-8", "replace")
            if self._worker is not None:  # it ends by itself, unless a thread of the script keeps it alive
                self._later(_EXIT_SECONDS, self._worker.kill)
        elif frame.kind == protocol.ZYGOTE:
            self._begin_preloading(connection)
        else:
            self._source.receive(frame)

    def _begin_preloading(self, connection: Connection) -> None:
        """Use the process that has run `init()` as private zygote, and let it fork the first worker."""
        process = self._worker
        if not isinstance(process, WorkerProcess) or connection is not self._connection or self._closing:
            return
        if self.dispatcher.ready:  # it serves already: its script has forged this frame
            return
        self._cancel_startup()
        self._source.use_as_zygote(process, connection)
        self._worker = self._connection = None
        self._start()

    def _replace(self, reason: str) -> None:
        """Kill a worker whose calls do not return; a new one is started when it has ended."""
        if self._worker is None or self._replacing:
            return
        self._replacing = True
        self.dispatcher.suspend()
        self._log.record("E", f"{reason}; the worker {self._worker.pid} is killed and replaced. Its stacks:")
        self._dump_stacks(self._worker, self._worker.kill)

    def _dump_stacks(self, worker: Worker, then: Callable[..., None], *arguments: object) -> None:
        """Let a worker write its stacks, and go on when it has done so or takes too long."""
        began = self._loop.time()

        def look() -> None:
            left = seconds_to_wait(began, self._loop.time(), self._log.last_error_output(worker.pid))
            if left:
                self._later(left, look)
            else:
                then(*arguments)

        worker.dump_stacks()
        look()

    async def _on_exit(self, worker: Worker, closed: asyncio.Event) -> None:
        if worker is not self._worker:
            self._source.on_exit(worker)
            return
        # Its last answers may still arrive. The wait is short, since a process it has forked may hold the socket open.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closed.wait(), _LAST_ANSWERS_SECONDS)
        was_never_forked = isinstance(worker, ForkedWorker) and not worker.pid and not self._source.has_zygote
        if not was_never_forked:
            self._cancel_startup()  # otherwise the next worker has the rest of the start-up time
        self._worker = None
        if self._connection is not None:
            self._connection.transport.abort()
            self._connection = None
        self._ended.set()
        if self._closing:
            return
        ending = f"the worker process {worker.describe_end()}"
        deliberate, self._replacing = self._replacing, False
        self.dispatcher.lose(ending, deliberate)
        if was_never_forked:
            self._start()
            return
        if isinstance(worker, ForkedWorker):
            self._source.count_exit(self.dispatcher.answered, was_ready=self._was_ready)
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
            except Exception as error:  # noqa: BLE001 - any error here must end the replica, which would hang otherwise
                self._fail(error)

        return self._loop.call_later(seconds, guarded)

    def _fail(self, error: BaseException) -> None:
        """End the replica after an internal error."""
        import traceback

        self._log.record("E", "".join(traceback.format_exception(error)))
        self._give_up(exit_codes.INTERNAL_ERROR, f"the supervisor of the worker has failed: {error!r}")
        self.dispatcher.abandon("the replica has failed; its log has the reason")

    def _init_timed_out(self) -> None:
        if self._worker is None or self._closing:
            return
        self._closing = True
        reason = f"init() of the scoring script did not return within {self._configuration.startup_timeout:g} s"
        self._log.record("E", f"{reason}. Stacks of the worker:")
        self._dump_stacks(self._worker, self._give_up, exit_codes.INIT_TIMED_OUT, reason)

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
