"""Upgrade a database to the newest revision of its schema.

Revision files are named by number (``0001_models.py`` holds revision ``0001``), so the newest revision is known from
the file names. Alembic is imported only when an upgrade is necessary.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

from sqlalchemy import Engine, column, select, table, text
from sqlalchemy.engine import Connection

from mljupyter.registry.catalog.database_errors import place_of
from mljupyter.registry.catalog.transactions import reading, writing
from mljupyter.registry.errors import DatabaseError

_REVISION_FILE = re.compile(r"(\d{4})_\w+\.py")
# An arbitrary number; every release must use the same.
_POSTGRESQL_LOCK = 7_236_530_911
# Revision files reach their connection by a global variable of Alembic: of two threads, one would use the other's.
_RUNNING = threading.Lock()


def bring_up_to_date(engine: Engine, migrations: Path, version_table: str) -> None:
    """Run the missing revisions of `migrations` in one transaction, in one process at a time.

    Raises `DatabaseError` when a newer release wrote the database.
    """
    newest = newest_revision(migrations)
    with reading(engine) as connection:
        if _stored_revision(connection, version_table, newest) == newest:
            return
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK})
        # Another process may have done the upgrade while this one waited.
        if _stored_revision(connection, version_table, newest) != newest:
            _run_revisions(connection, migrations, version_table)


def newest_revision(migrations: Path) -> str:
    """Return the number of the newest revision file in ``<migrations>/versions``."""
    names = [path.name for path in (migrations / "versions").glob("[0-9]*.py")]
    numbers = [match[1] for name in names if (match := _REVISION_FILE.fullmatch(name))]
    if not numbers:
        raise DatabaseError(
            f"{migrations}/versions holds no revision file such as 0001_models.py: install mljupyter again."
        )
    return max(numbers)


def _stored_revision(connection: Connection, version_table: str, newest: str) -> str | None:
    """Return the database's revision, None for a database without one."""
    if not connection.dialect.has_table(connection, version_table):
        return None
    stored: str | None = connection.execute(select(column("version_num")).select_from(table(version_table))).scalar()
    if stored is not None and not ("0001" <= stored <= newest and stored.isdigit()):
        raise DatabaseError(
            f"{place_of(connection.engine.url)} has schema revision {stored}; this release knows up to {newest}.\n"
            "A newer release wrote it. Upgrade: pip install --upgrade mljupyter"
        )
    return stored


def _run_revisions(connection: Connection, migrations: Path, version_table: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext, MigrationStep
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(migrations))

    def missing(heads: object, _context: MigrationContext) -> list[MigrationStep]:
        current = heads[0] if isinstance(heads, tuple) and heads else "base"
        revisions = list(scripts.iterate_revisions("heads", current))
        return [MigrationStep.upgrade_from_script(scripts.revision_map, script) for script in reversed(revisions)]

    # The caller's transaction commits when all revisions have run.
    with _RUNNING, EnvironmentContext(Config(), scripts, fn=missing) as environment:
        environment.configure(connection=connection, version_table=version_table, transactional_ddl=True)
        environment.run_migrations()
