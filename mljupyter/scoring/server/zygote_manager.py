"""The manager of a shared zygote (``--template-socket``): it starts the zygote and writes its log.

The manager holds no model: the zygote is its child, and may run another Python. If a fork is not safe, the manager
tells the replica servers why. It stays while they are connected, so that they do not start a zygote again and again.
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
from mljupyter.scoring.server.stack_dump import seconds_to_wait
from mljupyter.scoring.server.worker_process import WorkerProcess

_READ_BYTES = 65536


def run_zygote(configuration: Configuration, listener: socket.socket, log: LogCapture) -> int:
    """Run a shared zygote until no server needs it; return the exit status."""
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
        log.record("I", f"the zygote {worker.describe_end()}")
        return exit_codes.STOPPED
    worker.kill()
    log.record("W", f"preloading is off: {reason}")
    _refuse(listener, reason)
    return exit_codes.SCRIPT_FAILED


def _until_ready(worker: WorkerProcess, configuration: Configuration, log: LogCapture) -> str | None:
    """Wait until `init()` has returned; return None, or the reason why workers cannot be forked."""
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
            if frame.kind == protocol.ZYGOTE:
                return None
            return frame.body.decode("utf-8", "replace")
    reason = f"init() of the scoring script did not return within {configuration.startup_timeout:g} s"
    log.record("E", f"{reason}. Stacks of the zygote:")
    began = time.monotonic()
    worker.dump_stacks()
    while wait := seconds_to_wait(began, time.monotonic(), log.last_error_output(worker.pid)):
        time.sleep(wait)
    return reason


def _refuse(listener: socket.socket, reason: str) -> None:
    """Send the reason to all servers that connect, until none is left."""
    body = reason.encode("utf-8", "replace")
    frame = protocol.PREFIX.pack(protocol.REFUSED, 0, 0, len(body)) + body
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    servers: dict[int, socket.socket] = {}
    timeout = protocol.FIRST_CLIENT_SECONDS
    while ready := poll.poll(None if servers else timeout * 1000):
        timeout = protocol.LINGER_SECONDS
        for descriptor, _ in ready:
            if descriptor == listener.fileno():
                server, _ = listener.accept()
                servers[server.fileno()] = server
                poll.register(server, select.POLLIN)
                with contextlib.suppress(OSError):  # it is gone: the poll reports that as well
                    server.sendall(frame)
            elif not _received(servers[descriptor]):
                poll.unregister(descriptor)
                servers.pop(descriptor).close()


def _received(server: socket.socket) -> bytes:
    try:
        return server.recv(_READ_BYTES)
    except OSError:
        return b""
