"""The environment of ``--environment``, and its Python code."""

from __future__ import annotations

from pathlib import Path

from mljupyter.core import Environment, Workspace
from mljupyter.exceptions import UserErrorException
from mljupyter.files import expanded
from mljupyter.notebook.options.deployment_options import CURRENT
from mljupyter.notebook.options.option_values import WrongInputError, near

_CONDA_FILES = (".yml", ".yaml")
_PROJECT_FILE = "pyproject.toml"
_IN_A_DIRECTORY = ("requirements.txt", "environment.yml", "environment.yaml", "conda.yml", "conda.yaml", _PROJECT_FILE)


def environment_named(workspace: Workspace, text: str, service: str) -> tuple[Environment, str]:
    """Return an environment and its Python expression.

    Parameters:
        workspace: has the registered environments.
        text: ``current`` for this notebook's packages; a requirements file, a conda file, a ``pyproject.toml``, or a
            directory with one of them; or a registered name, optionally with ``:version``.
        service: name of the endpoint; an environment from a file is named after it.

    Raises:
        WrongInputError: there is neither such a file nor a registered environment of this name, or a directory has
            several files or none.

    """
    name = f"{service}-environment"
    if text == CURRENT:
        return Environment.from_current(name), f"Environment.from_current({name!r})"
    path = expanded(text)
    if path.is_dir() and (text not in workspace.environments):
        path = _file_in(path, text)
    if path.suffix in _CONDA_FILES and path.is_file():
        code = f"Environment.from_conda_specification({name!r}, {str(path)!r})"
        return Environment.from_conda_specification(name, str(path)), code
    if (path.suffix == ".txt" or path.name == _PROJECT_FILE) and path.is_file():
        code = f"Environment.from_pip_requirements({name!r}, {str(path)!r})"
        return Environment.from_pip_requirements(name, str(path)), code
    registered, _, version = text.partition(":")
    try:
        found = Environment.get(workspace, registered, version=version or None)
    except UserErrorException as error:
        hint = near(text, workspace.environments)
        raise WrongInputError(
            f"--environment {text}: there is no such file, and no environment is registered under this name.{hint}"
        ) from error
    return found, f"Environment.get(ws, {registered!r}{f', version={version!r}' if version else ''})"


def _file_in(directory: Path, text: str) -> Path:
    """Return the only file with packages of a directory."""
    found = [name for name in _IN_A_DIRECTORY if (directory / name).is_file()]
    if len(found) == 1:
        return directory / found[0]
    if found:
        several = " and ".join(found)
        raise WrongInputError(
            f"--environment {text}: this directory has {several}. Name one: {text.rstrip('/')}/{found[0]}"
        )
    raise WrongInputError(
        f"--environment {text}: this directory has none of {', '.join(_IN_A_DIRECTORY)}.\n"
        "Name the file with the packages."
    )
