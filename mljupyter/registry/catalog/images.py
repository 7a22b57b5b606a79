"""The registry of images: images by name, with versions numbered from 1."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.engine import Connection

from mljupyter.ownership import user_name
from mljupyter.registry.catalog.changes import differences, record_change
from mljupyter.registry.catalog.filters import checked_filter, matches
from mljupyter.registry.catalog.image_record import (
    CANCELED,
    FAILED,
    RUNNING,
    SUCCEEDED,
    ImageRecord,
    from_row,
    this_builder,
)
from mljupyter.registry.catalog.image_tables import IMAGE_COUNTERS, IMAGE_REFERENCES, IMAGES
from mljupyter.registry.catalog.model_record import (
    checked_json,
    checked_keys,
    checked_text,
    split_id,
)
from mljupyter.registry.catalog.tables import MODEL_REFERENCES, MODELS
from mljupyter.registry.catalog.transactions import reading, writing
from mljupyter.registry.catalog.versioned import missing, next_version, stored_number
from mljupyter.registry.errors import (
    ImageInUseError,
    ImageNotFoundError,
    ImageStateError,
    ModelError,
    ModelNotFoundError,
)
from mljupyter.spec import names

# The prefix of an image's name as a user of a model.
HOLDER = "image "
_NONE_YET = "There is none yet: a deployment to the compute target docker creates one."
_DIGESTS = (IMAGES.c.log_digest, IMAGES.c.sbom_digest, IMAGES.c.dockerfile_digest)


class ImageRegistry:
    """Records, finds, changes and deletes images. Any number of processes may use it at the same time.

    The image itself is on an engine or in a container registry; this registry has its record.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(
        self,
        name: str,
        *,
        plan_digest: str,
        place: str,
        recipe: Mapping[str, Any],
        content_digests: Iterable[str] = (),
        model_ids: Sequence[str] = (),
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        image_flavor: str = "WebApiContainer",
        created_by: str | None = None,
    ) -> ImageRecord:
        """Create the next version of the image `name` in the state Running. Its build comes afterwards.

        Parameters:
            name: its name, with the same rules as for models.
            plan_digest: the digest of its plan. Images with equal digests are the same.
            place: the place of the future image: ``docker``, or ``registry/<host>``.
            recipe: the input of the plan, to build the image again.
            content_digests: the artifacts that the store must keep for it.
            model_ids: the registered models in it.
            description, tags, properties: as for models.
            image_flavor: the flavor, as in Azure ML.
            created_by: its creator; by default the user of this process.

        The models cannot be deleted from now on, until the image is deleted or has failed.

        Raises `SpecError` for an invalid name, `ModelError` for invalid tags or properties, `ModelNotFoundError` for an
        unknown model.
        """
        names.MODEL.check(name)
        values = {
            "name": name,
            "creation_state": RUNNING,
            "image_type": "Docker",
            "image_flavor": image_flavor,
            "plan_digest": plan_digest,
            "place": place,
            "recipe": checked_json(dict(recipe), "recipe"),
            "content_digests": sorted(set(content_digests)),
            "model_ids": list(model_ids),
            "stages": {},
            "builder": this_builder(),
            "description": description,
            "tags": checked_text(tags, "tags"),
            "properties": checked_text(properties, "properties"),
            "created_by": created_by or user_name(),
            "created_time": datetime.now(UTC),
        }
        with writing(self._engine) as connection:
            version = next_version(connection, IMAGE_COUNTERS, name)
            values |= {"id": f"{name}:{version}", "version": version}
            connection.execute(insert(IMAGES).values(values))
            record_change(connection, "image", f"{name}:{version}", "created", user=created_by)
            _hold_models(connection, f"{name}:{version}", model_ids)
            return _find(connection, name, version)

    def succeed(
        self,
        image_id: str,
        *,
        location: str,
        digest: str,
        log_digest: str | None = None,
        sbom_digest: str | None = None,
        dockerfile_digest: str | None = None,
        stages: Mapping[str, float] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> ImageRecord:
        """Record that a Running image is ready, with its location. Raise `ImageStateError` when it is not Running.

        `properties` are added to the existing ones.
        """
        return self._end(
            image_id,
            creation_state=SUCCEEDED,
            location=location,
            digest=digest,
            log_digest=log_digest,
            sbom_digest=sbom_digest,
            dockerfile_digest=dockerfile_digest,
            stages=dict(stages or {}),
            properties=dict(properties or {}),
        )

    def fail(
        self,
        image_id: str,
        error: Mapping[str, Any],
        *,
        cancelled: bool = False,
        log_digest: str | None = None,
        stages: Mapping[str, float] | None = None,
    ) -> ImageRecord:
        """Record that the build of a Running image failed or was cancelled."""
        return self._end(
            image_id,
            creation_state=CANCELED if cancelled else FAILED,
            error=checked_json(dict(error), "error"),
            log_digest=log_digest,
            stages=dict(stages or {}),
        )

    def find_built(self, plan_digest: str, place: str) -> ImageRecord | None:
        """Return the newest ready image of a plan in a place, None if there is none."""
        query = (
            select(IMAGES)
            .where(IMAGES.c.plan_digest == plan_digest, IMAGES.c.place == place)
            .where(IMAGES.c.creation_state == SUCCEEDED)
            .order_by(IMAGES.c.created_time.desc(), IMAGES.c.id)
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return from_row(row) if row is not None else None

    def get(self, name: str, version: int | None = None) -> ImageRecord:
        """Return a version of an image, by default the newest. `ImageNotFoundError` names existing ones."""
        with reading(self._engine) as connection:
            return _find(connection, name, version)

    def get_by_id(self, image_id: str) -> ImageRecord:
        """Return the image with the id ``name:version``, or raise `ImageNotFoundError`."""
        with reading(self._engine) as connection:
            return _find_id(connection, image_id)

    def list(
        self,
        name: str | None = None,
        *,
        model_name: str | None = None,
        model_id: str | None = None,
        tags: Sequence[Any] | None = None,
        properties: Sequence[Any] | None = None,
    ) -> list[ImageRecord]:
        """Return the images that satisfy all given filters, sorted by name, newest version first.

        `model_name` and `model_id` select images with a model. `tags` and `properties` are as for models
        (Azure ML v1: Image.list).
        """
        wanted_tags, wanted_properties = checked_filter(tags, "tags"), checked_filter(properties, "properties")
        query = select(IMAGES).order_by(IMAGES.c.name, IMAGES.c.version.desc())
        if name is not None:
            query = query.where(IMAGES.c.name == name)
        with reading(self._engine) as connection:
            records = [from_row(row) for row in connection.execute(query)]
        return [
            record
            for record in records
            if (model_id is None or model_id in record.model_ids)
            and (model_name is None or model_name in [one.rpartition(":")[0] for one in record.model_ids])
            and matches(record.tags, wanted_tags)
            and matches(record.properties, wanted_properties)
        ]

    def update(
        self,
        image_id: str,
        *,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        add_tags: Mapping[str, Any] | None = None,
        remove_tags: Sequence[str] | None = None,
        add_properties: Mapping[str, Any] | None = None,
    ) -> ImageRecord:
        """Change the given values and return the image; see `ModelRegistry.update`. Properties can only be added."""
        new_tags = None if tags is None else checked_text(tags, "tags")
        added, removed = checked_text(add_tags, "add_tags"), checked_keys(remove_tags, "remove_tags")
        new_properties = checked_text(add_properties, "add_properties")
        with writing(self._engine) as connection:
            record = _find_id(connection, image_id, lock=True)
            if taken := sorted(record.properties.keys() & new_properties.keys()):
                raise ModelError(
                    f"Image {record.id} has the properties {', '.join(taken)} already.\n"
                    "Rule: properties are only added, never changed. Use a tag for a value that changes."
                )
            kept = record.tags if new_tags is None else new_tags
            changes = {
                "tags": {key: value for key, value in kept.items() if key not in removed} | added,
                "properties": record.properties | new_properties,
                "description": record.description if description is None else description,
            }
            connection.execute(update(IMAGES).where(IMAGES.c.id == record.id).values(changes))
            if details := differences({key: getattr(record, key) for key in changes}, changes):
                record_change(connection, "image", record.id, "changed", details)
            return _find_id(connection, record.id)

    def delete(self, image_id: str) -> ImageRecord | None:
        """Delete the record of an image. The next garbage collection removes its stored files.

        Returns the record when no other version has the same location, so that the image itself may be removed there.

        Raises `ImageInUseError`, which names the users, while there are any, `ImageNotFoundError` for an unknown id.
        """
        with writing(self._engine) as connection:
            record, last = _unused(connection, image_id, lock=True)
            _release_models(connection, record.id)
            connection.execute(delete(IMAGES).where(IMAGES.c.id == record.id))
            record_change(connection, "image", record.id, "deleted")
            return record if last else None

    def removable(self, image_id: str) -> ImageRecord | None:
        """Return the result of `delete` without deleting anything. Raises the same errors."""
        with reading(self._engine) as connection:
            record, last = _unused(connection, image_id)
            return record if last else None

    def references(self, image_id: str) -> builtins.list[str]:
        """Return the users of an image, in alphabetical order."""
        with reading(self._engine) as connection:
            return _holders(connection, image_id)

    def add_reference(self, holder: str, image_ids: Iterable[str]) -> None:
        """Record that `holder`, such as ``endpoint diabetes``, uses images, until it releases them.

        For an unknown id, it raises `ImageNotFoundError` and adds none. Existing references are kept.
        """
        with writing(self._engine) as connection:
            for image_id in dict.fromkeys(image_ids):
                record = _find_id(connection, image_id, lock=True)
                if holder not in _holders(connection, record.id):
                    connection.execute(insert(IMAGE_REFERENCES).values(holder=holder, image_id=record.id))

    def release(self, holder: str, image_ids: Iterable[str] | None = None) -> None:
        """Record that `holder` no longer uses the given images, by default all. Unknown ones are ignored."""
        query = delete(IMAGE_REFERENCES).where(IMAGE_REFERENCES.c.holder == holder)
        if image_ids is not None:
            query = query.where(IMAGE_REFERENCES.c.image_id.in_(tuple(image_ids)))
        with writing(self._engine) as connection:
            connection.execute(query)

    def release_ending(self, ending: str) -> None:
        """Record that no holder whose name has this end uses any of the images."""
        with writing(self._engine) as connection:
            mine = IMAGE_REFERENCES.c.holder.endswith(ending, autoescape=True)
            connection.execute(delete(IMAGE_REFERENCES).where(mine))

    def digests(self) -> set[str]:
        """Return the digests of all artifacts of images, which the garbage collector must keep."""
        with reading(self._engine) as connection:
            found = {digest for row in connection.execute(select(*_DIGESTS)) for digest in row if digest}
            for content in connection.execute(select(IMAGES.c.content_digests)).scalars():
                found.update(content)
        return found

    def _end(self, image_id: str, **values: Any) -> ImageRecord:
        with writing(self._engine) as connection:
            record = _find_id(connection, image_id, lock=True)
            if record.creation_state != RUNNING:
                raise ImageStateError(
                    f"Image {record.id} is {record.creation_state} already: it cannot become another."
                )
            values["properties"] = record.properties | values.get("properties", {})
            connection.execute(update(IMAGES).where(IMAGES.c.id == record.id).values(values))
            if values["creation_state"] != SUCCEEDED:
                _release_models(connection, record.id)
            return _find_id(connection, record.id)


def _hold_models(connection: Connection, image_id: str, model_ids: Iterable[str]) -> None:
    for model_id in dict.fromkeys(model_ids):
        if connection.execute(select(MODELS.c.id).where(MODELS.c.id == model_id).with_for_update()).first() is None:
            raise ModelNotFoundError(f"ModelNotFound: the model {model_id!r} of the image does not exist.")
        connection.execute(insert(MODEL_REFERENCES).values(holder=f"{HOLDER}{image_id}", model_id=model_id))


def _release_models(connection: Connection, image_id: str) -> None:
    connection.execute(delete(MODEL_REFERENCES).where(MODEL_REFERENCES.c.holder == f"{HOLDER}{image_id}"))


def _find_id(connection: Connection, image_id: str, *, lock: bool = False) -> ImageRecord:
    parts = split_id(image_id)
    if parts is None:
        raise ImageNotFoundError(
            f"ImageNotFound: {image_id!r} is not an image id. Rule: name:version, such as 'ridge:1'."
        )
    return _find(connection, *parts, lock=lock)


def _find(connection: Connection, name: str, version: int | None, *, lock: bool = False) -> ImageRecord:
    query = select(IMAGES).where(IMAGES.c.name == name).order_by(IMAGES.c.version.desc()).limit(1)
    if version is not None:
        query = query.where(IMAGES.c.version == stored_number(version))
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise ImageNotFoundError(missing(connection, IMAGES, "image", name, version, _NONE_YET))
    return from_row(row)


def _unused(connection: Connection, image_id: str, *, lock: bool = False) -> tuple[ImageRecord, bool]:
    """Return an unused image, and whether no other version has its location."""
    record = _find_id(connection, image_id, lock=lock)
    if holders := _holders(connection, record.id):
        raise ImageInUseError(
            f"Image {record.id} is in use by {', '.join(holders)}: it cannot be deleted.\nDelete or update them first.",
            holders,
        )
    others = select(IMAGES.c.id).where(
        IMAGES.c.location == record.location, IMAGES.c.place == record.place, IMAGES.c.id != record.id
    )
    return record, connection.execute(others).first() is None


def _holders(connection: Connection, image_id: str) -> list[str]:
    query = select(IMAGE_REFERENCES.c.holder).where(IMAGE_REFERENCES.c.image_id == image_id)
    return sorted(connection.execute(query).scalars())
