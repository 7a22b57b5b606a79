"""Gauges of a version, computed from the router's statistics: running and waiting requests, and replicas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mljupyter.spec import EndpointRecord, VersionSpec, VersionStatus
from mljupyter.telemetry.metrics.router_statistics import Cluster
from mljupyter.telemetry.metrics.samples import Levels


@dataclass(frozen=True)
class MeasuredVersion:
    """One version of an endpoint as it is now."""

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
        yield MeasuredVersion(record.spec.name, name, spec, record.status.versions.get(name, VersionStatus()))


def levels(version: MeasuredVersion, cluster: Cluster, mirror: Cluster) -> Levels:
    """Return the levels of a version.

    Requests in the router's hands are those at replicas or those being tried again, whichever are more: one that is
    at a replica for the second time is both. As many of them run as replicas take; the others wait.

    Parameters:
        version: the version.
        cluster: the router's statistics of its requests.
        mirror: and of the copies sent to it.

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
