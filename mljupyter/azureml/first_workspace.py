"""The workspace of a notebook without a configuration file: the default workspace, named once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from mljupyter.core import Workspace, selection
from mljupyter.core.workspace import use_without_config

_said = False


def install() -> None:
    """Let `Workspace.from_config` return the default workspace where no configuration file is found.

    Notebooks of Azure ML begin with this call, and their configuration file named a workspace that is gone.
    """
    use_without_config(_default)


def _default(start: Path) -> Workspace:
    global _said
    began = datetime.now(UTC)
    workspace = selection.default_workspace()
    if not _said:
        _said = True
        what = "created" if datetime.fromisoformat(workspace.get_details()["creationTime"]) >= began else "in use"
        print(
            f"No workspace config in {start.absolute()} or above it: "
            f"workspace {workspace.name!r} is {what}, in {workspace.directory}.\n"
            "To have one for this project: Workspace.create('NAME').write_config()"
        )
    return workspace
