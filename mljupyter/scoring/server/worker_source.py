"""Where workers come from: forked from a template while there is one, else started as processes of their own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from mljupyter.scoring import protocol
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.server.connection import Connection
from mljupyter.scoring.server.worker_process import WorkerProcess
from mljupyter.scoring.zygote.forked_worker import ForkedWorker, Template

MAX_FORKED_ENDS = 4
"""After so many forked workers in a row that ended without one answered call, workers are started without a fork."""

Worker = WorkerProcess | ForkedWorker
OnFrame = Callable[[Connection, protocol.Frame], None]


def first_worker(configuration: Configuration, log: LogCapture) -> Worker:
    """Return a replica's first worker, from the version's template if one is there."""
    return _forked(configuration, log) or WorkerProcess(configuration, log, configuration.preload)


class WorkerSource:
    """The template that workers are forked from, of this front or of all of the version, and what is done without.

    `on_frame` gets what a template sends; it hands its frames back to `receive`.
    """

    def __init__(self, configuration: Configuration, log: LogCapture, on_frame: OnFrame) -> None:
        self._configuration = configuration
        self._log = log
        self._on_frame = on_frame
        self._preload = configuration.preload or configuration.fork_from is not None
        self._template: Template | None = None
        self._refusing: Template | None = None  # kept, since it ends when no front holds it
        self._forked_ends = 0
        self._answered_at_end = 0

    @property
    def has_template(self) -> bool:
        """Whether the next worker will be forked."""
        return self._template is not None

    def next(self) -> Worker:
        """Return a new worker; raises OSError when none can be started."""
        if self._template is not None:
            try:
                return self._template.fork()
            except OSError as error:
                self.give_up_template(f"the template cannot be reached: {error}")
        if self._preload and (worker := _forked(self._configuration, self._log)) is not None:
            return worker
        return WorkerProcess(self._configuration, self._log, self._preload and self._configuration.preload)

    async def meet(self, worker: Worker) -> None:
        """Listen to the template of a worker, if it is one that is not known yet."""
        if not isinstance(worker, ForkedWorker) or worker.template is self._template:
            return
        template = self._template = worker.template
        connection = Connection(self._on_frame, lambda: self._lost(template, "has ended"))
        await connection.open(socket.socket(fileno=os.dup(template.control.fileno())))
        template.connection = connection

    def keep(self, process: WorkerProcess, connection: Connection) -> None:
        """Take a process that has run `init()` as the template of this front."""
        self._log.record("I", f"init() is done; workers are forked from process {process.pid}")
        self._template = Template(socket.socket(fileno=os.dup(connection.descriptor)), self._log, process)
        self._template.connection = connection

    def receive(self, frame: protocol.Frame) -> None:
        """Take note of what the template tells."""
        if self._template is None:
            return
        if frame.kind == protocol.REFUSED:
            self._refusing = self._template
            self.give_up_template(frame.body.decode("utf-8", "replace"))
        else:
            self._template.receive(frame)

    def on_exit(self, process: Worker) -> None:
        """Take note that a process has ended that is not the worker in use."""
        template = self._template
        if template is not None and template.process is process:
            self._lost(template, process.ending())

    def give_up_template(self, reason: str) -> None:
        """Start workers without a fork from now on."""
        self._log.record("W", f"preloading is off, each new worker runs init() itself: {reason}")
        self._preload = False
        template, self._template = self._template, None
        if template is not None:
            template.lost()
            if template is not self._refusing:
                template.close()

    def count_end(self, answered: int, *, was_ready: bool) -> None:
        """Count the end of a forked worker; `answered` is how many calls all workers have answered so far."""
        if answered != self._answered_at_end:
            self._forked_ends = 0
        self._answered_at_end = answered
        self._forked_ends += 1
        if self._preload and (self._forked_ends >= MAX_FORKED_ENDS or not was_ready):
            self.give_up_template(f"{self._forked_ends} forked workers in a row ended without one answered request")

    def close(self) -> None:
        """Be done with the template."""
        if self._template is not None:
            self._template.close()

    def _lost(self, template: Template, how: str) -> None:
        if template is not self._template:
            return
        self._template = None
        self._log.record("E", f"the process that workers are forked from {how}")
        template.lost()
        template.close()


def _forked(configuration: Configuration, log: LogCapture) -> ForkedWorker | None:
    """Return a worker of the version's template, None where there is none that can be reached."""
    if configuration.fork_from is None:
        return None
    try:
        template = Template.shared(configuration.fork_from, log)
        return template.fork()
    except OSError as error:
        reason = error.strerror or error
        log.record("W", f"the template {configuration.fork_from} cannot be reached, init() runs here: {reason}")
        return None
