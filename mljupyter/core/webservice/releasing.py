"""Rollouts, promotions, rollbacks and history of web services, as their methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from mljupyter.core.webservice.described import DescribedWebservice
from mljupyter.deploy import apply
from mljupyter.deploy.wait import in_force, keep_silent
from mljupyter.engine.rollout.canary import share_before
from mljupyter.engine.rollout.history import rollback_target
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import EndpointRecord, Rollout, RolloutPhase, RolloutPlan
from mljupyter.spec.durations import seconds_of
from mljupyter.spec.history import HistoryEntry
from mljupyter.spec.rollout import LEAST_REQUESTS

if TYPE_CHECKING:
    from mljupyter.client.base import EndpointClient

_POLL_SECONDS = 1.0
_IN_FORCE_WITHIN = 10.0


class ChangeHistory(DescribedWebservice):
    """What every web service has: a history, and the way back."""

    def history(self) -> list[HistoryEntry]:
        """Return the changes of the web service: who, when, what. The oldest first; the newest 100 are kept."""
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.endpoints.history(self.name)

    def rollback(self, number: int | None = None) -> None:
        """Go back to what the web service was before its last change, or to an entry of its history.

        All of it goes back: versions, shares, tags. That is a change like any other: it stands in the history, and a
        second `rollback()` takes the first one back, as ``kubectl rollout undo`` does; to go further back, name the
        entry. While a rollout is under way `rollback()` aborts it and changes nothing else. Returns at once,
        `wait_for_deployment` waits; the present version serves until then.

        Parameters:
            number: the number of an entry; None for the newest one that differs from what there is.

        Raises:
            WebserviceException: when there is no such entry, one of its models was deleted, or the web service was
                changed at the same time.

        """
        self._check_not_deleted()
        self.update_deployment_state()
        client, record = self.workspace.endpoints, self._known
        with as_webservice_exception():
            if number is None and record.rollout is not None and record.rollout.active:
                self._show(client.rollback(self.name))
                return
            target = rollback_target(client.history(self.name), record.spec, number)
            self._show(apply.rollback(self.workspace.context, record, target, number))


class ControlledRollout(DescribedWebservice):
    """What an endpoint with several versions has: rollouts in steps, and promotion."""

    def rollout(
        self,
        version: str,
        steps: Sequence[int] = (5, 25, 100),
        every: float | str | timedelta = "1m",
        guard: str | None = None,
        *,
        promote: bool = False,
        least_requests: int = LEAST_REQUESTS,
    ) -> Rollout:
        """Give a version more and more of the requests, and take all of it back when it breaks the guard.

        Its share comes from the default version first, then from the others in proportion. The rollout goes on
        without this process. It returns at once to the shares there were before when a condition of the guard is
        broken, or when the version has no replica that is ready. While it is under way, changes of versions and
        shares are refused.

        Parameters:
            version: name of the version; it must be Healthy and not the default.
            steps: its shares in percent, rising.
            every: how long a step takes at least, the last one too: ``"5m"``, a number of seconds, a `timedelta`.
            guard: conditions, such as ``"p95<200ms, errors<1%"``: latency p50, p90, p95, p99 as the router measures it
                and the percentage of answers 5xx, each over the present step.
            promote: True makes it the default and the control version in the end.
            least_requests: how many requests a condition needs to be judged; a step with fewer waits for more.

        Returns:
            The rollout in its first step.

        Raises:
            WebserviceException: when a rule is broken, or another rollout is under way.

        Example:
            >>> endpoint.rollout("version-b", steps=[5, 25, 100], every="10m",                   # doctest: +SKIP
            ...                  guard="p95<200ms, errors<1%", promote=True)
            >>> endpoint.wait_for_rollout(show_output=True)                                      # doctest: +SKIP

        """
        self._check_not_deleted()
        with as_webservice_exception():
            plan = RolloutPlan.parse(
                {
                    "version": version,
                    "steps": list(steps),
                    "everySeconds": seconds_of(every, "every"),
                    "guard": guard,
                    "promote": promote,
                    "leastRequests": least_requests,
                }
            )
            return self._shown(self.workspace.endpoints.start_rollout(self.name, plan))

    def pause_rollout(self) -> Rollout:
        """Hold the rollout in its step; its guard stays in force.

        Raises:
            WebserviceException: when none is running; so do `resume_rollout` and `abort_rollout`.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self._shown(self.workspace.endpoints.control_rollout(self.name, "pause"))

    def resume_rollout(self) -> Rollout:
        """Go on with a paused rollout; its step begins anew."""
        self._check_not_deleted()
        with as_webservice_exception():
            return self._shown(self.workspace.endpoints.control_rollout(self.name, "resume"))

    def abort_rollout(self) -> Rollout:
        """End the rollout; return when requests are divided as before it."""
        self._check_not_deleted()
        with as_webservice_exception():
            client = self.workspace.endpoints
            client.control_rollout(self.name, "abort")
            return self._shown(follow_rollout(client, self.name, say=keep_silent))

    def rollout_status(self) -> Rollout | None:
        """Return the rollout under way or the last one, as it is now; None when there was none. `text()` is a line."""
        self.update_deployment_state()
        return self._known.rollout

    def wait_for_rollout(self, show_output: bool = False, timeout_sec: float | None = None) -> Rollout | None:
        """Wait until no rollout is under way and requests are divided accordingly; return the last rollout.

        Whether it was Completed, Returned or Aborted is in its `phase`, why in its `reason`.

        Parameters:
            show_output: print a line for each step, and the end.
            timeout_sec: seconds to wait at most; None for as long as it takes.

        Raises:
            WebserviceException: when the time is up; the rollout goes on.

        """
        self._check_not_deleted()
        say = print if show_output else keep_silent
        with as_webservice_exception():
            self._show(follow_rollout(self.workspace.endpoints, self.name, timeout=timeout_sec, say=say))
        return self._known.rollout

    def promote(self, version: str) -> None:
        """Make a version default and control, and give it all requests; the others stay, without any.

        It takes over when it is ready. Returns at once, `wait_for_deployment` waits.

        Parameters:
            version: its name.

        Raises:
            WebserviceException: when there is no such version, or a rollout is under way.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            self._show(self.workspace.endpoints.promote(self.name, version))

    def _shown(self, record: EndpointRecord) -> Rollout:
        self._show(record)
        assert record.rollout is not None  # noqa: S101 - narrows the type
        return record.rollout


def follow_rollout(
    endpoints: EndpointClient, name: str, *, timeout: float | None = None, say: Callable[[str], object]
) -> EndpointRecord:
    """Return an endpoint's record once its rollout has ended and the router follows.

    Parameters:
        endpoints: the client of the endpoint's control plane.
        name: the endpoint's name.
        timeout: seconds to wait at most; None for as long as it takes.
        say: called with a line for each step, and for the end.

    Raises:
        WebserviceException: when the time is up.

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
                f"the rollout of {name!r} goes on after {timeout:g} s: {rollout.text()}\n"
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
    """Whether the router is known to divide requests as they are to be divided after a rollout."""
    status = record.status.versions.get(rollout.plan.version)
    if rollout.phase is RolloutPhase.COMPLETED or status is None:
        return in_force(record)
    return status.weight <= share_before(record.spec, rollout.plan.version)
