"""Read and write transactions with the same semantics on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.engine import Connection

from mljupyter.errors import MLJupyterError
from mljupyter.registry.catalog.database_errors import damaged_file, place_of

WRITES = "mljupyter_writes"


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a read-only transaction that sees one state of the database.

    Raises:
        DatabaseError: when a value has a form that no registry writes, such as an invalid time.

    """
    with _values_checked(engine), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a transaction that may read first and write later. It commits when the block succeeds.

    On SQLite it takes the write lock at its start. Otherwise a transaction that reads, and then writes after another
    one has written, would fail at once instead of waiting.

    Raises:
        DatabaseError: when a value that is read has a form that no registry writes. Nothing is changed.

    """
    with _values_checked(engine), engine.connect() as connection:
        connection = connection.execution_options(**{WRITES: True})
        with connection.begin():
            yield connection


@contextmanager
def _values_checked(engine: Engine) -> Iterator[None]:
    # Also while connecting: the driver may not be able to decode SQLite's own message about a damaged schema.
    try:
        yield
    except MLJupyterError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise damaged_file(place_of(engine.url), f"a value cannot be read: {str(error)[:200]}") from error
