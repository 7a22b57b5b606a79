"""Wait for a rollout: follow its steps until it has ended and its shares are in effect."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mljupyter.deploy.wait import in_force
from mljupyter.engine.rollout.canary import share_before
from mljupyter.engine.rollout.traffic import all_shares
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import EndpointRecord, Rollout, RolloutPhase

if TYPE_CHECKING:
    from mljupyter.client.base import EndpointClient

_POLL_SECONDS = 1.0
_IN_FORCE_WITHIN = 10.0
_QUARTERS = 4


def follow_rollout(
    endpoints: EndpointClient, name: str, *, timeout: float | None = None, say: Callable[[str], object]
) -> EndpointRecord:
    """Wait until an endpoint's rollout has ended and the router uses the resulting shares; return the record.

    Parameters:
        endpoints: the client of the endpoint's control plane.
        name: the endpoint's name.
        timeout: seconds to wait at most; None for no limit.
        say: called with a line for each step and for the end. While the guard needs more requests, it is also called
            with their number: at once, and at each further quarter.

    Raises:
        WebserviceException: the timeout has passed; the rollout continues.

    """
    deadline = None if timeout is None else time.monotonic() + timeout
    record, ended_at = endpoints.endpoint(name), None
    lines = FollowedRollout(name)
    while True:
        rollout = record.rollout
        if rollout is None:
            return record
        for line in lines.of(record):
            say(line)
        now = time.monotonic()
        if not rollout.active:
            ended_at = ended_at or now
            if _follows(record, rollout) or now - ended_at > _IN_FORCE_WITHIN:
                return record
        elif deadline is not None and now >= deadline:
            raise WebserviceException(
                f"The rollout of {name!r} has not ended after {timeout:g} s: {rollout.text()}\n"
                "Wait longer with endpoint.wait_for_rollout(), or end it: endpoint.abort_rollout()"
            )
        wait = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, max(deadline - now, 0.01))
        record = endpoints.watch(name, record.resource_version, wait)


class FollowedRollout:
    """The lines about a rollout that somebody waits for, each of them once.

    Parameters:
        name: the endpoint's name.

    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._line = ""
        self._quarter = -1
        self._hinted = False

    def of(self, record: EndpointRecord) -> list[str]:
        """Return the lines that are new with this record; none without a rollout."""
        rollout = record.rollout
        if rollout is None:
            return []
        lines: list[str] = []
        if (line := _step_line(record, rollout)) != self._line:
            self._line, self._quarter = line, -1
            lines.append(line)
        return [*lines, *self._requests(rollout)]

    def _requests(self, rollout: Rollout) -> list[str]:
        """Return a line with the number of requests, if the guard needs more and a further quarter has come."""
        plan, needed = rollout.plan, rollout.plan.least_requests
        if plan.guard is None or not _running(rollout) or (rollout.requests >= needed and not rollout.reason):
            return []
        quarter = min(_QUARTERS * rollout.requests // needed, _QUARTERS)
        if quarter <= self._quarter:
            return []
        self._quarter = quarter
        line = f"  step {rollout.step + 1} of {len(plan.steps)}: {rollout.requests} of {needed} requests for the guard"
        if rollout.requests >= needed:  # some of them, such as the mistakes of clients, say nothing about the version
            return [f"{line}; {rollout.reason}"]
        if self._hinted:
            return [line]
        self._hinted = True
        hints = f"%invoke {self._name}:{plan.version} DATA", f"endpoint.versions[{plan.version!r}].run(DATA)"
        return [f"{line}. Send some: {', '.join(hints)}, mljupyter endpoint invoke {self._name} DATA"]


def told(record: EndpointRecord) -> str:
    """Return the state of an endpoint's rollout, and once it has ended the resulting shares; empty without one."""
    rollout = record.rollout
    if rollout is None:
        return ""
    return rollout.text() if rollout.active else f"{rollout.text()}\n{shares_now(record)}"


def shares_now(record: EndpointRecord) -> str:
    """Return the shares of an endpoint without an active rollout, such as ``Shares now: old 90 %, new 10 %``."""
    return f"Shares now: {all_shares(record.spec)}"


def _step_line(record: EndpointRecord, rollout: Rollout) -> str:
    if rollout.active:
        return f"{rollout.plan.version}: {rollout.share} %" + (" (paused)" if not _running(rollout) else "")
    line = f"{rollout.plan.version}: {rollout.phase} at {rollout.share} %"
    line = f"{line}; {rollout.reason}" if rollout.reason else line
    return line if rollout.phase is RolloutPhase.COMPLETED else f"{line}\n{shares_now(record)}"


def _running(rollout: Rollout) -> bool:
    return rollout.phase is RolloutPhase.RUNNING


def _follows(record: EndpointRecord, rollout: Rollout) -> bool:
    """Return whether the router uses the shares at the end of the rollout."""
    status = record.status.versions.get(rollout.plan.version)
    if rollout.phase is RolloutPhase.COMPLETED or status is None:
        return in_force(record)
    return status.weight <= share_before(record.spec, rollout.plan.version)
