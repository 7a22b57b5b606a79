"""Datasets: definitions of data by name, with versions numbered from 1. The data stays where it is."""

from __future__ import annotations

import builtins
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, Row, delete, insert, select, update

from mljupyter.ownership import user_name
from mljupyter.registry.catalog.changes import differences, record_change
from mljupyter.registry.catalog.model_record import checked_keys, checked_text
from mljupyter.registry.catalog.transactions import reading, writing
from mljupyter.registry.catalog.versioned import missing, next_version, stored_number
from mljupyter.spec.names import NameRule
from mljupyter.tracking.errors import DatasetNotFoundError, TrackingError
from mljupyter.tracking.tables import DATASET_COUNTERS, DATASETS

DATASET = NameRule(
    "a dataset",
    re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-. ]{0,254}"),
    "1 to 255 letters, digits, '-', '_', '.' and spaces; a letter, digit or '_' first",
    "titanic",
)
_NONE_YET = "None is registered yet: use dataset.register(ws, name)."


@dataclass(frozen=True)
class DatasetRecord:
    """A registered version of a dataset as it was read."""

    id: str
    name: str
    version: int
    definition: Mapping[str, Any] = field(repr=False)
    description: str | None
    tags: Mapping[str, str]
    created_by: str
    created_time: datetime


class Datasets:
    """Registers and finds datasets. Any number of processes may use it at the same time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(
        self,
        name: str,
        definition: Mapping[str, Any],
        *,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        create_new_version: bool = False,
    ) -> DatasetRecord:
        """Register a definition under a name.

        A definition that is registered under the name already is returned as it is.

        Parameters:
            name: the name.
            definition: the document of the data's place and form.
            description, tags: of this version.
            create_new_version: register the next version if the name exists.

        Raises:
            SpecError: the name breaks the rule.
            TrackingError: the name exists, and `create_new_version` is not set.

        """
        DATASET.check(name)
        checked = checked_text(tags, "tags")
        with writing(self._engine) as connection:
            rows = connection.execute(select(DATASETS).where(DATASETS.c.name == name)).all()
            same = [_record(row) for row in rows if row.definition == dict(definition)]
            if same:
                return max(same, key=lambda record: record.version)
            if rows and not create_new_version:
                raise TrackingError(
                    f"There is a dataset {name!r} already, with other data.\nPass create_new_version=True to "
                    "register the next version."
                )
            dataset_id = str(uuid.uuid4())
            values = {
                "id": dataset_id,
                "name": name,
                "version": next_version(connection, DATASET_COUNTERS, name),
                "definition": dict(definition),
                "description": description,
                "tags": checked,
                "created_by": user_name(),
                "created_time": datetime.now(UTC),
            }
            connection.execute(insert(DATASETS).values(values))
            record_change(connection, "dataset", f"{name}:{values['version']}", "registered")
        return self.get_by_id(dataset_id)

    def get(self, name: str, version: int | None = None) -> DatasetRecord:
        """Return a version of a dataset, by default the newest.

        Raises:
            DatasetNotFoundError: there is none; the text names the nearest name, or the versions.

        """
        query = select(DATASETS).where(DATASETS.c.name == name).order_by(DATASETS.c.version.desc()).limit(1)
        if version is not None:
            query = query.where(DATASETS.c.version == stored_number(version))
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
            if row is None:
                raise DatasetNotFoundError(missing(connection, DATASETS, "dataset", name, version, _NONE_YET))
            return _record(row)

    def get_by_id(self, dataset_id: str) -> DatasetRecord:
        """Return the dataset of an id.

        Raises:
            DatasetNotFoundError: there is none.

        """
        with reading(self._engine) as connection:
            row = connection.execute(select(DATASETS).where(DATASETS.c.id == dataset_id)).first()
        if row is None:
            raise DatasetNotFoundError(f"DatasetNotFound: there is no dataset with id {dataset_id!r}.")
        return _record(row)

    def list(self) -> builtins.list[DatasetRecord]:
        """Return the newest version of each dataset, by name."""
        query = select(DATASETS).order_by(DATASETS.c.name, DATASETS.c.version)
        with reading(self._engine) as connection:
            return [*{row.name: _record(row) for row in connection.execute(query)}.values()]

    def change(
        self,
        dataset_id: str,
        *,
        add_tags: Mapping[str, Any] | None = None,
        remove_tags: Sequence[str] | None = None,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
    ) -> DatasetRecord:
        """Change the given values and return the dataset. None keeps a value; `tags` replaces all tags."""
        added, removed = checked_text(add_tags, "tags"), checked_keys(remove_tags, "tags")
        values: dict[str, Any] = {} if description is None else {"description": description}
        with writing(self._engine) as connection:
            mine = DATASETS.c.id == dataset_id
            row = connection.execute(select(DATASETS).where(mine).with_for_update()).first()
            present = {} if row is None else row.tags
            kept = present if tags is None else checked_text(tags, "tags")
            values["tags"] = {key: value for key, value in kept.items() if key not in removed} | added
            connection.execute(update(DATASETS).where(mine).values(values))
            if row is not None and (details := differences({key: row._mapping[key] for key in values}, values)):
                record_change(connection, "dataset", f"{row.name}:{row.version}", "changed", details)
        return self.get_by_id(dataset_id)

    def unregister(self, name: str) -> None:
        """Forget all versions of a dataset; the data stays."""
        with writing(self._engine) as connection:
            if connection.execute(delete(DATASETS).where(DATASETS.c.name == name)).rowcount:
                record_change(connection, "dataset", name, "unregistered")


def _record(row: Row[Any]) -> DatasetRecord:
    return DatasetRecord(**row._mapping)
