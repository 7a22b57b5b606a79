"""Router statistics: one query for all versions, and the parsed values of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from mljupyter.engine.envoy import answers
from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.telemetry.metrics.samples import Counts

_CLUSTER = (
    r"^cluster\.[^.]+\.[^.]+(\.mirror)?\."
    r"(upstream_rq_(completed|4xx|5xx|503|504|active|retry|time)|upstream_cx_(rx|tx)_bytes_total"
    r"|upstream_cx_destroy_remote_with_active_rq|circuit_breakers\.default\.remaining_retries)$"
)
SUMMARY = {
    "format": "json",
    "filter": r"^http\.(router|router-tls|local-[^.]+)\.downstream_rq_(total|completed|active)$",
}
"""A query of ``/stats`` with a short answer: if it stays, no request has begun or ended since. See `is_quiet`."""
_DENIED = r"^http\.[^.]+\.(rbac|jwt_authn)\.denied$"
QUESTION = {
    "format": "json",
    "filter": f"{_CLUSTER}|{_DENIED}|{answers.PATTERN}",
    "histogram_buckets": "detailed",
    "usedonly": "",  # with it, an idle version has only a few gauges
}
"""The query of ``/stats``. `parse` reads its answer."""
_LAST_STATUS = 999


@dataclass(frozen=True)
class Cluster:
    """The router's statistics of one cluster: counts since its start, and current levels.

    `answers` has the answers that clients got, with those that the router gave before it chose a replica. It is None
    where `counts` has them.
    """

    counts: Counts = field(default_factory=Counts)
    active: int = 0
    remaining_tries: int | None = None
    answers: Counts | None = None


@dataclass(frozen=True)
class RouterStatistics:
    """All clusters by name, and the number of requests without a valid key or token."""

    clusters: Mapping[str, Cluster]
    denied: int = 0

    @property
    def busy(self) -> bool:
        """Whether any request is on its way."""
        return any(cluster.active for cluster in self.clusters.values())

    def keeping(self, before: RouterStatistics) -> RouterStatistics:
        """Return these statistics with the objects of an earlier reading for all clusters that have not changed."""
        return RouterStatistics(
            {
                name: known if (known := before.clusters.get(name)) == cluster and known is not None else cluster
                for name, cluster in self.clusters.items()
            },
            self.denied,
        )


def is_quiet(summary: bytes) -> bool:
    """Return whether no client waits for an answer, from the router's answer to `SUMMARY`.

    A client that does may still send its request, which reaches a version later, without another change of the summary.
    """
    found = json.loads(summary)["stats"]
    return not any(item["value"] for item in found if item["name"].endswith(".downstream_rq_active"))


def parse(body: bytes) -> RouterStatistics:
    """Read the router's answer to `QUESTION`."""
    values: dict[str, dict[str, int]] = {}
    latencies: dict[str, Histogram] = {}
    given: dict[str, dict[int, int]] = {}
    denied = 0
    for item in json.loads(body)["stats"]:
        if "histograms" in item:
            for detail in item["histograms"].get("details", ()):
                cluster, _ = _split(detail["name"])
                latencies[cluster] = Histogram.of_router(detail["totals"])
        elif item["name"].startswith("cluster."):
            cluster, name = _split(item["name"])
            values.setdefault(cluster, {})[name] = int(item["value"])
        elif item["name"].startswith("answers."):
            if (answer := answers.answer_of(item["name"])) is not None:
                cluster, status = answer
                given.setdefault(cluster, {})[status] = int(item["value"])
        else:
            denied += int(item["value"])
    clusters = {
        name: _cluster(values.get(name, {}), latencies.get(name, Histogram()), _answers(name, given))
        for name in {**values, **given}
    }
    return RouterStatistics(clusters, denied)


def _split(name: str) -> tuple[str, str]:
    """Return cluster and statistic of a full name. Names of endpoints and versions contain no dot."""
    parts = name.split(".")
    size = 4 if parts[3] == "mirror" else 3
    return ".".join(parts[1:size]), ".".join(parts[size:])


def answers_by_class(given: Mapping[int, int]) -> Counts:
    """Return the numbers of answers by class, from those by status. Status 0 is no answer: the client has left.

    Example:
        >>> found = answers_by_class({200: 5, 401: 2, 503: 1, 0: 3})
        >>> found.requests, found.client_errors, found.refused
        (8, 2, 1)

    """

    def of(first: int, last: int) -> int:
        return sum(number for status, number in given.items() if first <= status <= last)

    return Counts(
        requests=of(1, _LAST_STATUS),
        client_errors=of(400, 499),
        refused=of(503, 503),
        timeouts=of(504, 504),
        server_errors=of(500, _LAST_STATUS) - of(503, 504),
    )


def _answers(cluster: str, given: Mapping[str, Mapping[int, int]]) -> Counts | None:
    """Return the answers of a version; None for a mirror, whose answers no client gets."""
    return None if cluster.endswith(".mirror") else answers_by_class(given.get(cluster, {}))


def _cluster(values: Mapping[str, int], latency: Histogram, given: Counts | None) -> Cluster:
    def of(name: str) -> int:
        return values.get(name, 0)

    refused, timeouts = of("upstream_rq_503"), of("upstream_rq_504")
    counts = Counts(
        requests=of("upstream_rq_completed"),
        client_errors=of("upstream_rq_4xx"),
        server_errors=max(of("upstream_rq_5xx") - refused - timeouts, 0),
        refused=refused,
        timeouts=timeouts,
        resets=of("upstream_cx_destroy_remote_with_active_rq"),
        retries=of("upstream_rq_retry"),
        bytes_in=of("upstream_cx_tx_bytes_total"),
        bytes_out=of("upstream_cx_rx_bytes_total"),
        latency=latency,
    )
    return Cluster(counts, of("upstream_rq_active"), values.get("circuit_breakers.default.remaining_retries"), given)
