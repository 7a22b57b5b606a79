"""Numbers of replicas: how many a load needs, and changing them for commands and web services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter.engine.scaling import autoscaling
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.outside import whole
from mljupyter.spec import AutoscalePolicy, EndpointRecord, EndpointSpec, Scaling, ScalingDecision, VersionStatus

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace

COLUMNS = ("Version", "Replicas", "Bounds", "Target utilization", "Down after", "Zero after", "State")
HISTORY_COLUMNS = ("Time", "Version", "From", "To", "Room for", "Demand", "Why")
_IN_FORCE_WITHIN = 30.0
# What `scale` calls a bound, and what the documents call it.
_NAMES = {"minimum": "min_replicas", "maximum": "max_replicas"}


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


def with_scaling(spec: EndpointSpec, *, version: str | None = None, **given: int | None) -> EndpointSpec:
    """Return an endpoint with other numbers of replicas; parameters as of `Webservice.scale`.

    Raises:
        WebserviceException: when nothing is given, or `replicas` together with others, or there is no such version.
        SpecError: when a value breaks a rule of the documents.

    """
    from mljupyter.deploy.spec_builder import merged
    from mljupyter.deploy.versions import known_version

    name = spec.default_version if version is None else version
    values: dict[str, Any] = {_NAMES.get(key, key): value for key, value in given.items() if value is not None}
    if not values:
        raise WebserviceException("Nothing is given: give replicas, or minimum and maximum, or what else is to change.")
    present = known_version(spec, name).scaling.autoscale
    if "replicas" in values:
        others = [key for key, value in given.items() if value is not None and key != "replicas"]
        if others:
            raise WebserviceException(
                f"replicas is a fixed number, {', '.join(others)} let it follow the load: give one or the other."
            )
        scaling = Scaling.parse(values)
    else:
        scaling = Scaling(autoscale=merged(present or AutoscalePolicy(), **values))
    return merged(spec, versions={**spec.versions, name: merged(spec.versions[name], scaling=scaling)})


def scale(workspace: Workspace, name: str, version: str | None = None, **given: int | None) -> EndpointRecord:
    """Change numbers of replicas and return the endpoint when that is in force; with nothing given, just return it.

    Parameters:
        workspace: the workspace.
        name: the endpoint's name.
        version, given: as of `Webservice.scale`.

    Raises:
        WebserviceException: when there is no such endpoint or version, or a rule is broken.

    """
    from mljupyter.core.webservice import Webservice
    from mljupyter.deploy.wait import follow, in_force

    if all(value is None for value in given.values()):
        with as_webservice_exception():
            return workspace.endpoints.endpoint(name)
    Webservice(workspace, name).scale(version=version, **given)
    return follow(workspace.endpoints, name, timeout=_IN_FORCE_WITHIN, reached=in_force)


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
