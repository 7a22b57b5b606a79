"""Crash back-off: replicas that keep crashing are started again after growing pauses."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
GOOD_FOR = 30.0
"""Seconds after which a ready replica counts as good: a later crash is the first of a new series."""


@dataclass(frozen=True)
class CrashBackoff:
    """The crashes of a version's replicas.

    `in_a_row` counts the crashes since a replica was good, `last` is the time of the newest one on the caller's clock
    in seconds.
    """

    in_a_row: int = 0
    last: float = 0.0

    def crashed(self, now: float, ready_seconds: float = 0.0) -> CrashBackoff:
        """Return the back-off after another crash.

        Parameters:
            now: time of the crash, in seconds.
            ready_seconds: the time for which the replica had been ready; 0 for one that never was.

        Example:
            >>> before = CrashBackoff(2, last=1.0)
            >>> before.crashed(now=5.0), before.crashed(now=90.0, ready_seconds=60)
            (CrashBackoff(in_a_row=3, last=5.0), CrashBackoff(in_a_row=1, last=90.0))

        """
        return CrashBackoff(in_a_row=1 if ready_seconds > GOOD_FOR else self.in_a_row + 1, last=now)

    @property
    def may_start_at(self) -> float:
        """The earliest time of the next start, on the caller's clock in seconds."""
        return self.last + pause_after(self.in_a_row)


NO_CRASH = CrashBackoff()


def pause_after(crashes: int) -> float:
    """Return the pause before the next start, in seconds, after this number of crashes in a row.

    Example:
        >>> [pause_after(count) for count in (0, 1, 2, 3, 100)]
        [0.0, 0.0, 0.5, 1.0, 30.0]

    """
    if crashes <= 1:
        return 0.0  # no pause after the first crash: most crashes happen only once
    return min(FIRST_PAUSE * 2.0 ** min(crashes - 2, 16), LONGEST_PAUSE)
