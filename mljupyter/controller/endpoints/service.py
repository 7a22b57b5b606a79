"""The operations of the controller on endpoints: create, replace, delete, watch, keys, logs."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from mljupyter import __version__
from mljupyter.client.bounds import MOST_LOG_LINES
from mljupyter.client.errors import (
    EndpointChangedError,
    EndpointExistsError,
    EndpointNotFoundError,
    KeysNotAvailableError,
    PortInUseError,
    error_for,
)
from mljupyter.controller.endpoints.local_ports import LOCAL_PORTS
from mljupyter.controller.endpoints.notifier import Notifier
from mljupyter.controller.endpoints.reconciler import Reconciler
from mljupyter.controller.layout import Layout
from mljupyter.controller.logs import merge as logs
from mljupyter.controller.logs.follow import Followed, follow
from mljupyter.controller.logs.names import with_names
from mljupyter.controller.logs.request_log import newest_records
from mljupyter.controller.router.endpoint_router import EndpointRouter
from mljupyter.controller.router.router import check_port
from mljupyter.controller.storage.history import UNNAMED, Change
from mljupyter.controller.storage.keys import Keys, Which
from mljupyter.controller.storage.store import Store
from mljupyter.controller.takeover import INTERFACE
from mljupyter.controller.tls.listener_manager import ListenerManager
from mljupyter.engine.endpoints.rules import refuse_spec, refuse_while_deleting
from mljupyter.engine.rollout.canary import aborted, collides
from mljupyter.engine.rollout.rules import Refusal, refuse_change
from mljupyter.runtimes.base import ReplicaLog, Runtime, Runtimes
from mljupyter.runtimes.ports import PortReservations
from mljupyter.spec import (
    Authentication,
    EndpointChanges,
    EndpointKind,
    EndpointRecord,
    EndpointSpec,
    EndpointStatus,
    ScalingDecision,
)


class Service:
    """The operations on endpoints. Each checks, writes the desired state, and wakes the reconciler."""

    def __init__(
        self,
        *,
        layout: Layout,
        store: Store,
        reconciler: Reconciler,
        router: EndpointRouter,
        runtimes: Runtimes,
        changes: Notifier,
        keeper: ListenerManager,
        ports: PortReservations | None,
        namespaces: Collection[str] | None = None,
    ) -> None:
        self._layout = layout
        self._namespaces = namespaces
        self._store = store
        self._reconciler = reconciler
        self._router = router
        self._runtimes = runtimes
        self._changes = changes
        self._keeper = keeper
        self._ports = ports
        self._started_time = datetime.now(UTC)
        self.ending = False
        """Set when the process is about to end. Requests that wait for a change or for log lines are then answered."""

    def status(self) -> dict[str, Any]:
        """Return the status of the controller."""
        return {
            "pid": os.getpid(),
            "release": __version__,
            "interface": INTERFACE,
            "workspace": str(self._layout.directory),
            "startedTime": self._started_time.isoformat(),
            "endpoints": len(self._store.names()),
            "router": {
                "pid": self._router.pid,
                "port": self._router.port,
                "state": "running" if self._router.up else "silent" if self._router.problem else "starting",
            },
        }

    def endpoints(self) -> list[EndpointRecord]:
        """Return all endpoints."""
        return [self._store.get(name) for name in self._store.names()]

    def create(
        self,
        spec: EndpointSpec,
        *,
        overwrite: bool,
        primary_key: str | None,
        secondary_key: str | None,
        generation: int | None = None,
        user: str = "",
    ) -> EndpointRecord:
        """Accept a new endpoint, or with `overwrite` replace an existing one.

        An overwritten endpoint keeps its keys unless new ones are given, and serves until the new one does. An active
        rollout is aborted. With `generation`, only an endpoint of that generation is overwritten.
        """
        before = self._store.find(spec.name)
        if generation is not None and overwrite:
            _refuse_other_generation(spec.name, before, generation)
        if before is not None:
            self._refuse_while_deleting(before)
            if not overwrite:
                raise EndpointExistsError(
                    f"an endpoint {spec.name!r} exists ({before.status.state}). Deploy with overwrite=True to "
                    "replace it, update it, or choose another name."
                )
        self._refuse(spec, before)
        spec = self._with_port(spec, before)
        keys = None
        if spec.authentication is Authentication.KEY:
            existing = self._store.keys(spec.name)
            keys = Keys.make(
                primary_key or (existing.primary if existing else None),
                secondary_key or (existing.secondary if existing else None),
            )
        return self._accept(spec, before, keys, Change(user, "deployed again" if before else ""))

    def replace(self, spec: EndpointSpec, generation: int | None = None, change: Change = UNNAMED) -> EndpointRecord:
        """Accept a change of an existing endpoint. Keys are kept if it still uses keys.

        With `generation`, the change is based on that generation and is refused for any other (optimistic locking), so
        that concurrent changes do not overwrite each other. While a rollout is active, changes of versions and shares
        are refused.
        """
        before = self.find_changeable(spec.name)
        if generation is not None:
            _refuse_other_generation(spec.name, before, generation)
        _raise(refuse_change(before, spec))
        self._refuse(spec, before)
        keys = None
        if spec.authentication is Authentication.KEY:
            keys = self._store.keys(spec.name) or Keys.make()
        return self._accept(self._with_port(spec, before), before, keys, change)

    async def with_certificate(self, spec: EndpointSpec, certificate: tuple[str, str] | None) -> EndpointSpec:
        """Store a certificate and its key that a client sends; return the endpoint that names their place.

        Parameters:
            spec: the endpoint.
            certificate: both in PEM; None changes nothing.

        Raises:
            CertificateError: when they cannot be used.

        """
        return spec if certificate is None else await self._keeper.store_own(spec, *certificate)

    async def watch(self, name: str, after: int, timeout_seconds: float) -> EndpointRecord:
        """Return an endpoint as soon as its resource version is above `after`, or after `timeout_seconds`."""
        self.find(name)
        await self._changes.wait_until(
            lambda: self.ending or (record := self._store.find(name)) is None or record.resource_version > after,
            timeout_seconds,
        )
        return self.find(name)

    async def changes(self, after: str, timeout_seconds: float) -> EndpointChanges:
        """Return what has changed in any endpoint since the state of a token, at the latest after `timeout_seconds`.

        Parameters:
            after: the token of an earlier answer; empty for all endpoints.
            timeout_seconds: the longest wait for a change.

        """
        changes = self._store.changes
        known = changes.number_of(after)
        if known is not None:
            await self._changes.wait_until(lambda: self.ending or changes.number > known, timeout_seconds)
        names = self._store.names() if known is None else changes.since(known)
        found = {name: self._store.find(name) for name in names}
        return EndpointChanges(
            token=changes.token,
            whole=known is None,
            records=[record for record in found.values() if record is not None],
            removed=[name for name, record in found.items() if record is None],
        )

    async def delete(self, name: str, timeout_seconds: float) -> bool:
        """Delete an endpoint. Return whether it is gone within `timeout_seconds`."""
        self.find(name)
        self._store.mark_deleting(name)
        self._reconciler.retry(name)
        self._changes.notify()
        await self._changes.wait_until(lambda: self.ending or self._store.find(name) is None, timeout_seconds)
        self._give_ports_back()
        return self._store.find(name) is None

    def keys(self, name: str) -> Keys:
        """Return an endpoint's keys."""
        self.find(name)
        keys = self._store.keys(name)
        if keys is None:
            raise KeysNotAvailableError(f"endpoint {name!r} has no keys: key authentication is off.")
        return keys

    async def regenerate_key(self, name: str, which: Which, key: str | None) -> None:
        """Replace one key. Return when it is in force in the router."""
        self._store.put_keys(name, self.keys(name).with_key(which, key))
        await self._reconciler.reroute(name)
        self._changes.notify()

    def logs(
        self, name: str, *, lines: int, version: str | None, replica: str | None, startup: bool, names: bool = False
    ) -> str:
        """Return the log of all replicas or of one, in the order of time, including ended replicas."""
        found = [log for log in self._logs_of(name, version, names) if replica is None or log.replica_id == replica]
        count = max(1, min(lines, MOST_LOG_LINES))
        return logs.beginning(found, count) if startup else logs.merged(found, count)

    def _logs_of(self, name: str, version: str | None, names: bool) -> list[ReplicaLog]:
        """Return the logs of the replicas of an endpoint; with `names`, lines of several name version and replica."""
        runtimes = self._runtimes_of(name)
        found = [log for runtime in runtimes for log in runtime.logs(name, version)]
        if not names or len(found) < 2:
            return found
        each = [version] if version is not None else list(self.find(name).spec.versions)
        return with_names(
            found, {log.replica_id: one for runtime in runtimes for one in each for log in runtime.logs(name, one)}
        )

    async def follow_logs(
        self,
        name: str,
        *,
        cursor: str | None,
        lines: int,
        version: str | None,
        timeout_seconds: float,
        names: bool = False,
    ) -> Followed:
        """Return the new lines in the logs of all replicas since `cursor`; see `logs.follow.follow`."""

        def find() -> Sequence[ReplicaLog]:
            return self._logs_of(name, version, names)

        return await follow(find, cursor, max(0, min(lines, MOST_LOG_LINES)), timeout_seconds, lambda: self.ending)

    def records(self, name: str, *, count: int, version: str | None) -> str:
        """Return the newest request records of all replicas in the order of time, one JSON object per line."""
        found = [log for runtime in self._runtimes_of(name) for log in runtime.records(name, version)]
        return newest_records(found, max(1, min(count, MOST_LOG_LINES)))

    def _runtimes_of(self, name: str) -> list[Runtime]:
        """Return the runtime of an endpoint's target, and other ones in use, since it may have been moved."""
        mine = self._runtimes.of(self.find(name).spec.compute_target)
        return [mine, *(runtime for runtime in self._runtimes.made() if runtime is not mine)]

    def scaling_history(self, name: str, version: str | None, most: int) -> list[ScalingDecision]:
        """Return the newest decisions on the number of replicas, oldest first."""
        self.find(name)
        return self._store.scaling.of(name, version, max(1, most))

    def _accept(
        self, spec: EndpointSpec, before: EndpointRecord | None, keys: Keys | None, change: Change
    ) -> EndpointRecord:
        self._keeper.admit(spec)
        status = before.status if before else EndpointStatus()
        ended = None
        if before is not None and before.rollout is not None and collides(before.spec, spec):
            ended = aborted(before.rollout, datetime.now(UTC), "the endpoint was deployed again")
        record = self._store.put(spec, _tried_again(status, spec), keys, change, ended)
        if self._keeper.look():
            self._reconciler.look_again()
        self._reconciler.retry(spec.name)
        self._changes.notify()
        return record

    def _give_ports_back(self) -> None:
        """Release the ports of endpoints that are gone, have another port now, or were refused."""
        if self._ports is None:
            return
        ports = [record.spec.port for record in self.endpoints() if record.spec.port is not None]
        self._ports.keep_only([self._router.port, *ports])

    def find_changeable(self, name: str) -> EndpointRecord:
        """Return an endpoint, or raise an error if it does not exist or is being deleted."""
        record = self.find(name)
        self._refuse_while_deleting(record)
        return record

    def find(self, name: str) -> EndpointRecord:
        """Return an endpoint, or raise `EndpointNotFoundError` with the nearest name."""
        record = self._store.find(name)
        if record is None:
            raise EndpointNotFoundError.named(name, self._store.names())
        return record

    def _refuse(self, spec: EndpointSpec, before: EndpointRecord | None) -> None:
        present = before.spec if before is not None else None
        targets, ports = self._runtimes.names(), self._ports is not None
        _raise(refuse_spec(spec, present, targets, has_ports=ports, namespaces=self._namespaces))

    def _refuse_while_deleting(self, record: EndpointRecord) -> None:
        _raise(refuse_while_deleting(record.spec.name, deleting=record.deleting))

    def _with_port(self, spec: EndpointSpec, before: EndpointRecord | None) -> EndpointSpec:
        """Return the spec with a port for a local web service: its present port, the requested one, or a free one."""
        if self._ports is None or (spec.kind is not EndpointKind.LOCAL and spec.port is None):
            return spec  # without ports, `refuse_spec` has refused those that need one
        self._give_ports_back()
        mine = before.spec.port if before else None
        if spec.port is None:
            taken = {record.spec.port for record in self.endpoints()}
            port = mine or self._ports.free_port([candidate for candidate in LOCAL_PORTS if candidate not in taken])
            return spec.model_copy(update={"port": port})
        if spec.port != mine:
            for record in self.endpoints():
                if record.spec.port == spec.port and record.spec.name != spec.name:
                    raise PortInUseError(
                        f"port {spec.port} is in use by endpoint {record.spec.name!r}. Give another port, or none "
                        "for a free one."
                    )
            check_port(spec.port)
            if not self._ports.take(spec.port):
                raise PortInUseError(
                    f"port {spec.port} is reserved by another workspace of yours. Give another port, or none: then a "
                    "free one is chosen."
                )
        return spec


def _raise(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise error_for(refusal.code, refusal.message)


def _tried_again(status: EndpointStatus, spec: EndpointSpec) -> EndpointStatus:
    """Return the status of an endpoint whose spec is accepted again: failed revisions are retried."""
    versions = {
        name: version.model_copy(update={"failed_revision": None, "problem": None})
        for name, version in status.versions.items()
        if name in spec.versions
    }
    return status.model_copy(update={"state": EndpointStatus().state, "versions": versions, "problem": None})


def _refuse_other_generation(name: str, present: EndpointRecord | None, generation: int) -> None:
    if present is None:
        raise EndpointChangedError(
            f"endpoint {name!r} was deleted by another operation: it was read at generation {generation}.\n"
            "Nothing was changed now. Create it again if it is still wanted."
        )
    if generation != present.generation:
        raise EndpointChangedError(
            f"endpoint {name!r} was changed by another operation at {present.updated_time:%H:%M:%S} UTC: "
            f"it was read at generation {generation} and is at {present.generation}, {present.status.state}.\n"
            "Nothing was changed now. Read it again and repeat the change."
        )
