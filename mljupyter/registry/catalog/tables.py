"""The tables of the workspace database at the newest revision. The migrations create them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

METADATA = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: aware in Python, stored in UTC without zone, on every database."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored form: UTC without zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the aware time in UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


MODELS = Table(
    "models",
    METADATA,
    Column("id", String(300), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("artifact_digest", String(71), nullable=False),
    Column("artifact_kind", String(16), nullable=False),
    Column("artifact_size", BigInteger, nullable=False),
    Column("artifact_name", Text, nullable=False),
    Column("description", Text),
    Column("tags", JSON, nullable=False),
    Column("properties", JSON, nullable=False),
    Column("framework", String(255)),
    Column("framework_version", String(255)),
    Column("sample_input_dataset", Text),
    Column("sample_output_dataset", Text),
    Column("resource_configuration", JSON(none_as_null=True)),
    Column("datasets", JSON, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_time", UtcDateTime, nullable=False),
    Column("run_id", Text),
    Column("experiment_name", Text),
    UniqueConstraint("name", "version", name="models_name_version"),
)

# The last version of each name. It stays when models are deleted, so that no version number is used twice.
MODEL_COUNTERS = Table(
    "model_counters",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("last_version", Integer, nullable=False),
)

# The users of a model, such as an endpoint. While there is a row, the model cannot be deleted.
MODEL_REFERENCES = Table(
    "model_references",
    METADATA,
    Column("holder", String(255), primary_key=True),
    Column("model_id", String(300), ForeignKey("models.id", name="model_references_model"), primary_key=True),
    Index("model_references_by_model", "model_id"),
)
