"""Migration: the database of a workspace moves from SQLite to PostgreSQL, its artifacts to a URL.

It may be interrupted at any time and run again: content that is there is not copied twice, rows are copied in one
transaction, and the workspace uses the old places until the file ``storage.json`` names the new ones.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from sqlalchemy import Engine, text
from sqlalchemy.engine import Connection

from mljupyter.deploy.references import renew_content, shared_holder
from mljupyter.registry import storage
from mljupyter.registry.artifacts.content import Readable
from mljupyter.registry.artifacts.store import ArtifactStore, Part
from mljupyter.registry.catalog.contents import ContentReferences
from mljupyter.registry.catalog.database import open_database
from mljupyter.registry.catalog.database_errors import MOVED, place_of
from mljupyter.registry.catalog.transactions import writing
from mljupyter.registry.catalog.upgrade import bring_up_to_date
from mljupyter.registry.registry import MIGRATIONS
from mljupyter.registry.storage import Storage
from mljupyter.tracking import tracking
from mljupyter.transfer.errors import MigrationError
from mljupyter.transfer.progress import OnProgress, Tracker
from mljupyter.transfer.tables import all_tables, copy_rows, fingerprint, is_empty, unchanged
from mljupyter.workspace.context import WorkspaceContext

OLD_ARTIFACTS = "artifacts.old"
_BATCH = 50
_ONE_MIGRATION = 7_236_530_912


@dataclass(frozen=True)
class Migrated:
    """The result of a migration.

    Parameters:
        database, artifacts: the new places, without credentials.
        rows: the number of copied rows; 0 if they were there.
        blobs: the number of copied blobs.
        old: the old places that are still there.

    """

    database: str
    artifacts: str
    rows: int
    blobs: int
    old: tuple[Path, ...]


def migrate(
    context: WorkspaceContext,
    *,
    database_url: str | None = None,
    artifacts_url: str | None = None,
    delete_old: bool = False,
    on_progress: OnProgress | None = None,
    cancel: Event | None = None,
) -> Migrated:
    """Move the database and the artifacts of a workspace, check the copies, and use them from then on.

    Other processes may use the workspace meanwhile. Their changes are moved, too; at the end they wait for a moment,
    and are told to open the workspace again. Endpoints continue to serve.

    Parameters:
        context: the workspace. It must be opened again afterwards.
        database_url: the URL of an empty PostgreSQL database, without a password; None leaves the database.
        artifacts_url: the URL for the artifacts; None leaves them.
        delete_old: remove the old places after the checks. It may be done later by a call without URLs.
        on_progress: gets the state after each piece.
        cancel: an event that cancels the migration.

    Raises:
        MigrationError: the workspace was moved before, or the database has content of others.
        DatabaseError: the database cannot be used, or a URL has a password.
        ArtifactError: the artifact store cannot be used.
        TransferCancelledError: it was cancelled.

    After an error the workspace is as it was; what is copied already is not copied again.

    """
    present = storage.read(context.directory)
    if database_url is None and artifacts_url is None:
        return _only_delete(context, present, delete_old)
    wanted = Storage(database_url or present.database_url, artifacts_url or present.artifacts_url)
    storage.check(wanted)
    _check_new(present, database_url, artifacts_url)
    tracker = Tracker(on_progress, cancel)
    _ = context.tracking  # brings its tables up to date
    with ExitStack() as stack:
        engine = context.registry.engine if database_url is None else stack.enter_context(_opened(database_url))
        store = context.artifacts if artifacts_url is None else ArtifactStore(artifacts_url)
        store.claim(ContentReferences(engine).identity())
        blobs = _copy_content(context.artifacts, store, tracker)
        tracker.start("Checking", 0)
        # What came since is little: writers wait meanwhile, first those of content, then those of rows.
        with context.artifacts.frozen(), writing(context.registry.engine) as source:
            blobs += _copy_content(context.artifacts, store, tracker)
            rows = 0 if database_url is None else _copy_database(context, source, engine)
            if database_url is not None:
                _seal(source)
            storage.write(context.directory, wanted)
            if artifacts_url is not None and (old := context.directory / storage.ARTIFACTS_NAME).is_dir():
                old.rename(context.directory / OLD_ARTIFACTS)  # those who have it open notice
    _use_new(context)
    if delete_old:
        _delete_old(context)
    return _result(context, rows, blobs)


def _check_new(present: Storage, database_url: str | None, artifacts_url: str | None) -> None:
    for what, there, url in (
        ("database", present.database_url, database_url),
        ("artifacts", present.artifacts_url, artifacts_url),
    ):
        if url is not None and there is not None:
            raise MigrationError(
                f"The {what} of this workspace were moved before, to {there}.\n"
                "To move them again: mljupyter workspace backup, restore and migrate."
            )


def _only_delete(context: WorkspaceContext, present: Storage, delete_old: bool) -> Migrated:
    if not delete_old:
        raise MigrationError(
            "Nothing is to be moved: give --database-url postgresql://USER@HOST/NAME, --artifacts-url URL, or both."
        )
    if present == Storage():
        raise MigrationError("The workspace was not moved: its database and artifacts are in use.")
    _delete_old(context)
    return _result(context, 0, 0)


@contextmanager
def _opened(database_url: str) -> Iterator[Engine]:
    engine = open_database(database_url, MIGRATIONS)
    try:
        bring_up_to_date(engine, tracking.MIGRATIONS, tracking.VERSION_TABLE)
        yield engine
    finally:
        engine.dispose()


def _copy_content(source: ArtifactStore, target: ArtifactStore, tracker: Tracker) -> int:
    if target is source:
        return 0
    tracker.start("Comparing", 0)
    missing = [part for part in source.all_parts() if target.lacks(part)]
    tracker.start("Copying", sum(part.size for part in missing))
    added = 0
    for start in range(0, len(missing), _BATCH):  # each batch stays, also if the next one fails
        batch = missing[start : start + _BATCH]
        added += target.add_parts((part, partial(_read, source, part, tracker)) for part in batch)
    return added


@contextmanager
def _read(source: ArtifactStore, part: Part, tracker: Tracker) -> Iterator[Readable]:
    with source.opened(part) as content:
        yield tracker.counted(content)


def _copy_database(context: WorkspaceContext, source: Connection, engine: Engine) -> int:
    rename = partial(shared_holder, context)
    expected = fingerprint(source, rename)
    with writing(engine) as target:
        target.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ONE_MIGRATION})
        if is_empty(target):
            for table in reversed(all_tables()):
                target.execute(table.delete())  # the datastores that every database has
            rows = copy_rows(source, target, rename)
        else:
            rows = 0  # an earlier attempt may have ended right after copying
        if fingerprint(target, unchanged) != expected:
            if rows:
                raise MigrationError(
                    f"The rows in {place_of(engine.url)} differ from those that were copied. Nothing was changed."
                )
            raise MigrationError(
                f"The database {place_of(engine.url)} has content already. A workspace moves into an empty one.\n"
                "To join a team: Workspace.create(NAME, database_url=..., artifacts_url=...), then "
                "mljupyter workspace export and import."
            )
    return rows


def _seal(source: Connection) -> None:
    """Refuse further changes of the old database by processes that have it open."""
    for table in all_tables():
        for event in ("INSERT", "UPDATE", "DELETE"):
            source.exec_driver_sql(
                f"CREATE TRIGGER IF NOT EXISTS moved_{table.name}_{event.lower()} BEFORE {event} ON {table.name} "
                f"BEGIN SELECT RAISE(ABORT, '{MOVED}'); END"
            )


def _use_new(context: WorkspaceContext) -> None:
    """Let this process, and the next controller, use the new places. Endpoints continue to serve."""
    context.reopen()
    context.controller.stop()
    renew_content(context)


def _delete_old(context: WorkspaceContext) -> None:
    present = storage.read(context.directory)
    with context.artifacts.hold():
        digests = context.registry.models.digests() | context.registry.environments.digests()
        missing = [one for one in sorted(digests | context.tracking.digests()) if not context.artifacts.exists(one)]
    if missing:
        raise MigrationError(f"{context.artifact_location} lacks {missing[0]}: the old places are kept.")
    for place in _old(context.directory, present):
        if place.is_dir():
            shutil.rmtree(place)
        else:
            for suffix in ("", "-wal", "-shm"):
                place.with_name(place.name + suffix).unlink(missing_ok=True)


def _old(directory: Path, present: Storage) -> tuple[Path, ...]:
    found = []
    if present.database_url is not None:
        found.append(directory / storage.DATABASE_NAME)
    if present.artifacts_url is not None:
        found += [directory / OLD_ARTIFACTS, directory / storage.ARTIFACTS_NAME]
    return tuple(place for place in found if place.exists())


def _result(context: WorkspaceContext, rows: int, blobs: int) -> Migrated:
    present = storage.read(context.directory)
    database = present.database_url or str(context.directory / storage.DATABASE_NAME)
    return Migrated(database, context.artifact_location, rows, blobs, _old(context.directory, present))
