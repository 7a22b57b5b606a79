"""Compute targets: where web services run (Azure ML v1: ComputeTarget). This release has one: this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from mljupyter.core.exceptions import ComputeTargetException

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace

LOCAL = "local"


class ComputeTarget:
    """A place to deploy to. `ComputeTarget(workspace, name)` returns the target of that name.

    Raises:
        ComputeTargetException: `ComputeTargetNotFound` when there is none.

    """

    type: str
    provisioning_state: str

    def __new__(cls, workspace: Workspace, name: str) -> Self:
        """Make an object of the class that the target's name calls for."""
        if name != LOCAL:
            raise ComputeTargetException(
                f"ComputeTargetNotFound: there is no compute target {name!r}. "
                f"Available: {LOCAL!r}, this machine: ws.compute_targets[{LOCAL!r}]"
            )
        return cast(Self, object.__new__(LocalTarget))

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = name

    @staticmethod
    def list(workspace: Workspace) -> Sequence[ComputeTarget]:
        """Return the compute targets of a workspace."""
        return [LocalTarget(workspace, LOCAL)]

    def get_status(self) -> str:
        """Return the provisioning state."""
        return self.provisioning_state

    def refresh_state(self) -> None:
        """Bring the state up to date: that of this machine does not change."""

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Return at once: this machine is there.

        Parameters:
            show_output: print the state.
            is_delete_operation: as in Azure ML; this target cannot be deleted.

        """
        if show_output:
            print(self.provisioning_state)

    def serialize(self) -> dict[str, Any]:
        """Return the target as JSON types."""
        return {"name": self.name, "computeType": self.type, "provisioningState": self.provisioning_state}

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name={self.name}, type={self.type}, provisioning_state={self.provisioning_state})"
        )


class LocalTarget(ComputeTarget):
    """This machine: replicas are processes of the user who deploys."""

    type = "Local"
    provisioning_state = "Succeeded"
