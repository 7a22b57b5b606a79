"""The workspace of a notebook without a configuration file: the default workspace, named once."""

from __future__ import annotations

from pathlib import Path

from mljupyter.core import Workspace, selection
from mljupyter.core.workspace import use_without_config
from mljupyter.workspace import index

_said = False


def install() -> None:
    """Let `Workspace.from_config` return the default workspace where no configuration file is found.

    Notebooks of Azure ML begin with this call, and their configuration file named a workspace that is gone.
    """
    use_without_config(_default)


def _default(start: Path) -> Workspace:
    global _said
    known = set(index.known())
    workspace = selection.default_workspace()
    if not _said:
        _said = True
        what = "in use" if workspace.name in known else "created"
        print(
            f"No workspace config in {start.absolute()} or above it: "
            f"workspace {workspace.name!r} is {what}, in {workspace.directory}.\n"
            "To have one for this project: Workspace.create('NAME').write_config()"
        )
    return workspace
