"""WorkspaceContext: the parts of a workspace that other packages use.

The SDK's `Workspace` passes its context on, so that deployments, builds and garbage collection do not need the SDK.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.exceptions import WorkspaceException
from mljupyter.targets.catalog import check_target, find_targets
from mljupyter.targets.endpoints import WorkspaceEndpoints
from mljupyter.workspace import index
from mljupyter.workspace.index import WorkspaceDocument
from mljupyter.workspace_folders import WorkspaceGoneError

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
        self._opening = threading.RLock()
        self._registry: Registry | None = None
        self._tracking: Tracking | None = None

    @property
    def name(self) -> str:
        """The workspace's name."""
        return self.document.name

    @property
    def is_there(self) -> bool:
        """Whether the workspace still exists: it was not deleted, and there is no other one in its directory."""
        try:
            return index.read(self.directory).id == self.document.id
        except WorkspaceException:
            return False

    @property
    def container_registry(self) -> str | None:
        """The host of the container registry that images are pushed to; None keeps them on the Docker engine."""
        return self.document.container_registry

    @property
    def registry(self) -> Registry:
        """The catalog of models, environments and images.

        Raises:
            WorkspaceGoneError: the workspace was deleted. To open its catalog would create it again, and an open one
                would take changes that nobody reads: its file has no name any more.

        """
        if not self.is_there:
            raise WorkspaceGoneError.of(self.directory)
        with self._opening:
            if self._registry is None:
                from mljupyter.registry import Registry  # SQLAlchemy is heavy: only when something registered is read

                self._registry = Registry.open(self.directory)
            return self._registry

    @property
    def artifacts(self) -> ArtifactStore:
        """The content of models and source directories."""
        return self.registry.artifacts

    @property
    def tracking(self) -> Tracking:
        """The experiments, runs, datastores and datasets; see `registry` for errors."""
        with self._opening:
            registry = self.registry
            if self._tracking is None:
                from mljupyter.tracking.tracking import Tracking  # only when one of them is used

                self._tracking = Tracking(registry, self.directory)
            return self._tracking

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
        self._registry = self._tracking = None

    def close(self) -> None:
        """Close the catalog's database, if it is open."""
        if self._registry is not None:
            self._registry.close()

    def __repr__(self) -> str:
        return f"WorkspaceContext({str(self.directory)!r})"
