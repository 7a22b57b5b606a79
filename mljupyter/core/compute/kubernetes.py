"""KubernetesCompute: any Kubernetes cluster as a compute target.

Azure: azureml.core.compute.KubernetesCompute.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mljupyter.core.compute.cluster import (
    ClusterAttachConfiguration,
    ClusterCompute,
    ClusterProvisioningConfiguration,
)
from mljupyter.exceptions import ComputeTargetException
from mljupyter.files import expanded
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Purpose, ServiceType
from mljupyter.targets.kubernetes.attachment import ClusterSettings, namespaces_given, publishing_of, replica_defaults
from mljupyter.targets.kubernetes.providers import TOOLS, CommandProvider, ToolProvider
from mljupyter.targets.kubernetes.providers.azure import ClusterId

if TYPE_CHECKING:
    from mljupyter.core import Workspace


_ARC = "/connectedclusters/"


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
        gpu_resource: str | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any] | str] = (),
        runtime_class: str | None = None,
        endpoint_namespaces: Sequence[str] = (),
        collected_data_claim: str | None = None,
        ingress_class: str | None = None,
        scoring_host: str | None = None,
        scoring_path: str | None = None,
        tls_secret: str | None = None,
        annotations: Mapping[str, str] | None = None,
        gateway: str | None = None,
        gateway_section: str | None = None,
    ) -> ClusterAttachConfiguration:
        """Return the settings to attach a cluster, by default that of the current kubeconfig and context.

        Parameters:
            resource_id: of an AKS cluster, whose credentials Azure gives; see `AksCompute.attach_configuration`.
            namespace: the namespace for operator, routers and endpoints, ``mljupyter`` by default. It is created.
            identity_type, identity_ids: without effect.
            kubeconfig: the path of a kubeconfig file; by default ``KUBECONFIG`` or ``~/.kube/config``.
            context: a context of it.
            cluster_purpose: ``FastProd`` (at least 12 vCPU, several routers) or ``DevTest`` (one of each).
            service_type: how clients reach the routers: ``ClusterIP`` (by a port-forward from outside), ``NodePort``,
                ``LoadBalancer``, ``Ingress`` or ``HTTPRoute``.
            internal_load_balancer: whether the load balancer is reached only from the cluster's network.
            load_balancer_subnet: the subnet of an internal load balancer (Azure).
            image: the image of operator and routers; by default it is built from this installation.
            gpu_resource: the resource that counts the accelerators of replicas (`gpu_cores`), ``nvidia.com/gpu`` by
                default.
            node_selector: labels that a node must have to run replicas; those of a version are added.
            tolerations: taints of nodes that all replicas tolerate, as in `AksWebservice.deploy_configuration`.
            runtime_class: the RuntimeClass of replicas; that of a version comes first.
            endpoint_namespaces: other namespaces that endpoints may run in (`namespace` of
                `AksWebservice.deploy_configuration`). They must exist; `namespace` itself need not be named.
            collected_data_claim: a PersistentVolumeClaim in `namespace` for the data that scripts collect
                (`collect_model_data`). Without it, collected data ends with its pod.
            ingress_class: with ``Ingress``: the IngressClass; by default that of the cluster.
            scoring_host: with ``Ingress`` or ``HTTPRoute``: the host name of scoring URIs.
            scoring_path: likewise, the beginning of their paths, such as ``/ml``.
            tls_secret: with ``Ingress``: the Secret with the certificate of the host, in the namespace.
            annotations: of the Ingress or the HTTPRoute.
            gateway: with ``HTTPRoute``: the Gateway, as ``NAMESPACE/NAME``.
            gateway_section: a listener of the Gateway.

        Raises:
            ComputeTargetException: an argument breaks a rule.

        """
        if resource_id is not None and _ARC in resource_id.lower() and kubeconfig is None and context is None:
            raise ComputeTargetException(
                f"resource_id is {resource_id!r}: a cluster of Azure Arc is attached by its kubeconfig: "
                "attach_configuration(kubeconfig=..., context=...)"
            )
        place = ClusterId.of(resource_id) if resource_id is not None and kubeconfig is None else None
        if given := [
            name for name, value in (("identity_type", identity_type), ("identity_ids", identity_ids)) if value
        ]:
            print(f"Without effect: {', '.join(given)}")

        def place_of(workspace: Workspace) -> ClusterId:
            return cast("ClusterId", place)

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
                publishing=publishing_of(
                    ingress_class=ingress_class,
                    scoring_host=scoring_host,
                    scoring_path=scoring_path,
                    tls_secret=tls_secret,
                    annotations=annotations,
                    gateway=gateway,
                    gateway_section=gateway_section,
                ),
                replicas=replica_defaults(
                    gpu_resource, node_selector, tolerations, runtime_class, collected_data_claim
                ),
                endpoint_namespaces=namespaces_given(endpoint_namespaces),
            ),
            place_of if place is not None and kubeconfig is None else None,
        )

    @staticmethod
    def provisioning_configuration(
        provider: str,
        cluster_name: str | None = None,
        options: Sequence[str] = (),
        *,
        create_command: Sequence[str] | None = None,
        delete_command: Sequence[str] | None = None,
        kubeconfig: str | os.PathLike[str] | None = None,
        context: str | None = None,
        namespace: str | None = None,
        cluster_purpose: str = Purpose.DEV_TEST.value,
        service_type: str = ServiceType.CLUSTER_IP.value,
        internal_load_balancer: bool = False,
        image: str | None = None,
    ) -> ClusterProvisioningConfiguration:
        """Return the settings to create a cluster on this machine, or with commands of your own, and to attach it.

        Parameters:
            provider: ``kind``, ``k3d`` or ``minikube``, if its command is installed, or ``command``.
            cluster_name: the name of the cluster for kind, k3d or minikube; by default that of the compute target.
            options: additional arguments of kind's, k3d's or minikube's command, such as ``["--image", "..."]``.
            create_command: for ``command``: the program that creates a cluster, and its arguments. No shell reads them.
            delete_command: the program that deletes it. Its arguments are stored in the workspace: give secrets in
                environment variables.
            kubeconfig: the path of the kubeconfig that `create_command` writes. Without it, `create_command` prints the
                kubeconfig on standard output, and its progress on standard error.
            context: a context of that kubeconfig; its current one by default.
            namespace: the namespace for operator, routers and endpoints, ``mljupyter`` by default.
            cluster_purpose: ``DevTest``, the default, or ``FastProd``, for which the nodes need 12 vCPU.
            service_type, internal_load_balancer, image: as for `attach_configuration`.

        Raises:
            ComputeTargetException: an argument breaks a rule.

        Example:
            >>> KubernetesCompute.provisioning_configuration(
            ...     "command", create_command=["./up.sh", "team"], delete_command=["./down.sh", "team"],
            ...     kubeconfig="team.yaml")                                                     # doctest: +SKIP

        """
        settings = ClusterSettings(
            context=context,
            namespace=namespace or names.DEFAULT_NAMESPACE,
            purpose=str(cluster_purpose),
            service_type=str(service_type),
            internal=internal_load_balancer,
            image=image,
        )
        of_command = {"create_command": create_command, "delete_command": delete_command, "kubeconfig": kubeconfig}
        if provider == CommandProvider.name:
            if cluster_name is not None or options:
                raise ComputeTargetException(
                    "cluster_name and options are for kind, k3d and minikube: give them in create_command."
                )
            path = str(expanded(kubeconfig).absolute()) if kubeconfig is not None else None
            commands = CommandProvider(create_command, delete_command, path, str(Path.cwd()))  # type: ignore[arg-type]
            return ClusterProvisioningConfiguration(settings, lambda workspace, name: commands)
        if provider not in TOOLS:
            known = ", ".join((*TOOLS, CommandProvider.name))
            raise ComputeTargetException(
                f"provider is {provider!r}: it must be one of {known}; for Azure, use "
                "AksCompute.provisioning_configuration."
            )
        if given := [argument for argument, value in of_command.items() if value is not None]:
            raise ComputeTargetException(f"{given[0]} is for provider 'command', and provider is {provider!r}.")

        checked = ToolProvider(provider, cluster_name or "cluster", options)  # type: ignore[arg-type]
        return ClusterProvisioningConfiguration(
            settings, lambda workspace, name: checked if cluster_name else replace(checked, cluster=name.lower())
        )
