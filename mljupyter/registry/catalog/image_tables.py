"""The tables of images, at the newest revision."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from mljupyter.registry.catalog.tables import METADATA, UtcDateTime

IMAGES = Table(
    "images",
    METADATA,
    Column("id", String(300), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("creation_state", String(16), nullable=False),
    Column("image_type", String(16), nullable=False),
    Column("image_flavor", String(32), nullable=False),
    Column("plan_digest", String(71), nullable=False),
    Column("place", Text, nullable=False),
    Column("location", Text),
    Column("digest", String(71)),
    Column("recipe", JSON, nullable=False),
    Column("content_digests", JSON, nullable=False),
    Column("model_ids", JSON, nullable=False),
    Column("log_digest", String(71)),
    Column("sbom_digest", String(71)),
    Column("dockerfile_digest", String(71)),
    Column("stages", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("builder", Text, nullable=False),
    Column("description", Text),
    Column("tags", JSON, nullable=False),
    Column("properties", JSON, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_time", UtcDateTime, nullable=False),
    UniqueConstraint("name", "version", name="images_name_version"),
    Index("images_by_plan", "plan_digest"),
)

# The last version of each name. It stays when images are deleted.
IMAGE_COUNTERS = Table(
    "image_counters",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("last_version", Integer, nullable=False),
)

# The users of an image. While there is a row, the image cannot be deleted.
IMAGE_REFERENCES = Table(
    "image_references",
    METADATA,
    Column("holder", String(255), primary_key=True),
    Column("image_id", String(300), ForeignKey("images.id", name="image_references_image"), primary_key=True),
    Index("image_references_by_image", "image_id"),
)
