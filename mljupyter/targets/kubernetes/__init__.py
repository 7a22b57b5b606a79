"""The targets of type ``Kubernetes``: clusters that were attached to a workspace, or created for it.

An operator in an attached cluster runs endpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.client.errors import ControllerError
from mljupyter.exceptions import ComputeTargetException
from mljupyter.targets.base import Finding, Needs, Target, TargetContext
from mljupyter.targets.kubernetes.attached import AttachedCluster, attached_clusters, authority_file
from mljupyter.targets.kubernetes.created import CreatedCluster, created_clusters

if TYPE_CHECKING:
    from mljupyter.client.reach import Reach
    from mljupyter.runtimes.base import Usage
    from mljupyter.spec import ReplicaStatus, RouterSize
    from mljupyter.targets.kubernetes.client import ClusterClient

_clients: dict[tuple[Path, str], ClusterClient] = {}


class KubernetesTarget(Target):
    """An attached cluster. Replicas are pods, which the operator in the cluster starts and watches.

    Parameters:
        context: the workspace.
        attached: the record of the cluster.
        created: the record of how it was created for the workspace, if it was.

    """

    is_attached = True
    about = "Pods of a Kubernetes cluster, from an image that its nodes pull."
    needs = Needs.REGISTRY_IMAGE
    mounts_models = True
    ignored_arguments = frozenset(
        {
            "location",
            "dns_name_label",
            "cmk_vault_base_url",
            "cmk_key_name",
            "cmk_key_version",
            "vnet_name",
            "subnet_name",
            "blobfuse_enabled",
        }
    )

    def __init__(
        self, context: TargetContext, attached: AttachedCluster, created: CreatedCluster | None = None
    ) -> None:
        self._context = context
        self._directory = context.directory
        self.attached = attached
        self.created = created
        self.name = attached.name
        self.type = attached.type
        if "collectedDataClaim" not in attached.replicas:
            self.cautions = {
                "collect_model_data": f"Collected data ends with its pod: target {self.name!r} has no claim for it. "
                "Give it one: update(collected_data_claim=NAME), see docs/kubernetes.md."
            }

    def availability(self) -> str | None:
        """Return why the cluster cannot be used now, with a solution; None if operator and routers are ready."""
        from mljupyter.targets.kubernetes.installation_state import installation_state  # only if clusters are used

        try:
            state = installation_state(self.endpoints().cluster, self.attached.namespace)
        except ControllerError as error:
            return error.message
        if state.ready:
            return None
        if state.missing:
            return f"{state.text}.\nAttach the cluster again: mljupyter computetarget attach {self.name}"
        return f"the installation in namespace {self.attached.namespace!r} is not ready: {state.text}."

    def endpoints(self) -> ClusterClient:
        """Return the client of the cluster's operator: one object for each attached cluster."""
        from mljupyter.targets.kubernetes.client import ClusterClient  # HTTP and sockets, for clusters only

        key = (self._directory, self.name)
        client = _clients.get(key)
        if client is None or client.attached != self.attached:  # attached again, with other settings
            client = _clients[key] = ClusterClient(self.attached, authority_file(self._directory, self.name))
        return client

    def meter(self, replica: ReplicaStatus) -> Callable[[], Usage]:
        """Return a function that asks the operator for the usage of a replica's container."""
        return partial(self.endpoints().usage, replica.id)

    def reach(self) -> Reach:
        """Return how this machine connects to the routers with TLS, and the certificates that are trusted for them."""
        return self.endpoints().reach()

    def way_of(self, uri: str) -> str | None:
        """Return how a scoring URI is reached: at an address of the routers and of which kind, or by a port-forward."""
        return self.endpoints().way_of(uri)

    def router_size(self) -> RouterSize | None:
        """Return number, size and load of the cluster's router pods, with the last decisions of their self-scaling."""
        return self.endpoints().router().size

    def image_place(self, registry: str | None) -> str:
        """Return the workspace's registry, from which nodes pull; without one, the Docker engine that they share."""
        return f"registry/{registry}" if registry else "docker"

    def check_image(self, reference: str) -> None:
        """Check by a pod that a node gets the image; a reference that was checked is not checked again.

        Without a registry, it is copied first to the nodes of a cluster that was created on this machine.
        """
        from mljupyter.targets.kubernetes.image_check import check_image, is_of_registry  # as above

        if self.created is not None and not is_of_registry(reference):
            from mljupyter.targets.kubernetes.providers import provider_of  # only for created clusters

            kubeconfig = Path(self.created.settings["kubeconfig"])
            provider_of(self.created.provider).load_image(reference, kubeconfig, lambda line: None)
        check_image(self.endpoints().cluster, self.attached, reference)

    def findings(self) -> Sequence[Finding]:
        """Return the findings of a check of the cluster: access, capacity, operator and routers, and from its nodes."""
        from mljupyter.targets.kubernetes.node_checks import check_attached_nodes  # as above
        from mljupyter.targets.kubernetes.preflight import check_attached  # as above

        cluster, attached = self.endpoints().cluster, self.attached
        found = check_attached(cluster, attached)
        if any(finding.name == "API server" and finding.state == "failed" for finding in found):
            return found
        return [*found, *check_attached_nodes(cluster, attached, self._context.artifact_location)]


class UnattachedTarget(KubernetesTarget):
    """A cluster that was created for the workspace, and is not attached yet, or could not be.

    Parameters:
        context: the workspace.
        created: the record of how it was created.

    """

    is_attached = False

    def __init__(self, context: TargetContext, created: CreatedCluster) -> None:
        super().__init__(context, created.planned, created)
        self._problem = created.problem

    def availability(self) -> str | None:
        """Return why it is not attached, with a way out."""
        return self._problem

    def has_endpoints(self) -> bool:
        """Return False: nothing can be deployed there."""
        return False

    def is_running(self) -> bool:
        """Return False: it has no operator."""
        return False

    def image_place(self, registry: str | None) -> str:
        """Refuse: nothing can be deployed there.

        Raises:
            ComputeTargetException: always.

        """
        raise self._unusable()

    def check_image(self, reference: str) -> None:
        """Refuse, as `image_place` does.

        Raises:
            ComputeTargetException: always.

        """
        raise self._unusable()

    def findings(self) -> Sequence[Finding]:
        """Return the reason why it is not attached."""
        problem, _, fix = self._problem.partition("\n")
        return [Finding("cluster", "failed", problem, fix)]

    def _unusable(self) -> ComputeTargetException:
        return ComputeTargetException(f"compute target {self.name!r} cannot be used: {self._problem}")


def targets(context: TargetContext) -> Iterable[Target]:
    """Return a target for each cluster of a workspace that is attached, or was created and not detached."""
    created = {one.name: one for one in created_clusters(context.directory)}
    attached = attached_clusters(context.directory)
    found: list[Target] = [KubernetesTarget(context, one, created.get(one.name)) for one in attached]
    others = created.keys() - {one.name for one in attached}
    return found + [UnattachedTarget(context, created[name]) for name in sorted(others) if not created[name].detached]
