"""The reconciler brings the running replicas and routes of each endpoint to the desired state, step by step."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from mljupyter.client.errors import ControllerError
from mljupyter.controller.endpoints.adoption import Adoption
from mljupyter.controller.endpoints.autoscaler import Autoscaler
from mljupyter.controller.endpoints.capacity_manager import CapacityManager
from mljupyter.controller.endpoints.draining import LOOK_EVERY, ReplicaDraining
from mljupyter.controller.endpoints.replica_handle import ReplicaHandle, ReplicaSupervisor
from mljupyter.controller.endpoints.workqueue import WorkQueue
from mljupyter.controller.router.endpoint_router import EndpointRouter
from mljupyter.controller.storage.store import Store
from mljupyter.engine.endpoints.actions import PlannedVersion, route_of, split_traffic
from mljupyter.engine.endpoints.desired import desired_version, proven
from mljupyter.engine.endpoints.status import after_crash, after_failed_start, endpoint_status, failing, moved
from mljupyter.engine.envoy.routing import EndpointRoute
from mljupyter.engine.replicas.crash_backoff import NO_CRASH, CrashBackoff
from mljupyter.engine.replicas.replica_plan import plan
from mljupyter.engine.replicas.revision import revision
from mljupyter.engine.rollout.canary import record_in_force
from mljupyter.engine.scaling.capacity import Admission
from mljupyter.errors import MLJupyterError
from mljupyter.runtimes.base import ReplicaOrder, Runtimes, RuntimeUnavailableError
from mljupyter.spec import (
    EndpointRecord,
    EndpointStatus,
    Problem,
    ReplicaPhase,
    VersionSpec,
    VersionStatus,
)

_ADOPT_AGAIN_AFTER = 1.0

log = logging.getLogger(__name__)


class Reconciler:
    """Compares the desired endpoints with the existing replicas and routes, and acts on the difference.

    All of its state can be observed again after a restart, except the crashes in a row.

    Parameters:
        workspace: name of the workspace, for the replicas' labels.
        store: the endpoints and their status.
        runtimes: the runtime of each compute target.
        supervisor: starts, watches and stops replicas.
        router: sends requests to replicas.
        autoscaler: decides the number of replicas.
        admissions: manages the capacity of each machine.
        queue: the names of endpoints to reconcile.
        notify: called when a change is visible for clients.

    """

    def __init__(
        self,
        *,
        workspace: str,
        store: Store,
        runtimes: Runtimes,
        supervisor: ReplicaSupervisor,
        router: EndpointRouter,
        autoscaler: Autoscaler,
        admissions: CapacityManager,
        queue: WorkQueue,
        notify: Callable[[], None],
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._runtimes = runtimes
        self._supervisor = supervisor
        self._router = router
        self._autoscaler = autoscaler
        self._admissions = admissions
        self._queue = queue
        self._notify = notify
        self._private_targets = runtimes.private_targets()
        self._found_at_start = runtimes.targets_found_at_start()
        self._routes: dict[str, EndpointRoute] = {}
        self._wanted_routes = 1  # the number of their changes
        self._following = asyncio.Lock()
        self._routes_in_force = 0  # the number of the change that is known to be in force
        self._crashes: dict[tuple[str, str], CrashBackoff] = {}
        self._adoption = Adoption(supervisor, store)
        self._retiring = ReplicaDraining(router)

    async def begin(self) -> None:
        """Adopt the running replicas, and only then update the router, so that no route is lost by a restart."""
        records = [record_in_force(self._store.get(name)) for name in self._store.names()]
        known = set()
        for target in self._found_at_start | {record.spec.compute_target for record in records}:
            try:
                await self._adoption.begin(target)
                known.add(target)
                await self._admissions.learn(target)
            except RuntimeUnavailableError as error:  # each endpoint retries, and its status shows the error
                log.error("%s", error.message)
        for record in records:
            name = record.spec.name
            if not record.deleting:
                self._put_route(self._route(record, self._planned(record)))
            self._queue.add(name)
        try:
            await self._follow()
        except ControllerError as error:  # each endpoint retries, and its status shows the error
            log.error("%s", error.message)
            return
        # Before clients ask: a stored Healthy is wrong when the replicas have been stopped in the meantime.
        with contextlib.suppress(ControllerError):  # the storage's problem: each endpoint reports it
            for record in records:
                if record.spec.compute_target in known and not record.deleting:
                    self._observe(record, self._planned(record))

    async def _adopted(self, record: EndpointRecord) -> bool:
        """Return whether the replicas on an endpoint's target are adopted. Before that, all would be started twice."""
        try:
            await self._adoption.ensure(record.spec.compute_target)
        except RuntimeUnavailableError as error:
            if record.status.problem is None or record.status.problem.message != error.message:
                self.failed(record.spec.name, error)
            self._queue.add_after(record.spec.name, _ADOPT_AGAIN_AFTER)
            return False
        return True

    def look_again(self, endpoints: Iterable[str] | None = None) -> None:
        """Reconcile endpoints, even without a known change, to find changes that were missed.

        Parameters:
            endpoints: their names; by default all.

        """
        self._wanted_routes += 1
        for name in {*self._store.names(), *self._supervisor.endpoints()} if endpoints is None else endpoints:
            self._queue.add(name)

    def router_changed(self) -> None:
        """Update all statuses when the router answers or stops answering: none is Healthy while it does not answer."""
        problem = self._router.problem
        for record in map(self._store.get, self._store.names() if problem is not None else ()):
            status = failing(record.status, problem) if problem is not None else record.status
            if not record.deleting and status != record.status:
                try:
                    self._store.put_status(record.spec.name, status)
                except ControllerError as error:
                    log.error("endpoint %s: %s", record.spec.name, error.message)
        self._notify()
        self.look_again()

    def retry(self, name: str) -> None:
        """Forget an endpoint's failures, since its spec has changed or is to be retried."""
        for key in [key for key in self._crashes if key[0] == name]:
            del self._crashes[key]
        self._queue.add(name)

    async def reconcile(self, name: str) -> None:
        """Take the next step for one endpoint."""
        record = self._store.find(name)
        if record is None or record.deleting:
            await self._remove(name, record)
            return
        record = record_in_force(record)
        if not await self._adopted(record):
            return
        await self._admissions.learn(record.spec.compute_target)
        status = await self._learn(record)
        record = record.model_copy(update={"status": status})
        for version in self._planned(record):
            try:
                await self._start(record, version)
            except (MLJupyterError, OSError) as error:
                self._not_started(record, version, error)
                self._queue.add(name)
                return
        planned = self._planned(record)  # again: requests may already be sent to new replicas
        if any(version.plan.drain and version.desired.most is not None for version in planned):
            planned = self._planned(record, await self._router.busy())
        watched = self._supervisor.of(name)
        staying, leaving = await self._retiring.staying(self._routes.get(name), watched, record.spec.versions)
        self._put_route(replace(self._route(record, planned), leaving=leaving))
        await self._follow()
        if staying:
            self._queue.add_after(name, LOOK_EVERY)
        for version in planned:
            for replica_id in set(version.plan.drain) - staying:
                self._supervisor.drain(replica_id)
            if version.plan.look_again_at is not None:
                self._queue.add_after(name, version.plan.look_again_at - time.monotonic())
        self._observe(record, planned)

    async def reroute(self, name: str) -> None:
        """Update the router after a change of an endpoint's keys. Return when it is in force."""
        if name in self._routes:
            self._put_route(replace(self._routes[name], keys=self._keys(name)))
            await self._follow()

    async def listen_anew(self) -> None:
        """Update the router after a change of its listener settings. Return when it is in force.

        The URIs of endpoints are then those of the new settings: a client that changes them reads URIs next.
        """
        self.look_again()
        await self._follow()
        with contextlib.suppress(ControllerError):  # the storage's problem: each endpoint reports it
            for record in map(self._store.get, self._store.names()):
                status = moved(record.status, self._router.base(record.spec))
                if not record.deleting and status != record.status:
                    self._store.put_status(record.spec.name, status)
        self._notify()

    def failed(self, name: str, error: Exception) -> None:
        """Record a failed step in the status of the endpoint. The queue retries it."""
        if isinstance(error, MLJupyterError):
            log.error("endpoint %s: %s", name, error.message)
            problem = Problem(code=getattr(error, "code", type(error).__name__), message=error.message)
        else:
            log.error("endpoint %s", name, exc_info=error)
            problem = Problem(code="ControllerError", message=f"{type(error).__name__}: {error}")
        try:
            record = self._store.find(name)
            if record is not None and record.status.problem != problem:
                status = record.status.model_copy(update={"problem": problem})
                self._store.put_status(name, status if self._router.problem is None else failing(status, problem))
        except ControllerError as storage:
            log.error("endpoint %s: %s", name, storage.message)
        self._notify()

    async def _remove(self, name: str, record: EndpointRecord | None) -> None:
        """Remove the routes first, then the replicas, then the record."""
        if self._routes.pop(name, None) is not None:
            self._wanted_routes += 1
        await self._follow()
        for watched in self._supervisor.of(name):
            if watched.phase is ReplicaPhase.EXITED:
                self._supervisor.remove(watched.replica.id)
            else:
                self._supervisor.drain(watched.replica.id)
        if self._supervisor.of(name):
            return  # the end of each replica leads here again
        for runtime in self._runtimes.made():
            await runtime.forget(name)
        if record is not None:
            self._store.remove(name)
            log.info("endpoint %s is deleted", name)
        self._notify()

    async def _learn(self, record: EndpointRecord) -> EndpointStatus:
        """Process the replicas that have ended, and return the resulting status."""
        versions = dict(record.status.versions)
        for watched in self._supervisor.of(record.spec.name):
            if watched.phase is not ReplicaPhase.EXITED:
                continue
            self._supervisor.remove(watched.replica.id)
            await self._runtimes.of(watched.replica.target).forget(record.spec.name, watched.replica.version)
            version = versions.get(watched.replica.version, VersionStatus())
            versions[watched.replica.version] = self._after_end(record, watched, version)
        status = record.status.model_copy(update={"versions": versions})
        if status != record.status:
            self._store.put_status(record.spec.name, status)
        return status

    def _after_end(self, record: EndpointRecord, watched: ReplicaHandle, status: VersionStatus) -> VersionStatus:
        if watched.asked_to_end:
            return status
        version, now = watched.replica.version, time.monotonic()
        self._crashed(record.spec.name, version, now - watched.ready_since if watched.ready_since is not None else 0.0)
        spec = record.spec.versions.get(version)
        return after_crash(
            status,
            watched.observed(),
            revision(spec, record.spec.compute_target) if spec else None,
            ending=watched.ending(),
            last_lines=watched.last_lines,
            was_ready=watched.ready_since is not None,
        )

    def _crashed(self, endpoint: str, version: str, ready_seconds: float = 0.0) -> None:
        before = self._crashes.get((endpoint, version), NO_CRASH)
        self._crashes[endpoint, version] = before.crashed(time.monotonic(), ready_seconds)

    def _planned(self, record: EndpointRecord, busy: Collection[str] = ()) -> list[PlannedVersion]:
        """Return all versions with their plans: the desired ones, and those that still have replicas.

        `busy` are the addresses of replicas with requests, given when that decides which ones stop.
        """
        endpoint, now = record.spec.name, time.monotonic()
        observed = [
            replace(item.observed(), busy=item.replica.address in busy) for item in self._supervisor.of(endpoint)
        ]
        names = [*record.spec.versions, *({item.version for item in observed} - set(record.spec.versions))]
        planned = []
        for name in names:
            replicas = [replica for replica in observed if replica.version == name]
            admission = self._admitted(record, name, sum(replica.serving for replica in replicas))
            crashes = self._crashes.get((endpoint, name), NO_CRASH)
            desired = desired_version(record, name, admission, crashes)
            planned.append(PlannedVersion(name, record.spec.versions.get(name), desired, plan(desired, replicas, now)))
        return planned

    def _admitted(self, record: EndpointRecord, version: str, running: int) -> Admission:
        spec = record.spec.versions.get(version)
        if spec is None:
            return Admission(0)
        target = record.spec.compute_target
        return self._autoscaler.admitted(
            record.spec.name, version, spec, target, running=running, proven=proven(record, version)
        )

    async def _start(self, record: EndpointRecord, version: PlannedVersion) -> None:
        if not version.plan.start or version.plan.revision is None:
            return
        endpoint = record.spec.name
        found: tuple[str, VersionSpec] | None
        if version.spec is not None and version.plan.revision == version.desired.revision:
            found = (record.spec.compute_target, version.spec)
        else:
            found = self._store.revision(endpoint, version.name, version.plan.revision)
        if found is None:
            raise ControllerError(
                f"revision {version.plan.revision} of {endpoint}.{version.name} is not known any more."
            )
        target, spec = found
        for _ in range(version.plan.start):
            middle = f"{endpoint}-{version.name}" if version.name != endpoint else endpoint
            order = ReplicaOrder(
                id=f"{middle}-{secrets.token_hex(4)}",
                endpoint=endpoint,
                version=version.name,
                revision=version.plan.revision,
                target=target,
                workspace=self._workspace,
                spec=spec,
            )
            await self._supervisor.start(order)

    def _not_started(self, record: EndpointRecord, version: PlannedVersion, error: MLJupyterError | OSError) -> None:
        """Record that a replica could not be started: its code or a model is not available, or the disk is full."""
        name = record.spec.name
        log.error("endpoint %s, version %s: %s", name, version.name, error)
        self._crashed(name, version.name)
        before = record.status.versions.get(version.name, VersionStatus())
        versions = {
            **record.status.versions,
            version.name: after_failed_start(before, version.plan.revision, str(error)),
        }
        self._store.put_status(name, record.status.model_copy(update={"versions": versions}))

    def _put_route(self, route: EndpointRoute) -> None:
        if self._routes.get(route.name) != route:
            self._routes[route.name] = route
            self._wanted_routes += 1

    async def _follow(self) -> None:
        """Update the router to the desired routes, unless they are known to be in force."""
        wanted = self._wanted_routes
        async with self._following:
            if self._routes_in_force < wanted:  # otherwise another endpoint's step has done it
                wanted = self._wanted_routes
                await self._router.apply(list(self._routes.values()))
                self._routes_in_force = wanted

    def _route(self, record: EndpointRecord, planned: list[PlannedVersion]) -> EndpointRoute:
        name = record.spec.name
        replicas = {item.replica.id: item.observed() for item in self._supervisor.of(name)}
        private = record.spec.compute_target in self._private_targets
        return route_of(record, planned, replicas, self._keys(name), private=private)

    def _keys(self, name: str) -> tuple[str, ...] | None:
        keys = self._store.keys(name)
        return (keys.primary, keys.secondary) if keys else None

    def _observe(self, record: EndpointRecord, planned: list[PlannedVersion]) -> None:
        """Write the observed status, if it differs from the stored one."""
        name = record.spec.name
        for version in planned:
            if version.spec and version.reached and version.desired.ready_revision != version.desired.revision:
                target = record.spec.compute_target
                self._store.keep_revision(name, version.name, version.desired.revision, target, version.spec)
        status = endpoint_status(
            record,
            planned,
            [item.observed() for item in self._supervisor.of(name)],
            split_traffic(record, planned),
            base=self._router.base(record.spec),
            certificate=self._router.certificate(record.spec),
            router=self._router.problem_of(record.spec),
            storage=self._store.problem,
        )
        written = self._store.find(name)
        if written is None or written.generation != record.generation or record_in_force(written).spec != record.spec:
            self._queue.add(name)  # the spec has changed in the meantime: the observations belong to the earlier one
        elif written.status != status:
            self._store.put_status(name, status)
        self._notify()
