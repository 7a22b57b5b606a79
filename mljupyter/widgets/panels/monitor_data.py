"""Data of the monitor, built from an endpoint's record and metrics: messages of a few kilobytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from mljupyter.notebook.views.scaling import router_size_fields
from mljupyter.spec import (
    EndpointRecord,
    EndpointSpec,
    EndpointState,
    RouterScalingDecision,
    RouterSize,
    ScalingDecision,
)
from mljupyter.spec.guard import ERRORS, Guard
from mljupyter.spec.history import HistoryEntry
from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.widgets.panels.colours import hue_of
from mljupyter.widgets.panels.comparison_data import measured_of

LINES = (
    "requests_per_second",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "requests",
    "client_errors",
    "server_errors",
    "refused",
    "timeouts",
    "run_mean_ms",
    "wait_mean_ms",
    "busy_mean",
    "replicas_wanted",
    "replicas_ready",
)
"""The columns of the metrics in the charts."""
_USED = ("cpu_cores", "memory_mb", "gpu_percent", "gpu_memory_mb")
_MOST_ROUTER_DECISIONS = 3
_SUMMED = (*LINES, "error_ratio", "client_error_ratio", "traffic_observed")
_RECENT_SECONDS = 10
_LATENCY_EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
"""Ends of the parts of the latency histogram in milliseconds; the widget has their labels."""
_DEPLOYMENT, _TRAFFIC, _SCALING = range(3)
"""Kinds of marks: indexes of the dash patterns of their lines."""
_MARKS = {
    EndpointState.HEALTHY: "ok",
    EndpointState.FAILED: "failed",
    EndpointState.UNHEALTHY: "failed",
    EndpointState.UNSCHEDULABLE: "warning",
    EndpointState.TRANSITIONING: "running",
    EndpointState.DELETING: "running",
}


class ReplicaUsage(NamedTuple):
    """The resources that a replica uses: CPU in cores, memory in MB, and the same of its GPUs in percent and MB."""

    cpu: float | None = None
    memory: float | None = None
    gpu: float | None = None
    gpu_memory: float | None = None


def status_of(record: EndpointRecord, usage: Mapping[str, ReplicaUsage]) -> dict[str, Any]:
    """Return the state of an endpoint, its versions and its replicas.

    Parameters:
        record: the endpoint.
        usage: what each replica uses, by id.

    """
    spec, status = record.spec, record.status
    return {
        "name": spec.name,
        "state": str(status.state),
        "mark": _MARKS[status.state],
        "uri": status.scoring_uri or "",
        "authentication": str(spec.authentication),
        "generation": record.generation,
        "rollout": record.rolls_out,
        "levels": levels_of(record),
        "versions": [
            {
                "version": name,
                "hue": hue_of(record, name),
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
                **usage.get(replica.id, ReplicaUsage())._asdict(),
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


def levels_of(record: EndpointRecord) -> dict[str, list[dict[str, Any]]]:
    """Return the thresholds to draw in the charts ``latency``, ``errors`` and ``utilisation``: names and values.

    They are the target of the autoscaler and, during a rollout, the conditions of its guard.
    """
    spec, rollout = record.spec, record.rollout
    policy = spec.versions[spec.default_version].scaling.autoscale
    target = policy.target_utilization if policy else None
    text = rollout.plan.guard if rollout is not None and rollout.active else None
    conditions = Guard.parse(text).conditions if text else ()
    levels = [(one.metric == ERRORS, {"name": f"guard {one}", "value": one.limit}) for one in conditions]
    return {
        "latency": [level for is_errors, level in levels if not is_errors],
        "errors": [level for is_errors, level in levels if is_errors],
        "utilisation": [] if target is None else [{"name": f"target {target} %", "value": target}],
    }


def summary_of(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the whole period of a report by version; rates over time are those of its last ten seconds.

    A percentile or a share of errors depends on requests alone. A mean over a minute would show the beginning and the
    end of load only a minute later.
    """
    found = {name: {key: seen.get(key) for key in _SUMMED} for name, seen in measured_of(report).items()}
    for version, rates in _recent(report["versions"]).items():
        if version in found:
            found[version].update(rates)
    return found


def _recent(columns: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, float]]:
    """Return the requests per second and the busy replicas of each version over its last ten seconds."""
    newest = max(columns["time"], default=0)
    sums: dict[str, list[float]] = {}
    rows = zip(*(columns[name] for name in ("time", "version", "seconds", "requests", "busy_mean")), strict=True)
    for time, version, seconds, requests, busy in rows:
        if time > newest - _RECENT_SECONDS:
            total = sums.setdefault(version, [0.0, 0.0, 0.0])
            for index, value in enumerate((seconds or 0.0, requests, (busy or 0.0) * (seconds or 0.0))):
                total[index] += value
    return {
        version: {"requests_per_second": round(requests / seconds, 3), "busy_mean": round(busy / seconds, 3)}
        for version, (seconds, requests, busy) in sums.items()
        if seconds
    }


def histogram_of(report: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return the share of each version's requests in each part of the latency histogram, in percent."""
    found = {}
    for version, seen in measured_of(report).items():
        histogram: Histogram = seen["histogram"]
        if total := histogram.count:
            below = [0, *map(histogram.at_most, _LATENCY_EDGES), total]
            found[version] = [round(100 * (after - before) / total, 1) for before, after in pairwise(below)]
    return found


def marks_of(changes: Sequence[HistoryEntry], decisions: Sequence[ScalingDecision]) -> list[dict[str, Any]]:
    """Return marks for the charts: changes of the endpoint and decisions of the autoscaler, in the order of time.

    Each mark has ``time`` in seconds since the epoch, ``label`` and ``dash``, the pattern of its line.

    Parameters:
        changes: the history of the endpoint, the oldest change first.
        decisions: the decisions of the autoscaler.

    """
    found = [
        {"time": entry.time.timestamp(), **_change_mark(before.spec if before else None, entry)}
        for before, entry in zip((None, *changes), changes, strict=False)
    ]
    found += [
        {
            "time": item.time.timestamp(),
            "label": f"{item.version} scaled {item.before} → {item.after}",
            "dash": _SCALING,
        }
        for item in decisions
    ]
    return sorted(found, key=lambda mark: mark["time"])


def _change_mark(before: EndpointSpec | None, entry: HistoryEntry) -> dict[str, Any]:
    shares = {name: version.traffic_percentile for name, version in entry.spec.versions.items()}
    if before is not None:
        old = {name: version.traffic_percentile for name, version in before.versions.items()}
        has_same_code = all(
            name in before.versions
            and version.model_copy(update={"traffic_percentile": 0})
            == before.versions[name].model_copy(update={"traffic_percentile": 0})
            for name, version in entry.spec.versions.items()
        )
        if has_same_code and old != shares:
            return {"label": ", ".join(f"{name} {share} %" for name, share in shares.items()), "dash": _TRAFFIC}
    return {"label": entry.action, "dash": _DEPLOYMENT}


def usage_of(report: Mapping[str, Any]) -> dict[str, ReplicaUsage]:
    """Return the last measured CPU, memory and use of GPUs of each replica."""
    columns = report["replicas"]
    unknown = [None] * len(columns["replica"])  # a control plane of an earlier release does not measure GPUs
    measured = zip(*(columns.get(name, unknown) for name in _USED), strict=True)
    return {replica: ReplicaUsage(*values) for replica, values in zip(columns["replica"], measured, strict=True)}


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
