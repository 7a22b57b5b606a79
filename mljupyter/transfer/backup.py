"""Backup of a whole workspace while it is used: databases, content, keys and files, in one archive."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Event

from sqlalchemy.engine import URL

from mljupyter.deploy.references import own_holder
from mljupyter.registry import storage
from mljupyter.registry.artifacts.content import Readable
from mljupyter.registry.catalog.database import open_database
from mljupyter.registry.catalog.transactions import writing
from mljupyter.registry.catalog.upgrade import bring_up_to_date
from mljupyter.registry.errors import FULL_DISK_ERRNOS, storage_full
from mljupyter.registry.registry import MIGRATIONS
from mljupyter.tracking import tracking
from mljupyter.transfer.container import ArchiveWriter, written
from mljupyter.transfer.errors import ArchiveError
from mljupyter.transfer.exporting import add_parts, header
from mljupyter.transfer.progress import OnProgress, Tracker
from mljupyter.transfer.tables import copy_rows
from mljupyter.workspace.context import WorkspaceContext
from mljupyter.workspace.index import DOCUMENT_NAME

FILES = "files"
_LEFT_OUT = ("artifacts", "artifacts.old", "storage.json", "usage.lock", "workspace.db.new")
# What belongs to running processes of this machine, or is made anew from the content.
_LEFT_OUT_OF_CONTROL = (
    "controller.db.backup",
    "controller.lock",
    "controller.log",
    "ports",
    "replicas",
    "revisions",
    "router",
    "run",
)
_BESIDE_DATABASES = ("-wal", "-shm", "-journal")
_SQLITE_SECONDS = 30.0


@dataclass(frozen=True)
class BackedUp:
    """A written backup: its path, the number of files and blobs, and their size in bytes."""

    path: Path
    files: int
    blobs: int
    size: int


def back_up(
    context: WorkspaceContext,
    path: Path,
    *,
    overwrite: bool = False,
    passphrase: str | None = None,
    on_progress: OnProgress | None = None,
    cancel: Event | None = None,
) -> BackedUp:
    """Write everything of a workspace into one file that only its owner can read, while the workspace is used.

    The databases are as they were at one point in time each, that of the registry first: all content that it refers to
    is in the backup. Keys of endpoints, certificates and secrets in ``keyvault.json`` are in it; secrets in a keyring
    are not. With a shared database and artifact store, the backup has the content of both.

    Parameters:
        context: the workspace.
        path: the file, outside the workspace.
        overwrite: replace a file.
        passphrase: encrypts the file.
        on_progress: gets the state after each piece.
        cancel: an event that cancels the backup.

    Raises:
        ArchiveError: the file cannot be written, or something in the workspace cannot be read.
        PassphraseError: the passphrase is too short.
        StorageFullError: the disk is full; there is no file then.
        TransferCancelledError: it was cancelled; there is no file then.

    """
    path = path.absolute()
    if path.resolve().is_relative_to(context.directory.resolve()):
        raise ArchiveError(f"{path} is in the workspace itself: write the backup to another directory or disk.")
    tracker = Tracker(on_progress, cancel)
    # Copies of databases hold keys: beside an encrypted file there must be none, not even for a while.
    copies = path.parent if passphrase is None else context.directory
    with (
        written(path, tracker, overwrite=overwrite, passphrase=passphrase) as writer,
        tempfile.TemporaryDirectory(prefix=".mljupyter-backup-", dir=copies) as folder,
        context.artifacts.hold(),
    ):
        copy = Path(folder) / "copy.db"
        tracker.start("Reading databases", 0)
        _copy_registry(context, copy)
        files, size = _add_file(writer, storage.DATABASE_NAME, copy), copy.stat().st_size
        for relative in _files(context.directory):
            tracker.check()
            source = context.directory / relative
            if relative.suffix == ".db":
                copy.unlink(missing_ok=True)
                _copy_sqlite(source, copy)
                source = copy
            try:
                size += source.stat().st_size
                files += _add_file(writer, str(relative), source, (context.directory / relative).stat().st_mode)
            except FileNotFoundError:
                continue  # ended or removed in the meantime, such as the log of a run
        parts = context.artifacts.all_parts()
        size += add_parts(writer, context.artifacts, parts, tracker)
        writer.finish(header(context, "backup"))
    return BackedUp(path, files, len(parts), size)


def _files(directory: Path) -> Iterator[PurePosixPath]:
    """Yield the files of a workspace that a backup has, ``workspace.json`` first; no links, sockets or locks."""
    yield PurePosixPath(DOCUMENT_NAME)
    pending = [PurePosixPath()]
    while pending:
        folder = pending.pop()
        for entry in sorted(os.scandir(directory / folder), key=lambda item: item.name):
            relative = folder / entry.name
            if _is_left_out(relative) or entry.is_symlink():
                continue
            if entry.is_dir():
                pending.append(relative)
            elif stat.S_ISREG(entry.stat().st_mode) and not entry.name.endswith(_BESIDE_DATABASES):
                yield relative


def _is_left_out(relative: PurePosixPath) -> bool:
    parts = relative.parts
    if len(parts) == 1:
        return parts[0] in (*_LEFT_OUT, storage.DATABASE_NAME, DOCUMENT_NAME) or parts[0].startswith(".")
    return parts[0] == "control" and (parts[1] in _LEFT_OUT_OF_CONTROL or parts[1].startswith("."))


def _add_file(writer: ArchiveWriter, name: str, source: Path, mode: int = 0o600) -> int:
    with source.open("rb", buffering=0) as content:
        readable: Readable = content
        writer.add(f"{FILES}/{name}", readable, mode=stat.S_IMODE(mode))
    return 1


def _copy_registry(context: WorkspaceContext, target: Path) -> None:
    """Write the database of the registry into a SQLite file, in the state of one point in time."""
    _ = context.tracking  # brings its tables up to date
    if not context.registry.is_shared:
        _copy_sqlite(context.directory / storage.DATABASE_NAME, target)
        return
    engine = open_database(URL.create("sqlite", database=str(target)), MIGRATIONS)
    try:
        bring_up_to_date(engine, tracking.MIGRATIONS, tracking.VERSION_TABLE)
        source = context.registry.engine.connect().execution_options(isolation_level="REPEATABLE READ")
        with source, writing(engine) as connection:
            copy_rows(source, connection, lambda holder: own_holder(context, holder))
    finally:
        engine.dispose()
    # The write-ahead log is part of the file only after this.
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=_SQLITE_SECONDS)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
            raise storage_full(target.parent, None, source.name, str(error)) from error
        raise ArchiveError(f"{source} cannot be copied: {error}.\nTo look at it: mljupyter doctor") from error
    except OSError as error:
        if error.errno in FULL_DISK_ERRNOS:
            raise storage_full(target.parent, None, source.name, str(error)) from error
        raise
