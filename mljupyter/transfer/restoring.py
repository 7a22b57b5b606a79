"""Restore: a workspace from its backup, checked before it takes its place, and in place at once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from mljupyter.exceptions import WorkspaceException
from mljupyter.files import expanded
from mljupyter.registry import storage
from mljupyter.registry.artifacts.local_blobs import BLOB_MODE
from mljupyter.registry.errors import DatabaseError, storage_full
from mljupyter.registry.registry import Registry
from mljupyter.tracking.tracking import Tracking
from mljupyter.transfer.backup import FILES
from mljupyter.transfer.container import ArchiveReader, refused
from mljupyter.transfer.errors import ArchiveError
from mljupyter.transfer.importing import checked_parts
from mljupyter.transfer.progress import OnProgress, Tracker
from mljupyter.workspace import index
from mljupyter.workspace.context import WorkspaceContext

_OWNER = 0o700


@dataclass(frozen=True)
class Restored:
    """A restored workspace: its directory, and the number of files and blobs.

    `replaced` says whether it took the place of another state of the workspace.
    """

    directory: Path
    files: int
    blobs: int
    replaced: bool


def restore(
    path: Path,
    *,
    name: str | None = None,
    place: Path | None = None,
    replace: bool = False,
    passphrase: str | None = None,
    on_progress: OnProgress | None = None,
    cancel: Event | None = None,
) -> Restored:
    """Create the workspace of a backup. Everything is checked before it appears under its name, all at once.

    Its database and artifact store are in its directory, also if they were shared. Its endpoints start with the next
    controller.

    Parameters:
        path: a backup.
        name: its name; by default that of the backup.
        place: its directory; by default one in ``~/.mljupyter``, or ``$MLJUPYTER_HOME``.
        replace: replace the workspace of this name. Its endpoints are stopped.
        passphrase: that of an encrypted backup.
        on_progress: gets the state after each piece.
        cancel: an event that cancels the restore.

    Raises:
        ArchiveError: the archive is damaged, no backup, or made to do harm.
        PassphraseError: the archive is encrypted, and the passphrase is missing or wrong.
        WorkspaceException: the name is taken and `replace` is not set, or the place cannot be used.
        StorageFullError: no space is left.
        TransferCancelledError: it was cancelled.

    After an error everything is as it was.

    """
    tracker = Tracker(on_progress, cancel)
    with ArchiveReader(path, "backup", passphrase) as archive:
        document = index.parse(_document(archive), path)
        name = name or document.name
        index.check_name(name)
        final, is_there = _final_place(name, place)
        if is_there and not replace:
            raise WorkspaceException(
                f"Workspace {name!r} exists already, in {final}.\n"
                "Restore it under another name, with --name (name=), or replace it: --replace (replace=True)."
            )
        draft = final.parent / f".restored-{uuid.uuid4().hex}"
        try:
            index.home().mkdir(mode=0o700, parents=True, exist_ok=True)
            index.index().mkdir(mode=0o700, exist_ok=True)
            final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_space(archive, final.parent)
            draft.mkdir(mode=0o700)
            counts = _extract(archive, draft, tracker)
            _check(draft, path)
            index.change(draft, name=name, id=document.id if is_there or not _is_known(document.id) else _new_id())
            tracker.check()
            _put_in_place(draft, final, name, is_there=is_there)
        except OSError as error:
            raise ArchiveError(f"{final} cannot be written: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return Restored(final, *counts, is_there)


def _document(archive: ArchiveReader) -> bytes:
    return archive.read(f"{FILES}/{index.DOCUMENT_NAME}", 1 << 20)


def _new_id() -> str:
    return str(uuid.uuid4())


def _is_known(workspace_id: str) -> bool:
    for name in index.known():
        try:
            if index.read(index.existing(name)).id == workspace_id:
                return True
        except WorkspaceException:
            continue  # its directory is gone
    return False


def _final_place(name: str, place: Path | None) -> tuple[Path, bool]:
    """Return the directory of the restored workspace, and whether a workspace is there."""
    entry = index.index() / name
    if os.path.lexists(entry):
        present = index.existing(name).resolve()
        if place is not None and place.resolve() != present:
            raise WorkspaceException(f"Workspace {name!r} exists already, in {present}: choose another name.")
        return present, True
    if place is None:
        return entry, False
    final = expanded(place).absolute()
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise WorkspaceException(f"{final} is not empty: choose a directory that does not exist.")
    return final, False


def _extract(archive: ArchiveReader, draft: Path, tracker: Tracker) -> tuple[int, int]:
    """Write the files and the content of a backup below a new directory, each after checking its digest."""
    parts = checked_parts(archive, [])
    tracker.start("Restoring", sum(archive.size(name) for name in archive.entries))
    made = {draft}
    count = 0
    for name, entry in archive.entries.items():
        top, _, relative = name.partition("/")
        if top != FILES or not relative:
            continue
        target = draft / relative  # `checked_name` has passed it: it stays below
        _make_parents(target, made)
        mode = entry.get("mode")
        archive.extract(name, target, (mode & _OWNER if type(mode) is int else 0) | 0o600, tracker)
        count += 1
    for part in parts:
        target = draft / storage.ARTIFACTS_NAME / part.folder / part.hexadecimal[:2] / part.hexadecimal
        _make_parents(target, made)
        archive.extract(f"content/{part.folder}/{part.hexadecimal}", target, BLOB_MODE, tracker)
    if len(archive.entries) != count + len(parts):
        raise refused(archive.path, "it has entries that no backup has")
    return count, len(parts)


def _make_parents(target: Path, made: set[Path]) -> None:
    missing = [parent for parent in target.parents if parent not in made and any(p in made for p in parent.parents)]
    for parent in reversed(missing):
        parent.mkdir(mode=0o700)
        made.add(parent)


def _check(draft: Path, path: Path) -> None:
    """Raise `ArchiveError` if a database of a backup is damaged, or content that it refers to is missing."""
    for database in (draft / storage.DATABASE_NAME, draft / "control" / "controller.db"):
        if not database.exists():
            continue
        with closing(sqlite3.connect(database)) as connection:
            try:
                found = connection.execute("PRAGMA integrity_check").fetchone()[0]
            except sqlite3.Error as error:
                found = str(error)
        if found != "ok":
            raise refused(path, f"its {database.name} is damaged ({found[:200]})")
    try:
        with Registry.open(draft) as registry:
            digests = registry.models.digests() | registry.environments.digests() | Tracking(registry).digests()
            missing = [digest for digest in sorted(digests) if not registry.artifacts.exists(digest)]
    except DatabaseError as error:
        raise refused(path, f"its database cannot be used ({error.message.partition(chr(10))[0]})") from error
    if missing:
        raise refused(path, f"it lacks the content {missing[0]}, which its database names")


def _put_in_place(draft: Path, final: Path, name: str, *, is_there: bool) -> None:
    if not is_there:
        if final.exists():
            final.rmdir()
        draft.rename(final)
        entry = index.index() / name
        if entry != final:
            entry.symlink_to(final)
        return
    WorkspaceContext(final).controller.stop(force=True)
    old = final.parent / f".replaced-{uuid.uuid4().hex}"
    final.rename(old)
    try:
        draft.rename(final)
    except BaseException:
        old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _check_space(archive: ArchiveReader, folder: Path) -> None:
    needed = sum(archive.size(name) for name in archive.entries)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise storage_full(folder, needed, "the content of the backup", f"{free:,} bytes are free")
