"""The tables of experiments, runs, datastores and datasets, at the newest revision. The migrations create them.

They are in the database of the workspace, and have a version table of their own.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from mljupyter.registry.catalog.tables import UtcDateTime

METADATA = MetaData()

EXPERIMENTS = Table(
    "experiments",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("tags", JSON, nullable=False),
    Column("last_number", Integer, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_time", UtcDateTime, nullable=False),
    Column("archived_time", UtcDateTime),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("id", String(255), primary_key=True),
    Column("experiment_id", String(36), ForeignKey("experiments.id", name="runs_experiment"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("parent_id", String(255)),
    Column("type", String(64)),
    Column("status", String(32), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("description", Text),
    Column("tags", JSON, nullable=False),
    Column("properties", JSON, nullable=False),
    Column("submission", JSON(none_as_null=True)),
    Column("process", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("snapshot_digest", String(71)),
    Column("created_by", Text, nullable=False),
    Column("created_time", UtcDateTime, nullable=False),
    Column("start_time", UtcDateTime),
    Column("end_time", UtcDateTime),
    UniqueConstraint("experiment_id", "number", name="runs_experiment_number"),
    Index("runs_by_parent", "parent_id"),
)

# One row for each call of a log function, in their order.
RUN_METRICS = Table(
    "run_metrics",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("run_id", String(255), ForeignKey("runs.id", name="run_metrics_run"), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("value", JSON, nullable=False),
    Column("step", BigInteger),
    Column("time", UtcDateTime, nullable=False),
    Index("run_metrics_by_run", "run_id"),
)

RUN_FILES = Table(
    "run_files",
    METADATA,
    Column("run_id", String(255), ForeignKey("runs.id", name="run_files_run"), primary_key=True),
    Column("path", String(1024), primary_key=True),
    Column("digest", String(71), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("time", UtcDateTime, nullable=False),
)

DATASTORES = Table(
    "datastores",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("location", Text),
    Column("is_default", Boolean, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_time", UtcDateTime, nullable=False),
)

# The files of datastores whose content is in the artifact store.
DATASTORE_FILES = Table(
    "datastore_files",
    METADATA,
    Column("datastore", String(255), ForeignKey("datastores.name", name="datastore_files_store"), primary_key=True),
    Column("path", String(1024), primary_key=True),
    Column("digest", String(71), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("time", UtcDateTime, nullable=False),
)

DATASETS = Table(
    "datasets",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("definition", JSON, nullable=False),
    Column("description", Text),
    Column("tags", JSON, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_time", UtcDateTime, nullable=False),
    UniqueConstraint("name", "version", name="datasets_name_version"),
)

# The last version of each name. It stays when datasets are unregistered, so that no version number is used twice.
DATASET_COUNTERS = Table(
    "dataset_counters",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("last_version", Integer, nullable=False),
)
