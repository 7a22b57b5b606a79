"""Gauges of a version, computed from the router's statistics: running and waiting requests, and replicas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mljupyter.spec import EndpointRecord, VersionSpec, VersionStatus
from mljupyter.telemetry.metrics.router_statistics import Cluster
from mljupyter.telemetry.metrics.samples import Levels


@dataclass(frozen=True)
class MeasuredVersion:
    """The current state of one version of an endpoint."""

    endpoint: str
    name: str
    spec: VersionSpec
    status: VersionStatus

    @property
    def key(self) -> tuple[str, str]:
        """Endpoint and version."""
        return self.endpoint, self.name


def versions(record: EndpointRecord) -> Iterator[MeasuredVersion]:
    """Yield the versions of an endpoint."""
    for name, spec in record.spec.versions.items():
        status = record.status.versions.get(name, VersionStatus())
        yield MeasuredVersion(record.spec.name, name, spec, status)


def levels(version: MeasuredVersion, cluster: Cluster, mirror: Cluster) -> Levels:
    """Return the current levels of a version.

    The requests in the router are those at replicas or those being retried, whichever number is greater, since a
    retried request at a replica is in both. As many of them run as the replicas accept; the others wait.

    Parameters:
        version: the version.
        cluster: the router's statistics of its requests.
        mirror: the statistics of the copies sent to it.

    """
    limits = version.spec.limits
    remaining = cluster.remaining_tries
    again = 0 if remaining is None else max(limits.max_queue_length - remaining, 0)
    present = max(cluster.active, again) + mirror.active
    running = min(present, version.status.replicas_ready * limits.max_concurrent_requests)
    return Levels(
        running=running,
        waiting=present - running,
        replicas_wanted=version.status.replicas_wanted,
        replicas_ready=version.status.replicas_ready,
        weight=version.status.weight,
    )
