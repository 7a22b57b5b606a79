"""Revisions: the Deployments of replicas, one for each revision of a version, created, scaled and removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mljupyter.engine.replicas.replica_key import replica_key
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, ApiUnreachableError, Object
from mljupyter.kubernetes.api_server.informer import without_managers
from mljupyter.kubernetes.api_server.namespaces import NamespaceInformers
from mljupyter.kubernetes.objects import names, replicas
from mljupyter.kubernetes.objects.place import Place, places
from mljupyter.kubernetes.objects.pod_state import not_created, not_started, refusal
from mljupyter.runtimes.base import ReplicaOrder, RuntimeUnavailableError
from mljupyter.spec import Problem, VersionSpec

MANAGER = "mljupyter"
SCALER = "mljupyter-autoscaler"
_COLLECT = 0.3  # seconds; several changes of a number become one
_AGAIN_AFTER = 1.0
_NOT_FOUND = 404
_REFUSED = (400, 403, 422)

Revision = tuple[str, str, str]
"""Endpoint, version and fingerprint."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReplicaOwners:
    """The facts that Deployments of replicas are made from.

    Attributes:
        namespace: the namespace of the operator.
        workspace: the name of the workspace.
        settings: what an administrator has chosen for all replicas.
        workspace_key: the secret that the keys of replicas are derived from.
        owner: returns the owner reference to an endpoint's custom resource.
        endpoint_namespaces: the other namespaces that replicas may run in.

    """

    namespace: str
    workspace: str
    settings: replicas.ReplicaSettings
    workspace_key: bytes
    owner: Callable[[str], dict[str, Any] | None]
    endpoint_namespaces: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """The namespaces that replicas may run in, that of the operator first."""
        return places(self.namespace, self.endpoint_namespaces)

    @property
    def selectors(self) -> dict[str, str]:
        """The label selector of the replicas' objects in each namespace."""
        return {place.namespace: place.selector for place in self.places}

    def place_of(self, spec: VersionSpec | None) -> Place:
        """Return where the replicas of a version run; without a version, the namespace of the operator."""
        placement = spec.placement if spec is not None else None
        return Place((placement.namespace if placement is not None else None) or self.namespace, self.namespace)

    def key(self, revision: Revision) -> str:
        """Return the key of the replicas of a revision. It is the same for all, since they have one template."""
        return replica_key(self.workspace_key, "/".join(revision))


