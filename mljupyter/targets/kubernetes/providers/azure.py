"""AKS: clusters of Azure Kubernetes Service, found, created and deleted through Azure Resource Manager.

`AzureClusters` makes all requests to Azure. Its packages, of the extra ``azure``, are imported when it is used.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from mljupyter.exceptions import ComputeTargetException
from mljupyter.files import write_whole
from mljupyter.targets.kubernetes.providers.base import OnLine, Provider
from mljupyter.targets.kubernetes.providers.programs import CancelledError
from mljupyter.visible import one_line

if TYPE_CHECKING:
    from azure.core.polling import LROPoller
    from azure.mgmt.containerservice import ContainerServiceClient

NAMESPACE = "Microsoft.ContainerService"
SUBSCRIPTION_VARIABLE = "AZURE_SUBSCRIPTION_ID"
ENDPOINT_VARIABLE = "MLJUPYTER_AZURE_ENDPOINT"
"""The URL of Azure Resource Manager, for a cloud that ``AZURE_CLOUD`` does not name."""

NOT_INSTALLED = "Azure's packages are not installed: pip install 'mljupyter[azure]'"
NO_LOGIN = (
    "Log in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET of a service principal."
)
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_RETRIES = 3
_POLL_SECONDS = 10
_LOOK_SECONDS = 0.5
_SAY_EVERY_SECONDS = 30.0
_MOST_CHARACTERS = 500
_FORBIDDEN = 403
_RESOURCE_ID = re.compile(
    r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/microsoft\.containerservice/managedclusters/([^/]+)",
    re.IGNORECASE,
)
_PART = re.compile(r"[\w.()-]{1,90}")


@dataclass(frozen=True)
class ClusterId:
    """The place of an AKS cluster in Azure.

    Parameters:
        subscription: the ID of the subscription.
        resource_group: the name of the resource group.
        name: the name of the cluster.

    Raises:
        ComputeTargetException: one of them is no such name.

    """

    subscription: str
    resource_group: str
    name: str

    def __post_init__(self) -> None:
        given = {"subscription": self.subscription, "resource_group": self.resource_group, "cluster_name": self.name}
        for argument, value in given.items():
            if not isinstance(value, str) or not _PART.fullmatch(value):
                raise ComputeTargetException(
                    f"{argument} is {value!r}: 1 to 90 letters, digits, '_', '-', '.' and parentheses."
                )

    @classmethod
    def of(cls, resource_id: str) -> ClusterId:
        """Return the place that a resource ID names.

        Raises:
            ComputeTargetException: it is not the ID of an AKS cluster.

        """
        found = _RESOURCE_ID.fullmatch(resource_id) if isinstance(resource_id, str) else None
        if found is None:
            raise ComputeTargetException(
                f"resource_id is {resource_id!r}: it must be /subscriptions/ID/resourcegroups/GROUP/providers/"
                f"{NAMESPACE}/managedClusters/NAME."
            )
        return cls(*found.groups())

    @property
    def resource_id(self) -> str:
        """The resource ID."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}/providers/{NAMESPACE}/"
            f"managedClusters/{self.name}"
        )

    def __str__(self) -> str:
        return f"AKS cluster {self.name!r} in resource group {self.resource_group!r}"


