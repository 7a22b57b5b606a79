"""Registered models, scoring scripts and their files, by their names on a magic's line."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mljupyter.build.project.snapshot import snapshot
from mljupyter.core import Environment, InferenceConfig, Model, Workspace
from mljupyter.exceptions import WebserviceException
from mljupyter.files import expanded
from mljupyter.notebook.options.option_values import WrongInputError, near
from mljupyter.notebook.scripts import SCRIPT, KeptScript
from mljupyter.notebook.session import Session
from mljupyter.outside import whole
from mljupyter.registry.artifacts.store import ArtifactStore

_MODELS = "azureml-models"

_MOST_VERSIONS = 10


def registered_models(workspace: Workspace, names: Iterable[str], namespace: Mapping[str, Any]) -> list[Model]:
    """Return registered models by ``name`` or ``name:version``, or from a variable with a Model.

    Raises:
        WrongInputError: there is no model of this name; the message has the nearest name.

    """
    return [_registered_model(workspace, text, namespace) for text in names]


def _registered_model(workspace: Workspace, text: str, namespace: Mapping[str, Any]) -> Model:
    name, colon, version = text.partition(":")
    if isinstance(namespace.get(text), Model):
        model: Model = namespace[text]
        return model
    if colon and whole(version) is None:
        raise WrongInputError(f"--model {text}: the version after ':' is a number, such as {name}:1.")
    try:
        return Model(workspace, name=name, version=whole(version))
    except WebserviceException as error:
        raise WrongInputError(unknown_model(workspace, text)) from error


def unknown_model(workspace: Workspace, text: str) -> str:
    """Return the sentences about a model that is not registered, with its versions or the nearest name.

    Parameters:
        workspace: the workspace.
        text: the model as it was given, ``NAME`` or ``NAME:VERSION``.

    """
    name = text.partition(":")[0]
    models = Model.list(workspace)
    versions = sorted(model.version for model in models if model.name == name)
    if versions:
        listed = [*(["..."] if len(versions) > _MOST_VERSIONS else []), *map(str, versions[-_MOST_VERSIONS:])]
        hint = f" It has {'versions' if len(versions) > 1 else 'version'} {', '.join(listed)}."
    else:
        hint = near(name, {model.name for model in models}) or (
            f" Register one with Model.register(ws, PATH, {name!r})."
        )
    return f"There is no registered model {text!r} in this workspace.{hint}"


def scoring_config(
    session: Session, text: str, namespace: Mapping[str, Any], environment: Environment | None = None
) -> InferenceConfig:
    """Return the inference config of ``--score``: a stored scoring script, a variable, or a ``.py`` file.

    Raises:
        MLJupyterError: there is none; the message has the nearest name.

    """
    value = namespace.get(text)
    if isinstance(value, InferenceConfig):
        if environment is not None:
            raise WrongInputError(f"--environment is not needed: the inference config {text!r} says what it runs in.")
        return value
    if text.endswith(".py") and expanded(text).is_file():
        return InferenceConfig(entry_script=str(expanded(text)), environment=environment)
    return inference_config(session.workspace().artifacts, session.scripts().load(text), environment)


def inference_config(store: ArtifactStore, kept: KeptScript, environment: Environment | None = None) -> InferenceConfig:
    """Return the inference config of a stored scoring script, with its present source directory."""
    if kept.source_directory is None:
        return InferenceConfig(entry_script=str(kept.path), environment=environment)
    staged = kept.path.parent / "source"
    shutil.rmtree(staged, ignore_errors=True)
    script = lay_out_source(store, kept.path.read_text(encoding="utf-8"), kept.source_directory, staged)
    return InferenceConfig(entry_script=script.name, source_directory=str(script.parent), environment=environment)


def lay_out_source(store: ArtifactStore, source: str, source_directory: Path | None, parent: Path) -> Path:
    """Copy a scoring script, and its source directory by the rules of snapshots, below a directory; return its path."""
    if source_directory is None:
        return lay_out_script(source, parent)

    place = parent / source_directory.name
    with store.hold():
        store.fetch(snapshot(source_directory, store).digest, place)
    return lay_out_script(source, place)


def lay_out_script(source: str, directory: Path) -> Path:
    """Write the cell's script beside the files of a source directory.

    Raises:
        WrongInputError: the directory has a file of that name, which would be overwritten.

    """
    script = directory / SCRIPT
    if script.exists() or script.is_symlink():
        raise WrongInputError(
            f"{directory.name} has a {SCRIPT} of its own: rename it, or use it with --score {SCRIPT}."
        )
    script.write_text(source, encoding="utf-8")
    return script


def lay_out_models(
    workspace: Workspace, names: Iterable[str], namespace: Mapping[str, Any], app_root: Path
) -> dict[str, str]:
    """Copy registered models below an app root; return the environment variables for the script.

    With one model, ``AZUREML_MODEL_DIR`` is its directory; with several or none, the directory of all (Azure ML v1:
    layout in services).
    """
    models = registered_models(workspace, names, namespace)
    (app_root / _MODELS).mkdir()
    places = []
    for model in models:
        place = app_root / _MODELS / model.name / str(model.version)
        place.mkdir(parents=True)
        workspace.artifacts.fetch(model.reference.digest, place / model.reference.entry)
        places.append(place)
    return {"AZUREML_MODEL_DIR": str(places[0] if len(places) == 1 else app_root / _MODELS)}
