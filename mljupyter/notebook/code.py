"""Parts of the Python code that magics show with ``--code``. The code can be run unchanged."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from mljupyter.core import Workspace
from mljupyter.core import Workspace as AnyWorkspace
from mljupyter.exceptions import WorkspaceException

# Modules, and the names that are imported from them if used.
_SOURCES = {
    "pathlib": ("Path",),
    "mljupyter.core": ("ComputeTarget", "Environment", "InferenceConfig", "Model", "Workspace"),
    "mljupyter.core.compute": ("KubernetesCompute",),
    "mljupyter.core.estimator": ("environment_for", "register_estimator"),
    "mljupyter.core.selection": ("open_workspace",),
    "mljupyter.core.specification": ("deploy_specification",),
    "mljupyter.core.variables": ("variables_in",),
    "mljupyter.core.webservice": ("AciWebservice", "AksEndpoint", "AksWebservice", "LocalWebservice", "Webservice"),
}


def script_of(workspace: Workspace, lines: Iterable[str]) -> str:
    """Return a script: imports, the workspace as ``ws``, and the lines that use it."""
    body = [f"ws = {workspace_code(workspace)}", *lines]
    return "\n".join([*imports_of(body), "", *body])


def imports_of(lines: Iterable[str]) -> list[str]:
    """Return the imports for lines of Python that name parts of the SDK.

    Example:
        >>> imports_of(["ws = Workspace.get('team')", "service = Model.deploy(ws)"])
        ['from mljupyter.core import Model, Workspace']

    """
    tree = ast.parse("\n".join(lines))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found = ["import shutil"] if "shutil" in used else []
    for module, names in _SOURCES.items():
        if chosen := [name for name in names if name in used]:
            found.append(f"from {module} import {', '.join(chosen)}")
    return found


def workspace_code(workspace: Workspace) -> str:
    """Return the expression that opens a workspace: by its name, or by its directory if that is not the default one."""
    try:
        if AnyWorkspace.get(workspace.name).directory == workspace.directory:
            return f"Workspace.get({workspace.name!r})"
    except WorkspaceException:
        pass
    return f"open_workspace({str(workspace.directory)!r})"
