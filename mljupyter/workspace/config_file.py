"""The config file of a project, which names its workspace: search, reading and writing (Azure ML v1: 1.1)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mljupyter import ownership
from mljupyter.exceptions import UserErrorException
from mljupyter.files import expanded, write_whole
from mljupyter.outside import json_value

FOLDER = ".azureml"
FILE_NAME = "config.json"
_OWN_FOLDERS = (FOLDER, "aml_config")
_FILE_NAMES = (FILE_NAME, "project.json")
_LARGEST = 1 << 20
_SHARED = 0o666  # it holds no secret and may be shared; the umask still applies


@dataclass(frozen=True)
class WorkspaceConfig:
    """The content of a config file. `path` is the workspace's directory, if the file names it."""

    file: Path
    workspace_name: str
    subscription_id: str | None = None
    resource_group: str | None = None
    path: Path | None = None


def find(start: Path, file_name: str | None = None) -> WorkspaceConfig | None:
    """Return the first config found in a directory or the directories above it.

    In each: ``.azureml``, then ``aml_config``, then the directory itself; in each of these ``config.json``, then
    ``project.json``. A file of that name in the directory itself with other content is ignored: many tools write a
    ``config.json``. A file of another user, or in another user's ``.azureml``, is ignored with one message: it would
    decide where this user's models, keys and data go.

    Parameters:
        start: the directory at which the search begins.
        file_name: the only name to look for.

    Raises:
        UserErrorException: when a file in ``.azureml`` or ``aml_config`` cannot be read.

    """
    names = (file_name,) if file_name else _FILE_NAMES
    start = start.absolute()
    for directory in (start, *start.parents):
        for folder in _OWN_FOLDERS:
            for name in names:
                file = directory / folder / name
                if _exists(file) and not ownership.passed_over(file, directory / folder):
                    return read(file)
        for name in names:
            file = directory / name
            if _exists(file) and _is_about_a_workspace(file) and not ownership.passed_over(file):
                return read(file)
    return None


def read(file: Path) -> WorkspaceConfig:
    """Read one config file.

    Raises:
        UserErrorException: it is not a JSON object, or names no workspace.

    """
    try:
        data = _load(file)
    except (OSError, ValueError) as error:
        raise UserErrorException(f"{file} cannot be read as JSON: {error}") from None
    if not _names_a_workspace(data):
        raise UserErrorException(
            f"{file} names no workspace. It must hold a JSON object with the key workspace_name, for example:\n"
            '{"workspace_name": "churn-team"}'
        )
    if "workspace_name" not in data:
        data |= _parts_of_scope(str(data["Scope"]), file)
    path = data.get("path")
    if path is not None and not isinstance(path, str):
        raise UserErrorException(f"{file}: path is {path!r}: it must be the text of a directory's path.")
    return WorkspaceConfig(
        file=file,
        workspace_name=data["workspace_name"],
        subscription_id=data.get("subscription_id"),
        resource_group=data.get("resource_group"),
        path=(file.parent / expanded(path)) if path else None,
    )


def write(directory: Path, file_name: str | None, data: dict[str, Any]) -> Path:
    """Write a config file atomically into the ``.azureml`` folder of a directory; return its path.

    Raises:
        UserErrorException: the folder belongs to another user, or is a link of another user to a directory with other
            files.

    """
    file = directory / FOLDER / (file_name or FILE_NAME)
    directory.mkdir(parents=True, exist_ok=True)
    owner = ownership.foreign_owner(file.parent) if os.path.lexists(file.parent) else None
    if owner is not None:
        raise UserErrorException(
            f"{file.parent} belongs to {ownership.name_of(owner)}: a config file there would not be used.\n"
            "Write it into a directory of your own: write_config(path=DIR)."
        )
    file.parent.mkdir(exist_ok=True)
    write_whole(file, json.dumps(data, indent=4) + "\n", mode=_SHARED)
    return file


def _exists(file: Path) -> bool:
    try:
        return file.is_file()
    except PermissionError:  # a directory that this user may not read counts as empty
        return False


def _load(file: Path) -> Any:
    if file.stat().st_size > _LARGEST:
        raise ValueError(f"larger than {_LARGEST} bytes")
    return json_value(file.read_text(encoding="utf-8-sig"))


def _is_about_a_workspace(file: Path) -> bool:
    try:
        return _names_a_workspace(_load(file))
    except (OSError, ValueError):
        return False


def _names_a_workspace(data: Any) -> bool:
    return isinstance(data, dict) and (
        isinstance(data.get("workspace_name"), str) or isinstance(data.get("Scope"), str)
    )


def _parts_of_scope(scope: str, file: Path) -> dict[str, str]:
    parts = scope.strip("/").split("/")
    values = {key.lower(): value for key, value in zip(parts[::2], parts[1::2], strict=False)}
    if not values.get("workspaces"):
        raise UserErrorException(
            f"{file}: Scope is {scope!r}. It must read /subscriptions/ID/resourceGroups/GROUP/providers/"
            "Microsoft.MachineLearningServices/workspaces/NAME"
        )
    return {
        "workspace_name": values["workspaces"],
        "subscription_id": values.get("subscriptions", ""),
        "resource_group": values.get("resourcegroups", ""),
    }