class Revisions:
    """Keeps the number of replicas of each Deployment at the wanted one.

    A Deployment that somebody has deleted, or a Secret that somebody has deleted or changed, is written again while its
    revision has replicas.

    Parameters:
        api: the API server.
        owners: the facts that Deployments are made from.
        place: returns where the replicas of a revision run.
        wanted: returns the wanted number of replicas of a revision; None when the revision is not needed any more.
        changed: called with a revision when its Deployment has changed.

    """

    def __init__(
        self,
        api: ApiServer,
        owners: ReplicaOwners,
        place: Callable[[Revision], Place],
        wanted: Callable[[Revision], int | None],
        changed: Callable[[Revision], None],
    ) -> None:
        self._api = api
        self._owners = owners
        self._place = place
        self._wanted = wanted
        self._changed = changed
        self._deployments = NamespaceInformers(
            api, names.deployments, owners.selectors, changed=self._seen, keep=without_managers
        )
        self._secrets = NamespaceInformers(
            api, names.secrets, owners.selectors, changed=self._secret_seen, keep=without_managers
        )
        self._orders: dict[Revision, ReplicaOrder] = {}
        self._keys: dict[Revision, str] = {}  # of the replicas that were adopted
        self._created: set[Revision] = set()
        self._refused: dict[Revision, Problem] = {}  # why an object cannot be created again
        self._due: set[Revision] = set()
        self._bell = asyncio.Event()

    async def known(self) -> None:
        """Return when the Deployments and Secrets are known, as far as they can be read."""
        await asyncio.gather(self._deployments.known(), self._secrets.known())

    def deployments(self) -> list[tuple[str, Object]]:
        """Return all Deployments, each with its namespace."""
        return list(self._deployments.all())

    def secrets(self) -> list[tuple[str, Object]]:
        """Return the Secrets of all revisions, each with its namespace."""
        return list(self._secrets.all())

    def find(self, revision: Revision) -> Object | None:
        """Return the Deployment of a revision; None when there is none."""
        place = self._place(revision)
        return self._deployments.find(place.namespace, place.deployment_name(*revision))

    def problem(self, revision: Revision) -> Problem | None:
        """Return the reason why pods of a revision are not created; None when they are."""
        return not_created(self.find(revision) or {}) or self._refused.get(revision)

    async def create(self, order: ReplicaOrder, count: int) -> None:
        """Create the Deployment of a revision with a number of replicas, unless there is one.

        Raises:
            RuntimeUnavailableError: when the cluster refuses it.

        """
        revision = _revision_of(order)
        if revision in self._created or self.find(revision) is not None:
            self.adopt(order)
            self.settle(revision)
            return
        try:
            await self._put(self._secret(order))
            await self._put_deployment(order, count)
        except ApiError as error:
            said = refusal(error.message) if error.status in _REFUSED else error.message
            raise RuntimeUnavailableError(f"no pod can be started: {said}") from None
        self.adopt(order)

    def adopt(self, order: ReplicaOrder) -> None:
        """Remember what a Deployment that exists is made from, and the key that its replicas have."""
        revision, place = _revision_of(order), self._owners.place_of(order.spec)
        self._orders[revision] = order
        stored = self._secrets.find(place.namespace, place.deployment_name(*revision))
        if stored is not None and revision not in self._keys and (key := replicas.replica_key_of(stored)) is not None:
            self._keys[revision] = key

    def key(self, revision: Revision) -> str:
        """Return the key of the replicas of a revision: the one they have, also when the workspace has another key."""
        return self._keys.get(revision) or self._owners.key(revision)

    def settle(self, revision: Revision) -> None:
        """Bring the number of replicas of a revision to the wanted one soon."""
        self._due.add(revision)
        self._bell.set()

    async def settle_now(self, revision: Revision) -> None:
        """Bring the number of replicas of a revision to the wanted one. After a failure, it is tried again soon."""
        await self._settle(revision)

    async def run(self) -> None:
        """Follow the Deployments and scale them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._deployments.run())
            tasks.create_task(self._secrets.run())
            tasks.create_task(self._scale())

    async def _scale(self) -> None:
        while True:
            await self._bell.wait()
            await asyncio.sleep(_COLLECT)
            self._bell.clear()
            due, self._due = self._due, set()
            await asyncio.gather(*(self._settle(revision) for revision in due))

    async def _settle(self, revision: Revision) -> None:
        place = self._place(revision)
        name, present = place.deployment_name(*revision), self.find(revision)
        stored = self._secrets.find(place.namespace, name)
        wanted = self._wanted(revision)
        order = self._orders.get(revision)
        try:
            if wanted is None:
                self._refused.pop(revision, None)
                self._created.discard(revision)
                self._orders.pop(revision, None)
                self._keys.pop(revision, None)
                if present is not None or stored is not None:
                    await self._remove(place, name)
                return
            if order is not None and self._secrets.is_known(place.namespace):
                secret = self._secret(order)
                if stored is None or not secret["data"].items() <= (stored.get("data") or {}).items():
                    await self._put(secret)
            if present is None and revision not in self._created:
                if wanted and order is not None:
                    await self._put_deployment(order, wanted)
            elif present is None or present["spec"].get("replicas") != wanted:
                body = {"spec": {"replicas": wanted}}
                path = f"{names.deployments(place.namespace)}/{name}/scale"
                await self._api.patch(path, body, kind="merge", manager=SCALER)
                log.info("scaled Deployment %s to %d", name, wanted)
            if self._refused.pop(revision, None) is not None:
                self._changed(revision)
        except ApiError as error:
            creates = wanted is not None and present is None and revision not in self._created
            if isinstance(error, ApiUnreachableError):
                pass
            elif creates:
                self._refuse(revision, name, error)
            elif error.status == _NOT_FOUND:
                self._created.discard(revision)
                self._changed(revision)
                return
            else:
                log.error("Deployment %s: %s", name, error.message)
            asyncio.get_running_loop().call_later(_AGAIN_AFTER, self.settle, revision)

    def _refuse(self, revision: Revision, name: str, error: ApiError) -> None:
        """Keep the reason why an object cannot be created again, such as a namespace that somebody has deleted."""
        problem = not_started(error.message)
        if self._refused.get(revision) != problem:
            log.error("Deployment %s is not created: %s", name, error.message)
            self._refused[revision] = problem
            self._changed(revision)

    def _secret(self, order: ReplicaOrder) -> Object:
        place = self._owners.place_of(order.spec)
        return replicas.secret(
            order,
            namespace=place.namespace,
            replica_key=self.key(_revision_of(order)),
            owner=self._owner(order, place),
            home=place.home,
        )

    async def _put_deployment(self, order: ReplicaOrder, count: int) -> None:
        place = self._owners.place_of(order.spec)
        settings = replace(self._owners.settings, own_server=_has_our_server(order.spec))
        deployed = replicas.deployment(
            order,
            namespace=place.namespace,
            replicas=count,
            owner=self._owner(order, place),
            settings=settings,
            home=place.home,
        )
        await self._put(deployed)
        self._created.add(_revision_of(order))
        log.info("created Deployment %s with %d replicas", deployed["metadata"]["name"], count)

    def _owner(self, order: ReplicaOrder, place: Place) -> dict[str, Any] | None:
        """Return the owner reference for an object. It has none in another namespace: it would be removed at once."""
        return self._owners.owner(order.endpoint) if place.is_home else None

    async def _put(self, manifest: Object) -> None:
        await self._api.patch(names.object_path(manifest), manifest, kind="apply", manager=MANAGER, force=True)

    async def _remove(self, place: Place, name: str) -> None:
        await self._api.delete(f"{names.deployments(place.namespace)}/{name}", propagationPolicy="Background")
        await self._api.delete(f"{names.secrets(place.namespace)}/{name}")
        log.info("removed Deployment %s", name)

    def _seen(self, kind: str, deployment: Object) -> None:
        revision = revision_of(deployment)
        if kind == "DELETED":
            self._created.discard(revision)
        self._changed(revision)

    def _secret_seen(self, kind: str, secret: Object) -> None:
        if kind != "ADDED":
            self.settle(revision_of(secret))


def _has_our_server(spec: VersionSpec) -> bool:
    """Return whether an image starts our scoring server, which takes options: an image of a user has no known code."""
    return spec.code is not None or spec.no_code is not None


def _revision_of(order: ReplicaOrder) -> Revision:
    return order.endpoint, order.version, order.revision


def revision_of(found: Object) -> Revision:
    """Return the revision that a pod or a Deployment belongs to."""
    labels = found["metadata"].get("labels") or {}
    return (
        labels.get(names.ENDPOINT_LABEL, ""),
        labels.get(names.VERSION_LABEL, ""),
        labels.get(names.REVISION_LABEL, ""),
    )
