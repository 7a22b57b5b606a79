"""The model registry: models by name, with versions numbered from 1."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from mljupyter.ownership import user_name
from mljupyter.registry.artifacts.store import Artifact, ArtifactStore
from mljupyter.registry.artifacts.tree import absolute, walk
from mljupyter.registry.catalog.changes import differences, record_change
from mljupyter.registry.catalog.filters import checked_filter, matches
from mljupyter.registry.catalog.model_record import (
    ModelRecord,
    checked_framework,
    checked_json,
    checked_keys,
    checked_text,
    from_row,
    split_id,
)
from mljupyter.registry.catalog.tables import MODEL_COUNTERS, MODEL_REFERENCES, MODELS
from mljupyter.registry.catalog.transactions import reading, writing
from mljupyter.registry.catalog.versioned import missing, next_version, stored_number, upcoming_version
from mljupyter.registry.errors import ModelError, ModelInUseError, ModelNotFoundError, ModelPathNotFoundError
from mljupyter.spec import names

_NONE_YET = "None is registered yet: use Model.register."


class ModelRegistry:
    """Registers, finds, changes and deletes models. Any number of processes may use it at the same time."""

    def __init__(self, engine: Engine, artifacts: ArtifactStore) -> None:
        self._engine = engine
        self._artifacts = artifacts

    def register(
        self,
        name: str,
        path: str | Path,
        *,
        child_paths: Sequence[str | Path] | None = None,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        framework: str | None = None,
        framework_version: str | None = None,
        sample_input_dataset: str | None = None,
        sample_output_dataset: str | None = None,
        resource_configuration: Mapping[str, Any] | None = None,
        datasets: Sequence[tuple[str, str]] | None = None,
        run_id: str | None = None,
        experiment_name: str | None = None,
        created_by: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ModelRecord:
        """Store a file or a directory as the next version of the model `name`.

        The first version is 1. A version number is never used twice, not even after the version was deleted. With
        `child_paths`, only those files and directories below the directory `path` are stored. `created_by` is by
        default the user of this process. `on_progress` gets the stored bytes and their total.

        Raises `SpecError` for an invalid name (Azure ML v1: model names), `ModelError` for other invalid values,
        `ModelPathNotFoundError` for a missing path, `ArtifactError` for content that cannot be stored,
        `StorageFullError` when no space is left. After an error, no version is registered.

        >>> registry.models.register("diabetes-ridge", "model.pkl", tags={"area": "demo"}).id
        'diabetes-ridge:1'
        """
        names.MODEL.check(name)
        checked_framework(framework, framework_version)
        values = {
            "name": name,
            "description": description,
            "tags": checked_text(tags, "tags"),
            "properties": checked_text(properties, "properties"),
            "framework": framework,
            "framework_version": framework_version,
            "sample_input_dataset": sample_input_dataset,
            "sample_output_dataset": sample_output_dataset,
            "resource_configuration": checked_json(resource_configuration, "resource_configuration"),
            "datasets": checked_json(list(datasets or ()), "datasets"),
            "run_id": run_id,
            "experiment_name": experiment_name,
            "created_by": created_by or user_name(),
        }
        with self._artifacts.hold():
            artifact = self._store(absolute(path), child_paths, on_progress)
            with writing(self._engine) as connection:
                version = next_version(connection, MODEL_COUNTERS, name)
                values |= {
                    "id": f"{name}:{version}",
                    "version": version,
                    "artifact_digest": artifact.digest,
                    "artifact_kind": artifact.kind,
                    "artifact_size": artifact.size,
                    "artifact_name": artifact.name,
                    "created_time": datetime.now(UTC),
                }
                connection.execute(insert(MODELS).values(values))
                record_change(connection, "model", f"{name}:{version}", "registered", user=created_by)
                return _find(connection, name, version)

    def get(self, name: str, version: int | None = None) -> ModelRecord:
        """Return a version of a model, by default the newest.

        Raises `ModelNotFoundError`, with the nearest name or the existing versions.
        """
        with reading(self._engine) as connection:
            return _find(connection, name, version)

    def upcoming_version(self, name: str) -> int:
        """Return the version that the next registration under a name will get; numbers of deleted models count."""
        with reading(self._engine) as connection:
            return upcoming_version(connection, MODEL_COUNTERS, name)

    def get_by_id(self, model_id: str) -> ModelRecord:
        """Return the model with the id ``name:version``, or raise `ModelNotFoundError`."""
        with reading(self._engine) as connection:
            return _find_id(connection, model_id)

    def list(
        self,
        name: str | None = None,
        *,
        tags: Sequence[Any] | None = None,
        properties: Sequence[Any] | None = None,
        run_id: str | None = None,
        framework: str | None = None,
        latest: bool = False,
    ) -> list[ModelRecord]:
        """Return the models that satisfy all given filters, sorted by name, newest version first.

        The items of `tags` and `properties` are ``"key"`` or ``["key", "value"]``. With `latest`, only the newest
        version of each name is considered (Azure ML v1: Model.list).
        """
        wanted_tags, wanted_properties = checked_filter(tags, "tags"), checked_filter(properties, "properties")
        query = select(MODELS).order_by(MODELS.c.name, MODELS.c.version.desc())
        for column, value in ((MODELS.c.name, name), (MODELS.c.run_id, run_id), (MODELS.c.framework, framework)):
            if value is not None:
                query = query.where(column == value)
        if latest:
            newer = MODELS.alias()
            newest = select(func.max(newer.c.version)).where(newer.c.name == MODELS.c.name).scalar_subquery()
            query = query.where(MODELS.c.version == newest)
        with reading(self._engine) as connection:
            records = [from_row(row) for row in connection.execute(query)]
        return [r for r in records if matches(r.tags, wanted_tags) and matches(r.properties, wanted_properties)]

    def update(
        self,
        model_id: str,
        *,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        add_tags: Mapping[str, Any] | None = None,
        remove_tags: Sequence[str] | None = None,
        add_properties: Mapping[str, Any] | None = None,
        sample_input_dataset: str | None = None,
        sample_output_dataset: str | None = None,
        resource_configuration: Mapping[str, Any] | None = None,
        add_datasets: Sequence[tuple[str, str]] | None = None,
    ) -> ModelRecord:
        """Change the given values and return the model. None keeps a value.

        `tags` replaces all tags; then `remove_tags` removes keys and `add_tags` sets some. Properties can only be
        added: an existing key raises `ModelError` (Azure ML v1: properties).
        """
        new_tags = None if tags is None else checked_text(tags, "tags")
        added, removed = checked_text(add_tags, "add_tags"), checked_keys(remove_tags, "remove_tags")
        new_properties = checked_text(add_properties, "add_properties")
        changes: dict[str, Any] = {
            "description": description,
            "sample_input_dataset": sample_input_dataset,
            "sample_output_dataset": sample_output_dataset,
            "resource_configuration": checked_json(resource_configuration, "resource_configuration"),
        }
        changes = {key: value for key, value in changes.items() if value is not None}
        more_datasets = checked_json(list(add_datasets or ()), "add_datasets")
        with writing(self._engine) as connection:
            record = _find_id(connection, model_id, lock=True)
            if taken := sorted(record.properties.keys() & new_properties.keys()):
                raise ModelError(
                    f"Model {record.id} has the properties {', '.join(taken)} already.\n"
                    "Rule: properties are only added, never changed. Use a tag for a value that changes."
                )
            kept = record.tags if new_tags is None else new_tags
            changes["tags"] = {key: value for key, value in kept.items() if key not in removed} | added
            changes["properties"] = record.properties | new_properties
            changes["datasets"] = record.datasets + more_datasets
            connection.execute(update(MODELS).where(MODELS.c.id == record.id).values(changes))
            if details := differences({key: getattr(record, key) for key in changes}, changes):
                record_change(connection, "model", record.id, "changed", details)
            return _find_id(connection, record.id)

    def delete(self, model_id: str) -> None:
        """Remove a model. The next garbage collection removes its content.

        Raises `ModelInUseError`, which names the users, while there are any, `ModelNotFoundError` for an unknown id.
        """
        with writing(self._engine) as connection:
            record = _find_id(connection, model_id, lock=True)
            if holders := _holders(connection, record.id):
                raise ModelInUseError(
                    f"Model {record.id} is in use by {', '.join(holders)}: it cannot be deleted.\n"
                    "Delete or update them first.",
                    holders,
                )
            connection.execute(delete(MODELS).where(MODELS.c.id == record.id))
            record_change(connection, "model", record.id, "deleted")

    def references(self, model_id: str) -> builtins.list[str]:
        """Return the users of a model, in alphabetical order."""
        with reading(self._engine) as connection:
            return _holders(connection, model_id)

    def add_reference(self, holder: str, model_ids: Iterable[str]) -> None:
        """Record that `holder`, such as ``endpoint diabetes``, uses models, until it releases them.

        For an unknown id, it raises `ModelNotFoundError` and adds none. Existing references are kept.
        """
        with writing(self._engine) as connection:
            for model_id in dict.fromkeys(model_ids):
                record = _find_id(connection, model_id, lock=True)
                if holder not in _holders(connection, record.id):
                    connection.execute(insert(MODEL_REFERENCES).values(holder=holder, model_id=record.id))

    def release(self, holder: str, model_ids: Iterable[str] | None = None) -> None:
        """Record that `holder` no longer uses the given models, by default all. Unknown ones are ignored."""
        query = delete(MODEL_REFERENCES).where(MODEL_REFERENCES.c.holder == holder)
        if model_ids is not None:
            query = query.where(MODEL_REFERENCES.c.model_id.in_(tuple(model_ids)))
        with writing(self._engine) as connection:
            connection.execute(query)

    def release_ending(self, ending: str) -> None:
        """Record that no holder whose name has this end uses any of the models."""
        with writing(self._engine) as connection:
            mine = MODEL_REFERENCES.c.holder.endswith(ending, autoescape=True)
            connection.execute(delete(MODEL_REFERENCES).where(mine))

    def digests(self) -> set[str]:
        """Return the digests of all models' content, which the garbage collector must keep."""
        with reading(self._engine) as connection:
            return set(connection.execute(select(MODELS.c.artifact_digest).distinct()).scalars())

    def _store(
        self,
        path: Path,
        child_paths: Sequence[str | Path] | None,
        on_progress: Callable[[int, int], None] | None,
    ) -> Artifact:
        if not path.exists():
            raise ModelPathNotFoundError(f"The model path {path} does not exist. Give an existing file or directory.")
        if child_paths is None:
            artifact = self._artifacts.put(path, on_progress=on_progress)
        else:
            files = [file for child in child_paths for file in _files_of_child(path, child)]
            artifact = self._artifacts.put_files(path, files, on_progress=on_progress)
        if artifact.kind == "directory" and not artifact.size:
            raise ModelError(f"The model directory {path} holds no content: check the path.")
        return artifact


