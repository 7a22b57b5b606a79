"""Create the tables of experiments, runs, datastores and datasets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "experiments",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_time", sa.DateTime, nullable=False),
        sa.Column("archived_time", sa.DateTime),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column(
            "experiment_id", sa.String(36), sa.ForeignKey("experiments.id", name="runs_experiment"), nullable=False
        ),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("parent_id", sa.String(255)),
        sa.Column("type", sa.String(64)),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("properties", sa.JSON, nullable=False),
        sa.Column("submission", sa.JSON),
        sa.Column("process", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("snapshot_digest", sa.String(71)),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_time", sa.DateTime, nullable=False),
        sa.Column("start_time", sa.DateTime),
        sa.Column("end_time", sa.DateTime),
        sa.UniqueConstraint("experiment_id", "number", name="runs_experiment_number"),
    )
    op.create_index("runs_by_parent", "runs", ["parent_id"])
    op.create_table(
        "run_metrics",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.String(255), sa.ForeignKey("runs.id", name="run_metrics_run"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.JSON, nullable=False),
        sa.Column("step", sa.BigInteger),
        sa.Column("time", sa.DateTime, nullable=False),
    )
    op.create_index("run_metrics_by_run", "run_metrics", ["run_id"])
    op.create_table(
        "run_files",
        sa.Column("run_id", sa.String(255), sa.ForeignKey("runs.id", name="run_files_run"), primary_key=True),
        sa.Column("path", sa.String(1024), primary_key=True),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
    )
    op.create_table(
        "datastores",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("location", sa.Text),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_time", sa.DateTime, nullable=False),
    )
    op.create_table(
        "datastore_files",
        sa.Column(
            "datastore",
            sa.String(255),
            sa.ForeignKey("datastores.name", name="datastore_files_store"),
            primary_key=True,
        ),
        sa.Column("path", sa.String(1024), primary_key=True),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
    )
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("definition", sa.JSON, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_time", sa.DateTime, nullable=False),
        sa.UniqueConstraint("name", "version", name="datasets_name_version"),
    )
    op.create_table(
        "dataset_counters",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("last_version", sa.Integer, nullable=False),
    )
