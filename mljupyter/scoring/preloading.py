"""The front's handles on a template process and on the workers it forks."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable

from mljupyter.scoring import protocol, template
from mljupyter.scoring.log_capture import PRINT, STDERR, LogCapture
from mljupyter.scoring.worker_process import WorkerProcess, describe_status


class ForkedWorker:
    """A worker that a template has forked, with the interface of `WorkerProcess`.

    `pid` is 0 until the template or the worker itself has told it.
    """

    def __init__(self, parent: Template, front: socket.socket, output: tuple[int, int]) -> None:
        self._parent = parent
        self._output = output
        self._status: int | None = None
        self._lost = ""
        self._kill_wanted = False
        self._on_exit: Callable[[], None] | None = None
        self.socket = front
        self.pid = 0

    def watch(self, on_exit: Callable[[], None]) -> None:
        """Call `on_exit` once the process has ended, at once if it has ended already."""
        self._on_exit = on_exit
        if self._status is not None or self._lost:
            on_exit()

    def kill(self) -> None:
        """Kill the worker and what it has started; nothing happens when it has ended already."""
        self._kill_wanted = True
        if self.pid:
            self._parent.order(template.KILL, self.pid)

    def dump_stacks(self) -> None:
        """Let the worker write the stacks of all its threads to the log, even while it holds its interpreter."""
        if self.pid:
            self._parent.order(template.DUMP_STACKS, self.pid)

    def ending(self) -> str:
        """Return how the process ended, for messages."""
        return self._lost or describe_status(self._status)

    def started(self, pid: int, log: LogCapture) -> None:
        """Note the process number, under which what it prints is logged."""
        self.pid = pid
        for descriptor, logger in zip(self._output, (PRINT, STDERR), strict=True):
            log.add(descriptor, pid, logger)
        if self._kill_wanted:
            self.kill()

    def ended(self, status: int | None, lost: str = "") -> None:
        """Note the end of the process: its status, or what has happened to it if nobody can know that."""
        if not self.pid:
            for descriptor in self._output:
                os.close(descriptor)
        self._status, self._lost = status, lost
        if self._on_exit is not None:
            self._on_exit()


class Template:
    """A template process: `process` and the socket to it. Its frames are to be given to `receive`."""

    def __init__(self, process: WorkerProcess, control: int, log: LogCapture) -> None:
        self.process = process
        self._control = socket.socket(fileno=os.dup(control))
        self._log = log
        self._asked: deque[ForkedWorker] = deque()
        self._workers: dict[int, ForkedWorker] = {}

    def fork(self) -> ForkedWorker:
        """Ask for a worker; raises OSError when the template is gone or descriptors have run out."""
        front, theirs = socket.socketpair()
        opened = [theirs.detach()]
        try:
            front.setblocking(False)
            out_reader, out_writer = os.pipe()
            opened.append(out_writer)
            error_reader, error_writer = os.pipe()
            opened.append(error_writer)
            socket.send_fds(self._control, [template.ORDER.pack(template.FORK, 0)], opened)
        finally:
            for descriptor in opened:
                os.close(descriptor)
        worker = ForkedWorker(self, front, (out_reader, error_reader))
        self._asked.append(worker)
        return worker

    def order(self, order: int, pid: int) -> None:
        """Send an order about a worker; nothing happens when the template or the worker is gone."""
        with contextlib.suppress(OSError):
            self._control.send(template.ORDER.pack(order, pid))

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
        """Give up the workers: the template has died, and they with it."""
        self._control.close()
        workers = [*self._workers.values(), *self._asked]
        self._workers.clear()
        self._asked.clear()
        for worker in workers:
            worker.ended(None, "was lost with the process it was forked from")
