"""The zygote (fork server): a process that has run `init()` once and forks workers, each ready in milliseconds.

A zygote never calls `run()`. Its workers share the memory that `init()` has filled, until one of them writes to it
(copy on write). A worker dies with the replica server that asked for it, and outlives its zygote.

There are two kinds. A private zygote belongs to one replica server and ends with it. A shared zygote serves all
replicas of a version: their servers connect to it at a Unix socket, and it ends after the last one has disconnected.
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
import sys
import threading
import time
import warnings

from mljupyter.scoring.protocol import (
    COMMAND,
    DESCRIPTORS_OF_FORK,
    DUMP_STACKS,
    ENDED,
    FIRST_CLIENT_SECONDS,
    FORK,
    FORKED,
    KILL,
    LINGER_SECONDS,
    PREFIX,
    ZYGOTE,
)
from mljupyter.scoring.worker.parent_death import die_with_holder

_THREADS_END_SECONDS = 0.1


def fork_workers(control: int, listener: int | None = None) -> int:
    """Turn this process into a zygote; return in each worker that it forks, with the descriptor of its channel.

    The call does not return in the zygote itself. Check with `fork_obstacle` before whether forking is safe.

    Parameters:
        control: the socket to the parent process; the zygote ends when it is closed.
        listener: the socket that replica servers connect to; None for a private zygote, which obeys its parent.

    """
    gc.collect()
    gc.freeze()  # otherwise the collector would write to the shared pages, and so copy them
    return _Zygote(control, listener).serve()


def fork_obstacle(*own: int | None) -> str | None:
    """Return why it is not safe to fork workers from this process, None if it is; `own` are sockets of this package.

    A fork copies no threads, so a lock that a missing thread holds would stay locked in the worker. Libraries that
    handle forks, such as OpenBLAS, end their threads before one. A trial fork therefore shows which threads would stay.
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


class _Client:
    """A replica server that is connected to the zygote: its socket, and its workers."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.workers: set[int] = set()

    def send(self, kind: int, number: int = 0, body: bytes = b"") -> None:
        with contextlib.suppress(OSError):  # it is gone: the poll reports that as well
            self.connection.sendall(PREFIX.pack(kind, number, 0, len(body)) + body)


class _Zygote:
    def __init__(self, control: int, listener: int | None) -> None:
        self._control = socket.socket(fileno=control)
        self._listener = None if listener is None else socket.socket(fileno=listener)
        self._clients: dict[int, _Client] = {}
        self._orphans: set[int] = set()  # workers whose server is gone
        self._poll = select.poll()
        self._idle_seconds = FIRST_CLIENT_SECONDS

    def serve(self) -> int:
        """Fork on request while a server needs it; return in each worker."""
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
            _Client(self._control).send(ZYGOTE)
        while True:
            timeout = None if self._clients else self._idle_seconds * 1000
            ready = {descriptor for descriptor, _ in self._poll.poll(timeout)}
            if not ready and not self._clients:
                os._exit(0)
            for descriptor in ready:
                channel = self._handle(descriptor)
                if channel is not None:
                    return channel
            self._reap()

    def _handle(self, descriptor: int) -> int | None:
        """Handle a readable descriptor; return the channel in a worker that this forks, None in the zygote."""
        if descriptor == self._wake_reader:
            os.read(descriptor, 4096)
        elif descriptor in self._clients:
            return self._obey(self._clients[descriptor])
        elif descriptor == self._control.fileno():
            os._exit(0)  # the parent never sends anything: it has closed the socket
        elif self._listener is not None:
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                connection.setblocking(True)
                self._add(connection)
        return None

    def _add(self, connection: socket.socket) -> None:
        client = _Client(connection)
        self._idle_seconds = LINGER_SECONDS
        self._clients[connection.fileno()] = client
        self._poll.register(connection, select.POLLIN)
        client.send(ZYGOTE)

    def _obey(self, client: _Client) -> int | None:
        try:
            data, descriptors, _, _ = socket.recv_fds(client.connection, COMMAND.size, DESCRIPTORS_OF_FORK)
        except OSError:
            data, descriptors = b"", []
        if len(data) != COMMAND.size:
            for descriptor in descriptors:
                os.close(descriptor)
            self._remove(client)
            return None
        command, pid = COMMAND.unpack(data)
        if command == FORK and len(descriptors) == DESCRIPTORS_OF_FORK:
            return self._fork(client, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid in client.workers and command == KILL:
            _kill_group(pid)
        elif pid in client.workers and command == DUMP_STACKS:
            os.kill(pid, signal.SIGUSR1)
        return None

    def _remove(self, client: _Client) -> None:
        """Forget a server that is gone. The kernel kills its workers; this kills the processes they have started."""
        if client.connection is self._control:
            os._exit(0)
        self._poll.unregister(client.connection)
        del self._clients[client.connection.fileno()]
        client.connection.close()
        for pid in client.workers:
            _kill_group(pid)
        self._orphans |= client.workers

    def _fork(self, client: _Client, descriptors: list[int]) -> int | None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError, AttributeError):
                stream.flush()  # otherwise both processes would write the rest of the buffer
        try:
            pid = os.fork()
        except OSError as error:
            pid = -1
            client.send(FORKED, 0, (error.strerror or str(error)).encode())
        if pid == 0:
            return self._become_worker(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)  # the child does it too: now it is done before either of them continues
            client.workers.add(pid)
            client.send(FORKED, pid)
        return None

    def _become_worker(self, channel: int, output: int, errors: int, parent_death_pipe: int) -> int:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        signal.set_wakeup_fd(self._previous_wakeup)
        signal.signal(signal.SIGCHLD, self._previous_handler)
        # An open copy of a socket would hide from its other end that the zygote, or another server, is gone.
        for connection in (self._control, self._listener, *(client.connection for client in self._clients.values())):
            if connection is not None:
                connection.close()
        for descriptor in (self._wake_reader, self._wake_writer):
            os.close(descriptor)
        die_with_holder(parent_death_pipe)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.close(output)
        os.close(errors)
        os.set_inheritable(channel, False)
        _reseed()
        return channel

    def _reap(self) -> None:
        """Report ended workers to their servers, and kill the processes that those workers have started."""
        for client in self._clients.values():
            for pid in list(client.workers):
                status = _exit_status(pid)
                if status is not None:
                    client.workers.discard(pid)
                    client.send(ENDED, pid, str(status).encode())
        self._orphans = {pid for pid in self._orphans if _exit_status(pid) is None}


def _exit_status(pid: int) -> int | None:
    """Return the exit status of a child that has ended (negative for a signal), after killing its process group."""
    if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        return None
    _kill_group(pid)  # before the process id can be used again
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _reseed() -> None:
    """Seed the random generators of this worker, so that workers differ. The seed of string hashes stays the same."""
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
        warnings.simplefilter("ignore")  # the interpreter warns about forks with threads, which this tries on purpose
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _threads_left() -> int:
    """Count the threads of this process, after a moment for those that are ending."""
    deadline = time.monotonic() + _THREADS_END_SECONDS
    while (count := len(os.listdir("/proc/self/task"))) > 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    return count


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
