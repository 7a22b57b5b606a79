"""The controller's SQLite database: connection settings and schema migrations.

Unlike the workspace's database, it does not use SQLAlchemy, whose import would double the time that a first deployment
waits for the controller. This file belongs to one process on one machine.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mljupyter.client.errors import StorageError, way_out
from mljupyter.controller.storage import backup
from mljupyter.controller.storage.formats import format_of

# One entry for each version of the schema. A file's user_version is the number of entries that it has. An empty entry
# is for documents that older releases cannot read: a file gets its number with the first of them (`formats.py`).
STEPS = (
    """
    CREATE TABLE endpoints (
        name TEXT PRIMARY KEY,
        spec TEXT NOT NULL,
        status TEXT NOT NULL,
        generation INTEGER NOT NULL,
        resource_version INTEGER NOT NULL,
        created_time TEXT NOT NULL,
        updated_time TEXT NOT NULL,
        deleting INTEGER NOT NULL DEFAULT 0,
        primary_key TEXT,
        secondary_key TEXT
    );
    CREATE TABLE revisions (
        endpoint TEXT NOT NULL,
        version TEXT NOT NULL,
        revision TEXT NOT NULL,
        target TEXT NOT NULL,
        spec TEXT NOT NULL,
        PRIMARY KEY (endpoint, version)
    );
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    """,
    """
    CREATE TABLE history (
        endpoint TEXT NOT NULL,
        number INTEGER NOT NULL,
        time TEXT NOT NULL,
        user TEXT NOT NULL,
        action TEXT NOT NULL,
        changes TEXT NOT NULL,
        spec TEXT NOT NULL,
        PRIMARY KEY (endpoint, number)
    );
    CREATE TABLE rollouts (endpoint TEXT PRIMARY KEY, document TEXT NOT NULL, seen TEXT NOT NULL DEFAULT '{}');
    INSERT INTO history SELECT name, 1, updated_time, '', 'recorded', '[]', spec FROM endpoints;
    """,
    """
    CREATE TABLE scaling (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        endpoint TEXT NOT NULL,
        version TEXT NOT NULL,
        decision TEXT NOT NULL
    );
    CREATE INDEX scaling_by_version ON scaling (endpoint, version, number);
    """,
    "",
)


class Database:
    """A SQLite file for one process.

    Raises:
        StorageError: on opening, when the file is damaged or written by a newer release; on use, when it cannot be
            read or written.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._translated():
            if backup.lost(path):
                raise sqlite3.DatabaseError("it is missing or empty, but there is a copy of it")
            self._open()

    def damaged(self, reason: object) -> StorageError:
        """Return the error for invalid content."""
        return StorageError(
            f"the controller's database {str(self._path)!r} is damaged: {reason}. Endpoints keep serving.\n"
            f"To go on, {backup.WAY_BACK}"
        )

    def keep_backup(self) -> None:
        """Copy the file to its backup."""
        with self._translated():
            backup.keep(self._connection, self._path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def put_copy_back(self) -> Path:
        """Continue with the last backup. Return the new path of the replaced file."""
        with self._translated():
            self.close()
            aside = backup.put_back(self._path)
            self._open()
        return aside

    def _open(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        backup.check(self._connection)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._bring_up_to_date()

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        with self._translated():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction, which is committed when the block succeeds, else rolled back."""
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def keep_format(self, document: str) -> None:
        """Note, in the present transaction, which releases can read the file with this document."""
        needed = format_of(document)
        if needed > int(self._connection.execute("PRAGMA user_version").fetchone()[0]):
            self._connection.execute(f"PRAGMA user_version = {needed}")

    def _bring_up_to_date(self) -> None:
        known = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if known > len(STEPS):
            raise StorageError(
                f"{str(self._path)!r} was written by a newer release of mljupyter (schema {known}, this one knows "
                f"{len(STEPS)}). Install that release; endpoints keep serving."
            )
        newest = max(number for number, step in enumerate(STEPS, 1) if step)
        for number, step in enumerate(STEPS[known:newest], known + 1):
            self._connection.executescript(f"BEGIN; {step}; PRAGMA user_version = {number}; COMMIT;")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise StorageError(
                f"the controller's database {str(self._path)!r} fails: {error}. Endpoints keep serving.\n"
                + (way_out(error) or f"If it is damaged, {backup.WAY_BACK}")
            ) from None
