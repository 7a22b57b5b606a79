"""The source of workers: a zygote forks them if there is one, otherwise each is a new interpreter.

The supervisor gets both kinds with the same interface:

- `WorkerProcess`: a new interpreter that imports the script and runs `init()`.
- `ForkedWorker`: a fork of a zygote, which has run `init()` already. A private zygote (``--preload``) is the first
  worker process of this replica. A shared zygote (``--fork-from``) serves all replicas of a version.

The source of the next worker:

```mermaid
stateDiagram-v2
    state choose <<choice>>
    [*] --> choose: first worker
    choose --> Shared: --fork-from, and a zygote listens there
    choose --> Candidate: otherwise, with --preload
    choose --> Process: otherwise
    Candidate --> Private: init() has returned, and a fork is safe
    Candidate --> choose: a fork is not safe, so the process serves until it ends
    Private --> choose: the zygote has ended
    Shared --> choose: the zygote has ended
    Process --> choose: the process has ended, with --fork-from
    Private --> Off: forked workers keep ending without an answer
    Shared --> Off: the same, or the zygote refuses to fork

    Process: WorkerProcess
    Candidate: WorkerProcess that may become a zygote
    Private: ForkedWorker of the private zygote
    Shared: ForkedWorker of the shared zygote
    Off: WorkerProcess, preloading is off for good
```

A worker outlives its zygote: the states say only how the next one is made.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from mljupyter.scoring import protocol
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.server.connection import Connection
from mljupyter.scoring.server.worker_process import WorkerProcess
from mljupyter.scoring.server.zygote_client import ForkedWorker, ZygoteClient

MAX_FORKED_ENDS = 4
"""Preloading ends after this many forked workers in a row that have not answered a call."""

Worker = WorkerProcess | ForkedWorker
OnFrame = Callable[[Connection, protocol.Frame], None]


def first_worker(configuration: Configuration, log: LogCapture) -> Worker:
    """Return the first worker of a replica, forked from the shared zygote if there is one."""
    return _forked(configuration, log) or WorkerProcess(configuration, log, configuration.preload)


class WorkerSource:
    """Makes the workers of a replica, and keeps its connection to a zygote.

    `on_frame` is called with each frame of a zygote, and must pass it to `receive`.
    """

    def __init__(self, configuration: Configuration, log: LogCapture, on_frame: OnFrame) -> None:
        self._configuration = configuration
        self._log = log
        self._on_frame = on_frame
        self._preload = configuration.preload or configuration.fork_from is not None
        self._zygote: ZygoteClient | None = None
        self._refusing: ZygoteClient | None = None  # connected, since the manager ends with its last server
        self._forked_ends = 0
        self._answered_at_end = 0

    @property
    def has_zygote(self) -> bool:
        """Whether the next worker will be forked."""
        return self._zygote is not None

    def next(self) -> Worker:
        """Return a new worker; raise OSError when none can be started."""
        if self._zygote is not None:
            try:
                return self._zygote.fork()
            except OSError as error:
                self.give_up_zygote(f"the zygote cannot be reached: {error}")
        if self._preload and (worker := _forked(self._configuration, self._log)) is not None:
            return worker
        return WorkerProcess(self._configuration, self._log, self._preload and self._configuration.preload)

    async def connect_zygote(self, worker: Worker) -> None:
        """Read from the zygote of a forked worker, unless it is known already."""
        if not isinstance(worker, ForkedWorker) or worker.zygote is self._zygote:
            return
        zygote = self._zygote = worker.zygote
        connection = Connection(self._on_frame, lambda: self._on_zygote_gone(zygote, "has ended"))
        await connection.open(socket.socket(fileno=os.dup(zygote.control.fileno())))
        zygote.connection = connection

    def use_as_zygote(self, process: WorkerProcess, connection: Connection) -> None:
        """Fork the next workers from a process that has run `init()`: it is the private zygote of this replica."""
        self._log.record("I", f"init() is done; workers are forked from process {process.pid}")
        self._zygote = ZygoteClient(socket.socket(fileno=os.dup(connection.descriptor)), self._log, process)
        self._zygote.connection = connection

    def receive(self, frame: protocol.Frame) -> None:
        """Handle a frame of the zygote."""
        if self._zygote is None:
            return
        if frame.kind == protocol.REFUSED:
            self._refusing = self._zygote
            self.give_up_zygote(frame.body.decode("utf-8", "replace"))
        else:
            self._zygote.receive(frame)

    def on_exit(self, process: Worker) -> None:
        """Handle the end of a process that is not the present worker: it may be the private zygote."""
        zygote = self._zygote
        if zygote is not None and zygote.process is process:
            self._on_zygote_gone(zygote, process.describe_end())

    def give_up_zygote(self, reason: str) -> None:
        """Turn preloading off: start all further workers as new interpreters."""
        self._log.record("W", f"preloading is off, each new worker runs init() itself: {reason}")
        self._preload = False
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.on_gone()
            if zygote is not self._refusing:
                zygote.close()

    def count_exit(self, answered: int, *, was_ready: bool) -> None:
        """Count the end of a forked worker; `answered` is the number of calls that all workers have answered so far."""
        if answered != self._answered_at_end:
            self._forked_ends = 0
        self._answered_at_end = answered
        self._forked_ends += 1
        if self._preload and (self._forked_ends >= MAX_FORKED_ENDS or not was_ready):
            self.give_up_zygote(f"{self._forked_ends} forked workers in a row ended without one answered request")

    def close(self) -> None:
        """Disconnect from the zygote; a private one ends."""
        if self._zygote is not None:
            self._zygote.close()

    def _on_zygote_gone(self, zygote: ZygoteClient, how: str) -> None:
        if zygote is not self._zygote:
            return
        self._zygote = None
        self._log.record("E", f"the process that workers are forked from {how}")
        zygote.on_gone()
        zygote.close()


def _forked(configuration: Configuration, log: LogCapture) -> ForkedWorker | None:
    """Return a worker of the shared zygote; None if there is no zygote, or it cannot be reached."""
    if configuration.fork_from is None:
        return None
    try:
        zygote = ZygoteClient.shared(configuration.fork_from, log)
        return zygote.fork()
    except OSError as error:
        reason = error.strerror or error
        log.record("W", f"the zygote {configuration.fork_from} cannot be reached, init() runs here: {reason}")
        return None
