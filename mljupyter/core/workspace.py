"""The workspace: the home of everything that is registered and deployed (Azure ML v1: Workspace)."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.core.described_workspace import DescribedWorkspace, registry_host
from mljupyter.exceptions import UserErrorException, WorkspaceException, as_webservice_exception
from mljupyter.spec import EndpointRecord
from mljupyter.workspace import config_file, index
from mljupyter.workspace.context import WorkspaceContext

if TYPE_CHECKING:
    from mljupyter.core.compute import ComputeTarget
    from mljupyter.core.environment import Environment
    from mljupyter.core.image import Image
    from mljupyter.core.model import Model
    from mljupyter.core.router import Router
    from mljupyter.core.telemetry import Telemetry
    from mljupyter.core.webservice import Webservice
    from mljupyter.registry import Registry
    from mljupyter.registry.artifacts.store import ArtifactStore
    from mljupyter.targets.endpoints import WorkspaceEndpoints
    from mljupyter.targets.machine.client import ControllerClient

_NO_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
_THIS_MACHINE = "local"


class Workspace(DescribedWorkspace):
    """A workspace on this machine: a directory with models, snapshots and endpoints.

    Workspaces are found by name. `subscription_id`, `resource_group` and `auth` come from Azure ML: they are kept or
    ignored, and select nothing.

    Parameters:
        subscription_id, resource_group: kept as information.
        workspace_name: the name of an existing workspace.

    Raises:
        WorkspaceException: when there is none of that name.

    """

    def __init__(
        self,
        subscription_id: str | None,
        resource_group: str | None,
        workspace_name: str,
        auth: Any = None,
        _location: str | None = None,
        _disable_service_check: bool = False,
        _workspace_id: str | None = None,
        sku: str = "basic",
        tags: dict[str, str] | None = None,
        _cloud: str = "AzureCloud",
    ) -> None:
        self._open(index.existing(workspace_name))

    @classmethod
    def _at(cls, directory: Path) -> Workspace:
        """Return the workspace in a directory, whether or not the index knows it."""
        workspace = object.__new__(cls)
        workspace._open(directory)
        return workspace

    def _open(self, directory: Path) -> None:
        self.context = WorkspaceContext(directory)
        self._document = self.context.document

    @staticmethod
    def create(
        name: str,
        auth: Any = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        create_resource_group: bool = True,
        sku: str = "basic",
        tags: dict[str, str] | None = None,
        friendly_name: str | None = None,
        storage_account: Any = None,
        key_vault: Any = None,
        app_insights: Any = None,
        container_registry: Any = None,
        adb_workspace: Any = None,
        primary_user_assigned_identity: Any = None,
        cmk_keyvault: Any = None,
        resource_cmk_uri: Any = None,
        hbi_workspace: bool = False,
        default_cpu_compute_target: Any = None,
        default_gpu_compute_target: Any = None,
        private_endpoint_config: Any = None,
        private_endpoint_auto_approval: bool = True,
        exist_ok: bool = False,
        show_output: bool = True,
        user_assigned_identity_for_cmk_encryption: Any = None,
        system_datastores_auth_mode: str = "accessKey",
        v1_legacy_mode: bool | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> Workspace:
        """Create a workspace and return it.

        Arguments that name parts of a cloud are accepted and have no effect.

        Parameters:
            name: 3 to 33 letters, digits, '-' and '_'.
            subscription_id, resource_group, location, tags, friendly_name: kept as information.
            container_registry: host, and port, of the registry that its images are pushed to, such as
                ``registry.example.com:5000``; ``docker login`` has its credentials. By default images stay on the
                Docker engine that builds them.
            exist_ok: return the workspace of that name when it exists already.
            path: a directory for it, new or empty; by default one in ``~/.mljupyter``, or ``$MLJUPYTER_HOME``.

        Raises:
            UserErrorException: when the name breaks the rule.
            WorkspaceException: when the name is taken or the place cannot be used.

        Example:
            >>> Workspace.create("churn-team", path="team", exist_ok=True)     # doctest: +SKIP

        """
        index.check_name(name)
        place = Path(path).expanduser() if path is not None else None
        if exist_ok and (found := index.found(name, place)) is not None:
            return Workspace._at(found)
        document = index.WorkspaceDocument(
            name=name,
            id=str(uuid.uuid4()),
            created_time=datetime.now(UTC),
            subscription_id=subscription_id or _NO_SUBSCRIPTION,
            resource_group=resource_group or _THIS_MACHINE,
            location=location or _THIS_MACHINE,
            tags=tags or {},
            friendly_name=friendly_name,
            container_registry=registry_host(container_registry),
        )
        try:
            return Workspace._at(index.create(document, place))
        except index.NameTakenError:
            if exist_ok and (found := index.found(name, place)) is not None:
                return Workspace._at(found)  # another process was faster
            raise

    @staticmethod
    def get(
        name: str,
        auth: Any = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        cloud: str = "AzureCloud",
        id: str | None = None,  # noqa: A002 - the name of the original
    ) -> Workspace:
        """Return an existing workspace.

        Raises:
            WorkspaceException: when there is none of that name, or its directory is gone.

        """
        return Workspace._at(index.existing(name))

    @staticmethod
    def from_config(
        path: str | os.PathLike[str] | None = None,
        auth: Any = None,
        _logger: Any = None,
        _file_name: str | None = None,
    ) -> Workspace:
        """Return the workspace that a config file names; create it when this machine has none of that name.

        Parameters:
            path: the file, or the directory to begin the search in; by default the current directory. The search
                goes on in the directories above; in each: ``.azureml``, ``aml_config``, the directory itself.

        Raises:
            UserErrorException: when no config is found, or it cannot be read.
            WorkspaceException: when its directory is gone.

        """
        start = Path(path).expanduser() if path is not None else Path.cwd()
        if start.is_file():
            return _of_config(config_file.read(start))
        config = config_file.find(start, _file_name)
        if config is None:
            raise UserErrorException(
                f"No workspace config was found in {start.absolute()} or above it "
                f"({config_file.FOLDER}/{config_file.FILE_NAME}).\n"
                "Make one with Workspace.create('NAME').write_config(), or use Workspace.get('NAME')."
            )
        return _of_config(config)

    @staticmethod
    def list(
        subscription_id: str | None = None, auth: Any = None, resource_group: str | None = None
    ) -> dict[str, Sequence[Workspace]]:
        """Return the workspaces of this machine: name to a list with the one workspace.

        Parameters:
            subscription_id, resource_group: only those that were created with these.

        """
        found: dict[str, Sequence[Workspace]] = {}
        for name in index.known():
            try:
                workspace = Workspace.get(name)
            except WorkspaceException:
                continue  # its directory is gone; Workspace.get(name) says so
            if subscription_id in (None, workspace.subscription_id) and resource_group in (
                None,
                workspace.resource_group,
            ):
                found[name] = [workspace]
        return found

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        """Where to deploy to, by name."""
        from mljupyter.core.compute import ComputeTarget

        return {target.name: target for target in ComputeTarget.list(self)}

    @property
    def router(self) -> Router:
        """The router: where endpoints listen, TLS, token keys."""
        from mljupyter.core.router import Router

        return Router(self)

    @property
    def models(self) -> dict[str, Model]:
        """The newest version of each model, by name."""
        from mljupyter.core.model import Model

        return {model.name: model for model in Model.list(self, latest=True)}

    @property
    def images(self) -> dict[str, Image]:
        """The newest version of each image, by name."""
        from mljupyter.core.image import Image

        # Newest first: the oldest of a name is seen last.
        return {image.name: image for image in reversed(Image.list(self))}

    @property
    def environments(self) -> dict[str, Environment]:
        """The newest version of each environment, by name."""
        from mljupyter.core.environment import Environment

        return Environment.list(self)

    @property
    def webservices(self) -> dict[str, Webservice]:
        """The web services, by name."""
        from mljupyter.core.webservice import Webservice

        return {service.name: service for service in Webservice.list(self)}

    @property
    def telemetry(self) -> Telemetry:
        """Where the records of requests go; see `Telemetry.configure`."""
        from mljupyter.controller.layout import Layout
        from mljupyter.core.telemetry import Telemetry

        return Telemetry(Layout.of(self.directory).control)

    def write_config(self, path: str | os.PathLike[str] | None = None, file_name: str | None = None) -> None:
        """Write the file that `from_config` reads.

        Parameters:
            path: the directory whose ``.azureml`` folder gets it; by default the current directory.
            file_name: its name, ``config.json`` by default.

        """
        data = {
            "subscription_id": self.subscription_id,
            "resource_group": self.resource_group,
            "workspace_name": self.name,
        }
        if self.directory.parent != index.index():
            data["path"] = str(self.directory)
        config_file.write(Path(path).expanduser() if path is not None else Path.cwd(), file_name, data)

    def delete(self, delete_dependent_resources: bool = False, no_wait: bool = False) -> None:
        """Delete the workspace with everything in it.

        Parameters:
            delete_dependent_resources: delete its web services first.
            no_wait: as in Azure ML; deleting is over when this returns.

        Raises:
            WorkspaceException: while it has web services, unless they are to be deleted, too.

        """
        names = sorted(record.spec.name for record in self.endpoint_records())
        if names and not delete_dependent_resources:
            raise WorkspaceException(
                f"Workspace {self.name!r} has the web services {', '.join(names)}: delete them first, "
                "or pass delete_dependent_resources=True."
            )
        with as_webservice_exception():
            for name in names:
                self.endpoints.delete(name)
            self.controller.stop(force=True)
        self.context.close()
        index.remove(self.name, self.directory)

    @property
    def directory(self) -> Path:  # type: ignore[override]
        """The directory that holds everything."""
        return self.context.directory

    @property
    def controller(self) -> ControllerClient:
        """The control plane of this machine."""
        return self.context.controller

    @property
    def endpoints(self) -> WorkspaceEndpoints:
        """The endpoints of all compute targets, as records."""
        return self.context.endpoints

    @property
    def registry(self) -> Registry:
        """The catalog of models, environments and images."""
        return self.context.registry

    @property
    def artifacts(self) -> ArtifactStore:
        """The content of models and source directories."""
        return self.context.artifacts

    def endpoint_records(self) -> Sequence[EndpointRecord]:
        """Return all endpoints; a controller is started for that only where there ever was one."""
        with as_webservice_exception():
            return self.endpoints.endpoints()

    def __repr__(self) -> str:
        return (
            f"Workspace.create(name={self.name!r}, subscription_id={self.subscription_id!r}, "
            f"resource_group={self.resource_group!r})"
        )


def _of_config(config: config_file.WorkspaceConfig) -> Workspace:
    if config.path is not None and index.holds(config.path):
        return Workspace._at(config.path)
    index.check_name(config.workspace_name)
    directory = index.find(config.workspace_name)
    if directory is not None:
        return Workspace._at(directory)
    workspace = Workspace.create(
        config.workspace_name,
        subscription_id=config.subscription_id,
        resource_group=config.resource_group,
        # A path from another machine leads nowhere here.
        path=config.path if config.path is not None and config.path.parent.is_dir() else None,
        exist_ok=True,
    )
    print(f"Workspace {workspace.name!r} of {config.file} is new on this machine: created in {workspace.directory}")
    return workspace
