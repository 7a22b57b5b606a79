"""The server's handles on a zygote and on the workers that it forks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable

from mljupyter.scoring import peers, protocol
from mljupyter.scoring.logs.capture import PRINT, STDERR, LogCapture
from mljupyter.scoring.server.connection import Connection
from mljupyter.scoring.server.worker_process import WorkerProcess, describe_status


class ForkedWorker:
    """A worker that a zygote has forked, with the interface of `WorkerProcess`.

    `pid` is 0 until the zygote has reported it. The worker dies when the parent-death pipe is closed, at the latest
    with this process. When the zygote is gone, this process watches the worker, but cannot learn its exit status.
    """

    def __init__(self, zygote: ZygoteClient, ours: socket.socket, output: tuple[int, int], parent_death: int) -> None:
        self.zygote = zygote
        self._output = output
        self._parent_death: int | None = parent_death
        self._status: int | None = None
        self._end = ""
        self._ended = False
        self._kill_wanted = False
        self._on_exit: Callable[[], None] | None = None
        self.socket = ours
        self.pid = 0

    def watch(self, on_exit: Callable[[], None]) -> None:
        """Call `on_exit` when the process has ended, now if it has ended already."""
        self._on_exit = on_exit
        if self._ended:
            on_exit()

    def kill(self) -> None:
        """Kill the worker and the processes it has started; do nothing when it has ended already."""
        self._kill_wanted = True
        if self.pid and not self._ended and not self.zygote.send_command(protocol.KILL, self.pid):
            _signal_group(self.pid)

    def dump_stacks(self) -> None:
        """Let the worker write the stacks of all its threads to the log, even while code holds its interpreter lock."""
        if self.pid and not self._ended and not self.zygote.send_command(protocol.DUMP_STACKS, self.pid):
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGUSR1)

    def describe_end(self) -> str:
        """Return how the process ended, for messages."""
        return self._end or describe_status(self._status)

    def on_started(self, pid: int, log: LogCapture) -> None:
        """Note the process id, and log the output of the process under it."""
        self.pid = pid
        for descriptor, logger in zip(self._output, (PRINT, STDERR), strict=True):
            log.add(descriptor, pid, logger)
        if self._kill_wanted:
            self.kill()

    def on_ended(self, status: int | None, end: str = "") -> None:
        """Note the end of the process: its exit status, or a description if that is unknown."""
        if self._ended:
            return
        self._ended = True
        if self._parent_death is not None:
            os.close(self._parent_death)
            self._parent_death = None
        if not self.pid:
            for descriptor in self._output:
                os.close(descriptor)
        self._status, self._end = status, end
        if self._on_exit is not None:
            self._on_exit()

    def watch_without_zygote(self) -> None:
        """Watch for the end of the process here, since the zygote, which would report it, is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            self.on_ended(None, "has ended")
            return
        loop = asyncio.get_running_loop()

        def over() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            _signal_group(self.pid)
            self.on_ended(None, "has ended")

        loop.add_reader(descriptor, over)


class ZygoteClient:
    """The connection to a zygote: it asks for workers, and keeps track of them.

    `process` is the process of a private zygote, None for a shared one. `connection` reads the zygote's frames, which
    its owner passes to `receive`.
    """

    def __init__(self, control: socket.socket, log: LogCapture, process: WorkerProcess | None = None) -> None:
        self.process = process
        self.control = control
        self._log = log
        self._requested: deque[ForkedWorker] = deque()
        self._workers: dict[int, ForkedWorker] = {}
        self._is_gone = False
        self.connection: Connection | None = None
        control.setblocking(False)

    @classmethod
    def shared(cls, path: str, log: LogCapture) -> ZygoteClient:
        """Connect to the shared zygote that listens at a path; raise OSError when none does."""
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            control.connect(path)
            peers.check(control)
        except OSError:
            control.close()
            raise
        return cls(control, log)

    def fork(self) -> ForkedWorker:
        """Ask for a new worker; raise OSError when the zygote is gone or no descriptors are left."""
        ours, theirs = socket.socketpair()
        opened, kept = [theirs.detach()], []
        try:
            ours.setblocking(False)
            for _ in range(2):
                reader, writer = os.pipe()
                opened.append(writer)
                kept.append(reader)
            parent_death_reader, parent_death = os.pipe()
            opened.append(parent_death_reader)
            kept.append(parent_death)
            socket.send_fds(self.control, [protocol.COMMAND.pack(protocol.FORK, 0)], opened)
        except OSError:
            ours.close()
            for descriptor in kept:
                os.close(descriptor)
            raise
        finally:
            for descriptor in opened:
                os.close(descriptor)
        output, errors, parent_death = kept
        worker = ForkedWorker(self, ours, (output, errors), parent_death)
        self._requested.append(worker)
        return worker

    def send_command(self, command: int, pid: int) -> bool:
        """Send a command about a worker; return False when the zygote is gone."""
        if self._is_gone:
            return False
        try:
            self.control.send(protocol.COMMAND.pack(command, pid))
        except OSError:
            return False
        return True

    def receive(self, frame: protocol.Frame) -> None:
        """Handle a report of the zygote about its workers."""
        if frame.kind == protocol.FORKED:
            worker = self._requested.popleft()
            if frame.call:
                self._workers[frame.call] = worker
                worker.on_started(frame.call, self._log)
            else:
                worker.on_ended(None, f"could not be forked: {frame.body.decode('utf-8', 'replace')}")
        elif frame.kind == protocol.ENDED:
            ended = self._workers.pop(frame.call, None)
            if ended is not None:
                ended.on_ended(int(frame.body))

    def on_gone(self) -> None:
        """Note that the zygote is gone: its workers stay, and requested ones will not be forked."""
        self._is_gone = True
        for worker in self._workers.values():
            worker.watch_without_zygote()
        for requested in self._requested:
            requested.on_ended(None, "was never forked")
        self._workers.clear()
        self._requested.clear()

    def close(self) -> None:
        """Disconnect. This ends a private zygote; a shared one notices that this server is gone."""
        if self.process is not None:
            self.process.kill()
        if self.connection is not None:
            self.connection.transport.abort()
        self.control.close()


def _signal_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
