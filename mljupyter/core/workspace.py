"""Workspaces: each holds the models, environments, images and web services of a team.

Azure: azureml.core.workspace.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mljupyter import core, deploy
from mljupyter.controller.layout import Layout
from mljupyter.core.display import HtmlRepr, Listing, Rows, date_text, pairs
from mljupyter.core.router import Router
from mljupyter.core.telemetry import Telemetry
from mljupyter.exceptions import UserErrorException, WorkspaceException, as_user_error, as_webservice_exception
from mljupyter.files import expanded
from mljupyter.ownership import user_name
from mljupyter.registry import storage
from mljupyter.registry.storage import Storage
from mljupyter.spec import EndpointRecord
from mljupyter.tracking import mlflow_mirror
from mljupyter.workspace import config_file, index
from mljupyter.workspace.context import WorkspaceContext

if TYPE_CHECKING:
    from threading import Event

    from mljupyter.core import (
        ComputeTarget,
        Datastore,
        Environment,
        Experiment,
        Image,
        Keyvault,
        Model,
        Run,
        Webservice,
    )
    from mljupyter.registry import Registry
    from mljupyter.registry.artifacts.store import ArtifactStore
    from mljupyter.registry.catalog.changes import Change
    from mljupyter.targets.endpoints import WorkspaceEndpoints
    from mljupyter.targets.machine.client import ControllerClient
    from mljupyter.transfer.backup import BackedUp
    from mljupyter.transfer.exporting import Exported
    from mljupyter.transfer.importing import Imported
    from mljupyter.transfer.migration import Migrated
    from mljupyter.transfer.progress import OnProgress

_NO_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
_THIS_MACHINE = "local"
_without_config: Callable[[Path], Workspace] | None = None


class Workspace(HtmlRepr):
    """A workspace on this machine: a directory with models, snapshots and endpoints, found by its name.

    Parameters:
        subscription_id, resource_group: without effect.
        workspace_name: the name of an existing workspace.

    Raises:
        WorkspaceException: there is no workspace of this name.

    Azure: `subscription_id`, `resource_group` and `auth` select a workspace in the cloud.

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
    def at(cls, directory: Path) -> Workspace:
        """Return the workspace in a directory, even if it is not in the index of workspaces.

        Parameters:
            directory: the workspace's directory.

        Raises:
            WorkspaceException: there is no workspace in it.

        """
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
        database_url: str | None = None,
        artifacts_url: str | None = None,
    ) -> Workspace:
        """Create a workspace and return it.

        Arguments that name parts of a cloud are accepted, and a line says that they have no effect.

        Parameters:
            name: 3 to 33 letters, digits, '-' and '_'.
            subscription_id, resource_group, location, tags, friendly_name: kept as information.
            container_registry: host, and port, of the registry that its images are pushed to, such as
                ``registry.example.com:5000``, with the credentials of ``docker login``. By default images stay on the
                Docker engine that builds them.
            exist_ok: return the workspace of that name if it exists.
            path: a directory for it, new or empty; by default one in ``~/.mljupyter``, or ``$MLJUPYTER_HOME``.
            database_url, artifacts_url: the PostgreSQL database and the object store of a team, without passwords, such
                as ``postgresql://anna@db/team`` and ``s3://bucket/team``. Models, environments, datasets and runs are
                then those of the team; endpoints and secrets are in the workspace's directory.

        Raises:
            UserErrorException: the name breaks the rule.
            WorkspaceException: the name is taken, or the directory cannot be used.
            DatabaseError, ArtifactError: the database or the object store cannot be used; nothing is created.

        Example:
            >>> Workspace.create("churn-team", path="team", exist_ok=True)     # doctest: +SKIP

        """
        index.check_name(name)
        _say_parts_of_a_cloud(
            {
                "sku": sku if sku != "basic" else None,
                "storage_account": storage_account,
                "key_vault": key_vault,
                "app_insights": app_insights,
                "adb_workspace": adb_workspace,
                "primary_user_assigned_identity": primary_user_assigned_identity,
                "cmk_keyvault": cmk_keyvault,
                "resource_cmk_uri": resource_cmk_uri,
                "hbi_workspace": hbi_workspace,
                "default_cpu_compute_target": default_cpu_compute_target,
                "default_gpu_compute_target": default_gpu_compute_target,
                "private_endpoint_config": private_endpoint_config,
                "user_assigned_identity_for_cmk_encryption": user_assigned_identity_for_cmk_encryption,
            }
        )
        place = expanded(path) if path is not None else None
        if exist_ok and (found := index.found(name, place)) is not None:
            return Workspace.at(found)
        shared = Storage(database_url, artifacts_url)
        if shared != Storage():
            _check_shared(shared)
        document = index.WorkspaceDocument(
            name=name,
            id=str(uuid.uuid4()),
            created_time=datetime.now(UTC),
            created_by=user_name(),
            subscription_id=subscription_id or _NO_SUBSCRIPTION,
            resource_group=resource_group or _THIS_MACHINE,
            location=location or _THIS_MACHINE,
            tags=tags or {},
            friendly_name=friendly_name,
            container_registry=_registry_host(container_registry),
        )
        try:
            directory = index.create(document, place)
            if shared != Storage():
                _use_shared(directory, name, shared)
            return Workspace.at(directory)
        except index.NameTakenError:
            if exist_ok and (found := index.found(name, place)) is not None:
                return Workspace.at(found)  # created concurrently by another process
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
            WorkspaceException: there is no workspace of this name, or its directory was removed.

        """
        return Workspace.at(index.existing(name))

    @staticmethod
    def from_config(
        path: str | os.PathLike[str] | None = None,
        auth: Any = None,
        _logger: Any = None,
        _file_name: str | None = None,
    ) -> Workspace:
        """Return the workspace of a configuration file; create it if this machine has none of that name.

        Parameters:
            path: the file, or the directory where the search starts; by default the current directory. The search
                continues in the directories above. In each, these are searched: ``.azureml``, ``aml_config``, the
                directory itself.

        Raises:
            UserErrorException: no configuration file is found, or it cannot be read. In a program that has imported
                ``azureml.core`` the default workspace is returned instead if none is found.
            WorkspaceException: the workspace's directory was removed.

        """
        start = expanded(path) if path is not None else Path.cwd()
        if start.is_file():
            return _of_config(config_file.read(start))
        config = config_file.find(start, _file_name)
        if config is None and _without_config is not None:
            return _without_config(start)
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
        """Return the workspaces of this machine by name, each as a list with one workspace.

        Parameters:
            subscription_id, resource_group: only those that were created with these.

        """
        found: dict[str, Sequence[Workspace]] = {}
        for name in index.known():
            try:
                workspace = Workspace.get(name)
            except WorkspaceException:
                continue  # its directory was removed; Workspace.get(name) raises with that reason
            if subscription_id in (None, workspace.subscription_id) and resource_group in (
                None,
                workspace.resource_group,
            ):
                found[name] = [workspace]
        return found

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        """The compute targets, by name."""
        return Listing({target.name: target for target in core.ComputeTarget.list(self)})

    @property
    def router(self) -> Router:
        """The router: its address, TLS, and the keys that sign tokens."""
        return Router(self)

    @property
    def models(self) -> dict[str, Model]:
        """The newest version of each model, by name."""
        return Listing({model.name: model for model in core.Model.list(self, latest=True)})

    @property
    def images(self) -> dict[str, Image]:
        """The newest version of each image, by name."""
        # The list has the newest version first; in a dict the last one of a name counts.
        return Listing({image.name: image for image in reversed(core.Image.list(self))})

    @property
    def environments(self) -> dict[str, Environment]:
        """The newest version of each environment, by name."""
        return core.Environment.list(self)

    @property
    def webservices(self) -> dict[str, Webservice]:
        """The web services, by name."""
        return Listing({service.name: service for service in core.Webservice.list(self)})

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The experiments that are not archived, by name."""
        return {experiment.name: experiment for experiment in core.Experiment.list(self)}

    @property
    def datastores(self) -> dict[str, Datastore]:
        """The datastores, by name."""
        with as_user_error():
            return {one.name: core.Datastore(self, one.name) for one in self.context.tracking.datastores.list()}

    @property
    def datasets(self) -> dict[str, Any]:
        """The newest version of each registered dataset, by name."""
        return core.Dataset.get_all(self)

    @property
    def private_endpoints(self) -> dict[str, Any]:
        """An empty dict: a workspace is a directory, not a service of a network."""
        return {}

    @property
    def linked_services(self) -> dict[str, Any]:
        """An empty dict: no services are linked."""
        return {}

    def get_run(self, run_id: str) -> Run:
        """Return a run by its id.

        Raises:
            UserErrorException: `RunNotFound`: there is none of this id.

        """
        return core.Run.get(self, run_id)

    def get_default_datastore(self) -> Datastore:
        """Return the default datastore."""
        return core.Datastore(self)

    def set_default_datastore(self, name: str) -> None:
        """Make a datastore the default one.

        Raises:
            UserErrorException: `DatastoreNotFound`: there is none of this name.

        """
        with as_user_error():
            self.context.tracking.datastores.set_default(name)

    def get_default_keyvault(self) -> Keyvault:
        """Return the keyvault: the secrets of the workspace."""
        return core.Keyvault(self)

    def get_default_compute_target(self, type: str) -> None:  # noqa: A002 - the name of the original
        """Return None: no compute target is the default for training; scripts run on this machine.

        Parameters:
            type: CPU or GPU.

        """

    def get_mlflow_tracking_uri(self, _with_auth: bool = False) -> str:
        """Return the URI for ``mlflow.set_tracking_uri``: that of the environment, else a database in the workspace.

        Runs of `Experiment` are sent there too, if MLflow is installed.

        Example:
            >>> mlflow.set_tracking_uri(ws.get_mlflow_tracking_uri())     # doctest: +SKIP

        """
        return os.environ.get(mlflow_mirror.VARIABLE) or mlflow_mirror.store_uri(self.directory)

    def update(
        self,
        friendly_name: str | None = None,
        description: str | None = None,
        tags: dict[str, str] | None = None,
        image_build_compute: str | None = None,
        service_managed_resources_settings: Any = None,
        primary_user_assigned_identity: str | None = None,
        allow_public_access_when_behind_vnet: bool | None = None,
        v1_legacy_mode: bool | None = None,
    ) -> dict[str, Any]:
        """Change name to show, description and tags, and return the details.

        Parameters:
            friendly_name, description, tags: the new values; `tags` replaces all tags.
            image_build_compute, service_managed_resources_settings, primary_user_assigned_identity,
                allow_public_access_when_behind_vnet, v1_legacy_mode: without effect, which is said.

        """
        others = {
            "image_build_compute": image_build_compute,
            "service_managed_resources_settings": service_managed_resources_settings,
            "primary_user_assigned_identity": primary_user_assigned_identity,
            "allow_public_access_when_behind_vnet": allow_public_access_when_behind_vnet,
            "v1_legacy_mode": v1_legacy_mode,
        }
        if given := [name for name, value in others.items() if value is not None]:
            _say_no_effect(f"{', '.join(given)} of Workspace.update", "they configure a service of a cloud")
        changes = {"friendlyName": friendly_name, "description": description, "tags": tags}
        self._change({name: value for name, value in changes.items() if value is not None})
        return self.get_details()

    def update_dependencies(self, container_registry: str | None = None, force: bool = False) -> None:
        """Change the container registry that new images are pushed to.

        Parameters:
            container_registry: host, and port, of the registry.
            force: without effect.

        """
        self._change({"containerRegistry": _registry_host(container_registry)})

    def add_private_endpoint(
        self,
        private_endpoint_config: Any,
        private_endpoint_auto_approval: bool = True,
        location: str | None = None,
        show_output: bool = True,
        tags: dict[str, str] | None = None,
    ) -> None:
        """Say that there is nothing to do: a workspace has no address in a network."""
        _say_no_effect("Workspace.add_private_endpoint", "a workspace has no address in a network")

    def delete_private_endpoint_connection(self, private_endpoint_connection_name: str) -> None:
        """Say that there is nothing to do: a workspace has no address in a network."""
        _say_no_effect("Workspace.delete_private_endpoint_connection", "a workspace has no address in a network")

    def list_keys(self) -> dict[str, Any]:
        """Return an empty dict, and say so: a workspace has no keys of storage or registries."""
        _say_no_effect("Workspace.list_keys", "a workspace has no keys of a storage account or a registry")
        return {}

    def sync_keys(self, no_wait: bool = False) -> None:
        """Say that there is nothing to do: a workspace has no keys of storage or registries."""
        _say_no_effect("Workspace.sync_keys", "a workspace has no keys of a storage account or a registry")

    def diagnose_workspace(self, diagnose_parameters: Any) -> dict[str, Any]:
        """Return no findings, and name the command that looks at this machine."""
        _say_no_effect("Workspace.diagnose_workspace", "the command 'mljupyter doctor' looks at this machine")
        return {"value": {}}

    def set_connection(self, name: str, category: str, target: str, authType: str, value: str) -> None:  # noqa: N803
        """Refuse: credentials are secrets of the keyvault.

        Raises:
            UserErrorException: always.

        """
        raise UserErrorException(
            f"The connection {name!r} is not kept: credentials are secrets of the keyvault.\n"
            f"ws.get_default_keyvault().set_secret({name!r}, ...)"
        )

    def list_connections(self, category: str | None = None, target: str | None = None) -> Sequence[Any]:
        """Return an empty list: there are no connections."""
        return []

    def get_connection(self, name: str) -> NoReturn:
        """Refuse: there are no connections.

        Raises:
            UserErrorException: always.

        """
        raise UserErrorException(f"There is no connection {name!r}: credentials are secrets of the keyvault.")

    def delete_connection(self, name: str) -> None:
        """Say that there is nothing to do: there are no connections."""
        _say_no_effect("Workspace.delete_connection", "there are no connections; credentials are in the keyvault")

    @staticmethod
    def setup() -> NoReturn:
        """Refuse: a workspace is created by its name.

        Raises:
            UserErrorException: always.

        """
        raise UserErrorException("Workspace.setup asks for a cloud account. Here: Workspace.create('NAME')")

    @property
    def telemetry(self) -> Telemetry:
        """The destination of the records of requests; see `Telemetry.configure`."""
        return Telemetry(Layout.of(self.directory).control)

    def write_config(self, path: str | os.PathLike[str] | None = None, file_name: str | None = None) -> None:
        """Write a configuration file for `from_config`.

        Parameters:
            path: the file is written into the ``.azureml`` folder of this directory; by default the current one.
            file_name: its name, ``config.json`` by default.

        """
        data = {
            "subscription_id": self.subscription_id,
            "resource_group": self.resource_group,
            "workspace_name": self.name,
        }
        if self.directory.parent != index.index():
            data["path"] = str(self.directory)
        config_file.write(expanded(path) if path is not None else Path.cwd(), file_name, data)

    def export_archive(
        self,
        path: str | os.PathLike[str],
        *,
        models: Sequence[str] | None = None,
        environments: Sequence[str] | None = None,
        datasets: Sequence[str] | None = None,
        endpoints: Sequence[str] | None = None,
        passphrase: str | None = None,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
    ) -> Exported:
        """Write models, environments, datasets and specs of endpoints into one file; see `import_archive`.

        Parameters:
            path: the file. Only its owner can read it.
            models, environments, datasets, endpoints: names, or ids such as ``ridge:3``; everything if none of the four
                is given. The models of exported endpoints are always among it.
            passphrase: export secrets too, encrypted with it; by default they are left out.
            overwrite: replace a file.
            on_progress: gets the state after each piece.
            cancel: an event that cancels the export.

        Raises:
            ArchiveError: an item does not exist, or the file cannot be written.
            StorageFullError: the disk is full; there is no file then.

        Example:
            >>> ws.export_archive("ridge.zip", models=["ridge"])     # doctest: +SKIP

        """
        from mljupyter.transfer.exporting import export_archive  # only when it is used, as below

        return export_archive(
            self.context,
            expanded(path),
            models=models,
            environments=environments,
            datasets=datasets,
            endpoints=endpoints,
            passphrase=passphrase,
            overwrite=overwrite,
            on_progress=on_progress,
            cancel=cancel,
        )

    def import_archive(
        self,
        path: str | os.PathLike[str],
        *,
        deploy: bool = False,
        renumber: bool = False,
        passphrase: str | None = None,
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
    ) -> Imported:
        """Add the items of an archive of `export_archive`, all or none; what is there already is kept.

        Parameters:
            path: the archive.
            deploy: also deploy its endpoints that do not exist here; return at once.
            renumber: register an item whose number another one has as the next version.
            passphrase: that of the archive's secrets; without it they are left out.
            on_progress: gets the state after each piece.
            cancel: an event that cancels the import.

        Raises:
            ArchiveError: the archive is damaged, none of mljupyter's, or made to do harm.
            ImportConflictError: numbers are taken by other items, and `renumber` is not set.

        """
        from mljupyter.transfer.importing import import_archive  # as above

        return import_archive(
            self.context,
            expanded(path),
            deploy=deploy,
            renumber=renumber,
            passphrase=passphrase,
            on_progress=on_progress,
            cancel=cancel,
        )

    def backup(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        passphrase: str | None = None,
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
    ) -> BackedUp:
        """Write the whole workspace with its keys into one file, while it is used; see `restore`.

        Parameters:
            path: the file, outside the workspace. Only its owner can read it.
            overwrite: replace a file.
            passphrase: encrypts the file; `restore` needs it. By default it is not encrypted.
            on_progress: gets the state after each piece.
            cancel: an event that cancels the backup.

        Raises:
            ArchiveError: the file cannot be written, or the passphrase is too short.
            StorageFullError: the disk is full; there is no file then.

        """
        from mljupyter.transfer.backup import back_up  # as above

        target = expanded(path)
        return back_up(
            self.context, target, overwrite=overwrite, passphrase=passphrase, on_progress=on_progress, cancel=cancel
        )

    @staticmethod
    def restore(
        archive: str | os.PathLike[str],
        *,
        name: str | None = None,
        path: str | os.PathLike[str] | None = None,
        replace: bool = False,
        passphrase: str | None = None,
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
    ) -> Workspace:
        """Create the workspace of a backup, after everything in it was checked, and return it.

        Parameters:
            archive: a file of `backup`.
            name: its name; by default that of the backup.
            path: its directory; by default one in ``~/.mljupyter``, or ``$MLJUPYTER_HOME``.
            replace: replace the workspace of this name; its endpoints are stopped.
            passphrase: that of an encrypted backup.
            on_progress: gets the state after each piece.
            cancel: an event that cancels the restore.

        Raises:
            ArchiveError: the archive is damaged, no backup, or made to do harm, or its passphrase is not given.
            WorkspaceException: the name is taken, and `replace` is not set.

        """
        from mljupyter.transfer.restoring import restore  # as above

        place = expanded(path) if path is not None else None
        source = expanded(archive)
        done = restore(
            source,
            name=name,
            place=place,
            replace=replace,
            passphrase=passphrase,
            on_progress=on_progress,
            cancel=cancel,
        )
        return Workspace.at(done.directory)

    def migrate(
        self,
        *,
        database_url: str | None = None,
        artifacts_url: str | None = None,
        delete_old: bool = False,
        on_progress: OnProgress | None = None,
        cancel: Event | None = None,
    ) -> Migrated:
        """Move the database to PostgreSQL and the artifacts to a URL, and use them from then on.

        It can be repeated after an interruption. The old places stay.

        Parameters:
            database_url: an empty PostgreSQL database, without a password; None leaves the database.
            artifacts_url: a URL such as ``s3://bucket/team``; None leaves the artifacts.
            delete_old: remove the old places after a check; also later, by a call without URLs.
            on_progress: gets the state after each piece.
            cancel: an event that cancels the migration.

        Raises:
            MigrationError: the workspace was moved before, or the database is not empty.

        """
        from mljupyter.transfer.migration import migrate  # as above

        return migrate(
            self.context,
            database_url=database_url,
            artifacts_url=artifacts_url,
            delete_old=delete_old,
            on_progress=on_progress,
            cancel=cancel,
        )

    def history(
        self, *, kind: str | None = None, item: str | None = None, user: str | None = None, last: int = 1000
    ) -> Sequence[Change]:
        """Return who changed what: the newest changes that satisfy all given filters, oldest first.

        Parameters:
            kind: model, environment, image, dataset, datastore or endpoint.
            item: an id, or a name for all its versions.
            user: the login name of a user.
            last: the largest number of changes.

        """
        from mljupyter.workspace.history import changes  # as above

        return changes(self.context, kind=kind, item=item, user=user, most=last)

    def delete(self, delete_dependent_resources: bool = False, no_wait: bool = False) -> None:
        """Delete the workspace with everything in it. What a team shares stays.

        Parameters:
            delete_dependent_resources: delete its web services first, and its images on Docker engines. Images in
                container registries stay.
            no_wait: without effect: the workspace is deleted when this returns.

        Raises:
            WorkspaceException: it has web services, and `delete_dependent_resources` is not set; or it has created
                clusters.

        """
        # only to delete a workspace
        from mljupyter.deploy.images.users import delete_images_of_engine
        from mljupyter.targets.kubernetes.created import created_clusters
        from mljupyter.workspace import submission

        names = sorted(record.spec.name for record in self.endpoint_records())
        if names and not delete_dependent_resources:
            raise WorkspaceException(
                f"Workspace {self.name!r} has the web services {', '.join(names)}: delete them first, "
                "or pass delete_dependent_resources=True."
            )
        if made := [f"{one.about} ({one.name})" for one in created_clusters(self.directory)]:
            raise WorkspaceException(
                f"Workspace {self.name!r} has created the {', '.join(made)}, and knows how to delete them: do so "
                "first, or forget them.\nmljupyter computetarget delete NAME [--forget]"
            )
        with as_webservice_exception():
            for name in names:
                deploy.apply.delete(self.context, name)
            for problem in delete_images_of_engine(self.context) if delete_dependent_resources else ():
                print(problem)
            submission.cancel_all(self.context)
            self.controller.stop(force=True)
        if storage.read(self.directory).is_shared:
            deploy.references.release_all(self.context)
        self.context.close()
        index.remove(self.name, self.directory)

    @property
    def directory(self) -> Path:
        """The directory of the workspace."""
        return self.context.directory

    @property
    def controller(self) -> ControllerClient:
        """The control plane of this machine."""
        return self.context.controller

    @property
    def endpoints(self) -> WorkspaceEndpoints:
        """The client for the endpoints of all compute targets."""
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
        """Return the records of all endpoints; a control plane that never had an endpoint is not started."""
        with as_webservice_exception():
            return self.endpoints.endpoints()

    @property
    def name(self) -> str:
        """The name."""
        return self._document.name

    @property
    def subscription_id(self) -> str:
        """The value that it was created with; information only."""
        return self._document.subscription_id

    @property
    def resource_group(self) -> str:
        """The value that it was created with; information only."""
        return self._document.resource_group

    @property
    def location(self) -> str:
        """The value that it was created with; information only."""
        return self._document.location

    @property
    def service_context(self) -> WorkspaceContext:
        """The parts of the workspace that other packages use."""
        return self.context

    @property
    def discovery_url(self) -> str:
        """The URL of its directory: there is no service to discover."""
        return self.directory.as_uri()

    @property
    def sku(self) -> str:
        """The edition; there is only one."""
        return "basic"

    @property
    def tags(self) -> dict[str, str]:
        """The tags, a copy."""
        return dict(self._document.tags)

    @property
    def container_registry(self) -> str | None:
        """The host of the container registry for its images; None if they stay on the Docker engine."""
        return self._document.container_registry

    def _summary(self) -> Rows:
        return [
            ("Name", self.name),
            ("Resource group", self.resource_group),
            ("Container registry", self.container_registry),
            ("Tags", pairs(self.tags)),
            ("Created", date_text(self._document.created_time)),
        ]

    def get_details(self) -> dict[str, Any]:
        """Return all attributes, with camelCase keys."""
        document = self._document
        return {
            "id": f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}",
            "name": self.name,
            "location": self.location,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "sku": self.sku,
            "workspaceid": document.id,
            "description": document.description or "",
            "friendlyName": document.friendly_name or self.name,
            "creationTime": document.created_time.isoformat(),
            "containerRegistry": self.container_registry or "",
            "keyVault": str(self.directory / "keyvault"),
            "applicationInsights": "",
            "storageAccount": storage.read(self.directory).artifacts_url or str(self.directory / "artifacts"),
            "hbiWorkspace": False,
            "discoveryUrl": self.discovery_url,
            "tags": self.tags,
            "directory": str(self.directory),
        }

    def _change(self, changes: dict[str, Any]) -> None:
        with as_user_error():
            self._document = self.context.document = index.change(self.directory, **changes)

    def __repr__(self) -> str:
        return (
            f"Workspace.create(name={self.name!r}, subscription_id={self.subscription_id!r}, "
            f"resource_group={self.resource_group!r})"
        )


