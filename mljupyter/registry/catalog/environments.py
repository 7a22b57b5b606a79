"""The environment registry: definitions by name, with versions numbered from 1 and labels that point at versions.

It stores documents as they are. `mljupyter.build` knows their meaning.
"""

from __future__ import annotations

import builtins
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, Row, delete, func, insert, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mljupyter.errors import MLJupyterError
from mljupyter.ownership import user_name
from mljupyter.registry.catalog.changes import record_change
from mljupyter.registry.catalog.environment_tables import ENVIRONMENT_LABELS, ENVIRONMENTS
from mljupyter.registry.catalog.row_check import check_row
from mljupyter.registry.catalog.transactions import reading, writing
from mljupyter.registry.catalog.versioned import stored_number
from mljupyter.spec import SpecError
from mljupyter.spec.names import NameRule

LATEST = "latest"
_RESERVED = ("microsoft", "azureml")
_ATTEMPTS = 10

ENVIRONMENT = NameRule(
    "an environment",
    re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9\-._]{0,254}"),
    "1 to 255 letters, digits, '-', '.' and '_'; a letter, digit or '_' first",
    "serving",
)


class EnvironmentNotFoundError(MLJupyterError):
    """No registered environment has a name, version or label. The text starts with ``EnvironmentNotFound:``."""


@dataclass(frozen=True)
class EnvironmentRecord:
    """A registered environment. `password` is for the base image's registry."""

    name: str
    version: int
    fingerprint: str
    definition: Mapping[str, Any] = field(repr=False)
    password: str | None = field(repr=False)
    created_by: str
    created_time: datetime

    @property
    def id(self) -> str:
        """The id, ``name:version``."""
        return f"{self.name}:{self.version}"


