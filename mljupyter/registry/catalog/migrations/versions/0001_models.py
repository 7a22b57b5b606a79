"""Create the tables of models, their version counters and their users."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "models",
        sa.Column("id", sa.String(300), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("artifact_digest", sa.String(71), nullable=False),
        sa.Column("artifact_kind", sa.String(16), nullable=False),
        sa.Column("artifact_size", sa.BigInteger, nullable=False),
        sa.Column("artifact_name", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("properties", sa.JSON, nullable=False),
        sa.Column("framework", sa.String(255)),
        sa.Column("framework_version", sa.String(255)),
        sa.Column("sample_input_dataset", sa.Text),
        sa.Column("sample_output_dataset", sa.Text),
        sa.Column("resource_configuration", sa.JSON),
        sa.Column("datasets", sa.JSON, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_time", sa.DateTime, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("experiment_name", sa.Text),
        sa.UniqueConstraint("name", "version", name="models_name_version"),
    )
    op.create_table(
        "model_counters",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("last_version", sa.Integer, nullable=False),
    )
    op.create_table(
        "model_references",
        sa.Column("holder", sa.String(255), primary_key=True),
        sa.Column(
            "model_id",
            sa.String(300),
            sa.ForeignKey("models.id", name="model_references_model"),
            primary_key=True,
        ),
    )
    op.create_index("model_references_by_model", "model_references", ["model_id"])
