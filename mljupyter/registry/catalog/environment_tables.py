"""The tables of environments and their labels, at the newest revision."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, String, Table, Text, UniqueConstraint

from mljupyter.registry.catalog.tables import METADATA, UtcDateTime

ENVIRONMENTS = Table(
    "environments",
    METADATA,
    Column("id", String(300), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("definition", JSON, nullable=False),
    Column("password", Text),
    Column("created_by", Text, nullable=False),
    Column("created_time", UtcDateTime, nullable=False),
    UniqueConstraint("name", "version", name="environments_name_version"),
    Index("environments_by_fingerprint", "fingerprint"),
)

# Each label of an environment's name points at one version.
ENVIRONMENT_LABELS = Table(
    "environment_labels",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("label", String(255), primary_key=True),
    Column("version", Integer, nullable=False),
)
