"""The next step of each version of an endpoint, and the route that the endpoint has with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mljupyter.controller.endpoints.desired import Goal
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.engine.replicas.replica_plan import Plan, VersionGoal
from mljupyter.engine.rollout.traffic import Split, split
from mljupyter.runtimes.base import RunningReplica
from mljupyter.spec import Authentication, EndpointRecord, VersionSpec

_ORIGINS = "AML_CORS_ORIGINS"


@dataclass(frozen=True)
class Step:
    """The plan of one version, and the specs it is made of."""

    name: str
    spec: VersionSpec | None
    wanted: Goal
    plan: Plan

    @property
    def goal(self) -> VersionGoal:
        """What is wanted of the version."""
        return self.wanted.goal


def divided(record: EndpointRecord, steps: Sequence[Step]) -> Split:
    """Return how requests are divided: a new version gets its share when all of its replicas are ready."""
    spec = record.spec
    serving = [
        step
        for step in steps
        if step.spec and (step.plan.routed or step.plan.waiting) and not step.spec.mirror_percentile
    ]
    able = [step.name for step in serving if step.plan.complete or step.goal.ready_revision is not None]
    return split(
        {name: version.traffic_percentile for name, version in spec.versions.items()},
        spec.default_version,
        able or [step.name for step in serving],
        record.status.default_version,
    )


def route_of(
    record: EndpointRecord,
    steps: Sequence[Step],
    replicas: Mapping[str, RunningReplica],
    keys: tuple[str, ...] | None,
    *,
    need_key: bool,
) -> EndpointRoute:
    """Return the route of an endpoint.

    Parameters:
        record: the endpoint.
        steps: one for each of its versions; those without a spec get no requests.
        replicas: its replicas, by their ids.
        keys: that admit a request; None where none is asked for.
        need_key: whether replicas of the endpoint's target ask for a key.

    """
    spec = record.spec
    division = divided(record, steps)
    return EndpointRoute(
        name=spec.name,
        versions=tuple(
            VersionRoute(
                name=step.name,
                weight=division.weights.get(step.name, 0),
                addresses=tuple(replicas[replica_id].address for replica_id in step.plan.routed),
                limits=step.spec.limits,
                mirror=step.spec.mirror_percentile,
                wake_wait_ms=step.wanted.wake_wait_ms,
                waiting=step.plan.waiting,
                replica_keys=_replica_keys([replicas[name] for name in step.plan.routed], need_key=need_key),
            )
            for step in steps
            if step.spec is not None
        ),
        default_version=division.default,
        keys=keys,
        port=spec.port,
        sticky_header=spec.sticky_header,
        tokens=spec.authentication is Authentication.TOKEN,
        rate_limit=spec.rate_limit,
        host=spec.tls.host if spec.tls is not None else None,
        origins=_origins(step.spec for step in steps if step.spec is not None),
    )


def _replica_keys(replicas: Sequence[RunningReplica], *, need_key: bool) -> Mapping[str, str] | None:
    """Return the keys of a version's replicas by address; None where they need none.

    The target decides while there are no replicas, so that a version that sleeps and wakes stays one cluster.
    """
    keys = {replica.address: replica.key for replica in replicas if replica.key is not None}
    return keys if keys or need_key else None


def _origins(versions: Iterable[VersionSpec]) -> tuple[str, ...]:
    """Return the origins whose web pages may call an endpoint: those that one of its versions answers."""
    found = {origin.strip() for one in versions for origin in one.environment_variables.get(_ORIGINS, "").split(",")}
    return tuple(sorted(found - {""}))
