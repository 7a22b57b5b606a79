"""Persistence: the endpoints of the store and the custom resources of the cluster, kept equal in both directions.

The API server has the truth. A change by a client of the operator is written there before the client gets its answer
and before anything acts on it. A change of a custom resource, by ``kubectl apply`` for example, is accepted as if a
client had asked for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mljupyter.client.errors import ControllerError, EndpointChangedError, StorageError
from mljupyter.controller.storage.history import Change
from mljupyter.controller.storage.store import EndpointRows
from mljupyter.errors import MLJupyterError
from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, Object
from mljupyter.kubernetes.api_server.informer import Informer, without_managers
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.events import of_recovery, of_refusal, of_undone
from mljupyter.kubernetes.operator import documents
from mljupyter.kubernetes.operator.cluster_store import ClusterStore, Part, Record
from mljupyter.kubernetes.operator.recovery import recovered
from mljupyter.spec import EndpointSpec, EndpointState, SpecError

MANAGER = "mljupyter"
STORED_WITHIN = 20.0
_STATUS_EVERY = 0.2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_NEVER = float("inf")
_BAD_REQUEST, _FORBIDDEN, _NOT_FOUND, _TIMEOUT, _CONFLICT, _TOO_MANY, _SERVER_ERROR = 400, 403, 404, 408, 409, 429, 500
_INVALID = "InvalidSpec"

log = logging.getLogger(__name__)


@dataclass
class _Unstored:
    """The changes of one endpoint that the API server does not have yet.

    `before` are the rows that it has. `published` is whether its custom resource has the new spec already.
    """

    before: EndpointRows | None
    published: bool = False
    parts: set[Part] = field(default_factory=set)
    writing: set[Part] = field(default_factory=set)
    failures: int = 0
    due: float = 0.0

    @property
    def wanted(self) -> bool:
        """Whether the desired state is among the changes."""
        return Part.WANTED in self.parts or Part.WANTED in self.writing


class Persistence:
    """Writes changes of the store to the API server, and changes of custom resources to the store.

    Parameters:
        api: the API server.
        namespace: the operator's namespace.
        target: the name of the compute target that the operator serves.
        accept: accepts the spec of a custom resource as the change of a user; raises `ControllerError` to refuse it.
        delete: begins to delete an endpoint.
        stored: called with an endpoint's name when its changes are stored, or were undone.
        record: called with a custom resource that is refused.

    """

    def __init__(
        self,
        api: ApiServer,
        namespace: str,
        target: str,
        *,
        accept: Callable[[EndpointSpec, Change], None],
        delete: Callable[[str], None],
        stored: Callable[[str], None],
        record: Record = lambda name, what: None,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._target = target
        self._accept = accept
        self._delete = delete
        self._stored = stored
        self._record = record
        self._store: ClusterStore | None = None
        self._path = names.mlendpoints(namespace)
        self._resources: dict[str, Object] = {}  # the custom resources as the API server answered last
        self._ending: set[str] = set()  # endpoints whose resource is deleted, and kept by our finalizer
        self._forgotten: set[str] = set()  # the uids of deleted resources of which events may still come
        self._unstored: dict[str, _Unstored] = {}
        self._errors: dict[str, ControllerError] = {}
        self._bell = asyncio.Event()
        self._settled: dict[str, asyncio.Event] = {}  # of the endpoints that somebody waits for
        self._times: list[tuple[float, str]] = []  # a heap of the times at which changes may be due
        self._refused: dict[str, str] = {}  # the generation of a custom resource with a refused spec
        self._states_stored: dict[str, int] = {}  # the hash of what the state Secret of an endpoint is to have
        self._saying: set[asyncio.Task[None]] = set()
        self._status_times: dict[str, float] = {}
        self._informer = Informer(api, self._path, changed=self._seen)
        self._states = Informer(
            api,
            names.secrets(namespace),
            labels=names.selector(component=names.COMPONENT_OPERATOR),
            changed=self._state_seen,
            keep=without_managers,
        )

    def changes(self, name: str, part: Part) -> None:
        """Note that a part of an endpoint is about to change."""
        if self._store is None:
            return
        if name not in self._unstored:
            self._unstored[name] = _Unstored(self._store.rows(name))
        self._unstored[name].parts.add(part)
        self._plan(name)

    async def load(self, store: ClusterStore) -> None:
        """Fill the store with the endpoints that the API server has.

        Raises:
            ApiError: when it cannot be read.

        """
        found, _ = await self._api.list(self._path)
        secrets, _ = await self._api.list(
            names.secrets(self._namespace), labels=names.selector(component=names.COMPONENT_OPERATOR)
        )
        states = {secret["metadata"]["name"]: secret for secret in secrets}
        damaged: list[Object] = []
        for resource in found:
            name = resource["metadata"]["name"]
            state = states.get(names.state_secret(name), {})
            if (rows := documents.rows_of(state)) is None:
                if _was_accepted(resource):
                    damaged.append(resource)
                continue  # a resource of a user: it is accepted when the informer reports it
            self._resources[name] = resource
            self._states_stored[name] = documents.state_hash(state)
            status = documents.observed(resource).json_text()
            deleting = int(bool(resource["metadata"].get("deletionTimestamp")))
            if deleting:
                self._ending.add(name)
            endpoints = [{**row, "status": status, "deleting": deleting} for row in rows["endpoints"]]
            try:
                store.restore(name, {**rows, "endpoints": endpoints})
            except MLJupyterError as error:
                log.error("the state of endpoint %s cannot be read: %s", name, error.message)
                store.restore(name, None)
                if not deleting:
                    damaged.append(resource)
        rebuilt = [resource["metadata"]["name"] for resource in damaged if await self._recover(store, resource)]
        self._store = store
        for name in rebuilt:
            self.changes(name, Part.PROGRESS)

    async def _recover(self, store: ClusterStore, resource: Object) -> bool:
        """Put an endpoint into the store without its state Secret; return whether it could be recovered.

        Otherwise its replicas would be taken for those of an unknown endpoint, and its clients would need other keys.
        """
        name = resource["metadata"]["name"]
        revisions: list[Object] = []
        for namespace in sorted({self._namespace, *documents.namespaces_in(resource)}):
            labels = names.selector(component=names.COMPONENT_REPLICA, endpoint=name)
            try:
                revisions += (await self._api.list(names.secrets(namespace), labels=labels))[0]
            except ApiError as error:
                if error.status not in (_FORBIDDEN, _NOT_FOUND):  # a namespace that is gone, or not ours any more
                    raise
        fields = f"metadata.name={names.route_secret(name)}"
        routes, _ = await self._api.list(names.secrets(self._namespace), fields=fields)
        found = recovered(resource, self._target, routes[0] if routes else None, revisions)
        if found is None:
            log.error("the state of endpoint %s cannot be read, and not be recovered", name)
            return False
        log.error("the state of endpoint %s could not be read. It is recovered without its history", name)
        self._resources[name] = resource
        store.put(found.spec, documents.observed(resource), found.keys, Change("", "recovered"))
        self._record(name, of_recovery(keys_lost=found.keys_lost))
        return True

    async def run(self) -> None:
        """Write changes and follow the custom resources until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._informer.run())
            tasks.create_task(self._states.run())
            tasks.create_task(self._write())

    async def stored(self, name: str) -> None:
        """Return when the desired state of an endpoint is stored, or was undone."""
        while self._waits(name):
            await self._settled.setdefault(name, asyncio.Event()).wait()

    async def settle(self) -> None:
        """Return when all desired states are stored: then a client may get its answer.

        Raises:
            ControllerError: when the API server refused one, which was undone, or does not answer.

        """
        names_now = [name for name in self._unstored if self._waits(name)]
        try:
            async with asyncio.timeout(STORED_WITHIN):
                for name in names_now:
                    await self.stored(name)
        except TimeoutError:
            raise StorageError(
                f"the change is not stored after {STORED_WITHIN:.0f} s, because the API server does not answer.\n"
                "It is stored when the API server answers again. Look at the endpoint before trying again."
            ) from None
        for name in names_now:
            if (error := self._errors.pop(name, None)) is not None:
                raise error

    def owner(self, name: str) -> dict[str, Any] | None:
        """Return the owner reference to an endpoint's custom resource; None before it exists."""
        resource = self._resources.get(name)
        return documents.owner_of(resource) if resource is not None else None

    @property
    def problem(self) -> str | None:
        """The reason why the API server is not followed; None while it is."""
        return self._informer.problem

    def _waits(self, name: str) -> bool:
        return name in self._unstored and self._unstored[name].wanted

    async def _write(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._bell.clear()
                now = time.monotonic()
                while self._times and self._times[0][0] <= now:
                    _, name = heapq.heappop(self._times)
                    change = self._unstored.get(name)
                    if change is not None and self._due(name, change) <= now:
                        change.parts, change.writing = set(), change.parts
                        tasks.create_task(self._write_one(name, change))
                    else:
                        self._plan(name)
                next_time = self._times[0][0] if self._times else _NEVER
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if next_time == _NEVER else max(next_time - now, 0.0)):
                        await self._bell.wait()

    def _plan(self, name: str) -> None:
        """Have the change of an endpoint written when it is due. Each change is looked at alone, not all of them."""
        change = self._unstored.get(name)
        if change is not None and (due := self._due(name, change)) < _NEVER:
            heapq.heappush(self._times, (due, name))
            self._bell.set()

    def _due(self, name: str, change: _Unstored) -> float:
        """Return the time at which a change is written. Statuses are collected for a moment."""
        if change.writing:
            return _NEVER
        if change.parts == {Part.STATUS} and not change.failures:
            return self._status_times.get(name, 0.0) + _STATUS_EVERY
        return change.due

    async def _write_one(self, name: str, change: _Unstored) -> None:
        assert self._store is not None  # noqa: S101 - narrows the type
        rows = self._store.rows(name)
        try:
            await self._put(name, rows, change.writing)
        except ApiError as error:
            if _refuses(error) and change.wanted:
                self._undo(name, change, error)
            else:
                change.parts |= change.writing
                change.failures += 1
                pause = min(_FIRST_PAUSE * 2.0 ** (change.failures - 1), _LONGEST_PAUSE)
                change.due = time.monotonic() + pause
                if change.failures == 1:
                    log.warning("endpoint %s is not stored yet: %s", name, error.message)
        else:
            self._status_times[name] = time.monotonic()
            change.before, change.published, change.failures, change.due = rows, False, 0, 0.0
            if not change.parts:
                del self._unstored[name]
        change.writing = set()
        self._plan(name)
        if not self._waits(name):
            self._look_again(name)
            self._stored(name)
            if (event := self._settled.pop(name, None)) is not None:
                event.set()

    async def _put(self, name: str, rows: EndpointRows | None, parts: set[Part]) -> None:
        assert self._store is not None  # noqa: S101 - narrows the type
        record = self._store.find(name)
        if record is None or rows is None:
            await self._forget(name)
            return
        if name in self._ending and not record.deleting:
            await self._forget(name)  # the endpoint was deleted, and made again before that was written
            parts = parts | {Part.WANTED}
        if record.deleting:
            self._ending.add(name)
            await self._api.delete(f"{self._path}/{name}")  # its finalizer keeps it until the replicas are gone
        elif parts & {Part.WANTED, Part.PROGRESS}:
            resource = self._resources.get(name)
            if resource is None:
                resource, published = await self._create(record.spec), True
            elif self._spec_in(resource) != record.spec or names.FINALIZER not in _finalizers(resource):
                published = self._spec_in(resource) != record.spec
                resource = await self._replace(record.spec, resource)
            else:
                published = False
            self._resources[name] = resource
            if name in self._unstored:
                self._unstored[name].published |= published
            secret = documents.state_secret(name, rows, resource, self._namespace)
            path = f"{names.secrets(self._namespace)}/{secret['metadata']['name']}"
            self._states_stored[name] = documents.state_hash(secret)
            await self._api.patch(path, secret, kind="apply", manager=MANAGER, force=True)
        if name in self._resources:
            status = documents.status_of(record, self._resources[name].get("status"), datetime.now(UTC))
            body = [{"op": "add", "path": "/status", "value": status}]
            try:
                written = await self._api.patch(f"{self._path}/{name}/status", body, kind="json")
                # With another spec, somebody has changed it meanwhile: that is accepted when its event comes.
                known = self._resources.get(name)
                if known is not None and _generation(written) == _generation(known):
                    self._resources[name] = written
            except ApiError as error:
                if error.status != _NOT_FOUND:
                    raise

    async def _create(self, spec: EndpointSpec) -> Object:
        try:
            return await self._api.create(self._path, documents.resource(spec, self._namespace, None))
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
            present = await self._api.get(f"{self._path}/{spec.name}")
            if self._spec_in(present) != spec:
                raise
            return present

    async def _replace(self, spec: EndpointSpec, resource: Object) -> Object:
        try:
            return await self._api.replace(
                f"{self._path}/{spec.name}", documents.resource(spec, self._namespace, resource)
            )
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
        present = await self._api.get(f"{self._path}/{spec.name}")
        if self._spec_in(present) != self._spec_in(resource):
            raise ApiError("another change was made at the same time", status=_CONFLICT, reason="Conflict")
        return await self._api.replace(f"{self._path}/{spec.name}", documents.resource(spec, self._namespace, present))

    async def _forget(self, name: str) -> None:
        """Delete the resource with everything that it owns."""
        await self._api.delete(f"{self._path}/{name}")
        await self._api.delete(f"{names.secrets(self._namespace)}/{names.state_secret(name)}")
        try:
            present = await self._api.get(f"{self._path}/{name}")
            self._forgotten.add(present["metadata"]["uid"])
            if names.FINALIZER in _finalizers(present):
                present["metadata"]["finalizers"].remove(names.FINALIZER)
                await self._api.replace(f"{self._path}/{name}", present)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
        self._resources.pop(name, None)
        self._states_stored.pop(name, None)
        self._ending.discard(name)

    def _undo(self, name: str, change: _Unstored, error: ApiError) -> None:
        """Take back a change that the API server has refused, so that nothing acts on it.

        It may have taken the spec, and refused the Secret with the state: the spec is taken back, too, unless it is the
        one that a user has applied. Then the resource says why it is refused.
        """
        assert self._store is not None  # noqa: S101 - narrows the type
        log.warning("endpoint %s: the change is undone: %s", name, error.message)
        del self._unstored[name]
        self._store.restore(name, change.before)
        if error.status == _CONFLICT:
            self._errors[name] = EndpointChangedError(
                f"endpoint {name!r} was changed by another operation at the same time, with kubectl for example.\n"
                "Nothing was changed now. Read it again and repeat the change."
            )
        else:
            self._errors[name] = ControllerError(f"the cluster does not accept endpoint {name!r}: {error.message}")
        self._record(name, of_undone(self._errors[name].message))
        resource = self._resources.get(name)
        if resource is None or error.status == _CONFLICT:
            return
        if change.published:
            self.changes(name, Part.PROGRESS)
        elif self._spec_in(resource) != self._spec_of(name):
            self._refused[name] = str(resource["metadata"].get("generation"))
            self._say_refused(name, self._errors[name].message)

    def _spec_of(self, name: str) -> EndpointSpec | None:
        record = self._store.find(name) if self._store is not None else None
        return record.spec if record is not None else None

    def _spec_in(self, resource: Mapping[str, Any]) -> EndpointSpec | None:
        record = self._store.find(resource["metadata"]["name"]) if self._store is not None else None
        try:
            return documents.spec_of(resource, self._target, record.spec if record is not None else None)
        except SpecError:
            return None

    def _look_again(self, name: str) -> None:
        """Look at a custom resource that changed while a change of ours was being written."""
        if (resource := self._informer.objects.get(name)) is not None:
            self._seen("MODIFIED", resource)

    def _seen(self, kind: str, resource: Object) -> None:
        """Accept a change of a custom resource."""
        store = self._store
        if store is None:
            return
        name, metadata = resource["metadata"]["name"], resource["metadata"]
        record = store.find(name)
        known = self._resources.get(name)
        if metadata["uid"] in self._forgotten:
            # Events come late: an endpoint of the same name may have been made meanwhile.
            if kind == "DELETED":
                self._forgotten.discard(metadata["uid"])
            return
        if kind == "DELETED":
            if known is not None and known["metadata"]["uid"] == metadata["uid"]:
                del self._resources[name]
                if record is not None and not record.deleting:
                    self._delete(name)
            return
        if self._waits(name) or not _is_newer(resource, known):
            return  # it is looked at again when our own change is written, or refused with a conflict
        self._resources[name] = resource
        if metadata.get("deletionTimestamp"):
            if record is None:
                self.changes(name, Part.PROGRESS)  # nothing runs: only the finalizer is left
            elif not record.deleting:
                self._delete(name)
            return
        if self._refused.get(name) == str(metadata.get("generation")):
            return
        try:
            spec = documents.spec_of(resource, self._target, record.spec if record is not None else None)
            if record is None or record.spec != spec:
                self._accept(spec, Change(_author(resource), "applied"))
        except (SpecError, ControllerError) as error:
            self._refused[name] = str(metadata.get("generation"))
            log.warning("endpoint %s: its custom resource is refused: %s", name, error.message)
            self._record(name, of_refusal(error.message))
            self._say_refused(name, error.message)
        else:
            self._refused.pop(name, None)

    def _state_seen(self, kind: str, secret: Object) -> None:
        """Store again what the operator knows of an endpoint, when somebody has deleted or changed its Secret."""
        name = secret["metadata"].get("labels", {}).get(names.ENDPOINT_LABEL, "")
        record = self._store.find(name) if self._store is not None else None
        if record is None or record.deleting or name not in self._resources:
            return
        # A late event of our own last write but one has it written once more, which changes nothing.
        if kind == "DELETED" or self._states_stored.get(name) != documents.state_hash(secret):
            self.changes(name, Part.PROGRESS)

    def _say_refused(self, name: str, message: str) -> None:
        """Show in a custom resource why its spec is refused. The endpoint stays as it was."""
        body = {
            "status": {
                "conditions": [
                    {
                        "type": "Ready",
                        "status": "False",
                        "reason": _INVALID,
                        "message": message,
                        "lastTransitionTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    }
                ],
                "problem": {"code": _INVALID, "message": message, "lastLines": []},
                "state": str(EndpointState.FAILED),
            }
        }

        async def say() -> None:
            try:
                await self._api.patch(f"{self._path}/{name}/status", body, kind="merge")
            except ApiError as error:
                log.warning("endpoint %s: its status is not written: %s", name, error.message)

        task = asyncio.create_task(say())
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)


