"""Register an estimator as a model: saved with joblib, a new version only if its content is new."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.core.model import Model
from mljupyter.exceptions import as_webservice_exception
from mljupyter.spec import ModelReference

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace

MODEL_FILE = "model.joblib"


def register_estimator(workspace: Workspace, estimator: Any, name: str) -> Model:
    """Register an estimator under a name and return it; the version that has the same content, if there is one.

    Parameters:
        workspace: the workspace.
        estimator: fitted; a replica finds it as ``model.joblib`` in ``AZUREML_MODEL_DIR``.
        name: of the model.

    Raises:
        WebserviceException: the name breaks a rule, or there is no room.

    Example:
        >>> register_estimator(ws, ridge, "diabetes-ridge").version     # doctest: +SKIP
        1

    """
    with (
        as_webservice_exception(),
        workspace.artifacts.hold(),
        tempfile.TemporaryDirectory(prefix="mljupyter-estimator-") as directory,
    ):
        path = _saved(estimator, Path(directory))
        known = _with_content(workspace, name, workspace.artifacts.put(path).digest)
        if known is not None:
            return known
        framework, version = _framework(estimator)
        record = workspace.registry.models.register(
            name,
            path,
            framework=framework,
            framework_version=version,
            properties={"estimator": type(estimator).__name__},
        )
        return Model.from_record(workspace, record)


def planned_model(workspace: Workspace, estimator: Any, name: str) -> ModelReference:
    """Return what `register_estimator` would register. Its content is stored; no version appears."""
    with workspace.artifacts.hold(), tempfile.TemporaryDirectory(prefix="mljupyter-estimator-") as directory:
        artifact = workspace.artifacts.put(_saved(estimator, Path(directory)))
    known = _with_content(workspace, name, artifact.digest)
    if known is not None:
        return known.reference
    newest = max((model.version for model in _versions(workspace, name)), default=0)
    return ModelReference(name=name, version=newest + 1, digest=artifact.digest, entry=MODEL_FILE)


def _saved(estimator: Any, directory: Path) -> Path:
    import joblib

    path = directory / MODEL_FILE
    joblib.dump(estimator, path)
    return path


def _with_content(workspace: Workspace, name: str, digest: str) -> Model | None:
    return next((model for model in _versions(workspace, name) if model.url == digest), None)


def _versions(workspace: Workspace, name: str) -> Sequence[Model]:
    return Model.list(workspace, name=name)


def _framework(estimator: Any) -> tuple[str, str | None]:
    """Return framework and version of an estimator of scikit-learn itself; others are custom."""
    if type(estimator).__module__.partition(".")[0] != "sklearn":
        return Model.Framework.CUSTOM, None
    import sklearn

    return Model.Framework.SCIKITLEARN, sklearn.__version__
