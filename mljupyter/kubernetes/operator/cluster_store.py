"""ClusterStore: the control plane's store on a cluster, a working copy of what the API server has.

Decisions read and write it as on one machine. Each change is noted, and `persistence` writes it to the API server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

from mljupyter.controller.storage import history
from mljupyter.controller.storage.database import Database
from mljupyter.controller.storage.history import Change
from mljupyter.controller.storage.keys import Keys
from mljupyter.controller.storage.scaling_history import ScalingHistory
from mljupyter.controller.storage.store import EndpointRows, Store
from mljupyter.kubernetes.objects import events
from mljupyter.kubernetes.objects.events import Happening
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointStatus, Rollout, ScalingDecision, VersionSpec

Record = Callable[[str, Happening], None]
"""Records something that happened to an endpoint, given by its name."""


class Part(StrEnum):
    """The part of an endpoint that has changed, and how soon it must be stored."""

    WANTED = "wanted"
    """What a user asked for. It is stored before it is answered, and before anybody acts on it."""

    PROGRESS = "progress"
    """What the control plane has to remember, such as the step of a rollout."""

    STATUS = "status"
    """What was observed, and can be observed again."""


class ClusterStore(Store):
    """A store that reports each change of an endpoint, with the rows before it.

    Parameters:
        path: the database. It is a copy: a missing one is made again from the API server.
        changed: called before each change with the endpoint's name and the part that changes.
        record: called with what users may want to know of a change, after it.

    """

    def __init__(
        self, path: Path, changed: Callable[[str, Part], None], record: Record = lambda name, what: None
    ) -> None:
        super().__init__(path)
        self._report = changed
        self._record = record
        self.scaling: ScalingHistory = _RecordedScaling(self._database, record)
        # Clients wait for a greater version than they know, also when another operator has told them that one.
        self._resource_version = int(time.time() * 1000)

    def put(
        self,
        spec: EndpointSpec,
        status: EndpointStatus,
        keys: Keys | None,
        change: Change = history.UNNAMED,
        rollout: Rollout | None = None,
    ) -> EndpointRecord:
        """Write the desired state; see `Store.put`."""
        before = self.find(spec.name)
        self._report(spec.name, Part.WANTED)
        record = super().put(spec, status, keys, change, rollout)
        if before is None or before.spec != spec:
            happening = events.of_change(before.spec if before is not None else None, spec, change.user, change.action)
            self._record(spec.name, happening)
        if rollout is not None:
            self._record_all(spec.name, events.of_rollout(before.rollout if before is not None else None, rollout))
        return record

    def put_status(self, name: str, status: EndpointStatus) -> None:
        """Write the observed status of an endpoint."""
        before = self.find(name)
        self._report(name, Part.STATUS)
        super().put_status(name, status)
        if before is not None:
            self._record_all(name, events.of_status(before.status, status))

    def put_keys(self, name: str, keys: Keys) -> None:
        """Write an endpoint's keys."""
        self._report(name, Part.WANTED)
        super().put_keys(name, keys)

    def mark_deleting(self, name: str) -> None:
        """Mark an endpoint for deletion."""
        self._report(name, Part.WANTED)
        super().mark_deleting(name)

    def remove(self, name: str) -> None:
        """Forget an endpoint."""
        self._report(name, Part.PROGRESS)
        super().remove(name)

    def keep_revision(self, endpoint: str, version: str, revision: str, target: str, spec: VersionSpec) -> None:
        """Store compute target and spec of the serving revision."""
        self._report(endpoint, Part.PROGRESS)
        super().keep_revision(endpoint, version, revision, target, spec)

    def put_rollout(self, name: str, rollout: Rollout, seen: str = "{}") -> None:
        """Write the progress of a rollout."""
        before = self.find(name)
        self._report(name, Part.PROGRESS)
        super().put_rollout(name, rollout, seen)
        if before is not None:
            self._record_all(name, events.of_rollout(before.rollout, rollout))

    def restore(self, name: str, rows: EndpointRows | None) -> None:
        """Replace the rows of an endpoint by those that the API server has. This is no change to report."""
        super().put_rows(name, rows)

    def _record_all(self, name: str, happenings: Iterable[Happening]) -> None:
        for happening in happenings:
            self._record(name, happening)


class _RecordedScaling(ScalingHistory):
    """A scaling history whose decisions are recorded as events."""

    def __init__(self, database: Database, record: Record) -> None:
        super().__init__(database)
        self._record = record

    def add(self, endpoint: str, decision: ScalingDecision) -> None:
        super().add(endpoint, decision)
        self._record(endpoint, events.of_scaling(decision))
