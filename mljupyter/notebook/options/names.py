"""Read the names that completion offers. Starts nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mljupyter.core import Workspace


def read_names(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """Return names by kind: endpoints, their versions as ``endpoint:version``, models as ``name`` and ``name:version``,
    environments, scripts, targets, workspaces.
    """
    from mljupyter.core import Model
    from mljupyter.core import Workspace as AnyWorkspace
    from mljupyter.notebook.sources.environments import CURRENT
    from mljupyter.notebook.sources.scripts import KeptScripts

    models = Model.list(workspace)
    endpoints = workspace.endpoints.endpoints(start=False)
    return {
        "endpoint": tuple(sorted(record.spec.name for record in endpoints)),
        "environment": (CURRENT, *sorted(record.name for record in workspace.registry.environments.list())),
        "version": tuple(f"{record.spec.name}:{version}" for record in endpoints for version in record.spec.versions),
        "model": tuple(sorted({model.name for model in models} | {model.id for model in models})),
        "score": tuple(KeptScripts(Path(workspace.directory)).names()),
        "target": tuple(sorted(workspace.compute_targets)),
        "workspace": tuple(sorted(AnyWorkspace.list())),
    }
