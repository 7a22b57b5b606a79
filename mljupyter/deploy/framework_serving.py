"""Deployment of a model without a scoring script, by its framework (Azure ML v1: no-code)."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

from mljupyter.build.environments.definition import CondaDefinition, EnvironmentDefinition, PythonDefinition
from mljupyter.build.project.snapshot import single_file
from mljupyter.deploy.environments import ServingEnvironment
from mljupyter.exceptions import WebserviceException
from mljupyter.registry.catalog.model_record import ModelRecord
from mljupyter.spec import CodeReference, ModelReference, NoCode, Resources
from mljupyter.workspace.context import WorkspaceContext

MLFLOW_FILE = "MLmodel"
_MOST_TEXT_BYTES = 1 << 20
_FLAVOURS: dict[str, NoCode] = {
    "ScikitLearn": "sklearn",
    "Onnx": "onnx",
    "TensorFlow": "tensorflow",
    "Multi": "auto",
}
# For each framework: the module that serving imports, and its packages; the first is the framework's own.
_NEEDS: dict[NoCode, tuple[str, tuple[str, ...]]] = {
    "sklearn": ("sklearn", ("scikit-learn", "joblib", "pandas")),
    "onnx": ("onnxruntime", ("onnxruntime", "numpy")),
    "tensorflow": ("tensorflow", ("tensorflow-cpu" if sys.platform == "linux" else "tensorflow",)),
    "mlflow": ("mlflow", ("mlflow",)),
    "auto": ("sklearn", ("scikit-learn", "joblib", "pandas", "onnxruntime")),
}


def flavour_of(context: WorkspaceContext, reference: ModelReference) -> NoCode:
    """Return the flavour that serves a model without a scoring script: its framework, or an MLflow directory.

    Raises:
        WebserviceException: the model has neither a supported framework nor an MLflow directory.

    """
    record = _record(context, reference)
    framework = record.framework if record is not None else None
    if framework in _FLAVOURS:
        return _FLAVOURS[framework]
    if MLFLOW_FILE in (context.artifacts.files(reference.digest) or ()):
        return "mlflow"
    known = ", ".join(_FLAVOURS)
    raise WebserviceException(
        f"Model {reference.id} has the framework {framework or 'Custom'!r}, and no inference_config is given.\n"
        f"Without a scoring script only these frameworks are served: {known}; and MLflow directories.\n"
        "Register it with one, Model.register(..., model_framework=Model.Framework.SCIKITLEARN), or give a script: "
        "inference_config=InferenceConfig('score.py')."
    )


def only_model(references: list[ModelReference]) -> ModelReference:
    """Return the only model; raise `WebserviceException` if there is none, or more than one."""
    if len(references) == 1:
        return references[0]
    given = ", ".join(reference.id for reference in references) or "none"
    raise WebserviceException(
        f"models: {given}, and no inference_config is given. Without a scoring script exactly one model is served.\n"
        "Give one model, or a script: inference_config=InferenceConfig('score.py')."
    )


def resources_of(context: WorkspaceContext, reference: ModelReference) -> Resources | None:
    """Return the size that a model was registered with; None if it has none."""
    record = _record(context, reference)
    wanted = record.resource_configuration if record is not None else None
    given = {key: wanted.get(key) for key in ("cpu", "memoryInGB", "gpu")} if wanted else {}
    return Resources.parse({key: value for key, value in given.items() if value is not None}) if given else None


def environment_of(
    context: WorkspaceContext, reference: ModelReference, flavour: NoCode, *, here: bool
) -> ServingEnvironment | None:
    """Return the environment that serves a model; None for the interpreter that deploys.

    Parameters:
        context: the workspace.
        reference: the model; its framework version is installed.
        flavour: how it is served.
        here: whether the interpreter that deploys may be used if it has the needed packages.

    """
    module, packages = _NEEDS[flavour]
    own = _mlflow_files(context, reference) if flavour == "mlflow" else {}
    # The scikit-learn flavour of an MLflow directory is read without MLflow.
    enough = {module, "sklearn"} if "sklearn:" in own.get(MLFLOW_FILE, "") else {module}
    if here and any(importlib.util.find_spec(name) is not None for name in enough):
        return None
    # Options are omitted, such as a package index that the model's author chose.
    lines = [line.strip() for line in own.get("requirements.txt", "").splitlines()]
    given = [line for line in lines if line and not line.startswith(("#", "-"))]
    if not given:
        record = _record(context, reference)
        version = record.framework_version if record is not None and flavour not in ("auto", "mlflow") else None
        given = [f"{packages[0]}=={version}" if version else packages[0], *packages[1:]]
    conda = CondaDefinition(dependencies=[f"python={sys.version_info[0]}.{sys.version_info[1]}", {"pip": given}])
    return ServingEnvironment(
        EnvironmentDefinition(name=f"no-code-{flavour}", python=PythonDefinition(conda_dependencies=conda))
    )


def script_for(context: WorkspaceContext, flavour: NoCode) -> CodeReference:
    """Store the generated script for a model without a script, and return the reference to it."""
    with tempfile.TemporaryDirectory(prefix="mljupyter-no-code-") as directory:
        path = Path(directory) / "score.py"
        path.write_text(
            f"from mljupyter.scoring.nocode.{flavour} import init, run\n\n__all__ = ['init', 'run']\n", encoding="utf-8"
        )
        return CodeReference(digest=single_file(path, context.artifacts).digest, entry_script=path.name)


def _mlflow_files(context: WorkspaceContext, reference: ModelReference) -> dict[str, str]:
    """Return the description and the requirements of an MLflow directory."""
    with tempfile.TemporaryDirectory(prefix="mljupyter-no-code-") as directory:
        content = context.artifacts.fetch(reference.digest, Path(directory) / "model")
        paths = [content / name for name in (MLFLOW_FILE, "requirements.txt")]
        return {path.name: _beginning(path, reference) for path in paths if path.is_file()}


def _beginning(path: Path, reference: ModelReference) -> str:
    with path.open("rb") as file:
        content = file.read(_MOST_TEXT_BYTES + 1)
    if len(content) > _MOST_TEXT_BYTES:
        raise WebserviceException(
            f"{path.name} of model {reference.id} is larger than {_MOST_TEXT_BYTES:,} bytes, the limit for this file."
        )
    return content.decode(errors="replace")


def _record(context: WorkspaceContext, reference: ModelReference) -> ModelRecord | None:
    """Return the record of a registered model; None for a model from a local path."""
    return context.registry.models.get_by_id(reference.id) if reference.version else None
