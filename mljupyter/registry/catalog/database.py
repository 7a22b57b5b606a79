"""Open a database: a SQLite file of the workspace, or PostgreSQL by URL."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from mljupyter.errors import MLJupyterError
from mljupyter.files import make_private_directory
from mljupyter.outside import json_value
from mljupyter.registry.catalog.database_errors import damaged_file, explain, from_os_error, place_of, read_only_file
from mljupyter.registry.catalog.transactions import WRITES, reading, writing
from mljupyter.registry.catalog.upgrade import bring_up_to_date
from mljupyter.registry.errors import DatabaseError
from mljupyter.registry.locking import locked_directory

__all__ = ["open_database", "reading", "writing"]

BUSY_SECONDS = 30.0
FILE_MODE = 0o600


def open_database(url: str | URL, migrations: Path, *, version_table: str = "alembic_version") -> Engine:
    """Open a database, create it if necessary, and upgrade its schema to the newest revision.

    `url` is ``sqlite:///<file>`` or ``postgresql://...``. `migrations` is a directory whose ``versions/`` holds Alembic
    revision files named by number, ``0001_models.py`` with ``revision = "0001"`` and so on. `version_table` is the
    table that keeps the revision; packages that share one database take one each.

    A SQLite file gets mode 0600, write-ahead logging, foreign keys, and a timeout of 30 s for the locks of other
    writers. Several processes may open, create and upgrade it at the same time. Use `reading` and `writing` for
    transactions.

    Raises `DatabaseError` when the database is damaged, read-only, not reachable or written by a newer release, and
    `StorageFullError` when no space is left. The engine's own operations raise these too.
    """
    address = _parse(url)
    if address.get_backend_name() == "sqlite":
        path = Path(str(address.database)).absolute()
        address = address.set(database=str(path))
        try:
            _create_file(path, address, migrations, version_table)
            _check_file(path)
        except OSError as error:
            raise from_os_error(error, str(path), "Opening") from error
    engine = _engine(address)
    try:
        bring_up_to_date(engine, migrations, version_table)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _parse(url: str | URL) -> URL:
    try:
        address = make_url(url)
    except ArgumentError as error:
        # The text may contain a password, so it is not repeated.
        raise DatabaseError("The database URL does not have the form postgresql://user:password@host/name.") from error
    backend = address.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise DatabaseError(f"{backend!r} databases are not supported. Use sqlite:///<file> or postgresql://...")
    if address.drivername == "postgresql":
        # SQLAlchemy's default depends on its release: psycopg2 in 2.0, psycopg in 2.1.
        address = address.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and address.database in (None, "", ":memory:"):
        raise DatabaseError("A database in memory would be lost with its process. Use sqlite:///<file>.")
    return address


def _create_file(path: Path, address: URL, migrations: Path, version_table: str) -> None:
    """Create the file under another name and rename it when its schema is complete.

    So an empty or incomplete file under the final name is always a damaged database, never a new one.
    """
    if path.exists():
        return
    make_private_directory(path.parent)
    try:
        with locked_directory(path.parent, exclusive=True, timeout=BUSY_SECONDS):
            if path.exists():
                return
            log = path.with_name(path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise damaged_file(str(path), f"the file is missing, but its write-ahead log {log.name} is there")
            new = path.with_name(f".{path.name}.new")
            _remove(new)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
            os.fchmod(descriptor, FILE_MODE)
            os.close(descriptor)
            engine = _engine(address.set(database=str(new)))
            try:
                bring_up_to_date(engine, migrations, version_table)
                engine.dispose()
                new.rename(path)
            except BaseException:
                engine.dispose()
                _remove(new)
                raise
    except TimeoutError as error:
        raise DatabaseError(
            f"Another process has been creating a database in {path.parent} for {BUSY_SECONDS:g} s. Try again."
        ) from error


def _check_file(path: Path) -> None:
    """Refuse a file that SQLite would open as an empty or a read-only database. Remove the access of other users."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DatabaseError(f"{path} is not a file: choose another path for the database.")
    if status.st_size == 0:
        raise damaged_file(str(path), "the file is empty")
    if not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK)):
        raise read_only_file(str(path))
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        file = path.with_name(name)
        with suppress(FileNotFoundError):  # the last one that closes the database removes its log and index at any time
            status = file.stat()
            if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
                file.chmod(FILE_MODE)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _engine(address: URL) -> Engine:
    is_sqlite = address.get_backend_name() == "sqlite"
    try:
        engine = create_engine(
            address,
            connect_args={"timeout": BUSY_SECONDS} if is_sqlite else {},
            pool_pre_ping=not is_sqlite,  # a server may have been restarted since the last query of a notebook
            json_deserializer=partial(_json_of, place_of(address)),
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise DatabaseError(
            f"The database {place_of(address)} needs a driver that is not installed: {error}.\n"
            "Install it: pip install 'mljupyter[postgresql]'"
        ) from error
    if is_sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "handle_error", _translate_errors(address), retval=True)
    return engine


def _json_of(place: str, text: str | bytes) -> Any:
    try:
        return json_value(text)
    except ValueError as error:
        raise damaged_file(place, f"a value that should be JSON cannot be read ({error})") from None


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Otherwise Python's module begins transactions by its own rules, and none for reading or for a schema change.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _translate_errors(address: URL) -> Callable[[ExceptionContext], MLJupyterError | None]:
    def translate(context: ExceptionContext) -> MLJupyterError | None:
        return explain(context.original_exception, address, connecting=context.connection is None)

    return translate
