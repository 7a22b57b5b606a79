"""Read the names that completion offers. Starts nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mljupyter.core import Workspace


def read_names(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """Return names by kind: endpoints, models as ``name`` and ``name:version``, scripts, targets, workspaces."""
    from mljupyter.core import Model
    from mljupyter.core import Workspace as AnyWorkspace
    from mljupyter.frontend.scripts import KeptScripts

    models = Model.list(workspace)
    endpoints = workspace.controller.endpoints() if workspace.controller.running() is not None else []
    return {
        "endpoint": tuple(sorted(record.spec.name for record in endpoints)),
        "model": tuple(sorted({model.name for model in models} | {model.id for model in models})),
        "score": tuple(KeptScripts(Path(workspace.directory)).names()),
        "target": tuple(sorted(workspace.compute_targets)),
        "workspace": tuple(sorted(AnyWorkspace.list())),
    }
