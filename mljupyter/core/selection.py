"""Which workspace is meant: by a name, a directory, the environment, a config file, or none of these."""

from __future__ import annotations

import os
from pathlib import Path

from mljupyter.core.workspace import Workspace
from mljupyter.exceptions import WorkspaceException
from mljupyter.workspace import config_file, index

WORKSPACE_VARIABLE = "MLJUPYTER_WORKSPACE"
DEFAULT_NAME = "default"


def open_workspace(text: str, *, create: bool = False) -> Workspace:
    """Return the workspace that a text means.

    Parameters:
        text: a name, or a directory: what begins with ``~`` or ``.`` or has a separator in it.
        create: make it when there is none.

    Raises:
        WorkspaceException: when there is none and `create` is not set, or when it cannot be used.
        UserErrorException: when a name to be created breaks the rule.

    """
    if not (text.startswith(("~", ".")) or os.sep in text):
        return Workspace.create(text, exist_ok=True) if create else Workspace.get(text)
    directory = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - Path.absolute() keeps '..'
    if index.holds(directory):
        return Workspace.at(directory)
    if create:
        return Workspace.create(directory.name, path=directory, exist_ok=True)
    raise WorkspaceException(f"WorkspaceNotFound: there is no workspace in the directory {text!r}.")


def default_workspace() -> Workspace:
    """Return the workspace to use when none was named.

    It is that of the environment variable MLJUPYTER_WORKSPACE, a directory or a name; else that of the config file in
    the current directory or above it; else the one called ``default``. What does not exist is created.

    Raises:
        UserErrorException: when the config cannot be read, or the name breaks the rule.
        WorkspaceException: when the workspace cannot be used.

    """
    if wanted := os.environ.get(WORKSPACE_VARIABLE):
        return open_workspace(wanted, create=True)
    if config_file.find(Path.cwd()) is not None:
        return Workspace.from_config()
    return Workspace.create(DEFAULT_NAME, exist_ok=True)
