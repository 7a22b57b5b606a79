"""Versions counted per name; a version is never given twice."""

from __future__ import annotations

from sqlalchemy import Table, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError


def next_version(connection: Connection, counters: Table, name: str) -> int:
    """Return the next version of a name; its counter stays locked until the transaction ends."""
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
