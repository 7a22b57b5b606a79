"""Clusters in Azure, against a served fake of Azure Resource Manager (azure_server.py). It is not Azure itself."""

from __future__ import annotations

import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import ComputeTarget, Workspace
from mljupyter.core.compute import AksCompute, AksUpdateConfiguration, KubernetesCompute
from mljupyter.exceptions import ComputeTargetException
from mljupyter.targets.kubernetes.providers.azure import ClusterId
from tests.cli.in_process import failed
from tests.kubernetes.providers.azure_server import SUBSCRIPTION, TOKEN, Azure, serve

DEV_TEST = AksCompute.ClusterPurpose.DEV_TEST
PLACE = ClusterId(SUBSCRIPTION, "ml", "team")


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stub_kubeconfig: Path) -> Iterator[Azure]:
    """An Azure with a login, whose clusters refuse to be attached."""
    azure = Azure(stub_kubeconfig.read_text())
    server = serve(azure, tmp_path)
    environment = {
        "MLJUPYTER_AZURE_ENDPOINT": azure.address,
        "REQUESTS_CA_BUNDLE": str(tmp_path / "ca.pem"),
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "IDENTITY_ENDPOINT": f"{azure.address}/msi/token",
        "IDENTITY_HEADER": "x",
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield azure
    server.shutdown()
    server.server_close()


def configuration(**given: Any) -> Any:
    return AksCompute.provisioning_configuration(
        **{"resource_group": "ml", "location": "westeurope", "cluster_purpose": DEV_TEST} | given
    )


def test_a_cluster_is_created_with_its_nodes_and_deleted(workspace: Workspace, azure: Azure) -> None:
    target = ComputeTarget.create(workspace, "team", configuration(agent_count=2, vm_size="Standard_D4s_v5"))
    assert isinstance(target, AksCompute)
    with pytest.raises(ComputeTargetException, match="exists, and is not attached.\n(.*\n)*.*not a cluster"):
        target.wait_for_completion()
    description = azure.clusters["ml", "team"]
    assert (description["location"], description["identity"]) == ("westeurope", {"type": "SystemAssigned"})
    (pool,) = description["properties"]["agentPoolProfiles"]
    assert (pool["count"], pool["vmSize"], pool["mode"], "vnetSubnetID" in pool) == (
        2,
        "Standard_D4s_v5",
        "System",
        False,
    )
    assert (target.agent_count, target.agent_vm_size, target.location) == (2, "Standard_D4s_v5", "westeurope")
    assert (target.provider, target.cluster_resource_id) == ("aks", PLACE.resource_id)
    kubeconfig = workspace.directory / "clusters" / "team.kubeconfig"
    assert kubeconfig.read_text() == azure.kubeconfig
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    record = workspace.directory / "clusters" / "created" / "team.json"
    assert TOKEN not in record.read_text()
    lines: list[str] = []
    target.delete()
    target.wait_for_completion(is_delete_operation=True)
    lines += target.progress()
    assert azure.clusters == {}
    assert lines[0] == "deleting the AKS cluster 'team' in resource group 'ml'"
    assert "team" not in workspace.compute_targets


def test_a_virtual_network_is_used_by_nodes_and_services(workspace: Workspace, azure: Azure) -> None:
    network = {
        "vnet_resourcegroup_name": "net",
        "vnet_name": "main",
        "subnet_name": "nodes",
        "service_cidr": "10.1.0.0/16",
        "dns_service_ip": "10.1.0.10",
        "docker_bridge_cidr": "172.17.0.1/16",
    }
    target = ComputeTarget.create(workspace, "team", configuration(**network))
    with pytest.raises(ComputeTargetException):
        target.wait_for_completion()
    properties = azure.clusters["ml", "team"]["properties"]
    subnet = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/main"
    assert properties["agentPoolProfiles"][0]["vnetSubnetID"] == f"{subnet}/subnets/nodes"
    profile = properties["networkProfile"]
    assert (profile["serviceCidr"], profile["dnsServiceIP"]) == ("10.1.0.0/16", "10.1.0.10")
    with pytest.raises(ComputeTargetException, match="subnet_name is missing"):
        configuration(**network | {"subnet_name": None})


def test_the_reason_why_azure_creates_no_cluster_is_shown(workspace: Workspace, azure: Azure) -> None:
    azure.failure = ("QuotaExceeded", "Insufficient regional vcpu quota left.")
    target = ComputeTarget.create(workspace, "team", configuration())
    with pytest.raises(ComputeTargetException, match=r"Insufficient regional vcpu quota left.\nDelete what is there"):
        target.wait_for_completion()
    assert target.provisioning_state == "Failed"
    target.delete()
    target.wait_for_completion()
    assert azure.clusters == {}


def test_a_cluster_that_exists_in_azure_is_not_created_again(workspace: Workspace, azure: Azure) -> None:
    azure.clusters["ml", "team"] = {"name": "team", "location": "westeurope", "properties": {}}
    with pytest.raises(ComputeTargetException, match="already. Attach it: AksCompute.attach_configuration"):
        ComputeTarget.create(workspace, "team", configuration())
    assert not any(request.startswith("PUT") for request in azure.requests)
    assert "team" not in workspace.compute_targets


def test_missing_rights_login_and_packages_are_said_with_the_way_out(
    workspace: Workspace, azure: Azure, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure.forbidden = True
    with pytest.raises(ComputeTargetException, match=r"refuses \(403 AuthorizationFailed\)(.*\n)*.*Contributor"):
        ComputeTarget.create(workspace, "team", configuration())
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    with pytest.raises(ComputeTargetException, match=r"there is no login for Azure(.*\n)*Log in with `az login`"):
        ComputeTarget.create(workspace, "team", configuration())
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(ComputeTargetException, match=r"pip install 'mljupyter\[azure\]'"):
        ComputeTarget.create(workspace, "team", configuration())
    assert list(workspace.compute_targets) == ["local", "docker"]


def test_the_place_in_azure_comes_from_arguments_environment_or_workspace(
    workspace: Workspace, azure: Azure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ComputeTargetException, match=r"the location .* is not known: give location=\.\.\."):
        ComputeTarget.create(workspace, "team", configuration(location=None))
    with pytest.raises(ComputeTargetException, match="the resource group for the cluster"):
        ComputeTarget.create(workspace, "team", configuration(resource_group=None))
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
    with pytest.raises(ComputeTargetException, match="set AZURE_SUBSCRIPTION_ID, or create the workspace with"):
        ComputeTarget.create(workspace, "team", configuration())
    cloud = Workspace.create(
        f"{workspace.name}-2",
        subscription_id=SUBSCRIPTION,
        resource_group="ours",
        location="x",
        path=tmp_path / "cloud",
    )
    target = ComputeTarget.create(cloud, "team", configuration(resource_group=None, location=None))
    with pytest.raises(ComputeTargetException):
        target.wait_for_completion()
    assert list(azure.clusters) == [("ours", "team")]


@pytest.mark.parametrize(
    "settings",
    [{"resource_id": PLACE.resource_id.lower()}, {"resource_group": "ml", "cluster_name": "team"}],
)
def test_a_cluster_is_attached_with_the_credentials_that_azure_gives(
    workspace: Workspace, azure: Azure, settings: dict[str, str]
) -> None:
    attach = AksCompute.attach_configuration(**settings, cluster_purpose=DEV_TEST)
    with pytest.raises(ComputeTargetException, match="AKS cluster 'team' in resource group 'ml': Azure refuses .404"):
        ComputeTarget.attach(workspace, "team", attach)
    azure.clusters["ml", "team"] = {"name": "team", "location": "westeurope", "properties": {}}
    with pytest.raises(ComputeTargetException, match="this server is not a cluster"):
        ComputeTarget.attach(workspace, "team", attach)
    assert azure.requests[-1] == f"POST {PLACE.resource_id}/listClusterUserCredential"
    assert not (workspace.directory / "clusters" / "team.kubeconfig").exists()


def test_the_command_line_attaches_and_creates_in_azure(workspace: Workspace, azure: Azure) -> None:
    at = ("--workspace", workspace.name)
    text = failed("computetarget", "attach", "team", "--resource-id", PLACE.resource_id, *at)
    assert "Azure refuses (404" in text
    text = failed("computetarget", "create", "team", "--provider", "aks", "--resource-group", "ml", "--location", "x",
                  "--purpose", "DevTest", "--ssl-leaf-domain-label", "team", *at)  # fmt: skip
    assert "not a cluster" in text
    assert azure.clusters["ml", "team"]["properties"]["agentPoolProfiles"][0]["count"] == 1


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"agent_count": 2}, r"2 nodes of vm_size 'Standard_D3_v2' have 8 vCPU, .* at least 12: agent_count=3"),
        ({"vm_size": "Standard_D2s_v5"}, "have 6 vCPU.*agent_count=6"),
        ({"agent_count": 0}, "agent_count is 0: it must be a number from 1"),
        ({"vnet_name": "main"}, "vnet_resourcegroup_name, subnet_name, .* is missing"),
        ({"ssl_cname": "a.example"}, "given without ssl_cert_pem_file"),
        ({"cluster_purpose": "Fast"}, "cluster_purpose is 'Fast'"),
        ({"load_balancer_type": "Public"}, "must be one of PublicIp, InternalLoadBalancer"),
    ],
)
def test_the_rules_for_new_clusters(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ComputeTargetException, match=text):
        AksCompute.provisioning_configuration(**given)