class AzureClusters:
    """The AKS clusters of one subscription. Each method makes requests to Azure Resource Manager.

    Parameters:
        subscription: the ID of the subscription.

    Raises:
        ComputeTargetException: the packages of the extra ``azure`` are missing.

    """

    def __init__(self, subscription: str) -> None:
        try:
            from azure.identity import DefaultAzureCredential
            from azure.mgmt.containerservice import ContainerServiceClient
        except ImportError as error:
            raise ComputeTargetException(f"no cluster in Azure can be used: {NOT_INSTALLED}") from error
        # It logs each kind of login that it has tried, with tracebacks; the error below says it in a sentence.
        logging.getLogger("azure.identity").setLevel(logging.ERROR)
        self._client: ContainerServiceClient = ContainerServiceClient(
            DefaultAzureCredential(exclude_interactive_browser_credential=True),
            subscription,
            os.environ.get(ENDPOINT_VARIABLE) or None,
            connection_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retry_total=_RETRIES,
            polling_interval=_POLL_SECONDS,
        )

    def find(self, place: ClusterId) -> Mapping[str, Any] | None:
        """Return the description of a cluster, None if there is none.

        Raises:
            ComputeTargetException: Azure refuses, or cannot be reached.

        """
        from azure.core.exceptions import ResourceNotFoundError

        with _explained(f"looking up {place}"):
            try:
                found = self._client.managed_clusters.get(place.resource_group, place.name)
            except ResourceNotFoundError as error:
                if _code(error) not in ("ResourceNotFound", "NotFound", ""):
                    raise  # the resource group or the subscription does not exist
                return None
            document: Mapping[str, Any] = found.as_dict()
            return document

    def create(self, place: ClusterId, description: Mapping[str, Any], on_line: OnLine, cancel: Event) -> None:
        """Create a cluster and wait until it is there.

        Parameters:
            place: of the new cluster.
            description: of the managed cluster, in the form of Azure's REST API.
            on_line: called with lines of progress.
            cancel: ends the waiting when it is set.

        Raises:
            ComputeTargetException: Azure refuses, cannot be reached, or could not create it.
            CancelledError: `cancel` was set.

        """
        body = io.BytesIO(json.dumps(description).encode())
        with _explained(f"creating {place}"):
            poller = self._client.managed_clusters.begin_create_or_update(place.resource_group, place.name, body)
            _wait(poller, f"creating {place}", on_line, cancel)

    def delete(self, place: ClusterId, on_line: OnLine) -> None:
        """Delete a cluster and wait until it is gone; do nothing if there is none.

        Raises:
            ComputeTargetException: Azure refuses, cannot be reached, or could not delete it.

        """
        with _explained(f"deleting {place}"):
            poller = self._client.managed_clusters.begin_delete(place.resource_group, place.name)
            _wait(poller, f"deleting {place}", on_line, Event())

    def kubeconfig(self, place: ClusterId) -> str:
        """Return the kubeconfig of the user for a cluster.

        Raises:
            ComputeTargetException: there is no such cluster, or Azure refuses or cannot be reached.

        """
        with _explained(f"getting the credentials of {place}"):
            found = self._client.managed_clusters.list_cluster_user_credentials(place.resource_group, place.name)
        for one in found.kubeconfigs or ():
            if one.value:
                return bytes(one.value).decode("utf-8", "replace")
        raise ComputeTargetException(f"Azure gives no kubeconfig for {place}.")


