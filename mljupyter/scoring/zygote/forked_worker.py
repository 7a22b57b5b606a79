"""The front's handles on a template process and on the workers it forks."""

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
from mljupyter.scoring.zygote import zygote


class ForkedWorker:
    """A worker that a template has forked, with the interface of `WorkerProcess`.

    `pid` is 0 until the template has told it. The worker dies when `lifeline` is closed, with this process at the
    latest. When its template is gone it is watched here, and then nobody knows its exit status.
    """

    def __init__(self, parent: Template, front: socket.socket, output: tuple[int, int], lifeline: int) -> None:
        self.template = parent
        self._output = output
        self._lifeline: int | None = lifeline
        self._status: int | None = None
        self._ending = ""
        self._ended = False
        self._kill_wanted = False
        self._on_exit: Callable[[], None] | None = None
        self.socket = front
        self.pid = 0

    def watch(self, on_exit: Callable[[], None]) -> None:
        """Call `on_exit` once the process has ended, at once if it has ended already."""
        self._on_exit = on_exit
        if self._ended:
            on_exit()

    def kill(self) -> None:
        """Kill the worker and what it has started; nothing happens when it has ended already."""
        self._kill_wanted = True
        if self.pid and not self._ended and not self.template.order(zygote.KILL, self.pid):
            _signal_group(self.pid)

    def dump_stacks(self) -> None:
        """Let the worker write the stacks of all its threads to the log, even while it holds its interpreter."""
        if self.pid and not self._ended and not self.template.order(zygote.DUMP_STACKS, self.pid):
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGUSR1)

    def ending(self) -> str:
        """Return how the process ended, for messages."""
        return self._ending or describe_status(self._status)

    def started(self, pid: int, log: LogCapture) -> None:
        """Note the process number, under which what it prints is logged."""
        self.pid = pid
        for descriptor, logger in zip(self._output, (PRINT, STDERR), strict=True):
            log.add(descriptor, pid, logger)
        if self._kill_wanted:
            self.kill()

    def ended(self, status: int | None, ending: str = "") -> None:
        """Note the end of the process: its status, or what is known of it otherwise."""
        if self._ended:
            return
        self._ended = True
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if not self.pid:
            for descriptor in self._output:
                os.close(descriptor)
        self._status, self._ending = status, ending
        if self._on_exit is not None:
            self._on_exit()

    def outlive_template(self) -> None:
        """Watch for the end of the process here: the template, which would have told, is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            self.ended(None, "has ended")
            return
        loop = asyncio.get_running_loop()

        def over() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            _signal_group(self.pid)
            self.ended(None, "has ended")

        loop.add_reader(descriptor, over)


class Template:
    """A template process and the socket to it, whose frames are to be given to `receive`.

    `process` is None for one that other fronts have, too. `connection` is what hears it.
    """

    def __init__(self, control: socket.socket, log: LogCapture, process: WorkerProcess | None = None) -> None:
        self.process = process
        self.control = control
        self._log = log
        self._asked: deque[ForkedWorker] = deque()
        self._workers: dict[int, ForkedWorker] = {}
        self._lost = False
        self.connection: Connection | None = None
        control.setblocking(False)

    @classmethod
    def shared(cls, path: str, log: LogCapture) -> Template:
        """Return the template that listens at a path; raises OSError when none does."""
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            control.connect(path)
            peers.check(control)
        except OSError:
            control.close()
            raise
        return cls(control, log)

    def fork(self) -> ForkedWorker:
        """Ask for a worker; raises OSError when the template is gone or descriptors have run out."""
        front, theirs = socket.socketpair()
        opened, kept = [theirs.detach()], []
        try:
            front.setblocking(False)
            for _ in range(2):
                reader, writer = os.pipe()
                opened.append(writer)
                kept.append(reader)
            lifeline_reader, lifeline = os.pipe()
            opened.append(lifeline_reader)
            kept.append(lifeline)
            socket.send_fds(self.control, [zygote.ORDER.pack(zygote.FORK, 0)], opened)
        except OSError:
            front.close()
            for descriptor in kept:
                os.close(descriptor)
            raise
        finally:
            for descriptor in opened:
                os.close(descriptor)
        output, errors, lifeline = kept
        worker = ForkedWorker(self, front, (output, errors), lifeline)
        self._asked.append(worker)
        return worker

    def order(self, order: int, pid: int) -> bool:
        """Send an order about a worker; return False when the template is gone."""
        if self._lost:
            return False
        try:
            self.control.send(zygote.ORDER.pack(order, pid))
        except OSError:
            return False
        return True

    def receive(self, frame: protocol.Frame) -> None:
        """Take note of what the template tells about its workers."""
        if frame.kind == protocol.FORKED:
            worker = self._asked.popleft()
            if frame.call:
                self._workers[frame.call] = worker
                worker.started(frame.call, self._log)
            else:
                worker.ended(None, f"could not be forked: {frame.body.decode('utf-8', 'replace')}")
        elif frame.kind == protocol.ENDED:
            ended = self._workers.pop(frame.call, None)
            if ended is not None:
                ended.ended(int(frame.body))

    def lost(self) -> None:
        """Take note that the template is gone: workers stay, those that were asked for will not come."""
        self._lost = True
        for worker in self._workers.values():
            worker.outlive_template()
        for asked in self._asked:
            asked.ended(None, "was never forked")
        self._workers.clear()
        self._asked.clear()

    def close(self) -> None:
        """Be done with it: our own ends, another one learns that this front has gone."""
        if self.process is not None:
            self.process.kill()
        if self.connection is not None:
            self.connection.transport.abort()
        self.control.close()


def _signal_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
