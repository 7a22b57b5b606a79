"""Tables of replicas, of autoscaling decisions, and of the size of a cluster's router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mljupyter.spec import EndpointRecord, RouterScalingDecision, RouterSize, Scaling, ScalingDecision, VersionStatus

COLUMNS = ("Version", "Replicas", "Bounds", "Target utilization", "Down after", "Zero after", "State")
DECISION_COLUMNS = ("Time", "Version", "From", "To", "Room for", "Demand", "Why")

ROUTER_COLUMNS = ("Time", "Step", "Pods", "Cores of each", "Routing", "CPU", "Why")


def documents(record: EndpointRecord) -> list[dict[str, Any]]:
    """Return the scaling of the versions of an endpoint as JSON types, the default version first."""
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
    """Return the rows of a table with `COLUMNS`, the default version first."""
    return [
        [
            item["version"],
            f"{item['ready']}/{item['wanted']}",
            *_policy_cells(record.spec.versions[item["version"]].scaling),
            item["state"],
        ]
        for item in documents(record)
    ]


def decision_rows(decisions: Sequence[ScalingDecision]) -> list[list[str]]:
    """Return the rows of a table with `DECISION_COLUMNS`."""
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


def router_decision_rows(decisions: Sequence[RouterScalingDecision]) -> list[list[str]]:
    """Return the rows of a table with `ROUTER_COLUMNS`."""
    return [
        [
            f"{item.time:%Y-%m-%d %H:%M:%S}",
            item.step.value,
            _change(item.pods_before, item.pods_after),
            _change(item.cpu_before, item.cpu_after),
            "" if item.routing_ms is None else f"{item.routing_ms:.1f} ms",
            "" if item.utilization is None else f"{item.utilization:.0f} %",
            item.reason,
        ]
        for item in decisions
    ]


def router_size_fields(size: RouterSize) -> list[tuple[str, str]]:
    """Return the size of a cluster's router, its load and its self-scaling as names and values."""
    fields = [("Pods", f"{size.ready}/{size.pods}, {size.cpu:g} cores each")]
    if size.routing_ms is not None:
        fields.append(("Routing", f"{size.routing_ms:.1f} ms a request"))
    if size.utilization is not None:
        fields.append(("CPU", f"{size.utilization:.0f} % of the requested cores"))
    settings = size.settings
    if settings is None:
        return [*fields, ("Self-scaling", "off: it is on for the cluster purpose FastProd")]
    bounds = f"{settings.min_pods} to {settings.max_pods} pods, {settings.min_cpu:g} to {settings.max_cpu:g} cores each"
    return [*fields, ("Self-scaling", f"{bounds}; {size.reason}" if size.reason else bounds)]


def _change(before: float, after: float) -> str:
    return f"{before:g}" if before == after else f"{before:g} → {after:g}"


def _policy_cells(scaling: Scaling) -> list[str]:
    policy = scaling.autoscale
    if policy is None:
        return [f"{scaling.replicas or 1}, fixed", "", "", ""]
    zero = f"{policy.scale_to_zero_seconds} s" if policy.min_replicas == 0 else "never"
    bounds = f"{policy.min_replicas} to {policy.max_replicas}"
    return [bounds, f"{policy.target_utilization} %", f"{policy.scale_down_seconds} s", zero]
