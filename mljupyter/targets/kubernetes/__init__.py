"""The targets of type ``Kubernetes``: clusters that were attached to a workspace. An operator there runs endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.client.errors import ControllerError
from mljupyter.targets.base import Finding, Needs, Target, TargetContext
from mljupyter.targets.kubernetes.attached import AttachedCluster, attached_clusters

if TYPE_CHECKING:
    from mljupyter.client.reach import Reach
    from mljupyter.targets.kubernetes.client import ClusterClient

_clients: dict[tuple[Path, str], ClusterClient] = {}


class KubernetesTarget(Target):
    """An attached cluster. Replicas are pods, which the operator in the cluster starts and watches.

    Parameters:
        context: the workspace.
        attached: the record of the cluster.

    """

    about = "Pods of a Kubernetes cluster, from an image that its nodes pull."
    needs = Needs.REGISTRY_IMAGE
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

    def __init__(self, context: TargetContext, attached: AttachedCluster) -> None:
        self._context = context
        self._directory = context.directory
        self.attached = attached
        self.name = attached.name
        self.type = attached.type

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
            client = _clients[key] = ClusterClient(self.attached)
        return client

    def reach(self) -> Reach:
        """Return how this machine connects to the routers with TLS, and the certificates that are trusted for them."""
        return self.endpoints().reach()

    def image_place(self, registry: str | None) -> str:
        """Return the workspace's registry, from which nodes pull; without one, the Docker engine that they share."""
        return f"registry/{registry}" if registry else "docker"

    def check_image(self, reference: str) -> None:
        """Check by a pod that a node gets the image; a reference that was checked is not checked again."""
        from mljupyter.targets.kubernetes.image_check import check_image  # as above

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


def targets(context: TargetContext) -> Iterable[Target]:
    """Return a target for each attached cluster of a workspace."""
    return [KubernetesTarget(context, attached) for attached in attached_clusters(context.directory)]
