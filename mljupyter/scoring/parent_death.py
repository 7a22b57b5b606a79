"""A process that ends when another one does: its parent, or whoever holds the other end of a pipe."""

from __future__ import annotations

import os
import select
import signal
import sys


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies, however long user code holds the interpreter."""
    if sys.platform == "linux":
        import ctypes

        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def die_with_holder(lifeline: int) -> None:
    """Let the kernel kill this process when nobody holds the writing end of a pipe any more (Linux).

    That works for a process that is no child of the holder, and however long user code holds the interpreter.
    """
    import fcntl

    os.set_inheritable(lifeline, False)
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, int(signal.SIGKILL))  # type: ignore[attr-defined, unused-ignore]
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)  # type: ignore[attr-defined, unused-ignore]
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it was let go before the kernel knew whom to tell
        os._exit(0)
