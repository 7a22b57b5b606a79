"""Operations that all versioned items share: names, version numbers per name, and their creators."""

from __future__ import annotations

import difflib

from sqlalchemy import Table, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

_LARGEST = 2**31 - 1


def next_version(connection: Connection, counters: Table, name: str) -> int:
    """Return the next version of a name; its counter stays locked until the transaction ends.

    A version is never given twice, not even after its thing was deleted.
    """
    mine = counters.c.name == name
    step = update(counters).where(mine).values(last_version=counters.c.last_version + 1)
    if not connection.execute(step).rowcount:
        try:
            with connection.begin_nested():
                connection.execute(insert(counters).values(name=name, last_version=1))
        except IntegrityError:
            # Another process took the first version meanwhile.
            connection.execute(step)
    version: int = connection.execute(select(counters.c.last_version).where(mine)).scalar_one()
    return version


def stored_number(version: int) -> int:
    """Return a version as databases hold numbers; one that is larger is none that was ever given."""
    return version if abs(version) <= _LARGEST else -1


def missing(connection: Connection, table: Table, kind: str, name: str, version: int | None, none_yet: str) -> str:
    """Return the text of the error that a name or a version is not registered, with what there is.

    Parameters:
        connection: to look up what there is.
        table: with the columns name and version.
        kind: what is missing, such as ``model``; the text starts with its token, such as ``ModelNotFound:``.
        name, version: what was asked for.
        none_yet: what to say where nothing of the kind is registered at all.

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