@dataclass(frozen=True)
class AksProvider(Provider):
    """A cluster of Azure Kubernetes Service.

    Parameters:
        place: of the cluster.
        location: the region, such as ``westeurope``.
        agent_count, vm_size: number and size of its nodes.
        network: None, or `vnet_resourcegroup_name`, `vnet_name`, `subnet_name`, `service_cidr` and `dns_service_ip`.

    """

    name: str = field(default="aks", init=False)
    place: ClusterId
    location: str
    agent_count: int
    vm_size: str
    network: Mapping[str, str] | None = None

    def check(self) -> None:
        """Check that Azure's packages and a login are there, and that there is no such cluster yet."""
        if AzureClusters(self.place.subscription).find(self.place) is not None:
            raise ComputeTargetException(
                f"there is an {self.place} already. Attach it: AksCompute.attach_configuration(\n"
                f"    resource_group={self.place.resource_group!r}, cluster_name={self.place.name!r}), or choose "
                "another cluster_name."
            )

    def create(self, kubeconfig: Path, on_line: OnLine, cancel: Event) -> Path:
        """Create the cluster, and write the kubeconfig that Azure gives for it."""
        clusters = AzureClusters(self.place.subscription)
        clusters.create(self.place, self.description(), on_line, cancel)
        write_whole(kubeconfig, clusters.kubeconfig(self.place))
        return kubeconfig

    def delete(self, kubeconfig: Path, on_line: OnLine) -> None:
        """Delete the cluster in Azure."""
        AzureClusters(self.place.subscription).delete(self.place, on_line)

    def description(self) -> dict[str, Any]:
        """Return the description of the cluster in the form of Azure's REST API."""
        pool: dict[str, Any] = {
            "name": "agentpool",
            "mode": "System",
            "type": "VirtualMachineScaleSets",
            "osType": "Linux",
            "count": self.agent_count,
            "vmSize": self.vm_size,
        }
        profile: dict[str, Any] = {"loadBalancerSku": "standard"}
        if self.network is not None:
            pool["vnetSubnetID"] = (
                f"/subscriptions/{self.place.subscription}/resourceGroups/{self.network['vnet_resourcegroup_name']}"
                f"/providers/Microsoft.Network/virtualNetworks/{self.network['vnet_name']}"
                f"/subnets/{self.network['subnet_name']}"
            )
            profile |= {
                "networkPlugin": "azure",
                "serviceCidr": self.network["service_cidr"],
                "dnsServiceIP": self.network["dns_service_ip"],
            }
        return {
            "location": self.location,
            "identity": {"type": "SystemAssigned"},
            "tags": {"created-by": "mljupyter"},
            "properties": {
                "dnsPrefix": self.place.name,
                "enableRBAC": True,
                "agentPoolProfiles": [pool],
                "networkProfile": profile,
            },
        }

    def settings(self) -> dict[str, Any]:
        """Return the parameters."""
        return asdict(self)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> AksProvider:
        """Return the provider for the result of `settings`."""
        others = {key: settings[key] for key in ("location", "agent_count", "vm_size", "network")}
        return cls(ClusterId(**settings["place"]), **others)

    @property
    def resource_id(self) -> str:
        """The resource ID of the cluster."""
        return self.place.resource_id

    @property
    def how_to_delete(self) -> str:
        """The command of Azure's command line."""
        return f"az aks delete --resource-group {self.place.resource_group} --name {self.place.name}"

    def __str__(self) -> str:
        return str(self.place)


def _wait(poller: LROPoller[Any], doing: str, on_line: OnLine, cancel: Event) -> None:
    """Wait for the end of a long-running operation."""
    began = said = time.monotonic()
    on_line(f"{doing}: {poller.status()}")
    while not poller.done():
        if cancel.is_set():
            raise CancelledError(f"{doing}: cancelled")
        poller.wait(_LOOK_SECONDS)
        now = time.monotonic()
        if now - said >= _SAY_EVERY_SECONDS:
            on_line(f"{doing}: {poller.status()} ({now - began:.0f} s)")
            said = now
    poller.result()
    on_line(f"{doing}: {poller.status()} ({time.monotonic() - began:.0f} s)")


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Raise the errors of Azure's packages as `ComputeTargetException`, with a way out."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        yield
    except ClientAuthenticationError as error:
        raise ComputeTargetException(
            f"{doing}: there is no login for Azure, or it is refused: {_reason(error)}\n{NO_LOGIN}"
        ) from None
    except HttpResponseError as error:
        if error.status_code is None:
            raise ComputeTargetException(f"{doing} failed: {_reason(error)}") from None
        hint = (
            "\nThe role 'Azure Kubernetes Service Contributor' of the resource group grants it."
            if error.status_code == _FORBIDDEN
            else ""
        )
        raise ComputeTargetException(
            f"{doing}: Azure refuses ({error.status_code} {_code(error)}): {_reason(error)}{hint}"
        ) from None
    except AzureError as error:
        raise ComputeTargetException(
            f"{doing}: Azure cannot be reached: {_reason(error)}\nCheck the network and the proxy, then retry."
        ) from None


def _code(error: Any) -> str:
    """Return the code of an answer, such as ``QuotaExceeded``."""
    return str(getattr(getattr(error, "error", None), "code", None) or "")


def _reason(error: Any) -> str:
    """Return the first line of an error's text."""
    text = getattr(getattr(error, "error", None), "message", None) or getattr(error, "message", None) or str(error)
    return one_line(str(text).strip().partition("\n")[0])[:_MOST_CHARACTERS]
