"""Registration of an estimator as a model: it is saved in its own format, and equal content keeps its version."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.deploy.estimator.frameworks import ServingFormat
from mljupyter.registry.catalog.model_record import LIBRARY_PROPERTY
from mljupyter.spec import ModelReference

if TYPE_CHECKING:
    from mljupyter.registry.catalog.model_record import ModelRecord
    from mljupyter.workspace.context import WorkspaceContext


def register(context: WorkspaceContext, estimator: Any, name: str, form: ServingFormat) -> ModelRecord:
    """Register an estimator; return the version that has the same content, if there is one.

    Parameters:
        context: the workspace.
        estimator: a fitted estimator.
        name: the name of the model.
        form: how it is saved.

    """
    with context.artifacts.hold(), tempfile.TemporaryDirectory(prefix="mljupyter-estimator-") as directory:
        path = _save(form, Path(directory))
        known = _with_content(context, name, context.artifacts.put(path).digest)
        if known is not None:
            return known
        return context.registry.models.register(
            name,
            path,
            framework=form.framework,
            framework_version=form.version,
            properties={
                "estimator": type(estimator).__name__,
                **({LIBRARY_PROPERTY: form.library} if form.library is not None else {}),
            },
        )


def plan(context: WorkspaceContext, name: str, form: ServingFormat) -> ModelReference:
    """Return the reference to the model that `register` would return; the content is stored, no version is created."""
    with context.artifacts.hold(), tempfile.TemporaryDirectory(prefix="mljupyter-estimator-") as directory:
        artifact = context.artifacts.put(_save(form, Path(directory)))
    known = _with_content(context, name, artifact.digest)
    if known is not None:
        return known.reference
    version = context.registry.models.upcoming_version(name)
    return ModelReference(name=name, version=version, digest=artifact.digest, entry=form.file)


def _save(form: ServingFormat, directory: Path) -> Path:
    path = directory / form.file
    form.save(path)
    return path


def _with_content(context: WorkspaceContext, name: str, digest: str) -> ModelRecord | None:
    records = context.registry.models.list(name)
    return next((record for record in records if record.artifact.digest == digest), None)
