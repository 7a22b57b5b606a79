"""The decision whether anybody may be looking at a panel, from the messages of its views and the state of the kernel.

A kernel reads messages of views on its main thread, so it reads none while a cell runs. Only JupyterLab with a kernel
that has subshells is different. Silence during a cell therefore says nothing; silence of a kernel that could have read
means that nobody looks.
"""

from __future__ import annotations

import threading


class Attention:
    """The time until which a panel goes on.

    Parameters:
        rests_after: the seconds of silence of a kernel that reads messages, after which nobody looks.

    """

    def __init__(self, rests_after: float) -> None:
        self._rests_after = rests_after
        self._until = 0.0
        self._is_read_beside_cells = False

    def word(self, now: float, *, beside_cells: bool = False) -> None:
        """Take a message of a view, or the display of the panel.

        Parameters:
            now: seconds of a monotonic clock.
            beside_cells: whether the message was read on another thread than that of the cells.

        """
        self._is_read_beside_cells = beside_cells
        self._until = now + self._rests_after

    def end(self) -> None:
        """Take the message that the last view is gone."""
        self._until = 0.0

    def lasts(self, now: float, *, is_busy: bool) -> bool:
        """Return whether the panel goes on; call it at least once while a cell runs.

        Parameters:
            now: seconds of a monotonic clock.
            is_busy: whether a cell is running.

        """
        if is_busy and not self._is_read_beside_cells:
            self._until = now + self._rests_after  # what was said meanwhile is read once the cell has ended
        return now <= self._until


def read_beside_cells() -> bool:
    """Return whether this thread, which handles a message, is another one than that of the cells."""
    return threading.current_thread() is not threading.main_thread()
