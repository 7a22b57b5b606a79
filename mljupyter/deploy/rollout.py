"""Wait for a rollout: follow its steps until it has ended and its shares are in effect."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from mljupyter.deploy.wait import in_force
from mljupyter.engine.rollout.canary import share_before
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import EndpointRecord, Rollout, RolloutPhase

if TYPE_CHECKING:
    from mljupyter.client.base import EndpointClient

_POLL_SECONDS = 1.0
_IN_FORCE_WITHIN = 10.0


def follow_rollout(
    endpoints: EndpointClient, name: str, *, timeout: float | None = None, say: Callable[[str], object]
) -> EndpointRecord:
    """Wait until an endpoint's rollout has ended and the router uses the resulting shares; return the record.

    Parameters:
        endpoints: the client of the endpoint's control plane.
        name: the endpoint's name.
        timeout: seconds to wait at most; None for no limit.
        say: called with a line for each step, and for the end.

    Raises:
        WebserviceException: the timeout has passed; the rollout continues.

    """
    deadline = None if timeout is None else time.monotonic() + timeout
    record, said, ended_at = endpoints.endpoint(name), "", None
    while True:
        rollout = record.rollout
        if rollout is None:
            return record
        if (line := _step_line(rollout)) != said:
            said = line
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


def _step_line(rollout: Rollout) -> str:
    if rollout.active:
        return f"{rollout.plan.version}: {rollout.share} %" + (" (paused)" if not _running(rollout) else "")
    line = f"{rollout.plan.version}: {rollout.phase} at {rollout.share} %"
    return f"{line}; {rollout.reason}" if rollout.reason else line


def _running(rollout: Rollout) -> bool:
    return rollout.phase is RolloutPhase.RUNNING


def _follows(record: EndpointRecord, rollout: Rollout) -> bool:
    """Return whether the router uses the shares at the end of the rollout."""
    status = record.status.versions.get(rollout.plan.version)
    if rollout.phase is RolloutPhase.COMPLETED or status is None:
        return in_force(record)
    return status.weight <= share_before(record.spec, rollout.plan.version)
