"""AksCompute: a cluster attached with the arguments of Azure ML v1.

Azure: azureml.core.compute.AksCompute.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mljupyter.core.compute.cluster import ClusterAttachConfiguration, ClusterCompute
from mljupyter.core.compute.kubernetes import NEEDS_KUBECONFIG
from mljupyter.core.router import SslConfiguration
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Purpose, ServiceType
from mljupyter.targets.kubernetes.attachment import ClusterSettings, replica_defaults

_RESOURCE_PARTS = 9
_PROVIDER = "Microsoft.ContainerService"
_LOAD_BALANCERS = {"PublicIp": False, "InternalLoadBalancer": True}


class AksCompute(ClusterCompute, kind="AKS"):
    """A cluster that was attached with `AksCompute.attach_configuration`.

    Parameters:
        workspace: the workspace.
        name: the name of the target.

    Raises:
        ComputeTargetException: `ComputeTargetNotFound`: there is no such cluster.

    """

    class ClusterPurpose:
        """The purposes of clusters. FAST_PROD needs at least 12 vCPU; DEV_TEST is for development and tests."""

        FAST_PROD: ClassVar[str] = Purpose.FAST_PROD.value
        DEV_TEST: ClassVar[str] = Purpose.DEV_TEST.value

    @staticmethod
    def attach_configuration(
        resource_group: str | None = None,
        cluster_name: str | None = None,
        resource_id: str | None = None,
        cluster_purpose: str | None = None,
        load_balancer_type: str | None = None,
        load_balancer_subnet: str | None = None,
        *,
        kubeconfig: str | os.PathLike[str] | None = None,
        context: str | None = None,
        namespace: str = names.DEFAULT_NAMESPACE,
        service_type: str | None = None,
        image: str | None = None,
        gpu_resource: str | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any] | str] = (),
        runtime_class: str | None = None,
    ) -> ClusterAttachConfiguration:
        """Return the settings to attach a cluster by its kubeconfig.

        Parameters:
            resource_group, cluster_name: of a cluster in Azure: an error says how to get its kubeconfig.
            resource_id: instead of both.
            cluster_purpose: one of `AksCompute.ClusterPurpose`, FAST_PROD by default.
            load_balancer_type: ``PublicIp``, the default, or ``InternalLoadBalancer``.
            load_balancer_subnet: the subnet of an internal load balancer.
            kubeconfig: the path of a kubeconfig file.
            context: a context of it.
            namespace: the namespace for operator, routers and endpoints. It is created.
            service_type: how clients reach the routers: ``LoadBalancer``, the default, ``NodePort`` or ``ClusterIP``.
            image: the image of operator and routers; by default it is built from this installation.
            gpu_resource: the resource that counts the accelerators of replicas (`gpu_cores`), ``nvidia.com/gpu`` by
                default.
            node_selector: labels that a node must have to run replicas; those of a version are added.
            tolerations: taints of nodes that all replicas tolerate, as in `AksWebservice.deploy_configuration`.
            runtime_class: the RuntimeClass of replicas; that of a version comes first.

        Raises:
            ComputeTargetException: an argument breaks a rule.

        """
        if resource_id is not None:
            _check_resource_id(resource_id)
        given = [("resource_id", resource_id), ("resource_group", resource_group), ("cluster_name", cluster_name)]
        for argument, value in given:
            if value is not None and kubeconfig is None and context is None:
                raise ComputeTargetException(NEEDS_KUBECONFIG.format(given=argument))
        if load_balancer_type is not None and load_balancer_type not in _LOAD_BALANCERS:
            raise ComputeTargetException(
                f"load_balancer_type is {load_balancer_type!r}: it must be one of {', '.join(_LOAD_BALANCERS)}."
            )
        return ClusterAttachConfiguration(
            ClusterSettings(
                os.fspath(kubeconfig) if kubeconfig is not None else None,
                context,
                namespace,
                str(cluster_purpose or Purpose.FAST_PROD.value),
                str(service_type or ServiceType.LOAD_BALANCER.value),
                _LOAD_BALANCERS.get(load_balancer_type or "", False),
                load_balancer_subnet,
                image,
                "AKS",
                replica_defaults(gpu_resource, node_selector, tolerations, runtime_class),
            )
        )

    @staticmethod
    def attach(*arguments: Any, **named: Any) -> Any:
        """Refuse: use `ComputeTarget.attach` with `AksCompute.attach_configuration`.

        Raises:
            ComputeTargetException: always.

        """
        raise ComputeTargetException(
            "AksCompute.attach has been removed: "
            "ComputeTarget.attach(ws, NAME, AksCompute.attach_configuration(kubeconfig=...))"
        )

    @staticmethod
    def provisioning_configuration(*arguments: Any, **named: Any) -> Any:
        """Refuse: clusters are created elsewhere, and attached.

        Raises:
            ComputeTargetException: always.

        """
        raise ComputeTargetException(
            "no cluster can be created from here yet: create it with its provider's tool (az aks create), then\n"
            "ComputeTarget.attach(ws, NAME, AksCompute.attach_configuration(kubeconfig=..., context=...))"
        )


class AksUpdateConfiguration:
    """Changes of an attached cluster, for `AksCompute.update`.

    Parameters:
        ssl_configuration: TLS of the routers.
        load_balancer_type, load_balancer_subnet: of the routers: they are changed by attaching again.

    """

    def __init__(
        self,
        ssl_configuration: SslConfiguration | None = None,
        load_balancer_type: str | None = None,
        load_balancer_subnet: str | None = None,
    ) -> None:
        self.ssl_configuration = ssl_configuration
        self.load_balancer_type = load_balancer_type
        self.load_balancer_subnet = load_balancer_subnet

    def apply(self, target: ClusterCompute) -> None:
        """Apply the changes to a cluster."""
        if self.load_balancer_type is not None or self.load_balancer_subnet is not None:
            raise ComputeTargetException(
                f"the load balancer of compute target {target.name!r} is changed by attaching it again under its "
                "name, with another load_balancer_type."
            )
        if self.ssl_configuration is not None:
            target.apply_ssl(self.ssl_configuration)


def _check_resource_id(resource_id: str) -> None:
    parts = resource_id.split("/")
    if len(parts) != _RESOURCE_PARTS or parts[6].lower() != _PROVIDER.lower():
        raise ComputeTargetException(
            f"resource_id is {resource_id!r}: it must be /subscriptions/ID/resourcegroups/GROUP/providers/{_PROVIDER}"
            "/managedClusters/NAME."
        )
