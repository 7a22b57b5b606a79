"""Base class of the targets ``local`` and ``docker``, whose endpoints the workspace's controller runs."""

from __future__ import annotations

from pathlib import Path

from mljupyter.client.errors import StorageError
from mljupyter.client.reach import Reach, of_router
from mljupyter.controller.layout import Layout
from mljupyter.runtimes.nvidia import DEVICES
from mljupyter.targets.base import Target, TargetContext
from mljupyter.targets.machine.client import ControllerClient

CLOUD_ARGUMENTS = frozenset(
    {
        "location",
        "dns_name_label",
        "cmk_vault_base_url",
        "cmk_key_name",
        "cmk_key_version",
        "vnet_name",
        "subnet_name",
        "namespace",
        "blobfuse_enabled",
        "gpu_cores",
        "gpu_resource",
        "node_selector",
        "tolerations",
        "runtime_class",
        "model_delivery",
    }
)
"""Arguments of deployment configurations that refer to a cloud or a cluster, or to GPUs where there are none."""

_clients: dict[Path, ControllerClient] = {}


def controller_client(directory: Path) -> ControllerClient:
    """Return the client of a workspace's controller: one object for each workspace directory."""
    return _clients.setdefault(directory, ControllerClient(directory))


class MachineTarget(Target):
    """A target whose replicas the controller of this machine starts and watches."""

    shares_router = True

    @property
    def ignored_arguments(self) -> frozenset[str]:
        """The arguments without effect: those of clouds and clusters, and the number of GPUs where there are none."""
        return CLOUD_ARGUMENTS - {"gpu_cores"} if DEVICES.present() else CLOUD_ARGUMENTS

    def __init__(self, context: TargetContext) -> None:
        self._directory = context.directory

    def endpoints(self) -> ControllerClient:
        """Return the client of the workspace's controller."""
        return controller_client(self._directory)

    def has_endpoints(self) -> bool:
        """Return whether a controller has ever run: it stores its endpoints in a database."""
        return Layout.of(self._directory).database.exists()

    def is_running(self) -> bool:
        """Return whether the controller runs. Starts nothing."""
        return self.endpoints().running() is not None

    def has_crashed(self) -> bool:
        """Return whether the controller has left its socket behind. Starts nothing."""
        from mljupyter.controller import launch  # slow; only for pages and commands

        layout = Layout.of(self._directory)
        return layout.socket().exists() and not launch.reachable(layout)

    def was_stopped(self) -> bool:
        """Return whether the controller was stopped, by a person, while it had endpoints. Starts nothing."""
        from mljupyter.controller import launch, offline  # slow; only for pages

        layout = Layout.of(self._directory)
        if layout.socket().exists() or launch.reachable(layout):
            return False
        try:
            return bool(offline.needed_versions(self._directory))
        except StorageError:
            return True

    def reach(self) -> Reach:
        """Return the address of the workspace's router and the certificates that are trusted for it."""
        return of_router(self.endpoints().router())
