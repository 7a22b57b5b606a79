"""AKS targets of old notebooks that are mapped to a compute target of the workspace, such as this machine.

The user asks for it: ``mljupyter azureml enable --aks local``. Everything that is printed says that it is a mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mljupyter.core.compute.aks import DEFAULT_VM_SIZE, AksCompute, agents_of
from mljupyter.core.compute.cluster import DELETED, ClusterCompute
from mljupyter.core.compute.target import ComputeTarget
from mljupyter.core.display import Rows
from mljupyter.core.router import Router
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects.installation import Purpose
from mljupyter.targets.mapped.record import forget as forget_mapping
from mljupyter.targets.mapped.target import AKS_TYPE, MappedTarget

if TYPE_CHECKING:
    from mljupyter.kubernetes.objects.publishing import Publishing


class MappedAksCompute(AksCompute, kind=AKS_TYPE):
    """An AKS target of an old notebook, for which another target of the workspace stands in.

    `AksCompute(ws, name)` and `ComputeTarget(ws, name)` return it. What is deployed to it runs on the other target.

    Parameters:
        workspace: the workspace.
        name: the name of the target.

    """

    _target: MappedTarget  # type: ignore[assignment]  # no cluster
    _deleted = False

    @property
    def type(self) -> str:
        """The type that old notebooks expect, ``AKS``; `stands_for` tells where it is mapped to."""
        return self._target.record.kind

    @property
    def served_by(self) -> ComputeTarget:
        """The target that runs what is deployed here.

        Raises:
            ComputeTargetException: it is no longer a target of the workspace.

        """
        return ComputeTarget(self.workspace, self._target.serving().name)

    @property
    def provider(self) -> str:
        """Empty: nothing was created."""
        return ""

    @property
    def cluster_purpose(self) -> str:
        """The purpose that was given; it has no effect."""
        return str(self._of_provider("cluster_purpose") or Purpose.FAST_PROD.value)

    @property
    def namespace(self) -> str:
        """The namespace of the cluster that it is mapped to; empty if that is no cluster."""
        served = self.served_by
        return served.namespace if isinstance(served, ClusterCompute) else ""

    @property
    def scoring_address(self) -> tuple[str, str]:
        """The address of the routers of the cluster that it is mapped to, and its kind.

        Raises:
            ComputeTargetException: it is not mapped to a cluster.

        """
        return self._cluster("a scoring address of its own").scoring_address

    @property
    def scoring_base(self) -> str:
        """The beginning of scoring URIs of the cluster that it is mapped to.

        Raises:
            ComputeTargetException: it is not mapped to a cluster.

        """
        return self._cluster("a scoring address of its own").scoring_base

    @property
    def load_balancer_type(self) -> str:
        """The type that was given; it has no effect."""
        return str(self._of_provider("load_balancer_type") or "PublicIp")

    @property
    def cluster_resource_id(self) -> str | None:
        """The resource ID that was given; None if none was. It has no effect."""
        found = self._of_provider("resource_id")
        return None if found is None else str(found)

    @property
    def agent_count(self) -> int:
        """The number of nodes that was given, or its default in Azure; it has no effect."""
        return int(self._of_provider("agent_count") or agents_of(self.cluster_purpose))

    @property
    def agent_vm_size(self) -> str:
        """The size of nodes that was given, or its default in Azure; it has no effect."""
        return str(self._of_provider("vm_size") or DEFAULT_VM_SIZE)

    @property
    def provisioning_state(self) -> str:
        """``Succeeded`` when the target that stands in is available, else ``Failed``; ``Deleted`` after `delete`."""
        return DELETED if self._deleted else super(ClusterCompute, self).provisioning_state

    @property
    def provisioning_errors(self) -> str | None:
        """The reason why the target that stands in is not available now, with a way out; None when it is."""
        return None if self._deleted else self._target.availability()

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Return at once: nothing is created.

        Parameters:
            show_output: print the state.
            is_delete_operation: without effect.

        Raises:
            ComputeTargetException: the target that stands in cannot be used.

        """
        problem = self.provisioning_errors
        if problem is not None:
            raise ComputeTargetException(problem)
        if show_output:
            print(f"{self.provisioning_state}: compute target {self.name!r} is mapped to {self.stands_for!r}")

    def refresh_state(self) -> None:
        """Do nothing: the state is always current."""

    def progress(self) -> Iterator[str]:
        """Yield nothing: there is no work to follow."""
        return iter(())

    def endpoint_names(self) -> list[str]:
        """Return no names: endpoints belong to the target that stands in."""
        return []

    def detach(self, on_line: Callable[[str], None] = print, *, forget: bool = False) -> None:
        """Remove the mapping from the workspace. What was deployed to it stays on the other target.

        Parameters:
            on_line: called with a line that says so.
            forget: without effect.

        """
        forget_mapping(self.workspace.directory, self.name)
        self._deleted = True
        on_line(
            f"Compute target {self.name!r} was a mapping to {self.stands_for!r}, and is removed. "
            "Web services that were deployed to it stay there until they are deleted: service.delete()"
        )

    def delete(self, *, forget: bool = False) -> None:
        """Remove the mapping from the workspace, as `detach` does.

        Parameters:
            forget: without effect.

        """
        self.detach()

    def update(self, update_configuration: Any = None, *, collected_data_claim: str | None = None) -> None:
        """Change TLS of the router of the target that stands in. A load balancer has no effect.

        Parameters:
            update_configuration: an `AksUpdateConfiguration`.
            collected_data_claim: refused; it is of a cluster.

        Raises:
            ComputeTargetException: there is nothing to change, or the certificate cannot be used.

        """
        if collected_data_claim is not None:
            self._cluster("a claim for collected data").update(collected_data_claim=collected_data_claim)
        if update_configuration is not None or collected_data_claim is None:
            super().update(update_configuration)

    def change_load_balancer(self, load_balancer_type: str, subnet: str | None = None) -> None:
        """Say that a load balancer has no effect here.

        Parameters:
            load_balancer_type, subnet: without effect.

        """
        self._without_effect("load_balancer_type", "load_balancer_subnet" if subnet else "")

    def change_service(self, service_type: str, publishing: Publishing) -> None:
        """Say that a Service has no effect here.

        Parameters:
            service_type, publishing: without effect.

        """
        self._without_effect("service_type", *publishing.document())

    def get_credentials(self) -> dict[str, Any]:
        """Return the kubeconfig of the cluster that it is mapped to.

        Raises:
            ComputeTargetException: it is not mapped to a cluster.

        """
        return self._cluster("a kubeconfig").get_credentials()

    @property
    def router(self) -> Router:
        """The router of the target that stands in."""
        return self.served_by.router

    def serialize(self) -> dict[str, Any]:
        """Return the target as JSON types, with `mappedTo` and the arguments that have no effect."""
        return {
            "name": self.name,
            "computeType": self.type,
            "provisioningState": self.provisioning_state,
            "provisioningErrors": self.provisioning_errors,
            "mappedTo": self.stands_for,
            "withoutEffect": self._target.record.settings,
        }

    def _of_provider(self, setting: str) -> Any:
        return self._target.record.settings.get(setting)

    def _cluster(self, missing: str) -> ClusterCompute:
        served = self.served_by
        if not isinstance(served, ClusterCompute):
            raise ComputeTargetException(
                f"compute target {self.name!r} is a mapping to {served.name!r}, which is no cluster and has no "
                f"{missing.removeprefix('a ')}."
            )
        return served

    def _without_effect(self, *names: str) -> None:
        given = ", ".join(filter(None, names))
        print(f"Without effect, since compute target {self.name!r} is mapped to {self.stands_for!r}: {given}")

    def __repr__(self) -> str:
        return f"AksCompute(name={self.name}, mapped to {self.stands_for})"

    def _summary(self) -> Rows:
        state = self.provisioning_errors or "ready"
        return [("Name", self.name), ("Kind", self.type), ("Mapped to", self.stands_for), ("State", state)]
