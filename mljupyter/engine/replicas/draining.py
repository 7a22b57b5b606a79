"""Draining: replicas of a removed version stop when no request to them is in progress.

The router retries a request that a busy replica refused at the same version a moment later, even if the routes have
changed. So for that time the router still knows the replicas of a version that gets no new requests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

QUIET_SECONDS = 0.3
"""Ten times the longest pause between a replica's refusal of a request and its retry."""


@dataclass(frozen=True)
class Draining:
    """A replica that gets no new requests.

    Parameters:
        since: the start of the draining, in seconds.
        longest: the longest time in seconds that a request may wait and run. After it, the replica stops in any case.
        quiet_since: the time since which it has had no request; None while it has one.

    """

    since: float
    longest: float
    quiet_since: float | None = None

    def seen(self, busy: bool, now: float) -> Draining:
        """Return the state after an observation.

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
