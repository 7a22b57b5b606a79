"""WorkspaceContext: the parts of a workspace that other packages use.

The SDK's `Workspace` passes its context on, so that deployments, builds and garbage collection do not need the SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.targets.catalog import check_target, find_targets
from mljupyter.targets.endpoints import WorkspaceEndpoints
from mljupyter.workspace import index
from mljupyter.workspace.index import WorkspaceDocument

if TYPE_CHECKING:
    from mljupyter.registry import Registry
    from mljupyter.registry.artifacts.store import ArtifactStore
    from mljupyter.targets.base import Target
    from mljupyter.targets.machine.client import ControllerClient
    from mljupyter.tracking.tracking import Tracking


class WorkspaceContext:
    """The parts of one workspace. Each is opened when it is first used.

    Parameters:
        directory: the workspace's directory.

    Raises:
        WorkspaceException: the directory is not a workspace.

    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.document: WorkspaceDocument = index.read(self.directory)

    @property
    def name(self) -> str:
        """The workspace's name."""
        return self.document.name

    @property
    def container_registry(self) -> str | None:
        """The host of the container registry that images are pushed to; None keeps them on the Docker engine."""
        return self.document.container_registry

    @cached_property
    def registry(self) -> Registry:
        """The catalog of models, environments and images."""
        from mljupyter.registry import Registry  # SQLAlchemy is heavy: only when something registered is read

        return Registry.open(self.directory)

    @property
    def artifacts(self) -> ArtifactStore:
        """The content of models and source directories."""
        return self.registry.artifacts

    @cached_property
    def tracking(self) -> Tracking:
        """The experiments, runs, datastores and datasets."""
        from mljupyter.tracking.tracking import Tracking  # only when one of them is used

        return Tracking(self.registry, self.directory)

    @property
    def artifact_location(self) -> str:
        """The directory or URL of the artifact store, without credentials."""
        return self.artifacts.location

    @property
    def targets(self) -> Mapping[str, Target]:
        """The compute targets by name."""
        return find_targets(self)

    def target(self, name: object) -> Target:
        """Return the compute target of a name.

        Raises:
            ComputeTargetException: `ComputeTargetNotFound`: there is no such target; the message lists the existing
                ones.

        """
        return check_target(self.targets, name)

    def serving_target(self, name: object) -> Target:
        """Return the compute target that runs what is deployed to the target of a name: mostly that target itself.

        Raises:
            ComputeTargetException: there is no such target, or it runs no endpoints.

        """
        return self.target(name).serving()

    @cached_property
    def endpoints(self) -> WorkspaceEndpoints:
        """The endpoints of all targets."""
        return WorkspaceEndpoints(lambda: self.targets)

    @property
    def controller(self) -> ControllerClient:
        """The control plane of this machine: its router, its certificates, its process."""
        from mljupyter.targets.machine import controller_client  # only when the control plane is used

        return controller_client(self.directory)

    def reopen(self) -> None:
        """Forget the open database and artifact store: the next use opens those of ``storage.json``."""
        self.close()
        for part in ("registry", "tracking"):
            self.__dict__.pop(part, None)

    def close(self) -> None:
        """Close the catalog's database, if it is open."""
        if "registry" in self.__dict__:
            self.registry.close()

    def __repr__(self) -> str:
        return f"WorkspaceContext({str(self.directory)!r})"
