"""The metrics of all versions for Prometheus: text format 0.0.4, written by prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mljupyter.telemetry.metrics.samples import Counts, Levels, Usage

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

# The content type of this text format, which every release of Prometheus reads.
# `prometheus_client.CONTENT_TYPE_LATEST` may name another format, depending on the installed release.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000)
_VERSION_LABELS = ("endpoint", "version")


@dataclass(frozen=True)
class VersionTotals:
    """The current metrics of one version.

    Parameters:
        endpoint: the endpoint's name.
        version: the version's name.
        counts: counters since the controller started.
        levels: the current gauges.
        usages: memory and cores of each replica.
        cpu_seconds: CPU seconds by replica since the controller started.

    """

    endpoint: str
    version: str
    counts: Counts
    levels: Levels
    usages: Sequence[Usage] = ()
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Totals:
    """The current metrics of all versions and of the router.

    Parameters:
        versions: one entry for each version.
        router_up: whether the router answers.
        denied: requests that the router refused because they had no valid key.
        sampled_time: the time of the last reading of the router, in seconds since the epoch.

    """

    versions: Sequence[VersionTotals]
    router_up: bool
    denied: int
    sampled_time: float


def exposition(totals: Totals) -> str:
    """Return the metrics as text.

    Counters count since the controller started. The histogram of latencies has the bounds `BUCKETS_MS`. Its counts are
    exact, because they add up finer buckets. Its sum counts each latency as the middle of its finer bucket.
    """
    # Heavy (it imports an HTTP server), and most controllers are never scraped.
    from prometheus_client import generate_latest

    return generate_latest(_Collector(totals)).decode()


class _Collector:
    """A custom collector of prometheus_client, which yields families of metrics from counts kept elsewhere."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # heavy: see `exposition`

        totals = self._totals
        for name, text, value in _SERIES:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, text, labels=_VERSION_LABELS)
            for version in totals.versions:
                family.add_metric(_labels(version), value(version.counts, version.levels))
            yield family
        yield self._results()
        yield self._durations()
        yield self._first_bytes()
        yield from self._replicas()
        yield CounterMetricFamily(
            "mljupyter_router_unauthorized_requests_total",
            "Requests refused because they had no valid key.",
            value=totals.denied,
        )
        yield GaugeMetricFamily("mljupyter_router_up", "Whether the router answers.", value=totals.router_up)
        yield GaugeMetricFamily(
            "mljupyter_last_sample_timestamp_seconds", "When the router was read last.", value=totals.sampled_time
        )

    def _results(self) -> Metric:
        from prometheus_client.core import CounterMetricFamily  # heavy: see `exposition`

        labels = (*_VERSION_LABELS, "result")
        family = CounterMetricFamily("mljupyter_requests_total", "Requests answered, by result.", labels=labels)
        for version in self._totals.versions:
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
                family.add_metric([*_labels(version), result], count)
        return family

    def _durations(self) -> Metric:
        from prometheus_client.core import HistogramMetricFamily  # heavy: see `exposition`

        family = HistogramMetricFamily(
            "mljupyter_request_duration_seconds",
            "Time from the whole request to the whole answer.",
            labels=_VERSION_LABELS,
        )
        for version in self._totals.versions:
            latency = version.counts.latency
            buckets = [(f"{bound / 1000:g}", float(latency.at_most(bound))) for bound in BUCKETS_MS]
            buckets.append(("+Inf", float(latency.count)))
            family.add_metric(_labels(version), buckets, sum_value=latency.sum / 1000)
        return family

    def _first_bytes(self) -> Metric:
        from prometheus_client.core import SummaryMetricFamily  # heavy: see `exposition`

        family = SummaryMetricFamily(
            "mljupyter_first_byte_seconds",
            "Time from the request to the first piece of an answer in pieces.",
            labels=_VERSION_LABELS,
        )
        for version in self._totals.versions:
            counts = version.counts
            family.add_metric(_labels(version), counts.streamed, counts.first_byte_microseconds / 1e6)
        return family

    def _replicas(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # heavy: see `exposition`

        labels = (*_VERSION_LABELS, "replica")
        cpu = CounterMetricFamily(
            "mljupyter_replica_cpu_seconds_total", "CPU time that a replica has used.", labels=labels
        )
        memory = GaugeMetricFamily("mljupyter_replica_memory_bytes", "Resident memory of a replica.", labels=labels)
        gpu = GaugeMetricFamily(
            "mljupyter_replica_gpu_utilization_ratio",
            "Part of the time in which the GPUs of a replica worked.",
            labels=labels,
        )
        gpu_memory = GaugeMetricFamily(
            "mljupyter_replica_gpu_memory_bytes", "Memory in use on the GPUs of a replica.", labels=labels
        )
        for version in self._totals.versions:
            for replica, seconds in version.cpu_seconds.items():
                cpu.add_metric([*_labels(version), replica], seconds)
            for usage in version.usages:
                memory.add_metric([*_labels(version), usage.replica], usage.memory_bytes)
                if usage.gpu_percent is not None:
                    gpu.add_metric([*_labels(version), usage.replica], usage.gpu_percent / 100)
                if usage.gpu_memory_bytes is not None:
                    gpu_memory.add_metric([*_labels(version), usage.replica], usage.gpu_memory_bytes)
        yield cpu
        yield memory
        if gpu.samples:
            yield gpu
            yield gpu_memory


def _labels(version: VersionTotals) -> list[str]:
    return [version.endpoint, version.version]


# Name, help text and value of each metric that a version has once. A name that ends in _total means a counter.
_SERIES: tuple[tuple[str, str, Callable[[Counts, Levels], float]], ...] = (
    ("mljupyter_runs_total", "Calls of run().", lambda c, _: c.runs),
    ("mljupyter_run_seconds_total", "Time in run().", lambda c, _: c.run_microseconds / 1e6),
    ("mljupyter_requests_started_total", "Requests passed to run().", lambda c, _: c.started),
    (
        "mljupyter_wait_seconds_total",
        "Time that requests waited before they were passed to run().",
        lambda c, _: c.wait_microseconds / 1e6,
    ),
    ("mljupyter_router_retries_total", "Requests sent to another replica.", lambda c, _: c.retries),
    ("mljupyter_replica_resets_total", "Connections that broke during a request.", lambda c, _: c.resets),
    ("mljupyter_mirrored_requests_total", "Copies of requests sent to the version.", lambda c, _: c.mirrored),
    ("mljupyter_received_bytes_total", "Bytes sent to replicas.", lambda c, _: c.bytes_in),
    ("mljupyter_sent_bytes_total", "Bytes that replicas answered.", lambda c, _: c.bytes_out),
    ("mljupyter_requests_running", "Requests in run() now.", lambda _, now: now.running),
    ("mljupyter_requests_waiting", "Requests that wait now.", lambda _, now: now.waiting),
    ("mljupyter_replicas_wanted", "Replicas desired.", lambda _, now: now.replicas_wanted),
    ("mljupyter_replicas_ready", "Replicas that are ready.", lambda _, now: now.replicas_ready),
    ("mljupyter_traffic_weight_ratio", "Share of requests set.", lambda _, now: now.weight / 100),
)
