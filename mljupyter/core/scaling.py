"""Numbers of replicas: how many a load needs, and changing them for commands and web services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter.engine.scaling import autoscaling
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.outside import whole
from mljupyter.spec import EndpointRecord, Scaling, ScalingDecision, VersionStatus

if TYPE_CHECKING:
    from mljupyter.core import Workspace

COLUMNS = ("Version", "Replicas", "Bounds", "Target utilization", "Down after", "Zero after", "State")
HISTORY_COLUMNS = ("Time", "Version", "From", "To", "Room for", "Demand", "Why")
_IN_FORCE_WITHIN = 30.0


def replicas_needed(target_rps: float, request_time: float, max_concurrent: int = 1, utilization: float = 0.7) -> int:
    """Return how many replicas a load needs (Azure ML v1: the documented formula).

    Parameters:
        target_rps: requests per second.
        request_time: seconds that one request takes.
        max_concurrent: requests that a replica runs at once.
        utilization: which part of the replicas should be busy, above 0 and at most 1.

    Raises:
        WebserviceException: when a value is out of its range.

    Example:
        >>> from mljupyter.core import replicas_needed
        >>> replicas_needed(target_rps=20, request_time=10)
        286

    """
    try:
        return autoscaling.replicas_needed(target_rps, request_time, max_concurrent, utilization)
    except (TypeError, ValueError, OverflowError) as error:
        raise WebserviceException(f"{error}.") from None


def scale(workspace: Workspace, name: str, version: str | None = None, **given: int | None) -> EndpointRecord:
    """Change numbers of replicas and return the endpoint when that is in force; with nothing given, just return it.

    Parameters:
        workspace: the workspace.
        name: the endpoint's name.
        version, given: as of `Webservice.scale`.

    Raises:
        WebserviceException: when there is no such endpoint or version, or a rule is broken.

    """
    from mljupyter.core import Webservice
    from mljupyter.deploy.wait import follow, in_force

    if all(value is None for value in given.values()):
        with as_webservice_exception():
            return workspace.endpoints.endpoint(name)
    Webservice(workspace, name).scale(version=version, **given)
    return follow(workspace.endpoints, name, timeout=_IN_FORCE_WITHIN, tick=lambda: None, reached=in_force)


def replicas_of(text: str) -> dict[str, int]:
    """Return what ``3`` or ``1:5`` stand for, as arguments of `Webservice.scale`.

    Raises:
        WebserviceException: when the text is of another form.

    Example:
        >>> replicas_of("1:5")
        {'minimum': 1, 'maximum': 5}

    """
    first, colon, second = text.partition(":")
    least, most = whole(first), whole(second)
    if least is None or (colon and most is None):
        raise WebserviceException(f"{text!r} is no number of replicas: write 3, or bounds such as 1:5.")
    return {"replicas": least} if most is None else {"minimum": least, "maximum": most}


def documents(record: EndpointRecord) -> list[dict[str, Any]]:
    """Return how the versions of an endpoint are scaled, as JSON types, the default one first."""
    spec = record.spec
    found = []
    for name in sorted(spec.versions, key=lambda name: (name != spec.default_version, name)):
        status = record.status.versions.get(name, VersionStatus())
        found.append(
            {
                "version": name,
                "ready": status.replicas_ready,
                "wanted": status.replicas_wanted,
                "state": status.state.value,
                **spec.versions[name].scaling.document(),
            }
        )
    return found


def rows(record: EndpointRecord) -> list[list[str]]:
    """Return what a table shows of the same."""
    return [
        [
            item["version"],
            f"{item['ready']}/{item['wanted']}",
            *_policy_cells(record.spec.versions[item["version"]].scaling),
            item["state"],
        ]
        for item in documents(record)
    ]


def history_rows(decisions: list[ScalingDecision]) -> list[list[str]]:
    """Return what a table shows of decisions."""
    return [
        [
            f"{item.time:%Y-%m-%d %H:%M:%S}",
            item.version,
            str(item.before),
            str(item.after),
            str(item.admitted),
            f"{item.demand:.1f}",
            item.reason,
        ]
        for item in decisions
    ]


def _policy_cells(scaling: Scaling) -> list[str]:
    policy = scaling.autoscale
    if policy is None:
        return [f"{scaling.replicas or 1}, fixed", "", "", ""]
    zero = f"{policy.scale_to_zero_seconds} s" if policy.min_replicas == 0 else "never"
    bounds = f"{policy.min_replicas} to {policy.max_replicas}"
    return [bounds, f"{policy.target_utilization} %", f"{policy.scale_down_seconds} s", zero]
