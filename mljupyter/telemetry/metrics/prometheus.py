"""The counts since the controller started in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mljupyter.telemetry.metrics.samples import Counts, Levels, Usage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000)
Labels = Mapping[str, str]
Line = tuple[str, Labels, float]


@dataclass(frozen=True)
class VersionTotals:
    """One version now: counts since the controller started, levels, and its replicas with the CPU time they took."""

    endpoint: str
    version: str
    counts: Counts
    levels: Levels
    usages: Sequence[Usage] = ()
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Totals:
    """All versions now, and the router: whether it answers, and how many requests it sent away for want of a key."""

    versions: Sequence[VersionTotals]
    router_up: bool
    denied: int
    sampled_time: float


def exposition(totals: Totals) -> str:
    """Return the metrics as text.

    Counters count since the controller started. Latencies are counted in `BUCKETS_MS`, without error, from finer
    buckets; their sum is that of the middles of those.
    """
    families = [
        *(_family(name, kind, text, _of_versions(name, totals, value)) for name, kind, text, value in _SERIES),
        _family(_REQUESTS, "counter", "Requests answered, by result.", _results(totals)),
        _family(_DURATION, "histogram", "Time from the whole request to the whole answer.", _durations(totals)),
        _family(_CPU, "counter", "CPU time that a replica has used.", _cpu(totals)),
        _family(_MEMORY, "gauge", "Resident memory of a replica.", _memory(totals)),
        _family(_DENIED, "counter", "Requests sent away since they had no valid key.", [(_DENIED, {}, totals.denied)]),
        _family(_UP, "gauge", "Whether the router answers.", [(_UP, {}, totals.router_up)]),
        _family(_SAMPLED, "gauge", "When the router was asked last.", [(_SAMPLED, {}, totals.sampled_time)]),
    ]
    return "".join(families)


_REQUESTS = "mljupyter_requests_total"
_DURATION = "mljupyter_request_duration_seconds"
_CPU = "mljupyter_replica_cpu_seconds_total"
_MEMORY = "mljupyter_replica_memory_bytes"
_DENIED = "mljupyter_router_unauthorized_requests_total"
_UP = "mljupyter_router_up"
_SAMPLED = "mljupyter_last_sample_timestamp_seconds"
_SERIES: tuple[tuple[str, str, str, Callable[[Counts, Levels], float]], ...] = (
    ("mljupyter_runs_total", "counter", "Calls of run().", lambda c, _: c.runs),
    ("mljupyter_run_seconds_total", "counter", "Time in run().", lambda c, _: c.run_microseconds / 1e6),
    ("mljupyter_requests_started_total", "counter", "Requests handed to run().", lambda c, _: c.started),
    (
        "mljupyter_wait_seconds_total",
        "counter",
        "Time that requests waited until they were handed to run().",
        lambda c, _: c.wait_microseconds / 1e6,
    ),
    ("mljupyter_router_retries_total", "counter", "Requests sent to another replica.", lambda c, _: c.retries),
    ("mljupyter_replica_resets_total", "counter", "Connections broken under a request.", lambda c, _: c.resets),
    ("mljupyter_mirrored_requests_total", "counter", "Copies sent to the version.", lambda c, _: c.mirrored),
    ("mljupyter_received_bytes_total", "counter", "Bytes sent to replicas.", lambda c, _: c.bytes_in),
    ("mljupyter_sent_bytes_total", "counter", "Bytes that replicas answered.", lambda c, _: c.bytes_out),
    ("mljupyter_requests_running", "gauge", "Requests in run() now.", lambda _, now: now.running),
    ("mljupyter_requests_waiting", "gauge", "Requests that wait now.", lambda _, now: now.waiting),
    ("mljupyter_replicas_wanted", "gauge", "Replicas that there should be.", lambda _, now: now.replicas_wanted),
    ("mljupyter_replicas_ready", "gauge", "Replicas that are ready.", lambda _, now: now.replicas_ready),
    ("mljupyter_traffic_weight_ratio", "gauge", "Share of requests set.", lambda _, now: now.weight / 100),
)


def _labels(version: VersionTotals) -> Labels:
    return {"endpoint": version.endpoint, "version": version.version}


def _of_versions(name: str, totals: Totals, value: Callable[[Counts, Levels], float]) -> Iterable[Line]:
    return ((name, _labels(version), value(version.counts, version.levels)) for version in totals.versions)


def _results(totals: Totals) -> Iterable[Line]:
    for version in totals.versions:
        counts = version.counts
        failed = counts.client_errors + counts.server_errors + counts.refused + counts.timeouts
        results = {
            "ok": max(counts.requests - failed, 0),
            "client_error": counts.client_errors,
            "server_error": counts.server_errors,
            "refused": counts.refused,
            "timeout": counts.timeouts,
        }
        for result, count in results.items():
            yield _REQUESTS, {**_labels(version), "result": result}, count


def _durations(totals: Totals) -> Iterable[Line]:
    for version in totals.versions:
        labels, latency = _labels(version), version.counts.latency
        for bound in BUCKETS_MS:
            yield f"{_DURATION}_bucket", {**labels, "le": _number(bound / 1000)}, latency.at_most(bound)
        yield f"{_DURATION}_bucket", {**labels, "le": "+Inf"}, latency.count
        yield f"{_DURATION}_sum", labels, latency.sum / 1000
        yield f"{_DURATION}_count", labels, latency.count


def _cpu(totals: Totals) -> Iterable[Line]:
    for version in totals.versions:
        for replica, seconds in version.cpu_seconds.items():
            yield _CPU, {**_labels(version), "replica": replica}, seconds


def _memory(totals: Totals) -> Iterable[Line]:
    for version in totals.versions:
        for usage in version.usages:
            yield _MEMORY, {**_labels(version), "replica": usage.replica}, usage.memory_bytes


def _family(name: str, kind: str, text: str, lines: Iterable[Line]) -> str:
    head = f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    return head + "".join(f"{metric}{_label_text(labels)} {_number(value)}\n" for metric, labels, value in lines)


def _label_text(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
