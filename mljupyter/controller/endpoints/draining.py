"""Replicas of removed versions are drained: the router keeps them until their requests have been answered."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import replace

from mljupyter.controller.endpoints.supervisor import ReplicaHandle
from mljupyter.controller.router.router import Router
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.engine.replicas.draining import Draining
from mljupyter.spec import ReplicaPhase

LOOK_EVERY = 0.1  # seconds
_SPARE_SECONDS = 1.0


class ReplicaDraining:
    """Remembers which replicas wait for their end, and since when.

    Parameters:
        router: knows which replicas have requests.

    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._replicas: dict[str, Draining] = {}

    async def staying(
        self, before: EndpointRoute | None, replicas: Iterable[ReplicaHandle], wanted: Collection[str]
    ) -> tuple[frozenset[str], tuple[VersionRoute, ...]]:
        """Return the replicas that must not stop yet, and what the router is to know of their versions.

        Parameters:
            before: what the router knows so far. What it does not know can have no request.
            replicas: those of the endpoint.
            wanted: the versions it has; replicas of others are to end.

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
            # The first look comes before the routes have moved, so it says nothing.
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
