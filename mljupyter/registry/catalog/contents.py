"""References to stored content by workspaces that share a database, and the identity of the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Engine, delete, insert, select

from mljupyter.registry.catalog.change_tables import CONTENT_REFERENCES, IDENTITY
from mljupyter.registry.catalog.transactions import reading, writing


class ContentReferences:
    """Records which workspace needs which content for its endpoints, so that no other one removes it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, holder: str, digests: Iterable[str]) -> None:
        """Add content to that which a holder needs."""
        with writing(self._engine) as connection:
            mine = select(CONTENT_REFERENCES.c.digest).where(CONTENT_REFERENCES.c.holder == holder)
            known = set(connection.execute(mine.with_for_update()).scalars())
            for digest in set(digests) - known:
                connection.execute(insert(CONTENT_REFERENCES).values(holder=holder, digest=digest))

    def replace(self, holder: str, digests: Iterable[str]) -> None:
        """Set the content that a holder needs; none removes the holder."""
        wanted = set(digests)
        with writing(self._engine) as connection:
            connection.execute(delete(CONTENT_REFERENCES).where(CONTENT_REFERENCES.c.holder == holder))
            for digest in wanted:
                connection.execute(insert(CONTENT_REFERENCES).values(holder=holder, digest=digest))

    def digests(self) -> set[str]:
        """Return the digests that any holder needs, which the garbage collector must keep."""
        with reading(self._engine) as connection:
            return set(connection.execute(select(CONTENT_REFERENCES.c.digest).distinct()).scalars())

    def identity(self) -> str:
        """Return the identity of the database."""
        with reading(self._engine) as connection:
            return str(connection.execute(select(IDENTITY.c.id)).scalar_one())