def _files_of_child(directory: Path, child: str | Path) -> Iterable[str]:
    if not directory.is_dir():
        raise ModelError(f"child_paths selects files of a directory, but {directory} is a file. Leave child_paths out.")
    path = Path(os.path.normpath(directory / child))
    # Like the directory itself, a child may also be given relative to the caller's working directory.
    if not path.exists():
        path = Path(os.path.normpath(Path(child).absolute()))
    if not path.exists():
        raise ModelPathNotFoundError(f"The child path {os.fspath(child)!r} does not exist below {directory}.")
    if not path.is_relative_to(directory):
        raise ModelError(
            f"The child path {os.fspath(child)!r} lies outside of {directory}. Rule: child paths are below it."
        )
    if not path.is_dir():
        return [path.relative_to(directory).as_posix()]
    return [(path / entry.relative).relative_to(directory).as_posix() for entry in walk(path) if not entry.is_directory]


def _find_id(connection: Connection, model_id: str, *, lock: bool = False) -> ModelRecord:
    parts = split_id(model_id)
    if parts is None:
        raise ModelNotFoundError(
            f"ModelNotFound: {model_id!r} is not a model id. Rule: name:version, such as 'ridge:1'."
        )
    return _find(connection, *parts, lock=lock)


def _find(connection: Connection, name: str, version: int | None, *, lock: bool = False) -> ModelRecord:
    query = select(MODELS).where(MODELS.c.name == name).order_by(MODELS.c.version.desc()).limit(1)
    if version is not None:
        query = query.where(MODELS.c.version == stored_number(version))
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise ModelNotFoundError(missing(connection, MODELS, "model", name, version, _NONE_YET))
    return from_row(row)


def _holders(connection: Connection, model_id: str) -> list[str]:
    query = select(MODEL_REFERENCES.c.holder).where(MODEL_REFERENCES.c.model_id == model_id)
    return sorted(connection.execute(query).scalars())
