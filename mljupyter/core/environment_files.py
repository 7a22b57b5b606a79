"""Environments in directories, in the files of Azure ML (Azure ML v1: Environment.save_to_directory)."""

from __future__ import annotations

import json
from pathlib import Path

from mljupyter.build.environments.definition import EnvironmentDefinition
from mljupyter.core import conda_file
from mljupyter.core.conda_dependencies import DEFAULT_FILE as CONDA_FILE
from mljupyter.core.conda_dependencies import CondaDependencies
from mljupyter.core.environment import Environment
from mljupyter.exceptions import UserErrorException, as_user_error
from mljupyter.outside import json_value

DOCUMENT = "azureml_environment.json"
DOCKERFILE = "BaseDockerfile"


def save(environment: Environment, directory: Path, *, overwrite: bool) -> None:
    """Do what `Environment.save_to_directory` promises."""
    definition = environment.definition()
    if directory.exists() and not overwrite:
        raise UserErrorException(f"{str(directory)!r} exists already: choose another directory, or overwrite=True.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in (DOCUMENT, CONDA_FILE, DOCKERFILE):
            (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserErrorException(f"{str(directory)!r} cannot be written: {error.strerror}.") from None
    document = definition.document()
    # What has a file of its own is in that file alone: the two could disagree otherwise.
    document["python"].pop("condaDependencies", None)
    dockerfile = document["docker"].pop("baseDockerfile", None)
    conda_file.write(directory / DOCUMENT, json.dumps(document, indent=4, sort_keys=True) + "\n")
    if environment.python.conda_dependencies is not None:
        environment.python.conda_dependencies.save_to_file(directory, CONDA_FILE)
    if dockerfile is not None:
        conda_file.write(directory / DOCKERFILE, dockerfile)


def load(directory: Path) -> Environment:
    """Do what `Environment.load_from_directory` promises."""
    where = directory / DOCUMENT
    text = conda_file.read_text(where, "environment file")
    try:
        document = json_value(text)
    except ValueError as error:
        raise UserErrorException(f"{str(where)!r} is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise UserErrorException(f"{str(where)!r} holds no environment: it is a {type(document).__name__}.")
    with as_user_error():
        environment = Environment.of(EnvironmentDefinition.parse(document))
    if (directory / CONDA_FILE).is_file():
        environment.python.conda_dependencies = CondaDependencies(directory / CONDA_FILE)
    if (directory / DOCKERFILE).is_file():
        environment.docker.base_dockerfile = conda_file.read_text(directory / DOCKERFILE, "Dockerfile")
    return environment
