"""Create the tables of images, their version counters and their users."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "images",
        sa.Column("id", sa.String(300), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("creation_state", sa.String(16), nullable=False),
        sa.Column("image_type", sa.String(16), nullable=False),
        sa.Column("image_flavor", sa.String(32), nullable=False),
        sa.Column("plan_digest", sa.String(71), nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("location", sa.Text),
        sa.Column("digest", sa.String(71)),
        sa.Column("recipe", sa.JSON, nullable=False),
        sa.Column("content_digests", sa.JSON, nullable=False),
        sa.Column("model_ids", sa.JSON, nullable=False),
        sa.Column("log_digest", sa.String(71)),
        sa.Column("sbom_digest", sa.String(71)),
        sa.Column("dockerfile_digest", sa.String(71)),
        sa.Column("stages", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("builder", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("properties", sa.JSON, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_time", sa.DateTime, nullable=False),
        sa.UniqueConstraint("name", "version", name="images_name_version"),
    )
    op.create_index("images_by_plan", "images", ["plan_digest"])
    op.create_table(
        "image_counters",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("last_version", sa.Integer, nullable=False),
    )
    op.create_table(
        "image_references",
        sa.Column("holder", sa.String(255), primary_key=True),
        sa.Column(
            "image_id",
            sa.String(300),
            sa.ForeignKey("images.id", name="image_references_image"),
            primary_key=True,
        ),
    )
    op.create_index("image_references_by_image", "image_references", ["image_id"])