def _check_shared(shared: Storage) -> None:
    """Raise an error if the database or the object store of a team cannot be used."""
    from mljupyter.registry import Registry  # SQLAlchemy is heavy

    storage.check(shared)
    with tempfile.TemporaryDirectory(prefix="mljupyter-") as folder:
        Registry.open(Path(folder), database_url=shared.database_url, artifacts_url=shared.artifacts_url).close()


def _use_shared(directory: Path, name: str, shared: Storage) -> None:
    storage.write(directory, shared)
    workspace = Workspace.at(directory)
    try:
        workspace.artifacts.claim(workspace.registry.contents.identity())
    except BaseException:
        workspace.context.close()
        index.remove(name, directory)
        raise


@cache
def _say_no_effect(call: str, reason: str) -> None:
    print(f"{call} has no effect here: {reason}.")


def _of_config(config: config_file.WorkspaceConfig) -> Workspace:
    if config.path is not None and index.holds(config.path):
        return Workspace.at(config.path)
    index.check_name(config.workspace_name)
    directory = index.find(config.workspace_name)
    if directory is not None:
        return Workspace.at(directory)
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


def use_without_config(function: Callable[[Path], Workspace] | None) -> None:
    """Set the function that gives the workspace where `Workspace.from_config` finds no configuration file.

    Parameters:
        function: called with the file or directory where the search began; None to raise an error instead.

    """
    global _without_config
    _without_config = function


def _registry_host(container_registry: str | None) -> str | None:
    """Return the host of a container registry given as host or URL; None for the id of a resource in a cloud."""
    if not container_registry or container_registry.startswith("/subscriptions/"):
        return None
    return container_registry.partition("://")[2].partition("/")[0] or container_registry.partition("/")[0]


def _say_parts_of_a_cloud(arguments: Mapping[str, Any]) -> None:
    """Print the arguments of `Workspace.create` that are given and have no effect."""
    if given := [name for name, value in arguments.items() if value]:
        _say_no_effect(f"{', '.join(given)} of Workspace.create", "a workspace is a directory of this machine")
