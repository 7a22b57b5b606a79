"""PodSupervisor: starts, watches and stops replicas that are pods.

A replica is started by raising the number of a Deployment by one. To end one, its pod is deleted, then the number is
lowered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mljupyter.controller.endpoints.replica_handle import ReplicaHandle
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, Object
from mljupyter.kubernetes.api_server.informer import without_managers
from mljupyter.kubernetes.api_server.namespaces import NamespaceInformers, namespace_of
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.place import Place
from mljupyter.kubernetes.objects.pod_state import PodState, is_fetching, is_unschedulable, pod_state
from mljupyter.kubernetes.objects.published import address_of
from mljupyter.kubernetes.operator.pod_inspector import PodInspector
from mljupyter.kubernetes.operator.pod_logs import PodLogs
from mljupyter.kubernetes.operator.replica_pod import ReplicaPod
from mljupyter.kubernetes.operator.revisions import ReplicaOwners, Revision, Revisions, revision_of
from mljupyter.runtimes.base import Ending, ReplicaOrder, RunningReplica
from mljupyter.runtimes.replica_layout import grace_seconds
from mljupyter.spec import Problem, ReplicaPhase, VersionSpec

_LAST_LINES = 20
_LIVE = (ReplicaPhase.STARTING, ReplicaPhase.READY)
_MOST_ATTEMPTS = 5
_ATTEMPT_EVERY = 0.5
_NOT_FOUND = 404
_INSPECT_EVERY = 1.0
_FIRST_INSPECTION_AFTER = 2.0  # seconds; a pod without a node is inspected at once

log = logging.getLogger(__name__)


class _Replicas:
    """The replicas by id, by endpoint and by revision, so that a change looks at those of its endpoint alone."""

    def __init__(self) -> None:
        self._by_id: dict[str, ReplicaPod] = {}
        self._by_endpoint: dict[str, dict[str, ReplicaPod]] = {}
        self._by_revision: dict[Revision, dict[str, ReplicaPod]] = {}

    def add(self, handle: ReplicaPod) -> None:
        name = handle.replica.id
        self._by_id[name] = handle
        self._by_endpoint.setdefault(handle.replica.endpoint, {})[name] = handle
        self._by_revision.setdefault(_revision(handle), {})[name] = handle

    def pop(self, name: str) -> ReplicaPod | None:
        handle = self._by_id.pop(name, None)
        if handle is not None:
            _drop(self._by_endpoint, handle.replica.endpoint, name)
            _drop(self._by_revision, _revision(handle), name)
        return handle

    def get(self, name: str) -> ReplicaPod | None:
        return self._by_id.get(name)

    def all(self) -> list[ReplicaPod]:
        return list(self._by_id.values())

    def endpoints(self) -> set[str]:
        return set(self._by_endpoint)

    def of(self, endpoint: str) -> list[ReplicaPod]:
        return list(self._by_endpoint.get(endpoint, {}).values())

    def of_revision(self, revision: Revision) -> list[ReplicaPod]:
        return list(self._by_revision.get(revision, {}).values())


class _Pods:
    """The pods by revision. A pod is known by its uid, since those of two namespaces may have one name."""

    def __init__(self) -> None:
        self._revisions: dict[str, Revision] = {}
        self._pods: dict[Revision, dict[str, Object]] = {}

    def see(self, kind: str, pod: Object) -> None:
        """Follow a change that an informer reports."""
        uid, revision = pod["metadata"]["uid"], revision_of(pod)
        before = self._revisions.pop(uid, revision)  # another one when somebody has changed its labels
        if before != revision or kind == "DELETED":
            _drop(self._pods, before, uid)
        if kind != "DELETED":
            self._revisions[uid] = revision
            self._pods.setdefault(revision, {})[uid] = pod

    def of(self, revision: Revision) -> list[Object]:
        return list(self._pods.get(revision, {}).values())


class PodSupervisor:
    """Starts, watches and stops the replicas of all endpoints.

    Parameters:
        api: the API server.
        owners: the facts that Deployments are made from.
        target: the name of the compute target that the operator serves.
        logs: keeps the logs of pods that ended.
        changed: called with the endpoint's name whenever one of its replicas changes.

    """

    def __init__(
        self, api: ApiServer, owners: ReplicaOwners, target: str, logs: PodLogs, changed: Callable[[str], None]
    ) -> None:
        self._api = api
        self._owners = owners
        self._target = target
        self._logs = logs
        self._changed = changed
        self._replicas = _Replicas()
        self._pods_of = _Pods()
        self._changes: Counter[str] = Counter()
        self._orders: dict[Revision, VersionSpec] = {}
        self._leftovers: dict[Revision, Place] = {}  # of revisions that no endpoint needs
        self._revisions = Revisions(api, owners, self._place, self._wanted, self._deployment_changed)
        self._pods = NamespaceInformers(api, names.pods, owners.selectors, changed=self._seen, keep=without_managers)
        self._adopted = False
        self._inspector = PodInspector(api, owners.namespace, owners.endpoint_namespaces)
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None

    def of(self, endpoint: str) -> list[ReplicaHandle]:
        """Return the replicas of an endpoint."""
        return [*self._replicas.of(endpoint)]

    def all(self) -> list[ReplicaHandle]:
        """Return the replicas of all endpoints."""
        return [*self._replicas.all()]

    def pods(self) -> list[ReplicaPod]:
        """Return the replicas whose container has not ended."""
        return [item for item in self._replicas.all() if item.replica.address and item.phase is not ReplicaPhase.EXITED]

    def endpoints(self) -> set[str]:
        """Return the names of all endpoints that have replicas."""
        return self._replicas.endpoints()

    def changes(self, endpoint: str) -> int:
        """Return a number that grows with each change of a replica of an endpoint."""
        return self._changes[endpoint]

    def revisions_at(self, endpoint: str) -> dict[str, Revision]:
        """Return the revisions of an endpoint's replicas by their addresses."""
        return {item.replica.address: _revision(item) for item in self._replicas.of(endpoint) if item.replica.address}

    def ready_pods(self, revision: Revision) -> dict[str, str]:
        """Return the names of the pods of a revision that could get requests, with their addresses."""
        return {
            item.pod: item.replica.address
            for item in self._replicas.of_revision(revision)
            if item.pod and item.phase in (ReplicaPhase.READY, ReplicaPhase.DRAINING)
        }

    def key(self, revision: Revision) -> str:
        """Return the key of the replicas of a revision."""
        return self._revisions.key(revision)

    def namespace(self, revision: Revision) -> str | None:
        """Return the namespace of the replicas of a revision; None for that of the operator."""
        place = self._place(revision)
        return None if place.is_home else place.namespace

    def namespace_of(self, handle: ReplicaPod) -> str | None:
        """Return the namespace of a replica; None for that of the operator."""
        return self.namespace(_revision(handle))

    async def adopt(self, target: str, spec_of: Callable[[RunningReplica], VersionSpec | None]) -> None:
        """Adopt the pods of all Deployments. Deployments and Secrets of unknown revisions are removed."""
        self._running = asyncio.create_task(self._run(), name="pods")
        await asyncio.gather(self._pods.known(), self._revisions.known())
        for namespace, deployment in self._revisions.deployments():
            revision = revision_of(deployment)
            spec = spec_of(self._replica(revision, "", None))
            if spec is None:
                log.info("Deployment %s is not needed any more", deployment["metadata"]["name"])
                self._discard(revision, namespace)
                continue
            if self._owners.place_of(spec).namespace != namespace:
                log.warning(
                    "Deployment %s in namespace %s is left alone: its endpoint runs elsewhere",
                    deployment["metadata"]["name"],
                    namespace,
                )
                continue
            self._orders[revision] = spec
            self._revisions.adopt(self._order(revision, spec))
            pods = [pod for pod in self._pods_at(revision) if not _is_over(pod)]
            for pod in pods:
                handle = self._add(revision, spec, pod["metadata"]["name"])
                handle.adopted = True
                self._claim(handle, pod)
                self._look(handle, pod)
            for number in range(len(pods), int(deployment["spec"].get("replicas") or 0)):
                self._add(revision, spec, f"{deployment['metadata']['name']}-{number}")
        for namespace, secret in self._revisions.secrets():
            # Kubernetes removes those in the operator's namespace together with their custom resource.
            if namespace != self._owners.namespace and revision_of(secret) not in self._orders:
                self._discard(revision_of(secret), namespace)
        self._adopted = True

    def _discard(self, revision: Revision, namespace: str) -> None:
        """Remove what is left in a namespace of a revision that no endpoint needs."""
        self._leftovers[revision] = Place(namespace, self._owners.namespace)
        self._revisions.settle(revision)

    def _place(self, revision: Revision) -> Place:
        """Return where the replicas of a revision run."""
        if revision in self._orders:
            return self._owners.place_of(self._orders[revision])
        return self._leftovers.get(revision) or self._owners.place_of(None)

    def _pods_at(self, revision: Revision) -> list[Object]:
        """Return the pods of a revision in its namespace. With its labels, those elsewhere are somebody else's."""
        place = self._place(revision)
        deployment = place.deployment_name(*revision)
        return [
            pod
            for pod in self._pods_of.of(revision)
            if namespace_of(pod) == place.namespace and place.has_pod(pod["metadata"]["name"], deployment)
        ]

    def _pod_of(self, handle: ReplicaPod) -> Object | None:
        """Return the pod of a replica as it was seen last."""
        return self._pods.find(self._place(_revision(handle)).namespace, handle.pod)

    def _path(self, handle: ReplicaPod) -> str:
        """Return the path of the pod of a replica."""
        return f"{names.pods(self._place(_revision(handle)).namespace)}/{handle.pod}"

    async def start(self, order: ReplicaOrder) -> None:
        """Start one more replica of a revision.

        Raises:
            RuntimeUnavailableError: when the cluster refuses its Deployment.

        """
        revision = (order.endpoint, order.version, order.revision)
        self._orders[revision] = order.spec
        self._add(revision, order.spec, order.id)
        try:
            await self._revisions.create(order, self._wanted(revision) or 1)
        except BaseException:
            self._forget(order.id)
            raise
        self._match(revision)

    def drain(self, replica_id: str) -> None:
        """Ask a replica to finish its requests and end."""
        handle = self._replicas.get(replica_id)
        if handle is None or handle.phase not in _LIVE:
            return
        handle.asked_to_end = True
        if not handle.pod:
            self._exited(handle)
            return
        handle.phase = ReplicaPhase.DRAINING
        self._changes[handle.replica.endpoint] += 1
        self._aside(self._release(handle))

    def remove(self, replica_id: str) -> ReplicaHandle | None:
        """Forget a replica that has ended, and return its handle."""
        handle = self._forget(replica_id)
        if handle is not None:
            self._revisions.settle(_revision(handle))
        return handle

    async def leave(self) -> None:
        """Stop watching. The replicas continue to serve."""
        tasks = [*self._tasks, *([self._running] if self._running is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop_all(self) -> None:
        """End all replicas. Kubernetes ends their pods when their Deployments are gone."""
        for namespace, deployment in self._revisions.deployments():
            path = f"{names.deployments(namespace)}/{deployment['metadata']['name']}"
            await self._api.delete(path, propagationPolicy="Foreground")

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.run())
            tasks.create_task(self._revisions.run())
            tasks.create_task(self._inspect())

    async def _inspect(self) -> None:
        """Ask for the causes of pods that do not start, again and again: only events and nodes tell them."""
        while True:
            await asyncio.sleep(_INSPECT_EVERY)
            waiting = self._waiting()
            self._inspector.keep(waiting)
            now = time.time()
            pods = {revision: self._pod_of(handles[0]) for revision, handles in waiting.items()}
            fetching = {revision for revision, pod in pods.items() if pod is not None and is_fetching(pod)}
            for revision in self._inspector.due(waiting, now, fetching):
                pod = self._pod_of(waiting[revision][0])
                if pod is None:
                    continue
                await self._inspector.inspect(revision, pod, now)
                for handle in waiting[revision]:
                    present = self._pod_of(handle)
                    if present is not None and self._handle_of(present) is handle:
                        self._look(handle, present)

    def _waiting(self) -> dict[Revision, list[ReplicaPod]]:
        """Return the replicas whose pod does not start, by revision."""
        found: dict[Revision, list[ReplicaPod]] = {}
        for handle in self._replicas.all():
            pod = self._pod_of(handle) if handle.phase is ReplicaPhase.STARTING else None
            if pod is None or handle.ending_now:
                continue
            if time.monotonic() - handle.since > _FIRST_INSPECTION_AFTER or is_unschedulable(pod):
                found.setdefault(_revision(handle), []).append(handle)
        return found

    def _wanted(self, revision: Revision) -> int | None:
        """Return the number of replicas of a revision; None when nothing of it is left."""
        mine = self._replicas.of_revision(revision)
        if not mine:
            return None
        return sum(not item.released for item in mine)

    def _add(self, revision: Revision, spec: VersionSpec, replica_id: str) -> ReplicaPod:
        handle = ReplicaPod(
            self._replica(revision, replica_id, None),
            spec.probe,
            grace_seconds(spec),
            since=time.monotonic(),
        )
        self._put(handle)
        return handle

    def _put(self, handle: ReplicaPod) -> None:
        self._replicas.add(handle)
        self._changes[handle.replica.endpoint] += 1

    def _forget(self, replica_id: str) -> ReplicaPod | None:
        handle = self._replicas.pop(replica_id)
        if handle is not None:
            self._changes[handle.replica.endpoint] += 1
        return handle

    def _replica(self, revision: Revision, replica_id: str, pod: Object | None) -> RunningReplica:
        endpoint, version, fingerprint = revision
        started = (pod or {}).get("metadata", {}).get("creationTimestamp")
        return RunningReplica(
            id=replica_id,
            endpoint=endpoint,
            version=version,
            revision=fingerprint,
            target=self._target,
            address=_address(pod) if pod is not None else "",
            pid=None,
            started_time=datetime.fromisoformat(started).timestamp() if started else time.time(),
            key=self._revisions.key(revision),
            measures_itself=True,
        )

    def _order(self, revision: Revision, spec: VersionSpec) -> ReplicaOrder:
        endpoint, version, fingerprint = revision
        return ReplicaOrder("", endpoint, version, fingerprint, self._target, self._owners.workspace, spec)

    def _match(self, revision: Revision) -> None:
        """Give pods to the replicas of a revision that have none."""
        waiting = [
            item
            for item in self._replicas.of_revision(revision)
            if not item.pod and item.phase is ReplicaPhase.STARTING
        ]
        for pod in self._pods_at(revision) if waiting else ():
            if not waiting:
                return
            if _is_over(pod) or self._handle_of(pod) is not None:
                continue
            handle = waiting.pop(0)
            self._forget(handle.replica.id)
            self._claim(handle, pod)
            self._put(handle)
            self._look(handle, pod)

    def _claim(self, handle: ReplicaPod, pod: Object) -> None:
        handle.pod, handle.uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        handle.restarts = _ended_runs(pod)
        handle.replica = self._replica(_revision(handle), handle.pod, pod)

    def _handle_of(self, pod: Object) -> ReplicaPod | None:
        found = self._replicas.get(pod["metadata"]["name"])
        return found if found is not None and found.uid == pod["metadata"]["uid"] else None

    def _seen(self, kind: str, pod: Object) -> None:
        """Process a change of a pod."""
        self._pods_of.see(kind, pod)
        if not self._adopted:
            return
        revision = revision_of(pod)
        handle = self._handle_of(pod)
        if handle is None:
            if kind != "DELETED" and revision in self._orders:
                self._match(revision)
            return
        if kind == "DELETED":
            self._ended(handle)
            return
        self._look(handle, pod)

    def _look(self, handle: ReplicaPod, pod: Object) -> None:
        """Update a replica to the state of its pod."""
        if handle.ending_now or handle.phase is ReplicaPhase.EXITED:
            return
        before = (handle.phase, handle.replica.address, handle.unanswered, handle.obstacle)
        known = self._inspector.known(_revision(handle))
        state = pod_state(pod, now=time.time(), events=known.events, room=known.room, progress=known.progress)
        if state.deleting or state.ended:
            # Its end by Kubernetes is no fault of the script: another pod takes its place.
            handle.asked_to_end = handle.asked_to_end or state.deleting or not state.restarts
            if state.ended or _has_stopped(pod):
                handle.ending_now = True
                self._aside(self._stopped(handle))
            elif handle.phase in _LIVE or not handle.kept:
                handle.kept = True
                handle.phase, handle.released = ReplicaPhase.DRAINING, True
                # Its pod may vanish before it is seen to have stopped.
                self._aside(self._keep_log(handle))
        elif _ended_runs(pod) > handle.restarts:
            handle.ending_now = True
            self._aside(self._crashed(handle, state))
        elif state.fatal and state.obstacle is not None:
            handle.ending_now = True
            self._aside(self._cannot_start(handle, pod, state.obstacle))
        else:
            self._alive(handle, pod, state, known=known.looked)
        if before != (handle.phase, handle.replica.address, handle.unanswered, handle.obstacle):
            self._say(handle)

    def _alive(self, handle: ReplicaPod, pod: Object, state: PodState, *, known: bool) -> None:
        if handle.replica.address != (address := _address(pod)):
            handle.replica = replace(handle.replica, address=address)
        # Whoever waits for a deployment sees the first sentence, so that it must say what would fit.
        handle.obstacle = state.obstacle if known or not is_unschedulable(pod) else None
        if state.ready and handle.phase is ReplicaPhase.STARTING:
            handle.phase, handle.ready_since = ReplicaPhase.READY, time.monotonic()
        if state.ready and handle.phase is ReplicaPhase.READY and not _has_passed_gate(pod):
            self._aside(self._set_serving(handle, serving=True))
        handle.unanswered = int(handle.phase is ReplicaPhase.READY and not state.ready)

    def _ended(self, handle: ReplicaPod) -> None:
        if handle.phase is not ReplicaPhase.EXITED:
            handle.asked_to_end = True
            self._exited(handle)

    def _exited(self, handle: ReplicaPod) -> None:
        handle.phase, handle.released = ReplicaPhase.EXITED, True
        self._revisions.settle(_revision(handle))
        self._say(handle)

    def _say(self, handle: ReplicaPod) -> None:
        """Report a change of a replica."""
        self._changes[handle.replica.endpoint] += 1
        self._changed(handle.replica.endpoint)

    async def _cannot_start(self, handle: ReplicaPod, pod: Object, obstacle: Problem) -> None:
        """Record that a pod will never start. Only its events tell why an image is not pulled: this may pass."""
        found: list[Object] = []
        with contextlib.suppress(ApiError):
            path, uid = names.events(self._place(_revision(handle)).namespace), pod["metadata"]["uid"]
            found, _ = await self._api.list(path, fields=f"involvedObject.uid={uid}")
        state = pod_state(pod, now=time.time(), events=found)
        obstacle = state.obstacle or obstacle
        if not state.fatal:
            handle.ending_now, handle.obstacle = False, obstacle
            self._say(handle)
            return
        handle.end = Ending(reason=f"cannot start: {obstacle.message.removesuffix('.')}")
        self._exited(handle)

    async def _crashed(self, handle: ReplicaPod, state: PodState) -> None:
        """Record the end of a container, with the last lines of its log. Kubernetes starts it again meanwhile."""
        handle.end = Ending(state.exit_status, state.reason)
        handle.last_lines = await self._keep_log(handle, previous=True)
        log.warning("replica %s, %s, %s", handle.replica.id, handle.phase, handle.ending())
        self._exited(handle)

    async def _stopped(self, handle: ReplicaPod) -> None:
        """Record the end of a container that was asked to end, with its whole log."""
        await self._keep_log(handle)
        self._ended(handle)

    async def _keep_log(self, handle: ReplicaPod, *, previous: bool = False) -> list[str]:
        namespace = self.namespace(_revision(handle))
        return await self._logs.keep(
            handle.replica, handle.restarts, _LAST_LINES, previous=previous, namespace=namespace
        )

    async def _release(self, handle: ReplicaPod) -> None:
        """Let a replica end: first no new request reaches it, then its pod is deleted and the number lowered.

        In this order: if the number were lowered first, Kubernetes would choose the pod, perhaps one that is to stay.
        If it has made another pod meanwhile, it ends that one, which has not been placed yet. If no pod of the revision
        is to stay, the number alone is lowered, and no pod is made for nothing.
        """
        await self._set_serving(handle, serving=False)
        revision = _revision(handle)
        if any(not item.asked_to_end for item in self._replicas.of_revision(revision)):
            await self._attempt(lambda: self._api.delete(self._path(handle)), handle.pod)
        handle.released = True
        await self._revisions.settle_now(revision)

    async def _set_serving(self, handle: ReplicaPod, *, serving: bool) -> None:
        condition = {
            "type": names.SERVING_CONDITION,
            "status": str(serving),
            "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        body = {"status": {"conditions": [condition]}}
        path = f"{self._path(handle)}/status"
        await self._attempt(lambda: self._api.patch(path, body, kind="strategic"), handle.pod)

    async def _attempt(self, call: Callable[[], Awaitable[object]], pod: str) -> None:
        """Call the API server for a pod, some times if it fails. Do nothing for a pod that is gone."""
        for _ in range(_MOST_ATTEMPTS):
            try:
                await call()
            except ApiError as error:
                if error.status == _NOT_FOUND:
                    return
                log.warning("pod %s: %s", pod, error.message)
                await asyncio.sleep(_ATTEMPT_EVERY)
            else:
                return

    def _deployment_changed(self, revision: Revision) -> None:
        if not self._adopted:
            return
        problem = self._revisions.problem(revision)
        for handle in self._replicas.of_revision(revision):
            if not handle.pod and handle.obstacle != problem:
                handle.obstacle = problem
                self._say(handle)
        deployment = self._revisions.find(revision)
        if deployment is None or deployment["spec"].get("replicas") != self._wanted(revision):
            self._revisions.settle(revision)

    def _aside(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _drop(table: dict[Any, dict[str, Any]], key: object, name: str) -> None:
    """Remove an item of a table of tables, and its table when it is the last one."""
    inner = table.get(key, {})
    inner.pop(name, None)
    if not inner:
        table.pop(key, None)


def _revision(handle: ReplicaHandle) -> Revision:
    return handle.replica.endpoint, handle.replica.version, handle.replica.revision


def _address(pod: Object) -> str:
    return address_of(pod) if pod.get("status", {}).get("podIP") else ""


def _ended_runs(pod: Object) -> int:
    """Return how often a container of a pod has ended. Kubernetes counts a restart only when the next one starts."""
    containers = pod.get("status", {}).get("containerStatuses") or ()
    return sum(int(item.get("restartCount", 0)) + ("terminated" in item.get("state", {})) for item in containers)


def _has_stopped(pod: Object) -> bool:
    """Return whether the container of a pod has ended, before Kubernetes removes the pod."""
    containers = pod.get("status", {}).get("containerStatuses") or ()
    return bool(containers) and all("terminated" in item.get("state", {}) for item in containers)


def _is_over(pod: Object) -> bool:
    """Return whether a pod is about to end, or has ended."""
    over = ("Failed", "Succeeded")
    return bool(pod["metadata"].get("deletionTimestamp")) or pod.get("status", {}).get("phase") in over


def _has_passed_gate(pod: Object) -> bool:
    """Return whether the readiness gate of a pod is open, so that Kubernetes counts it as ready."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(item["type"] == names.SERVING_CONDITION and item["status"] == "True" for item in conditions)
