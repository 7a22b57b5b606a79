"""The tables of changes, of content that workspaces need, and of the database's identity, at the newest revision."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table, Text

from mljupyter.registry.catalog.tables import METADATA, UtcDateTime

# One row for each change of a registered item, in their order.
CHANGES = Table(
    "changes",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("time", UtcDateTime, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("item", String(300), nullable=False),
    Column("action", String(32), nullable=False),
    Column("details", JSON, nullable=False),
    Index("changes_by_item", "kind", "item"),
)

# The content that the endpoints of a workspace need. Workspaces with one database and one artifact store collect
# garbage for each other, and none sees the endpoints of another.
CONTENT_REFERENCES = Table(
    "content_references",
    METADATA,
    Column("holder", String(255), primary_key=True),
    Column("digest", String(71), primary_key=True),
)

# One row: the identity of the database. An artifact store by URL belongs to one database.
IDENTITY = Table("registry_identity", METADATA, Column("id", String(36), primary_key=True))
