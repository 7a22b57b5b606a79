"""BackgroundRun: work that a form starts on a thread of its own, with lines, cancellation and an outcome."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Literal

MOST_LINES = 300

Outcome = Literal["", "succeeded", "failed", "cancelled"]


class BackgroundRun(ABC):
    """Work on a thread of its own. It continues when the form is closed.

    Attributes:
        outcome: empty while it runs.
        problem: the reason of a failure, or what a cancellation has left.
        lines: the last lines of its log.

    Parameters:
        doing: the work, for the name of the thread.
        changed: called, from any thread, when the state has changed.

    """

    def __init__(self, doing: str, changed: Callable[[], None]) -> None:
        self.outcome: Outcome = ""
        self.problem = ""
        self.lines: deque[str] = deque(maxlen=MOST_LINES)
        self._changed = changed
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mljupyter {doing}", daemon=True)

    def start(self) -> None:
        """Start, and return at once."""
        self._thread.start()

    def cancel(self) -> None:
        """Request its cancellation; `outcome` is set when it has ended, and what it did is undone."""
        self._cancel.set()
        self._changed()

    @property
    def cancelling(self) -> bool:
        """Whether it was cancelled and has not ended yet."""
        return self._cancel.is_set() and not self.outcome

    @abstractmethod
    def _run(self) -> None:
        """Do the work and set the outcome."""
