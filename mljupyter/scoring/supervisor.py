"""The life of the worker: its start, its death, its replacement, and when to give up on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import cast

from mljupyter.scoring import exit_codes, protocol
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.dispatcher import Dispatcher
from mljupyter.scoring.log_capture import LogCapture
from mljupyter.scoring.worker_process import WorkerProcess

MAX_DEATHS = 5
"""The worker may die this often in a row, without one answered call in between."""
_FIRST_DELAY_SECONDS = 0.1
_STACK_DUMP_SECONDS = 0.15  # what a worker gets to write its stacks before it is killed
_FAREWELL_SECONDS = 2.0  # what a worker gets for its exit handlers
_LAST_WORDS_SECONDS = 0.1


class Connection(asyncio.Protocol):
    """The front's end of the socket pair to one worker."""

    def __init__(self, on_frame: Callable[[Connection, protocol.Frame], None], on_close: Callable[[], None]) -> None:
        self._decoder = protocol.FrameDecoder()
        self._on_frame = on_frame
        self._on_close = on_close
        self.transport: asyncio.Transport
        self._descriptor: int

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back to the worker."""
        self.transport = cast(asyncio.Transport, transport)
        self._descriptor = transport.get_extra_info("socket").fileno()

    def write(self, data: bytes) -> bool:
        """Send at once, without waiting for the end of the loop's turn: the worker is idle until it arrives.

        Returns False when the worker is gone and has certainly not received it.
        """
        if not self.transport.get_write_buffer_size():
            try:
                sent = os.write(self._descriptor, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return False
            if sent == len(data):
                return True
            data = data[sent:]
        self.transport.write(data)
        return True

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send pieces one after another."""
        self.transport.writelines(parts)

    def data_received(self, data: bytes) -> None:
        """Hand on the frames that have become complete."""
        for frame in self._decoder.feed(data):
            self._on_frame(self, frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the worker has closed its end, by dying or otherwise."""
        self._on_close()


class Supervisor:
    """Keeps one worker alive for the dispatcher; calls `on_give_up` with an exit status when that is hopeless.

    `takes_headers` says whether the script's `run()` wants the request headers, `restarts` counts replacements.
    """

    def __init__(self, configuration: Configuration, log: LogCapture, on_give_up: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._configuration = configuration
        self._log = log
        self._on_give_up = on_give_up
        self._worker: WorkerProcess | None = None
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
        self.takes_headers = False
        self.restarts = 0
        self.dispatcher = Dispatcher(configuration, self._replace)

    @property
    def worker_pid(self) -> int | None:
        """The worker's process number, None between two workers."""
        return self._worker.pid if self._worker else None

    async def adopt(self, worker: WorkerProcess) -> None:
        """Take care of a worker that has just been started."""
        self._worker = worker
        self._failure = None
        self._ended.clear()
        self._startup = self._loop.call_later(self._configuration.startup_timeout, self._init_timed_out)
        closed = asyncio.Event()

        def on_close() -> None:
            closed.set()
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
        if self._worker is None:
            return
        if not self.dispatcher.ready or self.dispatcher.running:
            self._worker.kill()
        elif self._connection is not None:
            self._connection.transport.write_eof()
        try:
            await asyncio.wait_for(self._ended.wait(), _FAREWELL_SECONDS)
        except TimeoutError:
            self._log.record("W", "the worker did not end by itself and is killed")
            self._worker.kill()
            await self._ended.wait()

    def abandon(self, message: str) -> None:
        """Answer every client now, whatever still runs."""
        self.dispatcher.refuse_waiting(message)
        self.dispatcher.detach(503, message)

    def _on_frame(self, connection: Connection, frame: protocol.Frame) -> None:
        if frame.kind == protocol.ANSWER:
            self.dispatcher.answer(frame.call, frame.head, frame.body)
        elif frame.kind == protocol.READY:
            self._cancel_startup()
            self.takes_headers = json.loads(frame.head)["requestHeaders"]
            self._was_ready = True
            self._log.record("I", f"the scoring script is ready (worker {self.worker_pid})")
            self.dispatcher.attach(connection)
        elif frame.kind == protocol.FAILED:
            self._failure = frame.body.decode("utf-8", "replace")
            if self._worker is not None:  # it ends by itself, unless a thread of the script keeps it
                self._loop.call_later(_FAREWELL_SECONDS, self._worker.kill)

    def _replace(self, reason: str) -> None:
        """Kill a worker whose calls do not end; its successor is started as soon as it is gone."""
        if self._worker is None or self._replacing:
            return
        self._replacing = True
        self.dispatcher.suspend()
        self._log.record("E", f"{reason}; the worker {self._worker.pid} is killed and started anew. Its stacks:")
        self._worker.dump_stacks()
        self._loop.call_later(_STACK_DUMP_SECONDS, self._worker.kill)

    async def _on_exit(self, worker: WorkerProcess, closed: asyncio.Event) -> None:
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
        self.dispatcher.detach(502, f"{ending} while it ran this request")
        deliberate, self._replacing = self._replacing, False
        if not self._was_ready:
            reason = self._failure or f"{ending} before init() of the scoring script had returned"
            self._give_up(exit_codes.SCRIPT_FAILED, reason)
            return
        self.restarts += 1
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

    def _count_death(self) -> None:
        if self.dispatcher.answered != self._answered_at_death:
            self._deaths = 0
        self._answered_at_death = self.dispatcher.answered
        self._deaths += 1

    def _start(self) -> None:
        if self._closing:
            return
        try:
            worker = WorkerProcess(self._configuration, self._log)
        except OSError as error:
            self._give_up(exit_codes.WORKER_KEEPS_DYING, f"a new worker cannot be started: {error}")
            return
        self._spawn(self.adopt(worker))

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
