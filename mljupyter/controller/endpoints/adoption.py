"""Adoption takes over the replicas that run on a compute target when the controller starts."""

from __future__ import annotations

import asyncio

from mljupyter.controller.endpoints.replica_handle import ReplicaSupervisor
from mljupyter.controller.storage.store import Store
from mljupyter.engine.replicas.revision import revision
from mljupyter.runtimes.base import RunningReplica
from mljupyter.spec import VersionSpec


class Adoption:
    """Adopts the replicas of each compute target once.

    Parameters:
        supervisor: watches the replicas from then on.
        store: has the specs that replicas were started from.

    """

    def __init__(self, supervisor: ReplicaSupervisor, store: Store) -> None:
        self._supervisor = supervisor
        self._store = store
        self._missing: set[str] = set()
        self._one_at_a_time = asyncio.Lock()

    async def begin(self, target: str) -> None:
        """Adopt the replicas on a target that an earlier controller may have started there.

        Raises:
            RuntimeUnavailableError: when the target does not answer; `ensure` tries again.

        """
        self._missing.add(target)
        await self.ensure(target)

    async def ensure(self, target: str) -> None:
        """Adopt the replicas on a target, unless that was done. Without adoption, all would be started twice.

        Raises:
            RuntimeUnavailableError: when the target does not answer.

        """
        async with self._one_at_a_time:
            if target in self._missing:
                await self._supervisor.adopt(target, self._spec_of)
                self._missing.discard(target)

    def _spec_of(self, replica: RunningReplica) -> VersionSpec | None:
        record = self._store.find(replica.endpoint)
        if record is None:
            return None
        spec = record.spec.versions.get(replica.version)
        if spec is not None and revision(spec, record.spec.compute_target) == replica.revision:
            return spec
        kept = self._store.revision(replica.endpoint, replica.version, replica.revision)
        return kept[1] if kept is not None else None
