"""What the controller remembers: endpoints as wanted and observed, their keys, and specs of earlier revisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from mljupyter.controller.errors import EndpointNotFoundError, StorageError
from mljupyter.controller.keys import Keys
from mljupyter.registry.database import open_database, reading, writing
from mljupyter.registry.errors import DatabaseError, StorageFullError
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointStatus, VersionSpec

MIGRATIONS = Path(__file__).parent / "migrations"
metadata = sql.MetaData()
endpoints = sql.Table(
    "endpoints",
    metadata,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("spec", sql.Text, nullable=False),
    sql.Column("status", sql.Text, nullable=False),
    sql.Column("generation", sql.Integer, nullable=False),
    sql.Column("resource_version", sql.Integer, nullable=False),
    sql.Column("created_time", sql.String, nullable=False),
    sql.Column("updated_time", sql.String, nullable=False),
    sql.Column("deleting", sql.Boolean, nullable=False),
    sql.Column("primary_key", sql.String),
    sql.Column("secondary_key", sql.String),
)
revisions = sql.Table(
    "revisions",
    metadata,
    sql.Column("endpoint", sql.String, primary_key=True),
    sql.Column("version", sql.String, primary_key=True),
    sql.Column("revision", sql.String, primary_key=True),
    sql.Column("spec", sql.Text, nullable=False),
)
settings = sql.Table(
    "settings",
    metadata,
    sql.Column("name", sql.String, primary_key=True),
    sql.Column("value", sql.String, nullable=False),
)


class Store:
    """The controller's database. Every write is one transaction; a failed one raises `StorageError`."""

    def __init__(self, path: Path) -> None:
        self._engine = open_database(f"sqlite:///{path}", MIGRATIONS)
        with self._reading() as connection:
            newest = connection.scalar(sql.select(sql.func.max(endpoints.c.resource_version)))
        self._resource_version = int(newest or 0)

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def names(self) -> list[str]:
        """Return the names of all endpoints."""
        with self._reading() as connection:
            return list(connection.scalars(sql.select(endpoints.c.name).order_by(endpoints.c.name)))

    def find(self, name: str) -> EndpointRecord | None:
        """Return an endpoint, or None when there is none of this name."""
        with self._reading() as connection:
            row = connection.execute(sql.select(endpoints).where(endpoints.c.name == name)).mappings().first()
        if row is None:
            return None
        return EndpointRecord(
            spec=EndpointSpec.parse(row["spec"]),
            status=EndpointStatus.parse(row["status"]),
            generation=row["generation"],
            resource_version=row["resource_version"],
            created_time=datetime.fromisoformat(row["created_time"]),
            updated_time=datetime.fromisoformat(row["updated_time"]),
            deleting=row["deleting"],
        )

    def get(self, name: str) -> EndpointRecord:
        """Return an endpoint, or raise `EndpointNotFoundError`."""
        record = self.find(name)
        if record is None:
            raise EndpointNotFoundError(f"WebserviceNotFound: no endpoint {name!r} in this workspace.")
        return record

    def put(self, spec: EndpointSpec, status: EndpointStatus, keys: Keys | None) -> EndpointRecord:
        """Write what is wanted, as a new generation of an endpoint that may be new too."""
        before = self.find(spec.name)
        now = datetime.now(UTC).isoformat()
        values = {
            "spec": spec.json_text(),
            "status": status.json_text(),
            "generation": before.generation + 1 if before else 1,
            "resource_version": self._next(),
            "updated_time": now,
            "deleting": False,
            "primary_key": keys.primary if keys else None,
            "secondary_key": keys.secondary if keys else None,
        }
        with self._writing() as connection:
            if before is None:
                connection.execute(sql.insert(endpoints).values(name=spec.name, created_time=now, **values))
            else:
                connection.execute(sql.update(endpoints).where(endpoints.c.name == spec.name).values(**values))
        return self.get(spec.name)

    def put_status(self, name: str, status: EndpointStatus) -> None:
        """Write what is observed of an endpoint."""
        self._update(name, status=status.json_text())

    def put_keys(self, name: str, keys: Keys) -> None:
        """Write an endpoint's keys."""
        self._update(name, primary_key=keys.primary, secondary_key=keys.secondary)

    def mark_deleting(self, name: str) -> None:
        """Note that an endpoint is to go."""
        self._update(name, deleting=True)

    def keys(self, name: str) -> Keys | None:
        """Return an endpoint's keys, or None where it has none."""
        columns = (endpoints.c.primary_key, endpoints.c.secondary_key)
        with self._reading() as connection:
            row = connection.execute(sql.select(*columns).where(endpoints.c.name == name)).first()
        return Keys(row[0], row[1]) if row is not None and row[0] is not None else None

    def remove(self, name: str) -> None:
        """Forget an endpoint and its revisions."""
        with self._writing() as connection:
            connection.execute(sql.delete(endpoints).where(endpoints.c.name == name))
            connection.execute(sql.delete(revisions).where(revisions.c.endpoint == name))

    def revision(self, endpoint: str, version: str, revision: str) -> VersionSpec | None:
        """Return the spec of an earlier revision of a version."""
        query = sql.select(revisions.c.spec).where(
            revisions.c.endpoint == endpoint, revisions.c.version == version, revisions.c.revision == revision
        )
        with self._reading() as connection:
            text = connection.scalar(query)
        return VersionSpec.parse(text) if text is not None else None

    def keep_revision(self, endpoint: str, version: str, revision: str, spec: VersionSpec) -> None:
        """Keep the spec of the revision that serves, in place of the one kept before."""
        mine = sql.and_(revisions.c.endpoint == endpoint, revisions.c.version == version)
        with self._writing() as connection:
            connection.execute(sql.delete(revisions).where(mine))
            connection.execute(
                sql.insert(revisions).values(
                    endpoint=endpoint, version=version, revision=revision, spec=spec.json_text()
                )
            )

    def setting(self, name: str) -> str | None:
        """Return a setting."""
        with self._reading() as connection:
            return connection.scalar(sql.select(settings.c.value).where(settings.c.name == name))

    def put_setting(self, name: str, value: str) -> None:
        """Write a setting."""
        with self._writing() as connection:
            connection.execute(sql.delete(settings).where(settings.c.name == name))
            connection.execute(sql.insert(settings).values(name=name, value=value))

    def _update(self, name: str, **values: object) -> None:
        values["resource_version"] = self._next()
        with self._writing() as connection:
            connection.execute(sql.update(endpoints).where(endpoints.c.name == name).values(**values))

    def _next(self) -> int:
        self._resource_version += 1
        return self._resource_version

    @contextmanager
    def _reading(self) -> Iterator[sql.Connection]:
        with _translated(), reading(self._engine) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sql.Connection]:
        with _translated(), writing(self._engine) as connection:
            yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (DatabaseError, StorageFullError) as error:
        raise StorageError(f"{error.message}\nEndpoints keep serving.") from None
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StorageError(f"the controller's database fails: {cause}. Endpoints keep serving.") from None