def test_three_nodes_of_four_vcpu_are_the_default_and_one_for_tests() -> None:
    made = AksCompute.provisioning_configuration()
    assert (made.agent_count, made.vm_size, made.cluster_purpose) == (3, "Standard_D3_v2", "FastProd")
    assert AksCompute.provisioning_configuration(cluster_purpose=DEV_TEST).agent_count == 1
    AksCompute.provisioning_configuration(2, "Standard_Unknown")  # counted when it is attached
    with pytest.raises(ComputeTargetException, match="cannot be combined"):
        made.enable_ssl("a.example", "cert.pem", "key.pem", leaf_domain_label="team")
    made.enable_ssl(leaf_domain_label="team")
    assert made.ssl_configuration is not None
    assert made.ssl_configuration.leaf_domain_label == "team"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"resource_id": "/subscriptions/x"}, "it must be /subscriptions/ID/resourcegroups/GROUP/providers/"),
        ({"resource_id": PLACE.resource_id, "cluster_name": "x"}, "give one of both"),
        ({"resource_group": "ml"}, "cluster_name is missing"),
        ({"cluster_name": "team"}, "resource_group is missing"),
        ({"load_balancer_type": "x"}, "must be one of"),
    ],
)
def test_the_rules_for_clusters_that_are_attached(given: dict[str, str], text: str) -> None:
    with pytest.raises(ComputeTargetException, match=text):
        AksCompute.attach_configuration(**given)


def test_other_ids_are_refused_for_kubernetes_too_and_a_public_load_balancer_has_no_subnet() -> None:
    with pytest.raises(ComputeTargetException, match="it must be /subscriptions"):
        KubernetesCompute.attach_configuration("/subscriptions/x")
    with pytest.raises(ComputeTargetException, match="a public load balancer has no subnet"):
        AksUpdateConfiguration(load_balancer_subnet="x")
    with pytest.raises(ComputeTargetException, match="must be one of PublicIp"):
        AksUpdateConfiguration(load_balancer_type="x")
