"""KubernetesCompute: any Kubernetes cluster as a compute target.

Azure: azureml.core.compute.KubernetesCompute.
"""

from __future__ import annotations

import os
from typing import Any

from mljupyter.core.compute.cluster import ClusterAttachConfiguration, ClusterCompute
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Purpose, ServiceType
from mljupyter.targets.kubernetes.attachment import ClusterSettings


class KubernetesCompute(ClusterCompute, kind="Kubernetes"):
    """A Kubernetes cluster that was attached to the workspace.

    Parameters:
        workspace: the workspace.
        name: the name of the target.

    Raises:
        ComputeTargetException: `ComputeTargetNotFound`: there is no such cluster.

    """

    @staticmethod
    def attach_configuration(
        resource_id: str | None = None,
        namespace: str | None = None,
        identity_type: str | None = None,
        identity_ids: Any = None,
        *,
        kubeconfig: str | os.PathLike[str] | None = None,
        context: str | None = None,
        cluster_purpose: str = Purpose.FAST_PROD.value,
        service_type: str = ServiceType.CLUSTER_IP.value,
        internal_load_balancer: bool = False,
        load_balancer_subnet: str | None = None,
        image: str | None = None,
    ) -> ClusterAttachConfiguration:
        """Return the settings to attach a cluster, by default that of the current kubeconfig and context.

        Parameters:
            resource_id: of a cluster in Azure; see `AksCompute.attach_configuration`.
            namespace: the namespace for operator, routers and endpoints, ``mljupyter`` by default. It is created.
            identity_type, identity_ids: without effect.
            kubeconfig: the path of a kubeconfig file; by default ``KUBECONFIG`` or ``~/.kube/config``.
            context: a context of it.
            cluster_purpose: ``FastProd`` (at least 12 vCPU, several routers) or ``DevTest`` (one of each).
            service_type: how clients reach the routers: ``ClusterIP`` (by a port-forward from outside), ``NodePort``
                or ``LoadBalancer``.
            internal_load_balancer: whether the load balancer is reached only from the cluster's network.
            load_balancer_subnet: the subnet of an internal load balancer (Azure).
            image: the image of operator and routers; by default it is built from this installation.

        Raises:
            ComputeTargetException: an argument breaks a rule.

        """
        if resource_id is not None:
            raise ComputeTargetException(NEEDS_KUBECONFIG.format(given="resource_id"))
        return ClusterAttachConfiguration(
            ClusterSettings(
                os.fspath(kubeconfig) if kubeconfig is not None else None,
                context,
                namespace or names.DEFAULT_NAMESPACE,
                str(cluster_purpose),
                str(service_type),
                internal_load_balancer,
                load_balancer_subnet,
                image,
            )
        )


NEEDS_KUBECONFIG = (
    "a cluster in Azure cannot be looked up by {given} yet: this will need the extra azure.\n"
    "Get its kubeconfig, and give that: az aks get-credentials --resource-group GROUP --name NAME, then\n"
    "attach_configuration(kubeconfig=..., context=...)"
)
