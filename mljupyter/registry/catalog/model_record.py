"""The record of a registered model, and the rules for its values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from mljupyter.outside import json_value
from mljupyter.registry.artifacts.store import Artifact
from mljupyter.registry.catalog.row_check import check_row
from mljupyter.registry.errors import ModelError
from mljupyter.spec import ModelReference, names
from mljupyter.spec.version import is_one_name

if TYPE_CHECKING:
    from sqlalchemy import Row  # heavy, and not needed to read the SDK's names


LIBRARY_PROPERTY = "library"
"""The property of a model with the name of its library, if that is no framework of Azure ML v1."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One version of a model.

    `artifact.name` is the entry: the file or directory name that a scoring script finds under
    ``<name>/<version>/``. `created_time` is aware, in UTC. `datasets` lists pairs of scenario and dataset id.
    """

    id: str
    name: str
    version: int
    artifact: Artifact
    description: str | None
    tags: dict[str, str]
    properties: dict[str, str]
    framework: str | None
    framework_version: str | None
    sample_input_dataset: str | None
    sample_output_dataset: str | None
    resource_configuration: dict[str, Any] | None
    created_by: str
    created_time: datetime
    run_id: str | None
    experiment_name: str | None
    datasets: list[list[str]]

    @property
    def entry(self) -> str:
        """The name of the model's single file or directory.

        Raises `ModelError` when the database holds a path instead. A database that a team shares is written by others,
        and this name is appended to directories here.
        """
        name = self.artifact.name
        if not is_one_name(name):
            raise ModelError(
                f"The content of model {self.id} has the name {name!r:.200} in the database, which is a path.\n"
                "Rule: the name of one file or directory. Register the model again."
            )
        return name

    @property
    def shown_framework(self) -> str:
        """The framework or library with its version, for people; `framework` has only the names of Azure ML v1."""
        library = self.properties.get(LIBRARY_PROPERTY)
        name = library if library and self.framework in (None, "Custom") else self.framework
        return " ".join(filter(None, (name, self.framework_version)))

    @property
    def reference(self) -> ModelReference:
        """The reference to this model in endpoints."""
        return ModelReference(name=self.name, version=self.version, digest=self.artifact.digest, entry=self.entry)


def from_row(row: Row[Any]) -> ModelRecord:
    """Return the record of a row of the table of models."""
    check_row(row, names.MODEL)
    values = dict(row._mapping)
    artifact = Artifact(*(values.pop(f"artifact_{part}") for part in ("digest", "kind", "size", "name")))
    return ModelRecord(artifact=artifact, **values)


def checked_text(value: object, what: str) -> dict[str, str]:
    """Return tags or properties with text values. Numbers and booleans become text; other values are errors.

    (Azure ML v1: tags and properties.)
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ModelError(f"{what} must be a dict of text to text, not {type(value).__name__}: {{'area': 'demo'}}.")
    checked = {}
    for key, item in value.items():
        if not isinstance(key, str) or not key:
            raise ModelError(f"{what}: the key {key!r} is not a string of at least one character.")
        if not isinstance(item, str | int | float):
            raise ModelError(f"{what}[{key!r}] is a {type(item).__name__}. Rule: text, number or boolean.")
        checked[key] = str(item)
    return checked


def checked_keys(value: object, what: str) -> list[str]:
    """Return a list of keys, or raise `ModelError`."""
    if value is None:
        return []
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or not all(isinstance(k, str) for k in value):
        raise ModelError(f"{what} must be a list of keys, such as ['area'], not {value!r:.80}.")
    return list(value)


def checked_json(value: object, what: str) -> Any:
    """Return a value after conversion to JSON and back, or raise `ModelError` when JSON cannot represent it."""
    try:
        return json_value(json.dumps(value, allow_nan=False))
    except (RecursionError, TypeError, ValueError) as error:
        raise ModelError(f"{what} cannot be stored as JSON: {error}. Use text, numbers, lists and dicts.") from error


def split_id(model_id: object) -> tuple[str, int] | None:
    """Return name and version of ``name:version``, None for anything else."""
    if not isinstance(model_id, str):
        return None
    name, colon, version = model_id.rpartition(":")
    if not (name and colon and version.isascii() and version.isdigit() and len(version) < 10):
        return None
    return name, int(version)


def checked_framework(framework: object, version: object) -> None:
    """Raise `ModelError` for a framework version without framework, or when one of the two is not a string."""
    for value, what in ((framework, "framework"), (version, "framework_version")):
        if value is not None and not isinstance(value, str):
            raise ModelError(
                f"{what} is a {type(value).__name__}: it must be a string, such as 'ScikitLearn' or '1.9'."
            )
    if version is not None and framework is None:
        raise ModelError(
            f"framework_version is {cast(str, version)!r}, but no framework is given.\n"
            "Name the framework as well, for example 'ScikitLearn', or leave the version out."
        )
