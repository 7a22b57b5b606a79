"""From what is observed to the states a user sees (Azure ML v1: Webservice states)."""

from __future__ import annotations

from collections.abc import Iterable

from mljupyter.spec import EndpointState

# The state that says most about the endpoint comes first.
_GRAVEST_FIRST = (
    EndpointState.FAILED,
    EndpointState.UNSCHEDULABLE,
    EndpointState.UNHEALTHY,
    EndpointState.TRANSITIONING,
    EndpointState.HEALTHY,
)


def version_state(
    *,
    revision: str,
    wanted: int,
    ready: int,
    routed: bool,
    ready_revision: str | None,
    failed_revision: str | None,
    waking: bool = False,
) -> EndpointState:
    """Return the state of one version.

    Parameters:
        revision: the revision that is wanted.
        wanted: replicas wanted.
        ready: replicas of that revision that are ready.
        routed: whether the router is known to send requests to replicas of that revision, and to no others.
        ready_revision: the newest revision that was ready as a whole.
        failed_revision: the newest revision whose start failed.
        waking: whether requests wait for its first replica, and nothing is known to be wrong.

    """
    if failed_revision == revision:
        return EndpointState.FAILED
    if ready >= wanted and (routed or waking):
        return EndpointState.HEALTHY
    if waking:
        return EndpointState.TRANSITIONING
    return EndpointState.UNHEALTHY if ready_revision == revision else EndpointState.TRANSITIONING


def endpoint_state(states: Iterable[EndpointState], *, deleting: bool = False) -> EndpointState:
    """Return the state of an endpoint from its versions' states: the gravest one."""
    if deleting:
        return EndpointState.DELETING
    found = set(states)
    return next((state for state in _GRAVEST_FIRST if state in found), EndpointState.TRANSITIONING)
