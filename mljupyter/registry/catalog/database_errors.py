"""Translate the errors of database drivers: the database, the problem, and a remedy."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy.engine import URL

from mljupyter.errors import MLJupyterError
from mljupyter.registry.errors import FULL_DISK_ERRNOS, DatabaseError, storage_full

# PostgreSQL: disk_full.
_DISK_FULL_STATE = "53100"
_LITTLE_SPACE = 1 << 16
MOVED = "moved to a shared database"
"""The text of the triggers that keep a migrated SQLite file from changes."""


def place_of(url: URL) -> str:
    """Return the name of a database in messages: its file, or its URL without the password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.render_as_string(hide_password=True)


def explain(error: BaseException, url: URL, *, connecting: bool) -> MLJupyterError | None:
    """Return the error to raise instead of a driver's, None if the driver's own is to be raised."""
    if isinstance(error, UnicodeEncodeError) or "cannot contain NUL" in str(error):
        return DatabaseError(
            f"A value has a character that {place_of(url)} cannot store: half of a surrogate pair or a NUL (\\0).\n"
            "Nothing was changed. Remove the character and try again."
        )
    if url.get_backend_name() == "sqlite":
        return _explain_sqlite(error, url)
    if getattr(error, "sqlstate", None) == _DISK_FULL_STATE:
        return storage_full(place_of(url), None, "a database change", "the database server's disk is full")
    if connecting:
        first_line = str(error).strip().partition("\n")[0]
        return DatabaseError(
            f"No connection to the database {place_of(url)}: {first_line}\n"
            "Check that the server runs, that the URL is right and that the user may connect."
        )
    return None


def from_os_error(error: OSError, place: str, doing: str) -> MLJupyterError:
    """Return the error for a file system that refuses an operation on a database file."""
    reason = error.strerror or str(error)
    if error.errno in FULL_DISK_ERRNOS:
        return storage_full(place, None, "the database", reason)
    return DatabaseError(f"{doing} the database {place} failed: {reason}.\nCheck the path and its permissions.")


def damaged_file(place: str, how: str) -> DatabaseError:
    """Return the error for a damaged database file."""
    return DatabaseError(
        f"{place} is damaged: {how}. Nothing was changed.\n"
        "Restore the file from a backup, or move it away to start with an empty workspace."
    )


def read_only_file(place: str) -> DatabaseError:
    """Return the error for a read-only database file."""
    return DatabaseError(
        f"{place} is read-only for this user, but a workspace must be writable.\n"
        f"Get write access to the file and to {Path(place).parent}, or use another workspace directory."
    )


def _explain_sqlite(error: BaseException, url: URL) -> MLJupyterError | None:
    place = place_of(url)
    code = getattr(error, "sqlite_errorname", "")
    if code == "SQLITE_CONSTRAINT_TRIGGER" and MOVED in str(error):
        return DatabaseError(
            f"{place} was moved to a shared database, and takes no changes any more. Nothing was changed.\n"
            "Restart this notebook or program: it opens the workspace where it is now."
        )
    if code == "SQLITE_FULL" or (code.startswith("SQLITE_IOERR") and _is_full(place)):
        return storage_full(place, None, "a database change", "database or disk is full")
    # Our statements are fixed. So a table or column that SQLite does not find was removed after its creation.
    unknown = code == "SQLITE_ERROR" and str(error).startswith(("no such", "malformed"))
    if unknown or code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT", "SQLITE_MISMATCH")):
        return damaged_file(place, str(error))
    # Python's sqlite3 module raises this one itself, without an error code of SQLite. Its message contains the value,
    # which may be a secret.
    if str(error).startswith("Could not decode to UTF-8"):
        return damaged_file(place, "a value is not valid UTF-8")
    if code.startswith("SQLITE_READONLY"):
        return read_only_file(place)
    if code.startswith("SQLITE_BUSY"):
        return DatabaseError(f"{place} stayed locked by another process for 30 s. Try again when that process is done.")
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_IOERR")):
        return DatabaseError(f"{place} cannot be read or written: {error}.\nCheck path, permissions and disk.")
    return None


def _is_full(place: str) -> bool:
    try:
        return shutil.disk_usage(Path(place).parent).free < _LITTLE_SPACE
    except OSError:
        return False
