"""AmlCompute: a training cluster of Azure in old notebooks. Here it is a name for this machine.

There is no training on clusters: scripts that are submitted to it run as processes of this machine.

Azure: azureml.core.compute.AmlCompute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mljupyter.core.compute.target import ComputeTarget
from mljupyter.core.display import Rows
from mljupyter.core.part import Part
from mljupyter.exceptions import ComputeTargetException
from mljupyter.targets.catalog import default_name
from mljupyter.targets.kubernetes.attached import check_name
from mljupyter.targets.mapped.record import forget
from mljupyter.targets.mapped.target import TRAINING, TRAINING_TYPE, MappedTarget, map_target

if TYPE_CHECKING:
    from mljupyter.core import Workspace

_DELETED = "Deleted"
_MOST_NODES = 65536
_NEVER_KEPT = frozenset({"admin_user_password", "admin_user_ssh_key"})
_WITHOUT_EFFECT_WHEN = {
    "vm_priority": "dedicated",
    "min_nodes": 0,
    "idle_seconds_before_scaledown": 1800,
    "remote_login_port_public_access": "NotSpecified",
    "enable_node_public_ip": True,
}
"""The defaults, which are not shown."""


class AmlCompute(ComputeTarget, kind=TRAINING_TYPE):
    """A name for this machine, in the place of a training cluster of Azure.

    Parameters:
        workspace: the workspace.
        name: the name of the target.

    Raises:
        ComputeTargetException: `ComputeTargetNotFound`: there is no target of this name.

    Example:
        >>> target = ComputeTarget.create(ws, "cpu-cluster", AmlCompute.provisioning_configuration("STANDARD_D2_V2"))
        ... # doctest: +SKIP
        >>> run = experiment.submit(ScriptRunConfig(".", "train.py", compute_target=target))    # doctest: +SKIP

    """

    _target: MappedTarget
    _deleted = False

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int = 0,
        max_nodes: int | None = None,
        idle_seconds_before_scaledown: float = 1800,
        admin_username: str | None = None,
        admin_user_password: str | None = None,
        admin_user_ssh_key: str | None = None,
        vnet_resourcegroup_name: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        remote_login_port_public_access: str = "NotSpecified",
        identity_type: str | None = None,
        identity_id: Any = None,
        location: str | None = None,
        enable_node_public_ip: bool = True,
    ) -> AmlComputeProvisioningConfiguration:
        """Return the settings for `ComputeTarget.create`. They are kept and shown, and have no effect.

        Parameters:
            vm_size, vm_priority, min_nodes, max_nodes, idle_seconds_before_scaledown: of the nodes.
            admin_username, admin_user_password, admin_user_ssh_key: of the nodes; password and key are not kept.
            vnet_resourcegroup_name, vnet_name, subnet_name, location: their place.
            tags, description: of the target.
            remote_login_port_public_access, identity_type, identity_id, enable_node_public_ip: their access.

        Raises:
            ComputeTargetException: a number of nodes breaks the rule.

        """
        return AmlComputeProvisioningConfiguration(**locals())

    @property
    def type(self) -> str:
        """The type that old notebooks expect, ``AmlCompute``."""
        return self._target.record.kind

    @property
    def vm_size(self) -> str:
        """The size of nodes that was given; it has no effect."""
        return str(self._target.record.settings.get("vm_size", ""))

    @property
    def provisioning_state(self) -> str:
        """``Succeeded``, since this machine is always there; ``Deleted`` after `delete`."""
        return _DELETED if self._deleted else super().provisioning_state

    def get_status(self) -> AmlComputeStatus:  # type: ignore[override]  # as in the original
        """Return the state, with one node: this machine."""
        settings = self._target.record.settings
        return AmlComputeStatus(1, 1, self.provisioning_state, settings.get("vm_size", ""))

    def wait_for_completion(  # type: ignore[override]  # the original has the arguments in this order
        self,
        show_output: bool = False,
        min_node_count: int | None = None,
        timeout_in_minutes: float | None = None,
        is_delete_operation: bool = False,
    ) -> None:
        """Return at once: there is nothing to wait for.

        Parameters:
            show_output: print the state.
            min_node_count, timeout_in_minutes, is_delete_operation: without effect.

        """
        if show_output:
            print(f"{self.provisioning_state}: {self.name!r} stands for this machine")

    def list_nodes(self) -> list[dict[str, Any]]:
        """Return no nodes: there is no cluster."""
        return []

    def update(
        self,
        min_nodes: int | None = None,
        max_nodes: int | None = None,
        idle_seconds_before_scaledown: float | None = None,
    ) -> None:
        """Say that the arguments have no effect.

        Parameters:
            min_nodes, max_nodes, idle_seconds_before_scaledown: without effect.

        """
        given = [name for name, value in locals().items() if name != "self" and value is not None]
        print(f"Without effect, since {self.name!r} stands for this machine: {', '.join(given) or 'update()'}")

    def detach(self) -> None:
        """Refuse, as in Azure: it can be deleted.

        Raises:
            ComputeTargetException: always.

        """
        raise ComputeTargetException(f"{self.name!r} is an AmlCompute, which can be deleted: target.delete()")

    def delete(self) -> None:
        """Remove the name from the workspace. Runs that were submitted to it stay."""
        forget(self.workspace.directory, self.name)
        self._deleted = True

    def serialize(self) -> dict[str, Any]:
        """Return the target as JSON types, with the arguments that have no effect."""
        return super().serialize() | {
            "mappedTo": self.stands_for,
            "withoutEffect": self._target.record.settings,
        }

    def _summary(self) -> Rows:
        return [("Name", self.name), ("Kind", self.type), ("Stands for", "this machine"), ("State", "ready")]

    def __repr__(self) -> str:
        return f"AmlCompute(name={self.name}, stands for this machine)"


class AmlComputeProvisioningConfiguration:
    """The settings of `ComputeTarget.create` for an `AmlCompute`. `AmlCompute.provisioning_configuration` makes them.

    Parameters:
        given: the arguments of `AmlCompute.provisioning_configuration`.

    Raises:
        ComputeTargetException: a number of nodes breaks the rule.

    """

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)
        self._given = {
            name: value
            for name, value in given.items()
            if value not in (None, "", _WITHOUT_EFFECT_WHEN.get(name)) and name not in _NEVER_KEPT
        }
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Check the numbers of nodes.

        Raises:
            ComputeTargetException: one is not a number, or the minimum is above the maximum.

        """
        least, most = vars(self)["min_nodes"], vars(self)["max_nodes"]
        for name, value in (("min_nodes", least), ("max_nodes", most)):
            number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_NODES
            if value is not None and not number:
                raise ComputeTargetException(f"{name} is {value!r}: it must be a number from 0 to {_MOST_NODES}.")
        if least is not None and most is not None and least > most:
            raise ComputeTargetException(f"min_nodes is {least}, and max_nodes is {most}: the minimum is above it.")

    def create(self, workspace: Workspace, name: str) -> None:
        """Let a name stand for this machine, and say so.

        Raises:
            ComputeTargetException: the name breaks the rule, or is that of another target.

        """
        check_name(name)
        settings = {
            key: value if isinstance(value, (str, int, float)) else str(value) for key, value in self._given.items()
        }
        map_target(workspace.context, name, TRAINING, default_name(), settings)
        print(
            f"Compute target {name!r} stands for this machine: there are no training clusters here, and scripts that "
            "are submitted to it run as processes of this machine."
        )
        if settings:
            print(f"Kept without effect: {', '.join(settings)}")


@dataclass
class AmlComputeStatus(Part):
    """The state of an `AmlCompute`: one node, which is this machine."""

    current_node_count: int
    target_node_count: int
    provisioning_state: str
    vm_size: str
    allocation_state: str = "Steady"
    errors: None = None
