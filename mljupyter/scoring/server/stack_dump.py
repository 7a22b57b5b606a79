"""The time that a worker gets to write its stacks before it is killed.

Nothing marks the end of a dump, which a busy machine may delay or interrupt: it has ended when standard error has
brought something since the signal, and then nothing more for a moment.
"""

from __future__ import annotations

MOST_SECONDS = 1.0
"""A worker that has not written its stacks by then is killed without them."""
QUIET_SECONDS = 0.15
"""The stacks are written when standard error has been quiet for this time."""
_LOOK_SECONDS = 0.05
_SOON_SECONDS = 0.001


def seconds_to_wait(began: float, now: float, wrote_at: float) -> float:
    """Return the seconds until the next look at a dump; 0 if the worker can be killed.

    Parameters:
        began: when the worker was told to write its stacks, on the clock of `time.monotonic`.
        now: the present time.
        wrote_at: when its standard error has last brought something; 0 if never.

    """
    left = wrote_at + QUIET_SECONDS - now if wrote_at >= began else _LOOK_SECONDS
    left = min(left, began + MOST_SECONDS - now)
    return left if left > _SOON_SECONDS else 0.0
