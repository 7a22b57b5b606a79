"""A copy of the controller's database: made when what is wanted has changed, put back when it cannot be read.

A database that is damaged, empty or gone beside a copy is never replaced by an empty one without a word: the controller
does not start then, what runs keeps serving, and the error names the way back.
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
    """Return where the copy of a database is."""
    return database.with_name(f"{database.name}.backup")


def lost(database: Path) -> bool:
    """Return whether a database is gone or empty although there is a copy of it."""
    try:
        empty = database.is_file() and not database.stat().st_size
    except OSError:
        return False
    return backup_of(database).exists() and (empty or not database.exists())


def keep(connection: sqlite3.Connection, database: Path) -> None:
    """Copy a database that is open, in place of the copy before, which stays when this fails.

    Raises:
        sqlite3.Error: when it cannot be read or the copy cannot be written.
        OSError: when the copy cannot be written.

    """
    unfinished = backup_of(database).with_suffix(".new")
    try:
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, whole in itself
            check(copy)  # of one that has been damaged meanwhile: the good copy before stays
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
    """Return what is wrong with a database that a controller has open, as another process would find it."""
    try:
        if not database.stat().st_size:
            return "it is empty"
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as connection:
            check(connection)
    except FileNotFoundError:
        return "it is gone"
    except sqlite3.OperationalError as error:
        # Others are of the disk, or of somebody who writes: that is told where it is written.
        return "it is cut off" if error.sqlite_errorname == _CUT_OFF else None
    except (sqlite3.DatabaseError, OSError) as error:
        return str(error)
    return None


def restore(layout: Layout) -> Path:
    """Put the copy of the controller's database in its place; return where what was there is now.

    Endpoints are then wanted as they were when the copy was made; what serves is found again by the next controller.

    Raises:
        ControllerError: when a controller runs, or there is no copy.

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
    """Put the copy of a database that nobody has open in its place; return where what was there is now."""
    aside = database.with_name(f"{database.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for ending in ("", *_SIDE_FILES):
        with suppress(FileNotFoundError):
            database.with_name(f"{database.name}{ending}").replace(f"{aside}{ending}")
    unfinished = database.with_name(f".{database.name}.restored")
    shutil.copyfile(backup_of(database), unfinished)
    unfinished.chmod(0o600)
    unfinished.replace(database)
    return aside
