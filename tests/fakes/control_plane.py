"""The parts of a controller that decide about endpoints, with a fake runtime and a fake router around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from mljupyter.controller.endpoints.autoscaler import Autoscaler
from mljupyter.controller.endpoints.capacity_manager import CapacityManager
from mljupyter.controller.endpoints.reconciler import Reconciler
from mljupyter.controller.endpoints.supervisor import Supervisor
from mljupyter.controller.endpoints.workqueue import WorkQueue
from mljupyter.controller.router.router import Router
from mljupyter.controller.storage.store import Store
from mljupyter.spec import EndpointSpec, EndpointStatus, VersionSpec, VersionStatus
from tests.fakes.clock import until
from tests.fakes.router import FakeRouter
from tests.fakes.runtime import TARGET, FakeReplica, FakeRuntime, runtimes_of


class ControlPlane:
    """A controller without its API: what it makes of the specs that a test puts, and of what happens to replicas."""

    def __init__(self, database: Path, runtime: FakeRuntime, router: FakeRouter, *, own_processes: bool) -> None:
        self.runtime = runtime
        self.router = router
        self.store = Store(database)
        self.notified = 0
        self._queue = WorkQueue()
        runtimes = runtimes_of(runtime, own_processes=own_processes)
        self.supervisor = Supervisor(runtimes, self._queue.add)
        there = cast("Router", router)
        admissions = CapacityManager(runtimes)
        self.autoscaler = Autoscaler(self.store, there, admissions, self._queue.add)
        self.reconciler = Reconciler(
            workspace="w",
            store=self.store,
            runtimes=runtimes,
            supervisor=self.supervisor,
            router=there,
            autoscaler=self.autoscaler,
            admissions=admissions,
            queue=self._queue,
            notify=self._notify,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Take over what runs, then work on what is wanted."""
        await self.reconciler.begin()
        work = self._queue.run(self.reconciler.reconcile, self.reconciler.failed)
        self._tasks = [asyncio.create_task(work), asyncio.create_task(self.autoscaler.run())]

    async def leave(self) -> None:
        """End as a controller that is killed does: replicas and routes stay."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.supervisor.leave()
        self.store.close()

    def put(self, versions: Mapping[str, VersionSpec], **fields: Any) -> None:
        """Want an endpoint with these versions. Its name is that of the first one."""
        name = next(iter(versions))
        wanted = {"default_version": name, "compute_target": TARGET, **fields}
        spec = EndpointSpec(name=name, versions=dict(versions), **wanted)
        before = self.store.find(name)
        self.store.put(spec, before.status if before else EndpointStatus(), None)
        self.reconciler.retry(name)

    def delete(self, name: str) -> None:
        """Want an endpoint no more."""
        self.store.mark_deleting(name)
        self.reconciler.retry(name)

    def status(self, name: str) -> EndpointStatus:
        """Return what users see of an endpoint."""
        return self.store.get(name).status

    def version(self, endpoint: str, version: str | None = None) -> VersionStatus:
        """Return what users see of a version; by default of the one that has the endpoint's name."""
        return self.status(endpoint).versions[version or endpoint]

    async def healthy(self, name: str, within: float = 60.0) -> None:
        """Return when an endpoint is healthy and its newest generation is in force."""

        def reached() -> bool:
            record = self.store.get(name)
            return record.status.observed_generation == record.generation and record.status.state == "Healthy"

        await until(reached, within, f"{name} is healthy")

    def addresses(self, replicas: list[FakeReplica]) -> set[str]:
        """Return the addresses of replicas."""
        return {replica.running.address for replica in replicas}

    def _notify(self) -> None:
        self.notified += 1


@asynccontextmanager
async def control_plane(
    place: Path,
    *,
    own_processes: bool = True,
    begin: bool = True,
    prepare: Callable[[FakeRuntime], None] = lambda runtime: None,
) -> AsyncIterator[ControlPlane]:
    """Run a control plane in a directory with a short path.

    Parameters:
        place: for its database and for sockets.
        own_processes: whether its runtime counts as one of processes of this user.
        begin: let it work at once.
        prepare: called with the runtime before anything begins.

    """
    runtime = FakeRuntime(place)
    prepare(runtime)
    plane = ControlPlane(place / "endpoints.db", runtime, FakeRouter(), own_processes=own_processes)
    if begin:
        await plane.begin()
    try:
        yield plane
    finally:
        await plane.leave()
