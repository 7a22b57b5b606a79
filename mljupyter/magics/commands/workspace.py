"""``%mlj workspace``: show or choose the workspace that the magics use."""

from __future__ import annotations

import os
from typing import Any

from mljupyter.core import Workspace
from mljupyter.core.selection import open_workspace
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WorkspaceException
from mljupyter.magics.magic import Call
from mljupyter.notebook.options.command_line import quoted


class WorkspaceMissingError(MLJupyterError):
    """There is no workspace of this name, or in this directory."""


def run(call: Call) -> Any:
    """Choose a workspace by name or directory if one is given, and print the current one."""
    if call["name"] is not None:
        workspace = _chosen(call["name"], create=call["create"])
        call.session.use(workspace)
        # Commands in cells (!mljupyter ...) and processes that cells start use the same one.
        os.environ["MLJUPYTER_WORKSPACE"] = str(workspace.directory)
    workspace = call.session.workspace()
    call.say(f"Workspace {workspace.name!r}")
    return call.deliver(workspace) if call["output"] else None


def _chosen(text: str, *, create: bool) -> Workspace:
    try:
        return open_workspace(text, create=create)
    except WorkspaceException as error:
        if create:
            raise
        what = error.message.partition("\n")[0]
        raise WorkspaceMissingError(f"{what}\nTo make it: %mlj workspace {quoted(text)} --create") from error
