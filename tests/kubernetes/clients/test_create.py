"""Clusters that commands create: the commands hand out the kubeconfig of a cluster that exists, and keep it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import ComputeTarget, Workspace
from mljupyter.core.compute import AksCompute, AksUpdateConfiguration, KubernetesCompute
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.targets.kubernetes.cluster import Cluster
from mljupyter.targets.kubernetes.created import created_cluster
from tests.kubernetes.clients.conftest import NAMESPACE
from tests.kubernetes.providers.azure_server import SUBSCRIPTION, Azure, serve

SECRET = "secret-argument"


class Commands:
    """A pair of commands that create and delete a cluster."""

    def __init__(self, directory: Path, kubeconfig: str, namespace: str, image: str) -> None:
        self.calls = directory / "calls"
        self.written = directory / "written.kubeconfig"
        source, calls = shlex.quote(kubeconfig), shlex.quote(str(self.calls))
        create = directory / "create"
        create.write_text(f"#!/bin/sh\necho made >&2\necho create >> {calls}\ncat {source}\n")
        write = directory / "write"
        write.write_text(
            f"#!/bin/sh\necho create >> {calls}\ncp {source} {shlex.quote(str(self.written))}\necho made\n"
        )
        delete = directory / "delete"
        delete.write_text(f'#!/bin/sh\necho "delete $*" >> {calls}\necho unmade\n')
        for path in (create, write, delete):
            path.chmod(0o755)
        self.printing, self.writing, self.deleting = str(create), str(write), str(delete)
        self._settings = {"namespace": namespace, "cluster_purpose": "DevTest", "image": image}

    def configuration(self, **given: Any) -> Any:
        commands = {"create_command": [self.printing, SECRET], "delete_command": [self.deleting, "now"]}
        return KubernetesCompute.provisioning_configuration("command", **commands | self._settings | given)


@pytest.fixture
def commands(tmp_path: Path, kubeconfig: str, image: str, cluster: Cluster) -> Iterator[Commands]:
    namespace = f"{NAMESPACE}-made"
    yield Commands(tmp_path, kubeconfig, namespace, image)
    assert cluster.find(f"/api/v1/namespaces/{namespace}") is None  # each test deletes or detaches its cluster


def test_a_created_cluster_is_attached_and_delete_detaches_it_first(
    workspace: Workspace, commands: Commands, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = ComputeTarget.create(workspace, "made", commands.configuration())
    assert isinstance(target, ClusterCompute)
    assert target.provisioning_state == "Creating"
    target.wait_for_completion(show_output=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "creating the cluster of the command 'delete'",
        "made",
        "created the cluster of the command 'delete'",
    ]
    assert lines[-1] == "Succeeded"
    assert (target.provisioning_state, target.provisioning_errors, target.provider) == ("Succeeded", None, "command")
    assert target.get_credentials()["userKubeConfig"] == Path(kubeconfig).read_text()
    record = workspace.directory / "clusters" / "created" / "made.json"
    assert SECRET not in record.read_text()
    target.delete()
    assert target.provisioning_state == "Deleting"
    target.wait_for_completion(is_delete_operation=True)
    assert commands.calls.read_text() == "create\ndelete now\n"
    assert "made" not in workspace.compute_targets
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        ComputeTarget(workspace, "made")


def test_a_cluster_that_could_not_be_attached_is_attached_again_by_its_name_and_detached(
    workspace: Workspace, commands: Commands
) -> None:
    written = commands.configuration(
        create_command=[commands.writing], kubeconfig=commands.written, cluster_purpose="FastProd"
    )
    target = ComputeTarget.create(workspace, "made", written)
    with pytest.raises(ComputeTargetException, match="exists, and is not attached.\n(.*\n)*.*at least 12 vCPU"):
        target.wait_for_completion()
    assert "made" in workspace.compute_targets
    settings = KubernetesCompute.attach_configuration(
        namespace=f"{NAMESPACE}-made", cluster_purpose="DevTest", image=commands.configuration().settings.image
    )
    ComputeTarget.attach(workspace, "made", settings).wait_for_completion()
    assert ComputeTarget(workspace, "made").provisioning_state == "Succeeded"
    lines: list[str] = []
    target = ComputeTarget(workspace, "made")
    assert isinstance(target, ClusterCompute)
    target.detach(lines.append)
    assert lines[-1] == "the cluster of the command 'delete' stays: mljupyter computetarget delete made"
    assert commands.calls.read_text() == "create\n"
    assert "made" not in workspace.compute_targets
    target.delete()
    target.wait_for_completion()
    assert commands.calls.read_text() == "create\ndelete now\n"
    assert commands.written.exists()  # it belongs to the commands
    assert created_cluster(workspace.directory, "made") is None


def test_a_cluster_of_azure_is_attached_by_its_place_and_gets_another_load_balancer(
    workspace: Workspace,
    cluster: Cluster,
    kubeconfig: str,
    image: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    azure = Azure(Path(kubeconfig).read_text())
    azure.clusters["ml", "team"] = {"name": "team", "location": "westeurope", "properties": {}}
    server = serve(azure, tmp_path)
    for name, value in {
        "MLJUPYTER_AZURE_ENDPOINT": azure.address,
        "REQUESTS_CA_BUNDLE": str(tmp_path / "ca.pem"),
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "IDENTITY_ENDPOINT": f"{azure.address}/msi/token",
        "IDENTITY_HEADER": "x",
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
    }.items():
        monkeypatch.setenv(name, value)
    namespace = f"{NAMESPACE}-azure"
    settings = AksCompute.attach_configuration(
        "ml", "team", cluster_purpose="DevTest", namespace=namespace, image=image, service_type="ClusterIP"
    )
    target = ComputeTarget.attach(workspace, "cloud", settings)
    assert isinstance(target, AksCompute)
    target.wait_for_completion()
    assert str(target.cluster_resource_id).endswith("/resourceGroups/ml/providers/Microsoft.ContainerService/"
                                                    "managedClusters/team")  # fmt: skip
    own = workspace.directory / "clusters" / "cloud.kubeconfig"
    assert own.read_text() == azure.kubeconfig
    target.update(AksUpdateConfiguration(load_balancer_type="InternalLoadBalancer", load_balancer_subnet="inside"))
    target.wait_for_completion()
    assert target.load_balancer_type == "InternalLoadBalancer"
    service = cluster.get(f"/api/v1/namespaces/{namespace}/services/{names.ROUTER}")
    assert service["spec"]["type"] == "LoadBalancer"
    assert "inside" in service["metadata"]["annotations"].values()
    target.detach()
    server.shutdown()
    server.server_close()
    assert not own.exists()
    assert azure.clusters  # the cluster itself stays
    with pytest.raises(ComputeTargetException, match="deleted with the tool that created it|no cluster was created"):
        target.delete()
