"""Progress of a transfer: what is done, how many bytes of how many, and whether it was cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from mljupyter.registry.artifacts.content import Readable
from mljupyter.transfer.errors import TransferCancelledError


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a transfer. `done` and `total` are bytes of the step that `what` names."""

    what: str
    done: int
    total: int


OnProgress = Callable[[Progress], object]


class Tracker:
    """Counts the bytes of the steps of a transfer, and ends it when it is cancelled.

    Parameters:
        on_progress: gets the state after each piece.
        cancel: an event that ends the transfer with `TransferCancelledError`.

    """

    def __init__(self, on_progress: OnProgress | None = None, cancel: Event | None = None) -> None:
        self._on_progress = on_progress
        self._cancel = cancel
        self._what, self._done, self._total = "", 0, 0

    def start(self, what: str, total: int) -> None:
        """Begin a step of `total` bytes."""
        self._what, self._done, self._total = what, 0, total
        self.advance(0)

    def advance(self, size: int) -> None:
        """Count bytes. Raise `TransferCancelledError` when the transfer was cancelled."""
        self.check()
        self._done += size
        if self._on_progress is not None:
            self._on_progress(Progress(self._what, self._done, max(self._done, self._total)))

    def check(self) -> None:
        """Raise `TransferCancelledError` when the transfer was cancelled."""
        if self._cancel is not None and self._cancel.is_set():
            raise TransferCancelledError("Cancelled. Nothing was changed.")

    def counted(self, source: Readable) -> Readable:
        """Return a source whose bytes are counted as they are read."""
        return _Counted(source, self)


class _Counted:
    def __init__(self, source: Readable, tracker: Tracker) -> None:
        self._source = source
        self._tracker = tracker

    def readinto(self, buffer: memoryview) -> int:
        count = self._source.readinto(buffer) or 0
        self._tracker.advance(count)
        return count
