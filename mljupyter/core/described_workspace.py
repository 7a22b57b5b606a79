"""What a workspace shows of itself: its attributes (Azure ML v1: Workspace)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mljupyter.core.rich import Rich, Rows, pairs
from mljupyter.workspace.index import WorkspaceDocument


class DescribedWorkspace(Rich):
    """The attributes of a workspace."""

    directory: Path
    _document: WorkspaceDocument

    @property
    def name(self) -> str:
        """The name."""
        return self._document.name

    @property
    def subscription_id(self) -> str:
        """What it was created with."""
        return self._document.subscription_id

    @property
    def resource_group(self) -> str:
        """What it was created with."""
        return self._document.resource_group

    @property
    def location(self) -> str:
        """What it was created with."""
        return self._document.location

    @property
    def sku(self) -> str:
        """The edition; there is one."""
        return "basic"

    @property
    def tags(self) -> dict[str, str]:
        """Tags, a copy."""
        return dict(self._document.tags)

    @property
    def container_registry(self) -> str | None:
        """The host of the container registry that its images are pushed to; None: they stay on the Docker engine."""
        return self._document.container_registry

    def _summary(self) -> Rows:
        return [
            ("Name", self.name),
            ("Resource group", self.resource_group),
            ("Container registry", self.container_registry),
            ("Tags", pairs(self.tags)),
        ]

    def get_details(self) -> dict[str, Any]:
        """Return what is known of the workspace, with camelCase keys."""
        document = self._document
        return {
            "id": f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}",
            "name": self.name,
            "location": self.location,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "sku": self.sku,
            "workspaceid": document.id,
            "friendlyName": document.friendly_name or self.name,
            "creationTime": document.created_time.isoformat(),
            "containerRegistry": self.container_registry or "",
            "tags": self.tags,
            "directory": str(self.directory),
        }


def registry_host(container_registry: str | None) -> str | None:
    """Return the host of a registry given as host, as URL, or as the id of a cloud's resource, which has none here."""
    if not container_registry or container_registry.startswith("/subscriptions/"):
        return None
    return container_registry.partition("://")[2].partition("/")[0] or container_registry.partition("/")[0]
