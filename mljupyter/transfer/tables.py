"""The tables of a workspace's database as a whole: copied to another database, and compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Table, func, insert, select, text
from sqlalchemy.engine import Connection

from mljupyter.registry.catalog import change_tables, environment_tables, image_tables
from mljupyter.registry.catalog import tables as model_tables
from mljupyter.registry.catalog.change_tables import CHANGES, CONTENT_REFERENCES, IDENTITY
from mljupyter.registry.catalog.image_tables import IMAGE_REFERENCES
from mljupyter.registry.catalog.tables import MODEL_REFERENCES
from mljupyter.tracking import tables as tracking_tables
from mljupyter.tracking.tables import DATASTORES, RUN_METRICS

_ROWS_AT_ONCE = 500
_NUMBERED = (CHANGES, RUN_METRICS)
_REFERENCES = (MODEL_REFERENCES, IMAGE_REFERENCES)
_METADATA = {
    id(module.METADATA): module.METADATA
    for module in (model_tables, image_tables, environment_tables, change_tables, tracking_tables)
}

Row = dict[str, Any]
Rename = Callable[[str], str | None]
"""Gives the new name of a holder of references; None leaves the reference out."""


def all_tables() -> list[Table]:
    """Return the tables whose rows belong to a workspace, those that others refer to first."""
    return [table for metadata in _METADATA.values() for table in metadata.sorted_tables if table is not IDENTITY]


def copy_rows(source: Connection, target: Connection, rename: Rename) -> int:
    """Copy all rows into empty tables. Return their number."""
    count = 0
    for table in all_tables():
        batch: list[Row] = []
        for row in _rows(source, table, rename):
            batch.append(row)
            if len(batch) == _ROWS_AT_ONCE:
                target.execute(insert(table), batch)
                count, batch = count + len(batch), []
        if batch:
            target.execute(insert(table), batch)
            count += len(batch)
    if target.dialect.name == "postgresql":
        for table in _NUMBERED:  # the next number comes after the copied ones
            target.execute(
                text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), :last)"),
                {"last": (target.execute(select(func.max(table.c.id))).scalar() or 0) + 1},
            )
    return count


def is_empty(connection: Connection) -> bool:
    """Return whether a database has no rows but the datastores that every workspace has."""
    others = [table for table in all_tables() if table is not DATASTORES]
    if any(connection.execute(select(table).limit(1)).first() is not None for table in others):
        return False
    return not connection.execute(select(DATASTORES.c.name).where(DATASTORES.c.location.is_not(None))).first()


def fingerprint(connection: Connection, rename: Rename) -> str:
    """Return a digest of all rows, equal for equal rows in any order and on any kind of database."""
    digest = hashlib.sha256()
    for table in all_tables():
        lines = sorted(json.dumps(_plain(row), sort_keys=True) for row in _rows(connection, table, rename))
        digest.update("\n".join([table.name, *lines, ""]).encode())
    return digest.hexdigest()


def unchanged(holder: str) -> str:
    """Return the name of a holder as it is."""
    return holder


def _rows(connection: Connection, table: Table, rename: Rename) -> Iterator[Row]:
    for found in connection.execute(select(table)):
        row = dict(found._mapping)
        if table in _REFERENCES or table is CONTENT_REFERENCES:
            holder = rename(row["holder"])
            if holder is None:
                continue
            row["holder"] = holder
        yield row


def _plain(row: Row) -> Row:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()}
