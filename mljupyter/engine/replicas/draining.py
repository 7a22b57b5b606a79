"""Replicas of a removed version may stop when no request that was sent to them is under way.

A request that a busy replica sends away comes back to the same version a moment later, whatever the routes say by then.
So for that long the router goes on to know the replicas of a version that nothing is sent to any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

QUIET_SECONDS = 0.3
"""Longer than a request is on its way between a replica that sent it away and the same one again, ten times over."""


@dataclass(frozen=True)
class Draining:
    """A replica that gets nothing new.

    Parameters:
        since: when that began, in seconds.
        longest: for how long a request may have waited and run at most, in seconds: then it stops in any case.
        quiet_since: since when it has had no request; None while it has one.

    """

    since: float
    longest: float
    quiet_since: float | None = None

    def seen(self, busy: bool, now: float) -> Draining:
        """Return what is known after a look at it.

        Example:
            >>> begun = Draining(since=0.0, longest=60.0)
            >>> begun.seen(busy=True, now=1.0).may_stop(now=1.0)
            False
            >>> begun.seen(busy=False, now=1.0).seen(busy=False, now=1.4).may_stop(now=1.4)
            True

        """
        if busy:
            return replace(self, quiet_since=None)
        return self if self.quiet_since is not None else replace(self, quiet_since=now)

    def may_stop(self, now: float) -> bool:
        """Return whether it may be stopped."""
        quiet = self.quiet_since is not None and now - self.quiet_since >= QUIET_SECONDS
        return quiet or now - self.since >= self.longest
