"""A process that has run `init()` once and forks workers from itself, each ready in milliseconds.

The template never runs `run()`. Its workers share the memory that `init()` has filled until one of them writes to it.
They die with the template, and the template with its front.
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

from mljupyter.scoring.diagnostics import write_record
from mljupyter.scoring.lifeline import die_with
from mljupyter.scoring.protocol import ENDED, FORKED, PREFIX, TEMPLATE

ORDER = struct.Struct("<BI")
"""What the front asks for: one of the following, and the process it is for."""
FORK, KILL, DUMP_STACKS = 1, 2, 3
"""With FORK come three descriptors: the worker's end of its socket pair, its standard output and standard error."""
_THREADS_END_SECONDS = 0.1


def fork_workers(descriptor: int) -> int | None:
    """Serve the front's orders on a socket; return in each forked worker, with the descriptor of its own channel.

    Returns None at once where forking is not safe, with the reason in the log: this process is then the worker. In
    the template it does not return.
    """
    reason = obstacle(descriptor)
    if reason:
        text = f"preloading is off, each new worker runs init() itself: {reason}"
        write_record("W", "azmlinfsrv", text)
        return None
    gc.collect()
    gc.freeze()  # else the collector would write to, and so copy, the pages that are shared
    with socket.socket(fileno=descriptor) as control:
        return _Template(control).serve()


def obstacle(descriptor: int) -> str | None:
    """Return why workers cannot be forked from this process, None if they can; `descriptor` is our own socket.

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
    own = os.readlink(f"/proc/self/fd/{descriptor}")
    if any(name.startswith("socket:") and name != own for name in open_files):
        return "init() holds open network connections, which workers cannot share"
    try:
        _try_fork()
    except OSError as error:
        return f"the system refuses to fork: {error.strerror}"
    threads = _threads_left()
    if threads > 1:
        return f"{threads - 1} threads of native libraries are alive after init() (OMP_NUM_THREADS=1 may avoid them)"
    return None


class _Template:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = os.getpid()
        self._children: set[int] = set()

    def serve(self) -> int:
        """Fork on request until the front is gone; return in each worker."""
        wake_reader, wake_writer = os.pipe()
        os.set_blocking(wake_reader, False)
        os.set_blocking(wake_writer, False)
        previous_handler = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        previous_wakeup = signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(wake_reader, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        self._send(TEMPLATE)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if wake_reader in ready:
                os.read(wake_reader, 4096)
            channel = self._obey() if self._control.fileno() in ready else None
            if channel is not None:
                signal.set_wakeup_fd(previous_wakeup)
                signal.signal(signal.SIGCHLD, previous_handler)
                os.close(wake_reader)
                os.close(wake_writer)
                return channel
            self._reap()

    def _obey(self) -> int | None:
        """Carry out the next order; return the channel in the worker that this makes."""
        data, descriptors, _, _ = socket.recv_fds(self._control, ORDER.size, 3)
        if not data:
            os._exit(0)
        order, pid = ORDER.unpack(data)
        if order == FORK:
            return self._fork(descriptors)
        if pid in self._children:
            if order == KILL:
                _kill_group(pid)
            else:
                os.kill(pid, signal.SIGUSR1)
        return None

    def _fork(self, descriptors: list[int]) -> int | None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError, AttributeError):
                stream.flush()  # what is left in a buffer would be written by both processes
        try:
            pid = os.fork()
        except OSError as error:
            pid = -1
            self._send(FORKED, 0, (error.strerror or str(error)).encode())
        if pid == 0:
            return self._become_worker(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)  # the child does it too; this way it is done before either goes on
            self._children.add(pid)
            self._send(FORKED, pid)
        return None

    def _become_worker(self, channel: int, output: int, errors: int) -> int:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        die_with(self._pid)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.close(output)
        os.close(errors)
        os.set_inheritable(channel, False)
        _reseed()
        return channel

    def _reap(self) -> None:
        """Tell the front which workers have ended; what they have started ends with them."""
        for pid in list(self._children):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            _kill_group(pid)  # while its number is still taken
            _, status = os.waitpid(pid, 0)
            self._children.discard(pid)
            self._send(ENDED, pid, str(os.waitstatus_to_exitcode(status)).encode())

    def _send(self, kind: int, number: int = 0, body: bytes = b"") -> None:
        try:
            self._control.sendall(PREFIX.pack(kind, number, 0, len(body)) + body)
        except OSError:
            os._exit(0)  # the front is gone


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
