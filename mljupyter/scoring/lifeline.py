"""A process that ends when its parent does."""

from __future__ import annotations

import os
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
