"""Registration of an estimator as a model: it is saved with joblib, and equal content keeps its version."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.spec import ModelReference

if TYPE_CHECKING:
    from mljupyter.registry.catalog.model_record import ModelRecord
    from mljupyter.workspace.context import WorkspaceContext

MODEL_FILE = "model.joblib"
_SCIKIT_LEARN, _OTHER = "ScikitLearn", "Custom"


def register(context: WorkspaceContext, estimator: Any, name: str) -> ModelRecord:
    """Register an estimator; return the version that has the same content, if there is one.

    Parameters:
        context: the workspace.
        estimator: a fitted estimator.
        name: the name of the model.

    """
    with context.artifacts.hold(), tempfile.TemporaryDirectory(prefix="mljupyter-estimator-") as directory:
        path = _save(estimator, Path(directory))
        known = _with_content(context, name, context.artifacts.put(path).digest)
        if known is not None:
            return known
        framework, version = _framework(estimator)
        return context.registry.models.register(
            name,
            path,
            framework=framework,
            framework_version=version,
            properties={"estimator": type(estimator).__name__},
        )


def plan(context: WorkspaceContext, estimator: Any, name: str) -> ModelReference:
    """Return the reference to the model that `register` would return; the content is stored, no version is created."""
    with context.artifacts.hold(), tempfile.TemporaryDirectory(prefix="mljupyter-estimator-") as directory:
        artifact = context.artifacts.put(_save(estimator, Path(directory)))
    known = _with_content(context, name, artifact.digest)
    if known is not None:
        return known.reference
    version = context.registry.models.upcoming_version(name)
    return ModelReference(name=name, version=version, digest=artifact.digest, entry=MODEL_FILE)


def _save(estimator: Any, directory: Path) -> Path:
    import joblib  # slow to import

    path = directory / MODEL_FILE
    joblib.dump(estimator, path)
    return path


def _with_content(context: WorkspaceContext, name: str, digest: str) -> ModelRecord | None:
    records = context.registry.models.list(name)
    return next((record for record in records if record.artifact.digest == digest), None)


def _framework(estimator: Any) -> tuple[str, str | None]:
    """Return the framework and its version: scikit-learn for its own estimators, custom for all others."""
    if type(estimator).__module__.partition(".")[0] != "sklearn":
        return _OTHER, None
    import sklearn  # optional, and slow to import

    return _SCIKIT_LEARN, sklearn.__version__
