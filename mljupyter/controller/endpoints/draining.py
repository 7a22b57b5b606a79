"""Replicas of removed versions are drained: the router keeps them until their requests have been answered."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import replace

from mljupyter.controller.endpoints.replica_handle import ReplicaHandle
from mljupyter.controller.router.endpoint_router import EndpointRouter
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.engine.replicas.draining import Draining
from mljupyter.spec import ReplicaPhase

LOOK_EVERY = 0.1  # seconds
_SPARE_SECONDS = 1.0


class ReplicaDraining:
    """Remembers the draining replicas and the times since when they drain.

    Parameters:
        router: knows the replicas with requests.

    """

    def __init__(self, router: EndpointRouter) -> None:
        self._router = router
        self._replicas: dict[str, Draining] = {}

    async def staying(
        self, before: EndpointRoute | None, replicas: Iterable[ReplicaHandle], wanted: Collection[str]
    ) -> tuple[frozenset[str], tuple[VersionRoute, ...]]:
        """Return the replicas that must not stop yet, and the routes of their versions that the router must keep.

        Parameters:
            before: the endpoint's route so far. A replica that is not in it cannot have a request.
            replicas: the replicas of the endpoint.
            wanted: the versions of the endpoint. Replicas of other versions are to end.

        """
        known = {version.name: version for version in (*before.versions, *before.leaving)} if before else {}
        watched = [
            item
            for item in replicas
            if item.replica.version not in wanted
            and item.phase is ReplicaPhase.READY
            and item.replica.version in known
            and item.replica.address in known[item.replica.version].addresses
        ]
        if not watched:
            return frozenset(), ()
        busy, now = await self._router.busy(), time.monotonic()
        staying: list[ReplicaHandle] = []
        for item in watched:
            limits = known[item.replica.version].limits
            longest = (limits.max_queue_wait_ms + limits.scoring_timeout_ms) / 1000 + _SPARE_SECONDS
            begun = self._replicas.get(item.replica.id)
            # The first reading is before the change of the routes, so it does not count.
            seen = Draining(now, longest) if begun is None else begun.seen(item.replica.address in busy, now)
            self._replicas[item.replica.id] = seen
            if seen.may_stop(now):
                del self._replicas[item.replica.id]
            else:
                staying.append(item)
        versions = {item.replica.version for item in staying}
        leaving = tuple(
            replace(
                known[name],
                weight=0,
                mirror=0,
                waiting=False,
                addresses=tuple(item.replica.address for item in staying if item.replica.version == name),
            )
            for name in sorted(versions)
        )
        return frozenset(item.replica.id for item in staying), leaving
