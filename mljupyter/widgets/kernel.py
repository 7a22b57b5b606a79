"""The kernel that the widgets live in: whether there is one, and whether it runs a cell."""

from __future__ import annotations

from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell


def has_kernel() -> bool:
    """Return whether this process is a kernel of a notebook; may be called from any thread."""
    return getattr(_shell(), "kernel", None) is not None


def runs_a_cell() -> bool:
    """Return whether a cell is running now; may be called from any thread."""
    shell = _shell()
    return shell is not None and shell.display_trap.is_active


def _shell() -> InteractiveShell | None:
    if (shell := get_ipython()) is not None:
        return shell
    return InteractiveShell.instance() if InteractiveShell.initialized() else None
