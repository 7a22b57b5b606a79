"""The environment of ``--environment``, and its Python code."""

from __future__ import annotations

from mljupyter.core import Environment, Workspace
from mljupyter.exceptions import UserErrorException
from mljupyter.files import expanded
from mljupyter.notebook.options.deployment_options import CURRENT
from mljupyter.notebook.options.option_values import WrongInputError, near

_CONDA_FILES = (".yml", ".yaml")


def environment_named(workspace: Workspace, text: str, service: str) -> tuple[Environment, str]:
    """Return an environment and its Python expression.

    Parameters:
        workspace: has the registered environments.
        text: ``current`` for this notebook's packages; a requirements file, a conda file; or a registered name,
            optionally with ``:version``.
        service: name of the endpoint; an environment from a file is named after it.

    Raises:
        WrongInputError: there is neither such a file nor a registered environment of this name.

    """
    name = f"{service}-environment"
    if text == CURRENT:
        return Environment.from_current(name), f"Environment.from_current({name!r})"
    path = expanded(text)
    if path.suffix in _CONDA_FILES and path.is_file():
        code = f"Environment.from_conda_specification({name!r}, {str(path)!r})"
        return Environment.from_conda_specification(name, str(path)), code
    if path.suffix == ".txt" and path.is_file():
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
