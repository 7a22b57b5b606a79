"""Revisions: the Deployments of replicas, one for each revision of a version, created, scaled and removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mljupyter.engine.replicas.replica_key import replica_key
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, ApiUnreachableError, Object
from mljupyter.kubernetes.api_server.informer import Informer, without_managers
from mljupyter.kubernetes.objects import names, replicas
from mljupyter.kubernetes.objects.pod_state import not_created, refusal
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

    """

    namespace: str
    workspace: str
    settings: replicas.ReplicaSettings
    workspace_key: bytes
    owner: Callable[[str], dict[str, Any] | None]

    def key(self, revision: Revision) -> str:
        """Return the key of the replicas of a revision. It is the same for all, since they have one template."""
        return replica_key(self.workspace_key, "/".join(revision))


class Revisions:
    """Keeps the number of replicas of each Deployment at the wanted one.

    A Deployment or a Secret that somebody has deleted is created again while its revision has replicas.

    Parameters:
        api: the API server.
        owners: the facts that Deployments are made from.
        wanted: returns the wanted number of replicas of a revision; None when the revision is not needed any more.
        changed: called with a revision when its Deployment has changed.

    """

    def __init__(
        self,
        api: ApiServer,
        owners: ReplicaOwners,
        wanted: Callable[[Revision], int | None],
        changed: Callable[[Revision], None],
    ) -> None:
        self._api = api
        self._owners = owners
        self._wanted = wanted
        self._changed = changed
        self._path = names.deployments(owners.namespace)
        selector = names.selector(component=names.COMPONENT_REPLICA)
        self.informer = Informer(api, self._path, labels=selector, changed=self._seen, keep=without_managers)
        self._secrets = Informer(
            api, names.secrets(owners.namespace), labels=selector, changed=self._secret_seen, keep=without_managers
        )
        self._orders: dict[Revision, ReplicaOrder] = {}
        self._created: set[Revision] = set()
        self._due: set[Revision] = set()
        self._bell = asyncio.Event()

    def known(self) -> dict[Revision, Object]:
        """Return the Deployments by revision."""
        return {revision_of(item): item for item in self.informer.objects.values()}

    def find(self, revision: Revision) -> Object | None:
        """Return the Deployment of a revision; None when there is none."""
        return self.informer.objects.get(names.deployment_name(*revision))

    def problem(self, revision: Revision) -> Problem | None:
        """Return the reason why pods of a revision are not created; None when they are."""
        return not_created(self.find(revision) or {})

    async def create(self, order: ReplicaOrder, count: int) -> None:
        """Create the Deployment of a revision with a number of replicas, unless there is one.

        Raises:
            RuntimeUnavailableError: when the cluster refuses it.

        """
        revision = (order.endpoint, order.version, order.revision)
        if revision in self._created or self.find(revision) is not None:
            self.adopt(order)
            self.settle(revision)
            return
        try:
            await self._put_secret(order)
            await self._put_deployment(order, count)
        except ApiError as error:
            said = refusal(error.message) if error.status in _REFUSED else error.message
            raise RuntimeUnavailableError(f"no pod can be started: {said}") from None
        self.adopt(order)

    def adopt(self, order: ReplicaOrder) -> None:
        """Remember what a Deployment that exists is made from."""
        self._orders[order.endpoint, order.version, order.revision] = order

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
            tasks.create_task(self.informer.run())
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
        name = names.deployment_name(*revision)
        present = self.informer.objects.get(name)
        wanted = self._wanted(revision)
        order = self._orders.get(revision)
        try:
            if wanted is None:
                self._created.discard(revision)
                self._orders.pop(revision, None)
                if present is not None or name in self._secrets.objects:
                    await self._remove(revision)
                return
            if order is not None and self._secrets.synced.is_set() and name not in self._secrets.objects:
                await self._put_secret(order)
            if present is None and revision not in self._created:
                if wanted and order is not None:
                    await self._put_deployment(order, wanted)
            elif present is None or present["spec"].get("replicas") != wanted:
                body = {"spec": {"replicas": wanted}}
                await self._api.patch(f"{self._path}/{name}/scale", body, kind="merge", manager=SCALER)
                log.info("scaled Deployment %s to %d", name, wanted)
        except ApiError as error:
            if error.status == _NOT_FOUND:
                self._created.discard(revision)
                self._changed(revision)
                return
            if not isinstance(error, ApiUnreachableError):
                log.error("Deployment %s: %s", names.deployment_name(*revision), error.message)
            asyncio.get_running_loop().call_later(_AGAIN_AFTER, self.settle, revision)

    async def _put_secret(self, order: ReplicaOrder) -> None:
        owner = self._owners.owner(order.endpoint)
        key = self._owners.key((order.endpoint, order.version, order.revision))
        await self._put(replicas.secret(order, namespace=self._owners.namespace, replica_key=key, owner=owner))

    async def _put_deployment(self, order: ReplicaOrder, count: int) -> None:
        owner = self._owners.owner(order.endpoint)
        settings = replace(self._owners.settings, own_server=_has_our_server(order.spec))
        await self._put(
            replicas.deployment(order, namespace=self._owners.namespace, replicas=count, owner=owner, settings=settings)
        )
        revision = (order.endpoint, order.version, order.revision)
        self._created.add(revision)
        log.info("created Deployment %s with %d replicas", names.deployment_name(*revision), count)

    async def _put(self, manifest: Object) -> None:
        await self._api.patch(names.object_path(manifest), manifest, kind="apply", manager=MANAGER, force=True)

    async def _remove(self, revision: Revision) -> None:
        name = names.deployment_name(*revision)
        await self._api.delete(f"{self._path}/{name}", propagationPolicy="Background")
        await self._api.delete(f"{names.secrets(self._owners.namespace)}/{name}")
        log.info("removed Deployment %s", name)

    def _seen(self, kind: str, deployment: Object) -> None:
        revision = revision_of(deployment)
        if kind == "DELETED":
            self._created.discard(revision)
        self._changed(revision)

    def _secret_seen(self, kind: str, secret: Object) -> None:
        if kind == "DELETED":
            self.settle(revision_of(secret))


def _has_our_server(spec: VersionSpec) -> bool:
    """Return whether an image starts our scoring server, which takes options: an image of a user has no known code."""
    return spec.code is not None or spec.no_code is not None


def revision_of(found: Object) -> Revision:
    """Return the revision that a pod or a Deployment belongs to."""
    labels = found["metadata"].get("labels") or {}
    return (
        labels.get(names.ENDPOINT_LABEL, ""),
        labels.get(names.VERSION_LABEL, ""),
        labels.get(names.REVISION_LABEL, ""),
    )
