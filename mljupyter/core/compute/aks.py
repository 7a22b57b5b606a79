"""AksCompute: a cluster of Azure Kubernetes Service, or another one attached with the arguments of Azure ML v1.

Azure: azureml.core.compute.AksCompute.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from mljupyter.core.compute.cluster import (
    ClusterAttachConfiguration,
    ClusterCompute,
    ClusterProvisioningConfiguration,
    is_internal,
    subscription_of,
)
from mljupyter.core.compute.target import ComputeTargetUpdateConfiguration
from mljupyter.core.part import Part
from mljupyter.core.router import SslConfiguration
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Purpose, ServiceType
from mljupyter.kubernetes.objects.publishing import Publishing
from mljupyter.targets.catalog import TargetNotFoundError
from mljupyter.targets.kubernetes.attached import check_name
from mljupyter.targets.kubernetes.attachment import ClusterSettings, namespaces_given, publishing_of, replica_defaults
from mljupyter.targets.kubernetes.preflight import FAST_PROD_CPUS
from mljupyter.targets.kubernetes.providers import AksProvider
from mljupyter.targets.kubernetes.providers.azure import ClusterId
from mljupyter.targets.kubernetes.providers.vm_sizes import vcpus_of
from mljupyter.targets.mapped.setting import HOW, aks_place, words
from mljupyter.targets.mapped.target import AKS, MappedTarget, map_target

if TYPE_CHECKING:
    from mljupyter.core import Workspace

DEFAULT_VM_SIZE = "Standard_D3_v2"
_AGENTS = {Purpose.FAST_PROD.value: 3, Purpose.DEV_TEST.value: 1}
_MOST_AGENTS = 5000
_NOT_IN_AZURE = "local"
"""The resource group and location of a workspace that was created without them."""


_BALANCER = ("cluster_purpose", "load_balancer_type", "load_balancer_subnet")
_OF_ATTACH = ("resource_group", "cluster_name", "resource_id", *_BALANCER)
_NETWORK = (
    *("vnet_resourcegroup_name", "vnet_name", "subnet_name"),
    *("service_cidr", "dns_service_ip", "docker_bridge_cidr"),
)
_OF_CREATION = ("agent_count", "vm_size", "location", *_NETWORK, "resource_group", "cluster_name", *_BALANCER)


class AksCompute(ClusterCompute, kind=AKS):
    """A cluster that was created or attached with `AksCompute`.

    If the user has mapped AKS targets to another target (``mljupyter azureml enable --aks local``), a name that the
    workspace does not have is such a mapping: old notebooks name clusters that are gone.

    Parameters:
        workspace: the workspace.
        name: the name of the target.

    Raises:
        ComputeTargetException: `ComputeTargetNotFound`: there is no such cluster.

    """

    def __new__(cls, workspace: Workspace, name: str) -> Self:
        """Return an object of the class for the target's type; map an unknown name if the user has asked for it."""
        try:
            return super().__new__(cls, workspace, name)
        except TargetNotFoundError as error:
            if not map_aks(workspace, name, {}):
                raise TargetNotFoundError(f"{error.message}\n{HOW}") from None
        return super().__new__(cls, workspace, name)

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
        endpoint_namespaces: Sequence[str] = (),
        collected_data_claim: str | None = None,
        ingress_class: str | None = None,
        scoring_host: str | None = None,
        scoring_path: str | None = None,
        tls_secret: str | None = None,
        annotations: Mapping[str, str] | None = None,
        gateway: str | None = None,
        gateway_section: str | None = None,
    ) -> AksAttachConfiguration:
        """Return the settings to attach a cluster by its place in Azure, or by its kubeconfig.

        With a place, Azure gives the kubeconfig (the extra ``azure``, and a login such as ``az login``). The
        subscription is that of `resource_id`, of ``AZURE_SUBSCRIPTION_ID``, or of the workspace.

        Parameters:
            resource_group, cluster_name: the cluster in Azure.
            resource_id: instead of both.
            cluster_purpose: one of `AksCompute.ClusterPurpose`, FAST_PROD by default.
            load_balancer_type: ``PublicIp``, the default, or ``InternalLoadBalancer``.
            load_balancer_subnet: the subnet of an internal load balancer.
            kubeconfig: the path of a kubeconfig file.
            context: a context of it.
            namespace: the namespace for operator, routers and endpoints. It is created.
            service_type: how clients reach the routers: ``LoadBalancer``, the default, ``NodePort``, ``ClusterIP``,
                ``Ingress`` or ``HTTPRoute``.
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
        given = _given(locals(), _OF_ATTACH)
        if resource_id is not None and aks_place() is None:
            ClusterId.of(resource_id)  # a mapping takes those of notebooks with a placeholder as well
        if resource_id is not None and (resource_group or cluster_name):
            raise ComputeTargetException("resource_id is given with resource_group or cluster_name: give one of both.")
        if bool(resource_group) != bool(cluster_name):
            missing = "cluster_name" if resource_group else "resource_group"
            raise ComputeTargetException(f"{missing} is missing: give resource_group and cluster_name, or resource_id.")
        by_place = kubeconfig is None and context is None and bool(resource_id or resource_group)

        def place_of(workspace: Workspace) -> ClusterId:
            if resource_id is not None:
                return ClusterId.of(resource_id)
            return ClusterId(subscription_of(workspace), resource_group or "", cluster_name or "")

        return AksAttachConfiguration(
            ClusterSettings(
                os.fspath(kubeconfig) if kubeconfig is not None else None,
                context,
                namespace,
                str(cluster_purpose or Purpose.FAST_PROD.value),
                str(service_type or ServiceType.LOAD_BALANCER.value),
                is_internal(load_balancer_type),
                load_balancer_subnet,
                image,
                "AKS",
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
            place_of if by_place else None,
            given,
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
    def provisioning_configuration(
        agent_count: int | None = None,
        vm_size: str | None = None,
        ssl_cname: str | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        location: str | None = None,
        vnet_resourcegroup_name: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
        service_cidr: str | None = None,
        dns_service_ip: str | None = None,
        docker_bridge_cidr: str | None = None,
        cluster_purpose: str | None = None,
        load_balancer_type: str | None = None,
        load_balancer_subnet: str | None = None,
        *,
        resource_group: str | None = None,
        cluster_name: str | None = None,
        namespace: str = names.DEFAULT_NAMESPACE,
        service_type: str | None = None,
        image: str | None = None,
    ) -> AksProvisioningConfiguration:
        """Return the settings to create a cluster of Azure Kubernetes Service, and to attach it.

        It needs the extra ``azure`` and a login such as ``az login``. The subscription is that of
        ``AZURE_SUBSCRIPTION_ID``, or of the workspace.

        Parameters:
            agent_count: the number of nodes; 3 by default, 1 for DEV_TEST.
            vm_size: the size of the nodes, ``Standard_D3_v2`` (4 vCPU) by default.
            ssl_cname, ssl_cert_pem_file, ssl_key_pem_file: see `enable_ssl` of the result.
            location: the region, such as ``westeurope``; by default that of the workspace.
            vnet_resourcegroup_name, vnet_name, subnet_name, service_cidr, dns_service_ip, docker_bridge_cidr: a virtual
                network that exists: all of them, or none. Azure no longer uses the last one.
            cluster_purpose: one of `AksCompute.ClusterPurpose`, FAST_PROD by default: `agent_count` nodes of `vm_size`
                must have at least 12 vCPU.
            load_balancer_type: ``PublicIp``, the default, or ``InternalLoadBalancer``.
            load_balancer_subnet: the subnet of an internal load balancer.
            resource_group: for the cluster; it must exist. By default that of the workspace.
            cluster_name: the name of the cluster in Azure; by default that of the compute target.
            namespace, service_type, image: as for `attach_configuration`.

        Raises:
            ComputeTargetException: an argument breaks a rule.

        Example:
            >>> configuration = AksCompute.provisioning_configuration(
            ...     agent_count=1, cluster_purpose=AksCompute.ClusterPurpose.DEV_TEST, location="westeurope",
            ...     resource_group="ml")
            >>> configuration.vm_size
            'Standard_D3_v2'

        """
        given = _given(locals(), _OF_CREATION)
        settings = ClusterSettings(
            namespace=namespace,
            purpose=str(cluster_purpose or Purpose.FAST_PROD.value),
            service_type=str(service_type or ServiceType.LOAD_BALANCER.value),
            internal=is_internal(load_balancer_type),
            subnet=load_balancer_subnet,
            image=image,
            type="AKS",
        )
        network = {
            "vnet_resourcegroup_name": vnet_resourcegroup_name,
            "vnet_name": vnet_name,
            "subnet_name": subnet_name,
            "service_cidr": service_cidr,
            "dns_service_ip": dns_service_ip,
            "docker_bridge_cidr": docker_bridge_cidr,
        }
        configuration = AksProvisioningConfiguration(
            settings, agent_count, vm_size, location, network, resource_group, cluster_name, given
        )
        if ssl_cname or ssl_cert_pem_file or ssl_key_pem_file:
            configuration.enable_ssl(ssl_cname, ssl_cert_pem_file, ssl_key_pem_file)
        return configuration

    @property
    def cluster_resource_id(self) -> str | None:
        """The resource ID in Azure; None for a cluster that was attached by its kubeconfig."""
        return self._current().attached.resource_id or None

    @property
    def agent_count(self) -> int | None:
        """The number of nodes with which it was created in Azure; None if it was not created here."""
        found = self._of_provider("agent_count")
        return None if found is None else int(found)

    @property
    def agent_vm_size(self) -> str | None:
        """The size of the nodes with which it was created in Azure; None if it was not created here."""
        found = self._of_provider("vm_size")
        return None if found is None else str(found)

    @property
    def location(self) -> str | None:
        """The region in which it was created in Azure; None if it was not created here."""
        found = self._of_provider("location")
        return None if found is None else str(found)

    def _of_provider(self, setting: str) -> Any:
        created = self._created
        return None if created is None else created.provider.get(setting)


@dataclass
class SystemService(Part):
    """A service that Azure runs in a cluster; clusters here have none."""

    service_type: str
    version: str
    public_ip_address: str

    @classmethod
    def deserialize(cls, object_dict: dict[str, Any] | None) -> Self | None:
        """Return the value from the JSON types of `serialize`; None for None."""
        return super().deserialize(object_dict)


class AksAttachConfiguration(ClusterAttachConfiguration):
    """The settings of `ComputeTarget.attach` for a cluster of AKS. `AksCompute.attach_configuration` makes them.

    Parameters:
        settings: the cluster and the installation there.
        place: returns the place in Azure; None if there is a kubeconfig.
        given: the arguments that were given, by name.

    """

    def __init__(
        self,
        settings: ClusterSettings,
        place: Callable[[Workspace], ClusterId] | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(settings, place)
        self.given = dict(given or {})

    @property
    def cluster_purpose(self) -> str:
        """The purpose: ``FastProd`` or ``DevTest``."""
        return self.settings.purpose

    def attach(self, workspace: Workspace, name: str, *, force: bool = False) -> None:
        """Check the cluster and begin to attach it, or map the target if the user has asked for it."""
        if self._place is None:
            super().attach(workspace, name, force=force)
        elif map_aks(workspace, name, self.given):
            self.finish(workspace, name)
        else:
            with _told_of_mapping():
                super().attach(workspace, name, force=force)


class AksProvisioningConfiguration(ClusterProvisioningConfiguration):
    """The settings of `ComputeTarget.create` for a cluster of AKS. `AksCompute.provisioning_configuration` makes them.

    Parameters:
        settings: the installation in the cluster.
        agent_count, vm_size, location, resource_group, cluster_name: see `AksCompute.provisioning_configuration`.
        network: the arguments for a virtual network; all are None without one.
        given: the arguments that were given, by name.

    Raises:
        ComputeTargetException: an argument breaks a rule.

    """

    def __init__(
        self,
        settings: ClusterSettings,
        agent_count: int | None,
        vm_size: str | None,
        location: str | None,
        network: dict[str, str | None],
        resource_group: str | None,
        cluster_name: str | None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(settings, self._aks)
        self.given = dict(given or {})
        self.agent_count = agent_count if agent_count is not None else agents_of(settings.purpose)
        self.vm_size = vm_size or DEFAULT_VM_SIZE
        self.location = location
        self.network = network
        self.resource_group = resource_group
        self.cluster_name = cluster_name
        self.validate_configuration()

    @property
    def cluster_purpose(self) -> str:
        """The purpose: ``FastProd`` or ``DevTest``."""
        return self.settings.purpose

    def validate_configuration(self) -> None:
        """Check the rules for nodes and network.

        Raises:
            ComputeTargetException: one is broken.

        """
        count = self.agent_count
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _MOST_AGENTS:
            raise ComputeTargetException(f"agent_count is {count!r}: it must be a number from 1 to {_MOST_AGENTS}.")
        vcpus = vcpus_of(self.vm_size)
        # The nodes of a size whose name does not say its vCPU are counted when the cluster is attached.
        if self.cluster_purpose == Purpose.FAST_PROD and vcpus is not None and count * vcpus < FAST_PROD_CPUS:
            raise ComputeTargetException(
                f"{count} nodes of vm_size {self.vm_size!r} have {count * vcpus} vCPU, and purpose FAST_PROD needs at "
                f"least {FAST_PROD_CPUS}: agent_count={-(-FAST_PROD_CPUS // vcpus)},\na larger vm_size, or for tests "
                "cluster_purpose=AksCompute.ClusterPurpose.DEV_TEST."
            )
        given = [name for name, value in self.network.items() if value]
        missing = [name for name, value in self.network.items() if not value]
        if given and missing:
            raise ComputeTargetException(
                f"a virtual network needs all of {', '.join(self.network)}: {', '.join(missing)} is missing."
            )

    def create(self, workspace: Workspace, name: str) -> None:
        """Begin to create the cluster and to attach it, or map the target if the user has asked for it."""
        if map_aks(workspace, name, self.given):
            self.finish(workspace, name)
            return
        with _told_of_mapping():
            super().create(workspace, name)

    def _aks(self, workspace: Workspace, name: str) -> AksProvider:
        """Return the provider: place and region come from the workspace unless they are given."""
        place = {"resource_group": self.resource_group or workspace.resource_group}
        place["location"] = self.location or workspace.location
        for argument, value in place.items():
            if value == _NOT_IN_AZURE:
                raise ComputeTargetException(
                    f"the {argument.replace('_', ' ')} for the cluster in Azure is not known: give {argument}=... in "
                    f"provisioning_configuration, or create the workspace with it."
                )
        network = {key: value for key, value in self.network.items() if value and key != "docker_bridge_cidr"}
        return AksProvider(
            ClusterId(subscription_of(workspace), place["resource_group"], self.cluster_name or name),
            place["location"],
            self.agent_count,
            self.vm_size,
            network or None,
        )


def agents_of(purpose: str) -> int:
    """Return the number of nodes that Azure takes for a purpose if none is given."""
    return _AGENTS.get(purpose, _AGENTS[Purpose.FAST_PROD.value])


def map_aks(workspace: Workspace, name: str, given: Mapping[str, Any]) -> bool:
    """Map a target of AKS to the target that the user has chosen for that, and say so; return whether there is one.

    Parameters:
        workspace: the workspace.
        name: the name of the target. One that is a real cluster of the workspace is not mapped.
        given: the arguments that are kept and shown, and have no effect.

    Raises:
        ComputeTargetException: the name breaks the rule, or the chosen target is not there.

    """
    place = aks_place()
    if place is None:
        return False
    check_name(name)
    present = workspace.context.targets.get(name)
    if present is not None and not isinstance(present, MappedTarget):
        return False
    map_target(workspace.context, name, AKS, place, dict(given))
    print(
        f"Compute target {name!r} is a mapping: no cluster of Azure is used, and what is deployed to it runs on "
        f"{place!r} ({words(place)})."
    )
    if given:
        print(f"Kept without effect: {', '.join(given)}")
    return True


@contextmanager
def _told_of_mapping() -> Iterator[None]:
    """Add the way to a mapping to the error of a cluster in Azure."""
    try:
        yield
    except ComputeTargetException as error:
        raise ComputeTargetException(f"{error.message}\n{HOW}") from error


def _given(arguments: Mapping[str, Any], names_of_azure: Sequence[str]) -> dict[str, Any]:
    return {name: arguments[name] for name in names_of_azure if arguments[name] is not None}


class AksUpdateConfiguration(ComputeTargetUpdateConfiguration):
    """Changes of an attached cluster, for `AksCompute.update`.

    Parameters:
        ssl_configuration: TLS of the routers.
        load_balancer_type: ``PublicIp`` or ``InternalLoadBalancer``, for the routers.
        load_balancer_subnet: the subnet of an internal load balancer.
        service_type: how clients reach the routers from now on, as for `AksCompute.attach_configuration`.
        ingress_class, scoring_host, scoring_path, tls_secret, annotations, gateway, gateway_section: likewise; those
            that are not given are as they are without them.

    Raises:
        ComputeTargetException: the type is unknown, or a subnet is given without an internal load balancer; or a
            setting is not for the service type.

    """

    def __init__(
        self,
        ssl_configuration: SslConfiguration | None = None,
        load_balancer_type: str | None = None,
        load_balancer_subnet: str | None = None,
        *,
        service_type: str | None = None,
        ingress_class: str | None = None,
        scoring_host: str | None = None,
        scoring_path: str | None = None,
        tls_secret: str | None = None,
        annotations: Mapping[str, str] | None = None,
        gateway: str | None = None,
        gateway_section: str | None = None,
    ) -> None:
        super().__init__(AKS)
        self.ssl_configuration = ssl_configuration
        self.load_balancer_type = load_balancer_type
        self.load_balancer_subnet = load_balancer_subnet
        if load_balancer_subnet is not None and not is_internal(load_balancer_type):
            raise ComputeTargetException(
                "load_balancer_subnet is given without load_balancer_type='InternalLoadBalancer': a public load "
                "balancer has no subnet."
            )
        is_internal(load_balancer_type)
        self.service_type = service_type
        self.publishing = publishing_of(
            ingress_class=ingress_class,
            scoring_host=scoring_host,
            scoring_path=scoring_path,
            tls_secret=tls_secret,
            annotations=annotations,
            gateway=gateway,
            gateway_section=gateway_section,
        )
        if service_type is not None and load_balancer_type is not None:
            raise ComputeTargetException(
                "service_type and load_balancer_type are given: a load balancer is the service type 'LoadBalancer'."
            )
        if service_type is None and self.publishing != Publishing():
            given = ", ".join(self.publishing.document())
            raise ComputeTargetException(f"{given} given without service_type: 'Ingress' or 'HTTPRoute'.")

    def apply(self, target: ClusterCompute) -> None:
        """Apply TLS to a cluster, and begin to change how clients reach its routers."""
        if self.ssl_configuration is not None:
            self.ssl_configuration.apply(target.router)
        if self.load_balancer_type is not None:
            target.change_load_balancer(self.load_balancer_type, self.load_balancer_subnet)
        if self.service_type is not None:
            target.change_service(self.service_type, self.publishing)
