"""The next actions for an endpoint: the plan of each version, and the route that requests take with these plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.engine.replicas.replica_plan import DesiredVersion, ReplicaObservation, ReplicaPlan
from mljupyter.engine.rollout.traffic import Split, split
from mljupyter.spec import Authentication, EndpointRecord, VersionSpec

_ORIGINS = "AML_CORS_ORIGINS"


@dataclass(frozen=True)
class PlannedVersion:
    """A version with its spec, its desired state and its plan. The spec is None when the endpoint no longer has it."""

    name: str
    spec: VersionSpec | None
    desired: DesiredVersion
    plan: ReplicaPlan

    @property
    def reached(self) -> bool:
        """Whether all desired replicas of the desired revision are ready."""
        return self.plan.complete and self.plan.revision == self.desired.revision


def split_traffic(record: EndpointRecord, versions: Sequence[PlannedVersion]) -> Split:
    """Return the share of requests of each version.

    A new version gets its share when all its replicas are ready. A version that has lost all its replicas gets it back
    when one is ready again. If this is true of all versions that have served before, their requests wait for replicas.
    """
    spec = record.spec
    serving = [
        version
        for version in versions
        if version.spec and (version.plan.routed or version.plan.waiting) and not version.spec.mirror_percentile
    ]
    proven = [item for item in serving if item.plan.complete or item.desired.ready_revision is not None]
    able = [item for item in proven if not item.plan.starting] or proven or serving
    return split(
        {name: version.traffic_percentile for name, version in spec.versions.items()},
        spec.default_version,
        [item.name for item in able],
        record.status.default_version,
    )


def route_of(
    record: EndpointRecord,
    versions: Sequence[PlannedVersion],
    replicas: Mapping[str, ReplicaObservation],
    keys: tuple[str, ...] | None,
    *,
    private: bool,
) -> EndpointRoute:
    """Return the route of an endpoint.

    Parameters:
        record: the endpoint.
        versions: each of its versions. Those without a spec get no requests.
        replicas: its replicas, by id.
        keys: the keys that admit a request; None when the endpoint asks for none.
        private: whether only the router can reach replicas on its target, so that they never require a key.

    """
    spec = record.spec
    traffic = split_traffic(record, versions)
    return EndpointRoute(
        name=spec.name,
        versions=tuple(
            VersionRoute(
                name=version.name,
                weight=traffic.weights.get(version.name, 0),
                addresses=tuple(replicas[replica_id].address for replica_id in version.plan.routed),
                limits=version.spec.limits,
                mirror=version.spec.mirror_percentile,
                wake_wait_ms=version.desired.wake_wait_ms,
                waiting=version.plan.waiting,
                replica_keys=_replica_keys([replicas[name] for name in version.plan.routed], private=private),
            )
            for version in versions
            if version.spec is not None
        ),
        default_version=traffic.default,
        keys=keys,
        port=spec.port,
        sticky_header=spec.sticky_header,
        tokens=spec.authentication is Authentication.TOKEN,
        rate_limit=spec.rate_limit,
        host=spec.tls.host if spec.tls is not None else None,
        origins=_origins(version.spec for version in versions if version.spec is not None),
    )


def _replica_keys(replicas: Sequence[ReplicaObservation], *, private: bool) -> Mapping[str, str] | None:
    """Return the keys of a version's replicas by address; None when replicas of its target never have one.

    The target decides while there are no replicas: a version that sleeps and wakes keeps the same cluster.
    """
    keys = {replica.address: replica.key for replica in replicas if replica.key is not None}
    return keys if keys or not private else None


def _origins(versions: Iterable[VersionSpec]) -> tuple[str, ...]:
    """Return the origins whose web pages may call an endpoint: all origins that one of its versions answers."""
    found = {origin.strip() for one in versions for origin in one.environment_variables.get(_ORIGINS, "").split(",")}
    return tuple(sorted(found - {""}))
