"""Keeps the template of a version: starts it, writes its log, and tells fronts why there is none when it cannot be.

It is the process that ``--template-socket`` asks for. It holds no model: the template is its child, and may be another
Python. While fronts are there that were refused it stays, so that they do not start a template again and again.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from types import FrameType

from mljupyter.scoring import exit_codes, protocol
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.server.worker_process import WorkerProcess
from mljupyter.scoring.zygote.zygote import FIRST_FRONT_SECONDS, LINGER_SECONDS

_READ_BYTES = 65536
_STACK_DUMP_SECONDS = 0.15


def keep(configuration: Configuration, listener: socket.socket, log: LogCapture) -> int:
    """Keep a template until no front needs it any more; return the exit status."""
    worker = WorkerProcess(configuration, log, preload=True, listener=listener)
    ended = threading.Event()
    worker.watch(ended.set)

    def stop(number: int, frame: FrameType | None) -> None:
        worker.kill()
        sys.exit(exit_codes.STOPPED)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    reason = _until_ready(worker, configuration, log)
    if reason is None:
        listener.close()
        log.record("I", f"init() is done; workers of all replicas are forked from process {worker.pid}")
        ended.wait()
        log.record("I", f"the template {worker.ending()}")
        return exit_codes.STOPPED
    worker.kill()
    log.record("W", f"preloading is off: {reason}")
    _refuse(listener, reason)
    return exit_codes.SCRIPT_FAILED


def _until_ready(worker: WorkerProcess, configuration: Configuration, log: LogCapture) -> str | None:
    """Wait until `init()` has returned; return why nothing can be forked, or None."""
    decoder = protocol.FrameDecoder()
    poll = select.poll()
    poll.register(worker.socket, select.POLLIN)
    deadline = time.monotonic() + configuration.startup_timeout
    while (left := deadline - time.monotonic()) > 0:
        if not poll.poll(left * 1000):
            continue
        data = os.read(worker.socket.fileno(), _READ_BYTES)
        if not data:
            return "the process that ran init() has ended"
        for frame in decoder.feed(data):
            if frame.kind == protocol.TEMPLATE:
                return None
            return frame.body.decode("utf-8", "replace")
    reason = f"init() of the scoring script did not return within {configuration.startup_timeout:g} s"
    log.record("E", f"{reason}. Where the template is now:")
    worker.dump_stacks()
    time.sleep(_STACK_DUMP_SECONDS)
    return reason


def _refuse(listener: socket.socket, reason: str) -> None:
    """Tell the reason to all fronts that come, until none of them is left."""
    body = reason.encode("utf-8", "replace")
    frame = protocol.PREFIX.pack(protocol.REFUSED, 0, 0, len(body)) + body
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    fronts: dict[int, socket.socket] = {}
    patience = FIRST_FRONT_SECONDS
    while ready := poll.poll(None if fronts else patience * 1000):
        patience = LINGER_SECONDS
        for descriptor, _ in ready:
            if descriptor == listener.fileno():
                front, _ = listener.accept()
                fronts[front.fileno()] = front
                poll.register(front, select.POLLIN)
                with contextlib.suppress(OSError):  # it has gone already: the poll tells, too
                    front.sendall(frame)
            elif not _received(fronts[descriptor]):
                poll.unregister(descriptor)
                fronts.pop(descriptor).close()


def _received(front: socket.socket) -> bytes:
    try:
        return front.recv(_READ_BYTES)
    except OSError:
        return b""
