"""Check rows that are read from a database, since others may have written them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter.registry.errors import DatabaseError
from mljupyter.spec.names import NameRule

if TYPE_CHECKING:
    from sqlalchemy import Row  # heavy, and not needed to read the SDK's names


def check_row(row: Row[Any], rule: NameRule) -> None:
    """Raise `DatabaseError` for a row whose name, version or id cannot come from a registry.

    A database that a team shares is written by others. Names and versions become parts of paths here, for files to
    write and directories to remove, and they are printed.
    """
    known = isinstance(row.name, str) and rule.pattern.fullmatch(row.name) is not None
    if known and isinstance(row.version, int) and row.version >= 0 and row.id == f"{row.name}:{row.version}":
        return
    raise DatabaseError(
        f"The database holds {rule.kind} with id {row.id!r:.200}, name {row.name!r:.200} and version "
        f"{row.version!r:.50}, which no registry has written.\n"
        f"Rule for the name: {rule.text}; the id is NAME:VERSION.\n"
        "Another program wrote to the database: remove this row there."
    )
