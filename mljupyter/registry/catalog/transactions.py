"""Read and write transactions that mean the same on SQLite and PostgreSQL."""

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
    """Give a connection in a transaction that sees one state of the database and changes nothing.

    Raises:
        DatabaseError: when a value that is read has a form that no registry writes, such as a broken time.

    """
    with engine.connect() as connection:
        try:
            yield connection
        except MLJupyterError:
            raise
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise damaged_file(place_of(engine.url), f"a value cannot be read: {str(error)[:200]}") from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that may read first and write later; it commits when the block succeeds.

    On SQLite it takes the write lock at its start: a transaction that reads, then wants to write what another has
    changed meanwhile, would fail at once instead of waiting.
    """
    with engine.connect() as connection:
        connection = connection.execution_options(**{WRITES: True})
        with connection.begin():
            yield connection
