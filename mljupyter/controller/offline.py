"""Versions that the endpoints of a workspace need, read from the database without a running controller."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mljupyter.client.errors import StorageError
from mljupyter.controller.layout import Layout
from mljupyter.controller.storage.database import STEPS
from mljupyter.engine.replicas.revision import revision
from mljupyter.spec import EndpointSpec, VersionSpec

_BUSY_SECONDS = 10.0


@dataclass(frozen=True)
class NeededVersion:
    """A desired version of an endpoint, or its older revision that serves until the newer one can."""

    endpoint: str
    version: str
    revision: str
    target: str
    spec: VersionSpec

    @property
    def digests(self) -> set[str]:
        """The digests of its code and models."""
        code = {self.spec.code.digest} if self.spec.code is not None else set()
        return code | {model.digest for model in self.spec.models}


def needed_versions(directory: Path) -> list[NeededVersion]:
    """Return all versions that the endpoints of a workspace need now, including every accepted change.

    Raises:
        StorageError: when the file cannot be read, or was written by a newer release.

    """
    path = Layout.of(directory).database
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as connection:
            return _read(connection, path)
    except sqlite3.Error as error:
        raise StorageError(f"the controller's database {str(path)!r} cannot be read: {error}.") from None


def _read(connection: sqlite3.Connection, path: Path) -> list[NeededVersion]:
    known = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if known > len(STEPS):
        raise StorageError(
            f"{str(path)!r} was written by a newer release of mljupyter: this one cannot read what its endpoints need."
        )
    found = []
    for (text,) in connection.execute("SELECT spec FROM endpoints") if known else ():
        endpoint = EndpointSpec.parse(text)
        for name, spec in endpoint.versions.items():
            target = endpoint.compute_target
            found.append(NeededVersion(endpoint.name, name, revision(spec, target), target, spec))
    query = "SELECT endpoint, version, revision, target, spec FROM revisions"
    for name, version, mark, target, text in connection.execute(query) if known else ():
        found.append(NeededVersion(name, version, mark, target, VersionSpec.parse(text)))
    return found
