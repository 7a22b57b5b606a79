"""Data of the monitor, built from an endpoint's record and metrics: messages of a few kilobytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mljupyter.notebook.views.metrics_table import by_version
from mljupyter.notebook.views.scaling import router_size_fields
from mljupyter.spec import EndpointRecord, EndpointState, RouterScalingDecision, RouterSize, ScalingDecision

LINES = (
    "requests_per_second",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "error_ratio",
    "run_mean_ms",
    "wait_mean_ms",
    "busy_mean",
    "replicas_wanted",
    "replicas_ready",
)
"""The columns of the metrics in the charts."""
_MOST_ROUTER_DECISIONS = 3
_SUMMED = (*LINES, "requests", "traffic_observed")
_MARKS = {
    EndpointState.HEALTHY: "ok",
    EndpointState.FAILED: "failed",
    EndpointState.UNHEALTHY: "failed",
    EndpointState.UNSCHEDULABLE: "warning",
    EndpointState.TRANSITIONING: "running",
    EndpointState.DELETING: "running",
}


def status_of(record: EndpointRecord, usage: Mapping[str, tuple[float | None, float | None]]) -> dict[str, Any]:
    """Return the state of an endpoint, its versions and its replicas.

    Parameters:
        record: the endpoint.
        usage: CPU in cores and memory in MB of each replica, by id.

    """
    spec, status = record.spec, record.status
    default = spec.versions[spec.default_version]
    return {
        "name": spec.name,
        "state": str(status.state),
        "mark": _MARKS[status.state],
        "uri": status.scoring_uri or "",
        "authentication": str(spec.authentication),
        "target_utilisation": default.scaling.autoscale.target_utilization if default.scaling.autoscale else None,
        "versions": [
            {
                "version": name,
                "is_default": name == (status.default_version or spec.default_version),
                "percentile": version.traffic_percentile,
                "weight": status.versions[name].weight if name in status.versions else 0,
                "ready": status.versions[name].replicas_ready if name in status.versions else 0,
                "wanted": status.versions[name].replicas_wanted if name in status.versions else 0,
            }
            for name, version in spec.versions.items()
        ],
        "replicas": [
            {
                "id": replica.id,
                "version": name,
                "phase": str(replica.phase),
                "started": replica.started_time.timestamp() if replica.started_time else None,
                "cpu": usage.get(replica.id, (None, None))[0],
                "memory": usage.get(replica.id, (None, None))[1],
            }
            for name, version_status in status.versions.items()
            for replica in version_status.replicas
        ],
    }


def series_of(report: Mapping[str, Any], record: EndpointRecord, since: float) -> dict[str, list[Any]]:
    """Return the columns of the charts since a time, with the utilisation in percent.

    Parameters:
        report: the metrics of the endpoint, one row for each second and version.
        record: the endpoint.
        since: seconds since the epoch.

    """
    columns = report["versions"]
    rows = [index for index, time in enumerate(columns["time"]) if time >= since]
    found = {name: [columns[name][index] for index in rows] for name in ("time", "version", *LINES)}
    at_once = {name: version.limits.max_concurrent_requests for name, version in record.spec.versions.items()}
    found["utilisation"] = [
        round(100 * busy / (ready * at_once.get(version, 1)), 1) if ready and busy is not None else None
        for busy, ready, version in zip(found["busy_mean"], found["replicas_ready"], found["version"], strict=True)
    ]
    return found


def summary_of(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the whole period of a report, by version."""
    return {version: {name: seen[name] for name in _SUMMED} for version, seen in by_version(report).items()}


def usage_of(report: Mapping[str, Any]) -> dict[str, tuple[float | None, float | None]]:
    """Return the last measured CPU and memory of each replica."""
    columns = report["replicas"]
    rows = zip(columns["replica"], columns["cpu_cores"], columns["memory_mb"], strict=True)
    return {replica: (cores, memory) for replica, cores, memory in rows}


def decisions_of(decisions: Sequence[ScalingDecision]) -> list[dict[str, Any]]:
    """Return the decisions of the autoscaler: time, version, old and new number, reason."""
    return [
        {
            "time": item.time.timestamp(),
            "version": item.version,
            "from": item.before,
            "to": item.after,
            "reason": item.reason,
        }
        for item in decisions
    ]


def router_of(size: RouterSize) -> dict[str, Any]:
    """Return the size of a cluster's router: names and values, and the last decisions, newest first.

    Each decision has its time and three words: step, change and reason.
    """
    return {
        "fields": [list(field) for field in router_size_fields(size)],
        "decisions": [
            {"time": item.time.timestamp(), "words": [item.step.value, _change(item), item.reason]}
            for item in reversed(size.decisions[-_MOST_ROUTER_DECISIONS:])
        ],
    }


def _change(decision: RouterScalingDecision) -> str:
    """Return what a decision changes: ``1 → 2 pods``, ``0.5 → 1 cores``; nothing for one that changes nothing."""
    changes = []
    if decision.pods_before != decision.pods_after:
        changes.append(f"{decision.pods_before} → {decision.pods_after} pods")
    if decision.cpu_before != decision.cpu_after:
        changes.append(f"{decision.cpu_before:g} → {decision.cpu_after:g} cores")
    return ", ".join(changes)