def _refuses(error: ApiError) -> bool:
    """Return whether the API server has refused a change, and would refuse it again."""
    return _BAD_REQUEST <= error.status < _SERVER_ERROR and error.status not in (_TIMEOUT, _TOO_MANY)


def _finalizers(resource: Mapping[str, Any]) -> list[str]:
    return list(resource["metadata"].get("finalizers") or ())


def _was_accepted(resource: Object) -> bool:
    """Return whether an operator has accepted a resource that stays."""
    conditions = (resource.get("status") or {}).get("conditions") or ()
    refused = any(one.get("reason") == _INVALID for one in conditions)
    return names.FINALIZER in _finalizers(resource) and "deletionTimestamp" not in resource["metadata"] and not refused


def _generation(resource: Object) -> tuple[str, int]:
    """Return a value that changes with the spec of a resource."""
    return resource["metadata"]["uid"], int(resource["metadata"].get("generation") or 0)


def _is_newer(resource: Object, known: Object | None) -> bool:
    """Return whether a resource is newer than the known one.

    Kubernetes' versions are numbers of etcd: they also order a resource and an earlier one of the same name.
    """
    return known is None or int(resource["metadata"]["resourceVersion"]) > int(known["metadata"]["resourceVersion"])


def _author(resource: Mapping[str, Any]) -> str:
    """Return the name of the tool that changed a custom resource last, as the API server recorded it."""
    managed = [item for item in resource["metadata"].get("managedFields") or () if item.get("manager") != MANAGER]
    managed.reverse()  # of several in one second, the last one in the list
    newest = max(managed, key=lambda item: str(item.get("time")), default=None)
    return str(newest["manager"]) if newest is not None else "kubectl"
