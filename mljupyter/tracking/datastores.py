"""Datastores: named places for files. Those of the workspace itself keep them in its artifact store."""

from __future__ import annotations

import builtins
import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, Row, delete, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mljupyter.ownership import user_name
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.catalog.changes import record_change
from mljupyter.registry.catalog.transactions import reading, writing
from mljupyter.spec.names import NameRule
from mljupyter.tracking.errors import DatastoreNotFoundError, TrackingError
from mljupyter.tracking.file_stores import ArtifactFiles, FileStore, UrlFiles, check_location
from mljupyter.tracking.tables import DATASTORE_FILES, DATASTORES

OWN, FOLDER, URL = "Artifacts", "Folder", "Url"
DEFAULT = "workspaceblobstore"
_BUILT_IN = (DEFAULT, "workspacefilestore")

DATASTORE = NameRule(
    "a datastore",
    re.compile(r"[a-zA-Z0-9_]{3,255}"),
    "3 to 255 letters, digits and '_'",
    "team_data",
)


@dataclass(frozen=True)
class DatastoreRecord:
    """A datastore as it was read. `location` is a folder or URL; None for those of the workspace."""

    name: str
    kind: str
    location: str | None
    is_default: bool
    created_by: str
    created_time: datetime


class Datastores:
    """Registers and finds datastores, and opens their files."""

    def __init__(self, engine: Engine, artifacts: ArtifactStore) -> None:
        self._engine = engine
        self._artifacts = artifacts

    def list(self) -> builtins.list[DatastoreRecord]:
        """Return all datastores by name. Those of the workspace itself always exist."""
        query = select(DATASTORES).order_by(DATASTORES.c.name)
        with reading(self._engine) as connection:
            found = [_record(row) for row in connection.execute(query)]
        if {*_BUILT_IN} <= {record.name for record in found}:
            return found
        for name in _BUILT_IN:
            self._insert(name, OWN, None, is_default=name == DEFAULT)
        with reading(self._engine) as connection:
            return [_record(row) for row in connection.execute(query)]

    def get(self, name: str) -> DatastoreRecord:
        """Return a datastore.

        Raises:
            DatastoreNotFoundError: there is none of this name; the text names those that exist.

        """
        found = {record.name: record for record in self.list()}
        if name in found:
            return found[name]
        near = difflib.get_close_matches(str(name), found, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(found)}."
        raise DatastoreNotFoundError(f"DatastoreNotFound: there is no datastore {name!r}. {hint}")

    def default(self) -> DatastoreRecord:
        """Return the default datastore."""
        return next(record for record in self.list() if record.is_default)

    def set_default(self, name: str) -> None:
        """Make a datastore the default one."""
        wanted = self.get(name).name
        with writing(self._engine) as connection:
            _make_default(connection, wanted)

    def register(self, name: str, location: str, *, overwrite: bool = False) -> DatastoreRecord:
        """Register a local folder or a URL of fsspec.

        Parameters:
            name: the name of the datastore.
            location: a folder, or a URL such as ``s3://bucket/data``; its credentials come from the environment.
            overwrite: replace a datastore of this name.

        Raises:
            SpecError: the name breaks the rule.
            TrackingError: the name is taken, or the location cannot be used.

        """
        DATASTORE.check(name)
        place = check_location(location)
        present = {record.name: record for record in self.list()}.get(name)
        if name in _BUILT_IN or (present is not None and not overwrite and present.location != place):
            raise TrackingError(
                f"There is a datastore {name!r} already"
                + (", the workspace's own." if name in _BUILT_IN else ". Pass overwrite=True to replace it.")
            )
        kind = URL if "://" in place else FOLDER
        if present is None:
            self._insert(name, kind, place)
        else:
            with writing(self._engine) as connection:
                mine = DATASTORES.c.name == name
                connection.execute(update(DATASTORES).where(mine).values(kind=kind, location=place))
                record_change(connection, "datastore", name, "changed", [f"location: {place}"])
        return self.get(name)

    def unregister(self, name: str) -> None:
        """Forget a datastore; its files stay.

        Raises:
            DatastoreNotFoundError: there is none of this name.
            TrackingError: it is one of the workspace itself.

        """
        record = self.get(name)
        if record.kind == OWN:
            raise TrackingError(f"The datastore {name!r} is the workspace's own: it cannot be unregistered.")
        with writing(self._engine) as connection:
            connection.execute(delete(DATASTORES).where(DATASTORES.c.name == name))
            record_change(connection, "datastore", name, "unregistered")
            if record.is_default:
                _make_default(connection, DEFAULT)

    def files(self, name: str) -> FileStore:
        """Return the files of a datastore.

        Raises:
            DatastoreNotFoundError: there is none of this name.
            DataError: its file system cannot be used here.

        """
        record = self.get(name)
        if record.kind == OWN or record.location is None:
            return ArtifactFiles(self._engine, self._artifacts, record.name)
        return UrlFiles(record.location, record.name)

    def digests(self) -> set[str]:
        """Return the digests of the files of all datastores, which the garbage collector must keep."""
        with reading(self._engine) as connection:
            return set(connection.execute(select(DATASTORE_FILES.c.digest).distinct()).scalars())

    def _insert(self, name: str, kind: str, location: str | None, *, is_default: bool = False) -> None:
        values = {
            "name": name,
            "kind": kind,
            "location": location,
            "is_default": is_default,
            "created_by": user_name(),
            "created_time": datetime.now(UTC),
        }
        try:
            with writing(self._engine) as connection:
                if not connection.execute(select(DATASTORES.c.name).where(DATASTORES.c.name == name)).first():
                    connection.execute(insert(DATASTORES).values(values))
                    if kind != OWN:
                        record_change(connection, "datastore", name, "registered", [f"location: {location}"])
        except IntegrityError:
            pass  # registered concurrently by another process


def _make_default(connection: Connection, name: str) -> None:
    connection.execute(update(DATASTORES).values(is_default=DATASTORES.c.name == name))


def _record(row: Row[Any]) -> DatastoreRecord:
    return DatastoreRecord(**row._mapping)
