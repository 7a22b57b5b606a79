"""Find the record behind a `Model`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mljupyter.exceptions import WebserviceException
from mljupyter.spec import ModelReference

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace
    from mljupyter.registry.catalog.model_record import ModelRecord


def find(
    workspace: Workspace, name: str | None, model_id: str | None, version: int | None, filters: dict[str, Any]
) -> ModelRecord:
    """Return the model that name, id, version and the registry's filters call for, the newest of several.

    Raises:
        ModelNotFoundError: when there is none of that name, id or version.
        WebserviceException: `ModelNotFound` when none passes the filters; when nothing is given.

    """
    models = workspace.registry.models
    if model_id is not None:
        record = models.get_by_id(model_id)
        name, version = record.name, record.version
    elif name is not None and not any(filters.values()):
        return models.get(name, version)
    if name is None and not any(filters.values()):
        raise WebserviceException("Model() needs a name, an id or another filter.")
    found = [record for record in models.list(name, **filters) if version in (None, record.version)]
    if not found:
        raise WebserviceException(f"ModelNotFound: no model {name or model_id or ''!r} passes the filters.")
    return found[0] if name is not None else max(found, key=lambda record: record.created_time)


def unregistered(workspace: Workspace, reference: ModelReference) -> ModelRecord:
    """Return a record for what an endpoint serves but nobody registered: a local path, with version 0."""
    from mljupyter.registry.artifacts.store import Artifact
    from mljupyter.registry.catalog.model_record import ModelRecord

    return ModelRecord(
        id=reference.id,
        name=reference.name,
        version=reference.version,
        artifact=Artifact(reference.digest, "file", workspace.artifacts.size(reference.digest), reference.entry),
        description=None,
        tags={},
        properties={},
        framework=None,
        framework_version=None,
        sample_input_dataset=None,
        sample_output_dataset=None,
        resource_configuration=None,
        created_by="",
        created_time=datetime.now(UTC),
        run_id=None,
        experiment_name=None,
        datasets=[],
    )


def dataset_id(dataset: Any) -> str | None:
    """Return the id of a dataset given as an object or as an id."""
    return None if dataset is None else str(getattr(dataset, "id", dataset))


def dataset_ids(datasets: Sequence[tuple[str, Any]] | None) -> list[tuple[str, str]] | None:
    """Return pairs of scenario and dataset id."""
    if datasets is None:
        return None
    return [(str(scenario), str(dataset_id(dataset))) for scenario, dataset in datasets]
