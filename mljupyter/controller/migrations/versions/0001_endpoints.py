"""Endpoints, the revisions that serve, and settings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "endpoints",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("resource_version", sa.Integer, nullable=False),
        sa.Column("created_time", sa.String, nullable=False),
        sa.Column("updated_time", sa.String, nullable=False),
        sa.Column("deleting", sa.Boolean, nullable=False),
        sa.Column("primary_key", sa.String),
        sa.Column("secondary_key", sa.String),
    )
    op.create_table(
        "revisions",
        sa.Column("endpoint", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("revision", sa.String, primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for name in ("settings", "revisions", "endpoints"):
        op.drop_table(name)