class EnvironmentRegistry:
    """Registers and finds environments. Any number of processes may use it at the same time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(
        self, name: str, definition: Mapping[str, Any], fingerprint: str, *, password: str | None = None
    ) -> EnvironmentRecord:
        """Register a definition as the next version of the environment `name`, unless it equals the newest version.

        Parameters:
            name: its name. Names that begin with Microsoft or AzureML are reserved (Azure ML v1: environments).
            definition: a document, without name, version and secrets.
            fingerprint: its fingerprint, for `with_fingerprint`.
            password: the password for the base image's registry.

        Raises:
            SpecError: for an invalid name.

        """
        check_name(name)
        for attempt in range(_ATTEMPTS):
            try:
                with writing(self._engine) as connection:
                    return _add(connection, name, dict(definition), fingerprint, password)
            except IntegrityError:
                # Another process took the version in the meantime. (With SQLite, writers wait for each other instead.)
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError  # not reached: the last attempt returns or raises

    def get(self, name: str, version: int | None = None, *, label: str | None = None) -> EnvironmentRecord:
        """Return a version of an environment: by number, by label, else the newest.

        Raises:
            EnvironmentNotFoundError: with the nearest name, or the existing versions or labels.

        """
        with reading(self._engine) as connection:
            if label is not None and label.lower() != LATEST:
                wanted = (ENVIRONMENT_LABELS.c.name == name) & (ENVIRONMENT_LABELS.c.label == label)
                version = connection.execute(select(ENVIRONMENT_LABELS.c.version).where(wanted)).scalar()
                if version is None:
                    raise EnvironmentNotFoundError(_no_such(connection, name, None, label))
            return _find(connection, name, version)

    def list(self) -> builtins.list[EnvironmentRecord]:
        """Return the newest version of each environment, sorted by name."""
        newer = ENVIRONMENTS.alias()
        newest = select(func.max(newer.c.version)).where(newer.c.name == ENVIRONMENTS.c.name).scalar_subquery()
        query = select(ENVIRONMENTS).where(ENVIRONMENTS.c.version == newest).order_by(ENVIRONMENTS.c.name)
        with reading(self._engine) as connection:
            return [_record(row) for row in connection.execute(query)]

    def with_fingerprint(self, fingerprint: str) -> builtins.list[EnvironmentRecord]:
        """Return the environments with a fingerprint, the oldest first."""
        query = select(ENVIRONMENTS).where(ENVIRONMENTS.c.fingerprint == fingerprint)
        with reading(self._engine) as connection:
            return [_record(row) for row in connection.execute(query.order_by(ENVIRONMENTS.c.created_time))]

    def label(self, name: str, version: int, labels: Iterable[str]) -> None:
        """Point labels at a version. A label of a name points at one version at a time.

        Raises:
            EnvironmentNotFoundError: when the version does not exist.
            SpecError: for the label ``latest``, which is always the newest version, or a label that is not a string.

        """
        wanted = list(dict.fromkeys(labels))
        for label in wanted:
            if not isinstance(label, str) or not label.strip() or label.lower() == LATEST:
                raise SpecError(f"{label!r} cannot be a label. Rule: a string that is not empty and not {LATEST!r}.")
        with writing(self._engine) as connection:
            _find(connection, name, version)
            mine = (ENVIRONMENT_LABELS.c.name == name) & ENVIRONMENT_LABELS.c.label.in_(wanted)
            connection.execute(delete(ENVIRONMENT_LABELS).where(mine))
            for label in wanted:
                connection.execute(insert(ENVIRONMENT_LABELS).values(name=name, label=label, version=version))
            record_change(connection, "environment", f"{name}:{version}", "labelled", wanted)

    def labels(self, name: str, version: int) -> builtins.list[str]:
        """Return the labels of a version, in alphabetical order."""
        mine = (ENVIRONMENT_LABELS.c.name == name) & (ENVIRONMENT_LABELS.c.version == version)
        with reading(self._engine) as connection:
            return sorted(connection.execute(select(ENVIRONMENT_LABELS.c.label).where(mine)).scalars())

    def digests(self) -> set[str]:
        """Return the digests of the build contexts of all environments, which the garbage collector must keep."""
        with reading(self._engine) as connection:
            documents = connection.execute(select(ENVIRONMENTS.c.definition)).scalars()
            contexts = [(document.get("docker") or {}).get("buildContext") or {} for document in documents]
        places = {str(context.get("location")) for context in contexts}
        return {place for place in places if place.startswith("sha256:")}


def check_name(name: object) -> str:
    """Return a name that may be registered, or raise `SpecError`."""
    text = ENVIRONMENT.check(name)
    if text.lower().startswith(_RESERVED):
        raise SpecError(
            f"{text!r} cannot be registered: names that begin with Microsoft or AzureML are reserved for curated "
            "environments. Clone it under another name: environment.clone('serving')"
        )
    return text


def _add(
    connection: Connection, name: str, definition: dict[str, Any], fingerprint: str, password: str | None
) -> EnvironmentRecord:
    newest = _newest(connection, name)
    if newest is not None and (dict(newest.definition), newest.password) == (definition, password):
        return newest
    version = newest.version + 1 if newest is not None else 1
    values = {
        "id": f"{name}:{version}",
        "name": name,
        "version": version,
        "fingerprint": fingerprint,
        "definition": definition,
        "password": password,
        "created_by": user_name(),
        "created_time": datetime.now(UTC),
    }
    connection.execute(insert(ENVIRONMENTS).values(values))
    record_change(connection, "environment", f"{name}:{version}", "registered")
    return _find(connection, name, version)


def _newest(connection: Connection, name: str) -> EnvironmentRecord | None:
    query = select(ENVIRONMENTS).where(ENVIRONMENTS.c.name == name).order_by(ENVIRONMENTS.c.version.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _record(row)


def _find(connection: Connection, name: str, version: int | None) -> EnvironmentRecord:
    if version is None:
        found = _newest(connection, name)
    else:
        mine = (ENVIRONMENTS.c.name == name) & (ENVIRONMENTS.c.version == stored_number(version))
        row = connection.execute(select(ENVIRONMENTS).where(mine)).first()
        found = None if row is None else _record(row)
    if found is None:
        raise EnvironmentNotFoundError(_no_such(connection, name, version, None))
    return found


def _no_such(connection: Connection, name: str, version: int | None, label: str | None) -> str:
    numbers = select(ENVIRONMENTS.c.version).where(ENVIRONMENTS.c.name == name).order_by(ENVIRONMENTS.c.version.desc())
    if versions := [str(number) for number in connection.execute(numbers).scalars()]:
        if label is None:
            return f"EnvironmentNotFound: the environment {name!r} has no version {version}. It has: {_some(versions)}."
        mine = select(ENVIRONMENT_LABELS.c.label).where(ENVIRONMENT_LABELS.c.name == name)
        labels = [LATEST, *sorted(connection.execute(mine).scalars())]
        return f"EnvironmentNotFound: the environment {name!r} has no label {label!r}. It has: {_some(labels)}."
    known = sorted(connection.execute(select(ENVIRONMENTS.c.name).distinct()).scalars())
    if near := difflib.get_close_matches(str(name), known, n=1, cutoff=0.5):
        return f"EnvironmentNotFound: no environment is called {name!r}. Did you mean {near[0]!r}?"
    hint = f"There are: {_some(known)}." if known else "None is registered yet: use environment.register(ws)."
    return f"EnvironmentNotFound: no environment is called {name!r}. {hint}"


def _some(items: builtins.list[str]) -> str:
    return ", ".join(items[:10]) + (", ..." if len(items) > 10 else "")


def _record(row: Row[Any]) -> EnvironmentRecord:
    check_row(row, ENVIRONMENT)
    return EnvironmentRecord(
        name=row.name,
        version=row.version,
        fingerprint=row.fingerprint,
        definition=row.definition,
        password=row.password,
        created_by=row.created_by,
        created_time=row.created_time,
    )
