"""Parent-death signals: the kernel kills a worker when its parent or the holder of a pipe ends."""

from __future__ import annotations

import os
import select
import signal
import sys


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies, even while user code holds the interpreter lock."""
    if sys.platform == "linux":
        import ctypes

        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def die_with_holder(parent_death_pipe: int) -> None:
    """Let the kernel kill this process when the last writing end of a pipe is closed (Linux).

    Unlike `die_with` it does not need a parent-child relation. It works even while user code holds the interpreter
    lock.
    """
    import fcntl

    os.set_inheritable(parent_death_pipe, False)
    fcntl.fcntl(parent_death_pipe, fcntl.F_SETSIG, int(signal.SIGKILL))  # type: ignore[attr-defined, unused-ignore]
    fcntl.fcntl(parent_death_pipe, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(parent_death_pipe, fcntl.F_GETFL)
    fcntl.fcntl(parent_death_pipe, fcntl.F_SETFL, flags | os.O_ASYNC)  # type: ignore[attr-defined, unused-ignore]
    poll = select.poll()
    poll.register(parent_death_pipe, 0)
    if poll.poll(0):  # the pipe was closed before the signal was set up
        os._exit(0)
