"""Selection of a workspace: by name, by directory, by environment variable, by configuration file, or the default."""

from __future__ import annotations

import os
from pathlib import Path

from mljupyter.core.workspace import Workspace
from mljupyter.exceptions import WorkspaceException
from mljupyter.files import expanded
from mljupyter.workspace import config_file, index

WORKSPACE_VARIABLE = "MLJUPYTER_WORKSPACE"
DEFAULT_NAME = "default"


def open_workspace(text: str, *, create: bool = False) -> Workspace:
    """Return the workspace with a name or in a directory.

    Parameters:
        text: a name, or a directory. A text that begins with ``~`` or ``.``, or has a ``/`` in it, is a directory.
        create: create the workspace if it does not exist.

    Raises:
        WorkspaceException: it does not exist and `create` is not set, or it cannot be used.
        UserErrorException: the name of a workspace to create breaks the rule.

    """
    if not (text.startswith(("~", ".")) or os.sep in text):
        return Workspace.create(text, exist_ok=True) if create else Workspace.get(text)
    directory = Path(os.path.abspath(expanded(text)))  # noqa: PTH100 - Path.absolute() keeps '..'
    if index.holds(directory):
        return Workspace.at(directory)
    if create:
        return Workspace.create(directory.name, path=directory, exist_ok=True)
    raise WorkspaceException(f"WorkspaceNotFound: there is no workspace in the directory {text!r}.")


def default_workspace() -> Workspace:
    """Return the default workspace; create it if it does not exist.

    It is that of the environment variable MLJUPYTER_WORKSPACE, a directory or a name; otherwise that of the
    configuration file in the current directory or above it; otherwise ``default``.

    Raises:
        UserErrorException: the configuration file cannot be read, or the name breaks the rule.
        WorkspaceException: the workspace cannot be used.

    """
    if wanted := os.environ.get(WORKSPACE_VARIABLE):
        return open_workspace(wanted, create=True)
    if config_file.find(Path.cwd()) is not None:
        return Workspace.from_config()
    return Workspace.create(DEFAULT_NAME, exist_ok=True)


def existing_default() -> Workspace | None:
    """Return the default workspace if it exists, and create nothing.

    Raises:
        UserErrorException: the configuration file cannot be read.

    """
    try:
        return open_workspace(_wanted())
    except WorkspaceException:
        return None


def first_name() -> str:
    """Return the name that the default workspace will have if it does not exist yet.

    Raises:
        UserErrorException: the configuration file cannot be read.

    """
    return Path(_wanted()).name


def _wanted() -> str:
    """Return the name or the directory of the default workspace."""
    if wanted := os.environ.get(WORKSPACE_VARIABLE):
        return wanted
    config = config_file.find(Path.cwd())
    return config.workspace_name if config is not None else DEFAULT_NAME
