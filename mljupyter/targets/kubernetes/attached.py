"""The attached clusters of a workspace: one JSON file each in its directory. Credentials stay in the kubeconfig."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects.installation import Purpose, ServiceType
from mljupyter.targets.kubernetes.cluster import Access
from mljupyter.targets.records import RecordStore

FOLDER = "clusters"
_RESERVED = ("local", "docker")
_NAME = re.compile(r"[a-zA-Z]([a-zA-Z0-9-]{0,14}[a-zA-Z0-9])")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class AttachedCluster:
    """One attached cluster.

    Parameters:
        name: its name as a compute target.
        type: the type that users see: ``Kubernetes`` or ``AKS``.
        kubeconfig: paths of kubeconfig files; None inside a pod.
        context: the context of the kubeconfig.
        namespace: the namespace of the installation and its endpoints.
        cluster: the identity of the cluster, by which it is recognised.
        purpose, service_type: of the installation.
        internal: whether its load balancer is internal.
        image: the image of the control plane.
        resource_id: of a cluster in Azure whose credentials Azure has given; empty for others.
        replicas: the settings of all replicas, the document of a `ReplicaDefaults`.
        subnet: the subnet of its internal load balancer, if one was given.
        endpoint_namespaces: other namespaces that endpoints may run in.
        publishing: how an Ingress or an HTTPRoute leads to the routers, the document of a `Publishing`.

    """

    name: str
    type: str
    kubeconfig: str | None
    context: str | None
    namespace: str
    cluster: str
    purpose: str = Purpose.FAST_PROD.value
    service_type: str = ServiceType.CLUSTER_IP.value
    internal: bool = False
    image: str = ""
    resource_id: str = ""
    replicas: dict[str, Any] = field(default_factory=dict)
    subnet: str | None = None
    endpoint_namespaces: tuple[str, ...] = ()
    publishing: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A record has a list, and earlier ones have null.
        object.__setattr__(self, "endpoint_namespaces", tuple(self.endpoint_namespaces or ()))

    @property
    def access(self) -> Access:
        """The way to the cluster."""
        return Access(self.kubeconfig, self.context)


_RECORDS = RecordStore(AttachedCluster, FOLDER)


def attached_clusters(directory: Path) -> list[AttachedCluster]:
    """Return the attached clusters of a workspace by name. A file that is no record of a cluster is ignored."""
    return _RECORDS.all(directory)


def remember(directory: Path, cluster: AttachedCluster) -> None:
    """Write the record of an attached cluster."""
    _RECORDS.write(directory, cluster)


def forget(directory: Path, name: str) -> None:
    """Remove the record of an attached cluster."""
    _RECORDS.remove(directory, name)
    authority_file(directory, name).unlink(missing_ok=True)


def authority_file(directory: Path, name: str) -> Path:
    """Return the file with the certificate of the authority of an attached cluster, if it signs certificates."""
    return directory / FOLDER / f"{name}.authority.pem"


def check_name(name: str) -> None:
    """Check the name of a new compute target.

    Raises:
        ComputeTargetException: it breaks the rule.

    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ComputeTargetException(
            f"the name of a compute target is {name!r}: 2 to 16 letters, digits and '-', a letter first, "
            "a letter or digit last."
        )


def check_not_reserved(name: str) -> None:
    """Check that a name is not that of a target of every workspace.

    Raises:
        ComputeTargetException: it is.

    """
    if name in _RESERVED:
        raise ComputeTargetException(f"{name!r} is a compute target of every workspace: choose another name.")


def check_namespace(namespace: str) -> None:
    """Check the name of a namespace.

    Raises:
        ComputeTargetException: it breaks the rule of Kubernetes, or belongs to Kubernetes itself.

    """
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        raise ComputeTargetException(
            f"namespace is {namespace!r}: 1 to 63 lower-case letters, digits and '-', a letter or digit first and last."
        )
    if namespace.startswith("kube-") or namespace == "default":
        raise ComputeTargetException(
            f"namespace is {namespace!r}: it is not for applications. Give one of its own, such as 'mljupyter': "
            "it is created if it does not exist."
        )
