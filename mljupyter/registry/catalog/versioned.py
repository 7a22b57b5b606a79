"""Operations that all versioned items share: names, version numbers per name, and their creators."""

from __future__ import annotations

import difflib

from sqlalchemy import Table, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

_LARGEST = 2**31 - 1


def upcoming_version(connection: Connection, counters: Table, name: str) -> int:
    """Return the version that `next_version` will give, unless another process is faster; deleted ones count."""
    last = connection.execute(select(counters.c.last_version).where(counters.c.name == name)).scalar_one_or_none()
    return (last or 0) + 1


def next_version(connection: Connection, counters: Table, name: str) -> int:
    """Return the next version of a name. Its counter stays locked until the transaction ends.

    A version number is never used twice, not even after the item was deleted.
    """
    mine = counters.c.name == name
    step = update(counters).where(mine).values(last_version=counters.c.last_version + 1)
    if not connection.execute(step).rowcount:
        try:
            with connection.begin_nested():
                connection.execute(insert(counters).values(name=name, last_version=1))
        except IntegrityError:
            # Another process took the first version in the meantime.
            connection.execute(step)
    version: int = connection.execute(select(counters.c.last_version).where(mine)).scalar_one()
    return version


def stored_number(version: int) -> int:
    """Return a version within the range of database integers. A larger number cannot exist as a version."""
    return version if abs(version) <= _LARGEST else -1


def missing(connection: Connection, table: Table, kind: str, name: str, version: int | None, none_yet: str) -> str:
    """Return the error text for a name or version that is not registered, with the existing ones.

    Parameters:
        connection: a connection to look up the existing ones.
        table: a table with the columns name and version.
        kind: the kind of the item, such as ``model``. The text starts with its token, such as ``ModelNotFound:``.
        name, version: the name and version that were requested.
        none_yet: the text for the case that no item of the kind is registered.

    """
    token = f"{kind.capitalize()}NotFound"
    numbers = select(table.c.version).where(table.c.name == name).order_by(table.c.version.desc())
    versions = list(connection.execute(numbers).scalars())
    if versions:
        shown = ", ".join(str(number) for number in versions[:10]) + (", ..." if len(versions) > 10 else "")
        return f"{token}: the {kind} {name!r} has no version {version}. It has: {shown}."
    known = list(connection.execute(select(table.c.name).distinct()).scalars())
    nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    if nearest:
        return f"{token}: no {kind} is called {name!r}. Did you mean {nearest[0]!r}?"
    hint = f"There are: {', '.join(sorted(known)[:10])}." if known else none_yet
    return f"{token}: no {kind} is called {name!r}. {hint}"
