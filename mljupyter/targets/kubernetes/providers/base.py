"""Provider: creates and deletes clusters, such as kind on this machine or Azure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import Any

OnLine = Callable[[str], None]


class Provider(ABC):
    """A way to create one cluster, and to delete it again.

    Attributes:
        name: the name that users give: ``kind``, ``k3d``, ``minikube``, ``command`` or ``aks``.

    """

    name: str

    @abstractmethod
    def check(self) -> None:
        """Check before anything is created that the provider can be used here.

        Raises:
            ComputeTargetException: a program, a package or a login is missing; the text has the way out.

        """

    @abstractmethod
    def create(self, kubeconfig: Path, on_line: OnLine, cancel: Event) -> Path:
        """Create the cluster and return the path of its kubeconfig.

        Parameters:
            kubeconfig: a path for a kubeconfig that the provider writes.
            on_line: called with lines of progress.
            cancel: ends the creation when it is set.

        Raises:
            ComputeTargetException: it failed, or was cancelled.

        """

    @abstractmethod
    def delete(self, kubeconfig: Path, on_line: OnLine) -> None:
        """Delete the cluster; do nothing if it no longer exists.

        Parameters:
            kubeconfig: as for `create`.
            on_line: called with lines of progress.

        Raises:
            ComputeTargetException: it failed.

        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return as JSON types what is needed to delete the cluster later, without secrets; see `from_settings`."""

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Provider:
        """Return the provider for the result of `settings`."""

    @property
    def resource_id(self) -> str:
        """The resource ID of a cluster in Azure; empty for others."""
        return ""

    @property
    @abstractmethod
    def how_to_delete(self) -> str:
        """The command with which people delete the cluster themselves."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the cluster for people, such as ``kind cluster 'team'``."""

    def load_image(self, reference: str, kubeconfig: Path, on_line: OnLine) -> bool:
        """Copy an image from the Docker engine of this machine to the nodes.

        Parameters:
            reference: the image.
            kubeconfig: as for `create`.
            on_line: called with lines of progress.

        Returns:
            Whether the provider can do so.

        Raises:
            ComputeTargetException: it failed.

        """
        return False
