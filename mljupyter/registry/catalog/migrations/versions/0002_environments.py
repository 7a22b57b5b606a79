"""Create the tables of environments and their labels."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "environments",
        sa.Column("id", sa.String(300), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("definition", sa.JSON, nullable=False),
        sa.Column("password", sa.Text),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_time", sa.DateTime, nullable=False),
        sa.UniqueConstraint("name", "version", name="environments_name_version"),
    )
    op.create_index("environments_by_fingerprint", "environments", ["fingerprint"])
    op.create_table(
        "environment_labels",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("label", sa.String(255), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
    )
