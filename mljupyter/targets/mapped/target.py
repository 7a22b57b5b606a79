"""The targets that are only another name for a target of the workspace, made from the records of a workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mljupyter.client.base import ControlPlaneClient
from mljupyter.client.reach import Reach
from mljupyter.exceptions import ComputeTargetException
from mljupyter.runtimes.base import Usage
from mljupyter.spec import ReplicaStatus, RouterSize
from mljupyter.targets.base import Target, TargetContext
from mljupyter.targets.catalog import default_name, find_targets
from mljupyter.targets.mapped.record import Mapped, mapped_targets, remember

AKS, TRAINING = "AKS", "AmlCompute"
AKS_TYPE, TRAINING_TYPE = f"{AKS} mapping", f"{TRAINING} mapping"


class MappedTarget(Target):
    """A name for AKS in old notebooks. Another target runs what is deployed to it.

    Parameters:
        context: the workspace.
        record: the record of the mapping.

    """

    type = AKS_TYPE

    def __init__(self, context: TargetContext, record: Mapped) -> None:
        self._context = context
        self.record = record
        self.name = record.name
        self.stands_for = record.place
        self.about = f"A mapping of an AKS target: what is deployed to it runs on {record.place!r}."

    def serving(self) -> Target:
        """Return the target that runs what is deployed here.

        Raises:
            ComputeTargetException: it is no longer a target of the workspace.

        """
        found = find_targets(self._context).get(self.record.place)
        if found is None:
            raise ComputeTargetException(
                f"compute target {self.name!r} is mapped to {self.record.place!r}, which is no longer a compute target "
                f"of this workspace: attach it again, or remove the mapping: mljupyter computetarget detach {self.name}"
            )
        return found

    def availability(self) -> str | None:
        """Return why the target that stands in cannot be used now, with a solution; None if it can."""
        try:
            return self.serving().availability()
        except ComputeTargetException as error:
            return error.message

    def endpoints(self) -> ControlPlaneClient:
        """Return the client of the control plane of the target that stands in."""
        return self.serving().endpoints()

    def has_endpoints(self) -> bool:
        """Return False: endpoints belong to the target that stands in."""
        return False

    def is_running(self) -> bool:
        """Return False, as `has_endpoints` does."""
        return False

    def reach(self) -> Reach | None:
        """Return how this machine connects to scoring URIs of the target that stands in."""
        return self.serving().reach()

    def way_of(self, uri: str) -> str | None:
        """Return how a scoring URI is reached."""
        return self.serving().way_of(uri)

    def router_size(self) -> RouterSize | None:
        """Return the size of the router of the target that stands in."""
        return self.serving().router_size()

    def image_place(self, registry: str | None) -> str:
        """Return the place from which replicas get their images."""
        return self.serving().image_place(registry)

    def check_image(self, reference: str) -> None:
        """Check that replicas would get an image."""
        self.serving().check_image(reference)

    def meter(self, replica: ReplicaStatus) -> Callable[[], Usage] | None:
        """Return a function that measures a replica."""
        return self.serving().meter(replica)


class TrainingTarget(MappedTarget):
    """A name for a training cluster in old notebooks. Scripts that are submitted to it run on this machine.

    Parameters:
        context: the workspace.
        record: the record of the mapping.

    """

    type = TRAINING_TYPE
    runs_scripts = True

    def __init__(self, context: TargetContext, record: Mapped) -> None:
        super().__init__(context, record)
        self.about = "A name for this machine in old notebooks: submitted scripts run here. It serves nothing."

    def serving(self) -> Target:
        """Refuse: a training cluster runs no web services.

        Raises:
            ComputeTargetException: always.

        """
        raise ComputeTargetException(
            f"compute target {self.name!r} is for training: no web service runs there. Deploy to "
            f"ws.compute_targets[{default_name()!r}], or without deployment_target."
        )

    def availability(self) -> str | None:
        """Return None: this machine is always available for scripts."""
        return None


def map_target(context: TargetContext, name: str, kind: str, place: str, settings: dict[str, Any]) -> None:
    """Let a target of a workspace stand in for one of Azure. A second call replaces place and settings.

    Parameters:
        context: the workspace.
        name: the name of the target of Azure, which follows the rule for compute targets.
        kind: `AKS` or `TRAINING`.
        place: the name of the target that takes its place.
        settings: the arguments to keep: JSON types.

    Raises:
        ComputeTargetException: another target of the workspace has the name, or `place` is no target of the workspace
            that runs endpoints.

    """
    there = find_targets(context)
    present = there.get(name)
    if present is not None and not (isinstance(present, MappedTarget) and present.record.kind == kind):
        raise ComputeTargetException(
            f"{name!r} is a compute target of type {present.type} in this workspace: choose another name, or detach it."
        )
    if place not in there or there[place].stands_for:
        able = ", ".join(repr(known) for known, target in there.items() if not target.stands_for)
        raise ComputeTargetException(
            f"{kind} targets are mapped to {place!r}, which is no compute target of this workspace. It has: {able}.\n"
            f"Attach it (mljupyter computetarget attach {place}), or choose another one: "
            "mljupyter azureml enable --aks NAME"
        )
    remember(context.directory, Mapped(name, kind, place, settings))


def check_not_mapped(context: TargetContext, name: str) -> None:
    """Check that a name for a cluster is not that of a mapping.

    Raises:
        ComputeTargetException: it is.

    """
    for record in mapped_targets(context.directory):
        if record.name == name:
            raise ComputeTargetException(
                f"{name!r} is a mapping of an {record.kind} target to {record.place!r}: choose another name, or remove "
                f"the mapping: mljupyter computetarget detach {name}"
            )


def targets(context: TargetContext) -> Iterable[Target]:
    """Return a target for each mapping of a workspace."""
    kinds = {AKS: MappedTarget, TRAINING: TrainingTarget}
    return [kinds[one.kind](context, one) for one in mapped_targets(context.directory) if one.kind in kinds]
