"""Tables of replicas and of autoscaling decisions, for ``%scale`` and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mljupyter.spec import EndpointRecord, Scaling, ScalingDecision, VersionStatus

COLUMNS = ("Version", "Replicas", "Bounds", "Target utilization", "Down after", "Zero after", "State")
DECISION_COLUMNS = ("Time", "Version", "From", "To", "Room for", "Demand", "Why")


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


def _policy_cells(scaling: Scaling) -> list[str]:
    policy = scaling.autoscale
    if policy is None:
        return [f"{scaling.replicas or 1}, fixed", "", "", ""]
    zero = f"{policy.scale_to_zero_seconds} s" if policy.min_replicas == 0 else "never"
    bounds = f"{policy.min_replicas} to {policy.max_replicas}"
    return [bounds, f"{policy.target_utilization} %", f"{policy.scale_down_seconds} s", zero]
