"""The controller's store: specs and status of endpoints, their keys, and specs of earlier revisions."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mljupyter.client.errors import EndpointNotFoundError, StorageError
from mljupyter.controller.storage import history
from mljupyter.controller.storage.database import Database
from mljupyter.controller.storage.history import Change
from mljupyter.controller.storage.keys import Keys
from mljupyter.controller.storage.scaling_history import ScalingHistory
from mljupyter.engine.changes import Changes
from mljupyter.errors import MLJupyterError
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointStatus, Problem, Rollout, VersionSpec
from mljupyter.spec.history import HistoryEntry

EndpointRows = Mapping[str, Sequence[Mapping[str, Any]]]
"""The stored rows of one endpoint, by table."""

_OF_ENDPOINT = ("revisions", "history", "rollouts")
_PUT_ROLLOUT = "INSERT OR REPLACE INTO rollouts (endpoint, document, seen) VALUES (?, ?, ?)"


class Store:
    """The controller's store. Every write is one transaction; a failed one raises `StorageError`.

    All data is cached in memory, since the controller is the only writer of the database.

    Attributes:
        changes: the names of endpoints that were written or removed, for readers that look at changed ones alone.

    """

    def __init__(self, path: Path) -> None:
        self.changes = Changes(uuid.uuid4().hex)
        self._database = Database(path)
        self.scaling = ScalingHistory(self._database)
        try:
            newest = self._database.rows("SELECT max(resource_version) AS newest FROM endpoints")[0]["newest"]
            self._resource_version = int(newest or 0)
            names = [row["name"] for row in self._database.rows("SELECT name FROM endpoints")]
            self._records = {name: self._read(name) for name in names}
        except (MLJupyterError, ValueError, LookupError, TypeError) as error:
            self._database.close()
            raise error if isinstance(error, StorageError) else self._database.damaged(error) from None
        self._backup_due = True
        self._unwritten: set[str] = set()  # names of endpoints whose status is in memory only
        self.problem: Problem | None = None

    def keep_backup(self) -> None:
        """Copy the database, if more than observed status has changed since the last copy.

        Statuses that could not be written before are written first.
        """
        for name in [name for name in self._unwritten if name in self._records]:
            self.put_status(name, self._records[name].status)
        if self._backup_due:
            self._database.keep_backup()
            self._backup_due = False

    def mend(self, damage: str) -> Path | None:
        """Continue with the last copy of the database after the file was damaged or removed while it was in use.

        Nothing is lost if the copy has the whole desired state, since the observed status is in memory. If a change is
        not in the copy yet, only `problem` is set. Returns the new path of the damaged file.

        Raises:
            StorageError: when the copy cannot be restored.

        """
        if self._backup_due:
            error = self._database.damaged(damage)
            self.problem = Problem(code=error.code, message=error.message)
            return None
        aside = self._database.put_copy_back()
        for name, record in self._records.items():
            self.put_status(name, record.status)
        self.problem = None
        return aside

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def names(self) -> list[str]:
        """Return the names of all endpoints."""
        return sorted(self._records)

    def find(self, name: str) -> EndpointRecord | None:
        """Return an endpoint, or None when the name is unknown."""
        return self._records.get(name)

    def get(self, name: str) -> EndpointRecord:
        """Return an endpoint, or raise `EndpointNotFoundError`."""
        record = self.find(name)
        if record is None:
            raise EndpointNotFoundError.named(name, self.names())
        return record

    def put(
        self,
        spec: EndpointSpec,
        status: EndpointStatus,
        keys: Keys | None,
        change: Change = history.UNNAMED,
        rollout: Rollout | None = None,
    ) -> EndpointRecord:
        """Write the desired state, as a new generation of an existing or a new endpoint.

        The same transaction adds an entry to the history, and writes the end of the `rollout` that caused the change.
        """
        before = self.find(spec.name)
        now = datetime.now(UTC).isoformat()
        pair = (keys.primary, keys.secondary) if keys else (None, None)
        with self._wanted() as connection:
            self._database.keep_format(spec.json_text())
            connection.execute(
                """
                INSERT INTO endpoints (name, spec, status, generation, resource_version, created_time, updated_time,
                                       primary_key, secondary_key)
                VALUES (?1, ?2, ?3, 1, ?4, ?5, ?5, ?6, ?7)
                ON CONFLICT (name) DO UPDATE SET spec = ?2, status = ?3, generation = generation + 1,
                    resource_version = ?4, updated_time = ?5, deleting = 0, primary_key = ?6, secondary_key = ?7
                """,
                (spec.name, spec.json_text(), status.json_text(), self._next(), now, *pair),
            )
            history.add(connection, before.spec if before else None, spec, change, now)
            if rollout is not None:
                connection.execute(_PUT_ROLLOUT, (spec.name, rollout.json_text(), "{}"))
        return self._keep(spec.name, self._read(spec.name))

    def put_status(self, name: str, status: EndpointStatus) -> None:
        """Write the observed status of an endpoint. Clients get it even if it cannot be written."""
        record = self._records.get(name)
        if record is not None:
            update = {"status": status, "resource_version": self._next()}
            self._keep(name, record.model_copy(update=update))
            self._unwritten.add(name)
        self._update(name, "status = ?", status.json_text(), wanted=False)
        self._unwritten.discard(name)

    def put_keys(self, name: str, keys: Keys) -> None:
        """Write an endpoint's keys."""
        self._update(name, "primary_key = ?, secondary_key = ?", keys.primary, keys.secondary)

    def mark_deleting(self, name: str) -> None:
        """Mark an endpoint for deletion."""
        self._update(name, "deleting = 1")

    def keys(self, name: str) -> Keys | None:
        """Return an endpoint's keys, or None when it has none."""
        rows = self._database.rows("SELECT primary_key, secondary_key FROM endpoints WHERE name = ?", name)
        if not rows or rows[0]["primary_key"] is None:
            return None
        return Keys(rows[0]["primary_key"], rows[0]["secondary_key"])

    def remove(self, name: str) -> None:
        """Forget an endpoint, its revisions, its history and its rollout."""
        with self._wanted() as connection:
            connection.execute("DELETE FROM endpoints WHERE name = ?", (name,))
            for table in ("revisions", "history", "rollouts", "scaling"):
                connection.execute(f"DELETE FROM {table} WHERE endpoint = ?", (name,))  # noqa: S608 - ours
        self._drop(name)

    def revision(self, endpoint: str, version: str, revision: str) -> tuple[str, VersionSpec] | None:
        """Return compute target and spec of the stored revision of a version, if it is this one."""
        query = "SELECT target, spec FROM revisions WHERE endpoint = ? AND version = ? AND revision = ?"
        rows = self._database.rows(query, endpoint, version, revision)
        return (rows[0]["target"], VersionSpec.parse(rows[0]["spec"])) if rows else None

    def keep_revision(self, endpoint: str, version: str, revision: str, target: str, spec: VersionSpec) -> None:
        """Store compute target and spec of the serving revision, replacing the previous one."""
        with self._wanted() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO revisions (endpoint, version, revision, target, spec) VALUES (?, ?, ?, ?, ?)",
                (endpoint, version, revision, target, spec.json_text()),
            )

    def history(self, name: str) -> list[HistoryEntry]:
        """Return the stored changes of an endpoint, the oldest first."""
        return history.read(self._database, name)

    def put_rollout(self, name: str, rollout: Rollout, seen: str = "{}") -> None:
        """Write the progress of a rollout, and the counts for its next observation."""
        if name not in self._records:
            return
        with self._wanted() as connection:
            connection.execute(_PUT_ROLLOUT, (name, rollout.json_text(), seen))
            connection.execute("UPDATE endpoints SET resource_version = ? WHERE name = ?", (self._next(), name))
        self._keep(name, self._read(name))

    def seen(self, name: str) -> str:
        """Return the counts of the last `put_rollout`."""
        rows = self._database.rows("SELECT seen FROM rollouts WHERE endpoint = ?", name)
        return str(rows[0]["seen"]) if rows else "{}"

    def rows(self, name: str) -> EndpointRows | None:
        """Return everything that is stored of an endpoint, for a copy elsewhere; None when the name is unknown."""
        if name not in self._records:
            return None
        found = {"endpoints": self._database.rows("SELECT * FROM endpoints WHERE name = ?", name)}
        for table in _OF_ENDPOINT:
            found[table] = self._database.rows(f"SELECT * FROM {table} WHERE endpoint = ?", name)  # noqa: S608 - ours
        return {table: [dict(row) for row in rows] for table, rows in found.items()}

    def put_rows(self, name: str, rows: EndpointRows | None) -> None:
        """Replace everything that is stored of an endpoint by the result of an earlier `rows`; None removes it.

        Raises:
            StorageError: when the rows are not those of an endpoint. Nothing is changed then.

        """
        with self._wanted() as connection:
            connection.execute("DELETE FROM endpoints WHERE name = ?", (name,))
            for table in _OF_ENDPOINT:
                connection.execute(f"DELETE FROM {table} WHERE endpoint = ?", (name,))  # noqa: S608 - ours
            for table in ("endpoints", *_OF_ENDPOINT) if rows is not None else ():
                for row in rows[table] if rows is not None else ():
                    names, places = ", ".join(row), ", ".join("?" * len(row))
                    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(row.values()))  # noqa: S608 - ours
            if rows is not None:
                connection.execute("UPDATE endpoints SET resource_version = ? WHERE name = ?", (self._next(), name))
        if rows is None:
            self._drop(name)
        else:
            self._keep(name, self._read(name))

    def setting(self, name: str) -> str | None:
        """Return a setting."""
        rows = self._database.rows("SELECT value FROM settings WHERE name = ?", name)
        return str(rows[0]["value"]) if rows else None

    def put_setting(self, name: str, value: str) -> None:
        """Write a setting."""
        with self._wanted() as connection:
            self._database.keep_format(value)
            connection.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))

    @contextmanager
    def _wanted(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection to write desired state, which must not be lost."""
        with self._database.writing() as connection:
            yield connection
        self._backup_due = True

    def _update(self, name: str, assignments: str, *values: object, wanted: bool = True) -> None:
        if name not in self._records:
            return
        with self._wanted() if wanted else self._database.writing() as connection:
            connection.execute(
                f"UPDATE endpoints SET {assignments}, resource_version = ? WHERE name = ?",  # noqa: S608 - ours
                (*values, self._next(), name),
            )
        self._keep(name, self._read(name))

    def _keep(self, name: str, record: EndpointRecord) -> EndpointRecord:
        self._records[name] = record
        self.changes.note(name)
        return record

    def _drop(self, name: str) -> None:
        if self._records.pop(name, None) is not None:
            self.changes.note(name)

    def _read(self, name: str) -> EndpointRecord:
        row = self._database.rows("SELECT * FROM endpoints WHERE name = ?", name)[0]
        rollouts = self._database.rows("SELECT document FROM rollouts WHERE endpoint = ?", name)
        return EndpointRecord(
            spec=EndpointSpec.parse(row["spec"]),
            status=EndpointStatus.parse(row["status"]),
            generation=row["generation"],
            resource_version=row["resource_version"],
            created_time=datetime.fromisoformat(row["created_time"]),
            updated_time=datetime.fromisoformat(row["updated_time"]),
            deleting=bool(row["deleting"]),
            rollout=Rollout.parse(rollouts[0]["document"]) if rollouts else None,
        )

    def _next(self) -> int:
        self._resource_version += 1
        return self._resource_version
