"""A process that has run `init()` once and forks workers from itself, each ready in milliseconds.

The template never runs `run()`. Its workers share the memory that `init()` has filled until one of them writes to it.
Each worker dies with the front it is for, and outlives its template.

There are two kinds: the template of one front, which ends with it, and the template of a whole version, which fronts
find at a Unix socket and which ends when the last of them has gone.
"""

# ruff: noqa: PTH115, PTH208
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import warnings

from mljupyter.scoring.parent_death import die_with_holder
from mljupyter.scoring.protocol import ENDED, FORKED, PREFIX, TEMPLATE

ORDER = struct.Struct("<BI")
"""What a front asks for: one of the following, and the process it is for."""
FORK, KILL, DUMP_STACKS = 1, 2, 3
WITH_FORK = 4
"""With FORK come descriptors: the worker's end of its socket pair, its standard output and error, its lifeline."""
FIRST_FRONT_SECONDS = 60.0
"""How long the template of a version waits for its first front."""
LINGER_SECONDS = 3.0
"""How long it waits for another one when its last front has gone."""
_THREADS_END_SECONDS = 0.1


def fork_workers(control: int, listener: int | None = None) -> int:
    """Serve fronts' orders; return in each forked worker, with the descriptor of its own channel.

    In the template it does not return. Ask `obstacle` first whether it is safe.

    Parameters:
        control: the socket to the process that has started this one; the template ends with it.
        listener: a socket that fronts connect to; without it `control` is the only front.

    """
    gc.collect()
    gc.freeze()  # else the collector would write to, and so copy, the pages that are shared
    return _Template(control, listener).serve()


def obstacle(*own: int | None) -> str | None:
    """Return why workers cannot be forked from this process, None if they can; `own` are sockets of ours.

    Libraries that know about forks, OpenBLAS for one, end their threads before it. So a first fork tells them apart:
    the threads that are left would be missing in the workers, and what they hold would be locked there for good.
    """
    if sys.platform != "linux":
        return "a process cannot be forked safely on this platform once it has loaded libraries"
    others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others:
        return f"threads of the script are alive after init(): {', '.join(others)[:200]}"
    torch = sys.modules.get("torch")
    open_files = _open_files()
    if getattr(getattr(torch, "cuda", None), "is_initialized", bool)() or any("/dev/nvidia" in f for f in open_files):
        return "init() has started CUDA, which does not survive a fork"
    if _has_children():
        return "init() has started processes, which workers cannot share"
    ours = [os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in own if descriptor is not None]
    if any(name.startswith("socket:") and name not in ours for name in open_files):
        return "init() holds open network connections, which workers cannot share"
    try:
        _try_fork()
    except OSError as error:
        return f"the system refuses to fork: {error.strerror}"
    threads = _threads_left()
    if threads > 1:
        return f"{threads - 1} threads of native libraries are alive after init() (OMP_NUM_THREADS=1 may avoid them)"
    return None


