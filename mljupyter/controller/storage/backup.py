"""The backup of the controller's database, made after changes of the desired state, and restored after damage.

If there is a backup, a damaged, empty or missing database is never silently replaced by an empty one: the controller
does not start then, running replicas keep serving, and the error names the command to restore the backup.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from mljupyter.client.errors import ControllerError, ControllerStartError
from mljupyter.controller.layout import Layout
from mljupyter.controller.storage.lock import AlreadyRunningError, ControllerLock

WAY_BACK = "put the last copy in its place: mljupyter controller restore"
_SIDE_FILES = ("-wal", "-shm")
_BUSY_SECONDS = 1.0
_CUT_OFF = "SQLITE_IOERR_SHORT_READ"


def backup_of(database: Path) -> Path:
    """Return the path of a database's backup."""
    return database.with_name(f"{database.name}.backup")


def lost(database: Path) -> bool:
    """Return whether a database is missing or empty although there is a backup of it."""
    try:
        empty = database.is_file() and not database.stat().st_size
    except OSError:
        return False
    return backup_of(database).exists() and (empty or not database.exists())


def keep(connection: sqlite3.Connection, database: Path) -> None:
    """Copy an open database to its backup. The previous backup stays when this fails.

    Raises:
        sqlite3.Error: when it cannot be read or the copy cannot be written.
        OSError: when the copy cannot be written.

    """
    unfinished = backup_of(database).with_suffix(".new")
    try:
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # a single file, without a write-ahead log
            check(copy)  # if the database is damaged by now, the previous good copy stays
        unfinished.replace(backup_of(database))
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def check(connection: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` when a database is damaged."""
    if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(found)


def damage(database: Path) -> str | None:
    """Return the damage of a database that a controller has open, as another process finds it; None without damage."""
    try:
        if not database.stat().st_size:
            return "it is empty"
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as connection:
            check(connection)
    except FileNotFoundError:
        return "it is gone"
    except sqlite3.OperationalError as error:
        # Other errors come from the disk or from another writer. They are reported where the database is written.
        return "it is cut off" if error.sqlite_errorname == _CUT_OFF else None
    except (sqlite3.DatabaseError, OSError) as error:
        return str(error)
    return None


def restore(layout: Layout) -> Path:
    """Restore the controller's database from its backup. Return the new path of the replaced file.

    The endpoints then have their desired state at the time of the backup. The next controller adopts running replicas.

    Raises:
        ControllerError: when a controller runs, or there is no backup.

    """
    database = layout.database
    copy = backup_of(database)
    if not copy.exists():
        raise ControllerError(f"there is no copy of {str(database)!r} to restore.")
    if (found := damage(copy)) is not None:
        raise ControllerError(
            f"the copy {str(copy)!r} is damaged as well: {found}. Nothing was changed.\n"
            f"To begin without endpoints, remove both: rm {shlex.quote(str(copy))} {shlex.quote(str(database))}"
        )
    try:
        with ControllerLock(layout.lock):
            return put_back(database)
    except AlreadyRunningError:
        raise ControllerStartError(
            "a controller runs and uses the database. To restore the copy nevertheless, first: "
            "mljupyter controller stop"
        ) from None


def put_back(database: Path) -> Path:
    """Restore a database that no process has open from its backup. Return the new path of the replaced file."""
    aside = database.with_name(f"{database.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for ending in ("", *_SIDE_FILES):
        with suppress(FileNotFoundError):
            database.with_name(f"{database.name}{ending}").replace(f"{aside}{ending}")
    unfinished = database.with_name(f".{database.name}.restored")
    shutil.copyfile(backup_of(database), unfinished)
    unfinished.chmod(0o600)
    unfinished.replace(database)
    return aside