class _Front:
    """A front: the socket to it, and the workers it has."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.workers: set[int] = set()

    def send(self, kind: int, number: int = 0, body: bytes = b"") -> None:
        with contextlib.suppress(OSError):  # it has gone: the poll tells, too
            self.connection.sendall(PREFIX.pack(kind, number, 0, len(body)) + body)


class _Template:
    def __init__(self, control: int, listener: int | None) -> None:
        self._control = socket.socket(fileno=control)
        self._listener = None if listener is None else socket.socket(fileno=listener)
        self._fronts: dict[int, _Front] = {}
        self._gone: set[int] = set()  # workers whose front has gone
        self._poll = select.poll()
        self._patience = FIRST_FRONT_SECONDS

    def serve(self) -> int:
        """Fork on request for as long as it is needed; return in each worker."""
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._previous_handler = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._previous_wakeup = signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        self._poll.register(self._wake_reader, select.POLLIN)
        if self._listener is None:
            self._add(self._control)
        else:
            self._listener.setblocking(False)
            self._poll.register(self._listener, select.POLLIN)
            self._poll.register(self._control, select.POLLIN)
            _Front(self._control).send(TEMPLATE)
        while True:
            ready = {descriptor for descriptor, _ in self._poll.poll(None if self._fronts else self._patience * 1000)}
            if not ready and not self._fronts:
                os._exit(0)
            for descriptor in ready:
                channel = self._handle(descriptor)
                if channel is not None:
                    return channel
            self._reap()

    def _handle(self, descriptor: int) -> int | None:
        """Do what a descriptor is ready for; return the channel in the worker that this makes."""
        if descriptor == self._wake_reader:
            os.read(descriptor, 4096)
        elif descriptor in self._fronts:
            return self._obey(self._fronts[descriptor])
        elif descriptor == self._control.fileno():
            os._exit(0)  # it never speaks: it has gone
        elif self._listener is not None:
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                connection.setblocking(True)
                self._add(connection)
        return None

    def _add(self, connection: socket.socket) -> None:
        front = _Front(connection)
        self._patience = LINGER_SECONDS
        self._fronts[connection.fileno()] = front
        self._poll.register(connection, select.POLLIN)
        front.send(TEMPLATE)

    def _obey(self, front: _Front) -> int | None:
        try:
            data, descriptors, _, _ = socket.recv_fds(front.connection, ORDER.size, WITH_FORK)
        except OSError:
            data, descriptors = b"", []
        if len(data) != ORDER.size:
            for descriptor in descriptors:
                os.close(descriptor)
            self._lose(front)
            return None
        order, pid = ORDER.unpack(data)
        if order == FORK and len(descriptors) == WITH_FORK:
            return self._fork(front, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid in front.workers and order == KILL:
            _kill_group(pid)
        elif pid in front.workers and order == DUMP_STACKS:
            os.kill(pid, signal.SIGUSR1)
        return None

    def _lose(self, front: _Front) -> None:
        """Forget a front, and end what its workers have started; the kernel ends them themselves."""
        if front.connection is self._control:
            os._exit(0)
        self._poll.unregister(front.connection)
        del self._fronts[front.connection.fileno()]
        front.connection.close()
        for pid in front.workers:
            _kill_group(pid)
        self._gone |= front.workers

    def _fork(self, front: _Front, descriptors: list[int]) -> int | None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError, AttributeError):
                stream.flush()  # what is left in a buffer would be written by both processes
        try:
            pid = os.fork()
        except OSError as error:
            pid = -1
            front.send(FORKED, 0, (error.strerror or str(error)).encode())
        if pid == 0:
            return self._become_worker(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)  # the child does it too; this way it is done before either goes on
            front.workers.add(pid)
            front.send(FORKED, pid)
        return None

    def _become_worker(self, channel: int, output: int, errors: int, lifeline: int) -> int:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        signal.set_wakeup_fd(self._previous_wakeup)
        signal.signal(signal.SIGCHLD, self._previous_handler)
        # A copy of what others listen to would hide from them that the template, or another front, has gone.
        for connection in (self._control, self._listener, *(front.connection for front in self._fronts.values())):
            if connection is not None:
                connection.close()
        for descriptor in (self._wake_reader, self._wake_writer):
            os.close(descriptor)
        die_with_holder(lifeline)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.close(output)
        os.close(errors)
        os.set_inheritable(channel, False)
        _reseed()
        return channel

    def _reap(self) -> None:
        """Tell fronts which of their workers have ended; what those have started ends with them."""
        for front in self._fronts.values():
            for pid in list(front.workers):
                status = _ending(pid)
                if status is not None:
                    front.workers.discard(pid)
                    front.send(ENDED, pid, str(status).encode())
        self._gone = {pid for pid in self._gone if _ending(pid) is None}


def _ending(pid: int) -> int | None:
    """Return the exit status of a child that has ended, negative for a signal; its process group ends with it."""
    if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        return None
    _kill_group(pid)  # while its number is still taken
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _reseed() -> None:
    """Give the worker random numbers of its own; the interpreter does so for `random`, hashes stay as they are."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _open_files() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _try_fork() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the interpreter warns about forks with threads; that is what is tried here
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _threads_left() -> int:
    """Return how many threads this process has; one that is ending gets a moment."""
    deadline = time.monotonic() + _THREADS_END_SECONDS
    while (count := len(os.listdir("/proc/self/task"))) > 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    return count


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
