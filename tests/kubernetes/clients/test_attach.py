from __future__ import annotations

import base64
import json
import secrets
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mljupyter.core import ComputeTarget, Workspace
from mljupyter.core.compute import AksCompute, KubernetesCompute
from mljupyter.core.compute import cluster as clusters
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.core.deployment import target_of
from mljupyter.engine.scaling.router_scaler import Size
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names, router_size
from mljupyter.kubernetes.objects.router_size import Kept
from mljupyter.targets.kubernetes.attachment import ClusterSettings
from mljupyter.targets.kubernetes.cluster import Cluster, ClusterUnreachableError, access_to
from mljupyter.targets.kubernetes.removal import left
from mljupyter.targets.mapped.setting import VARIABLE
from tests.kubernetes.clients.conftest import ENDPOINT, NAMESPACE
from tests.kubernetes.namespace_objects import objects
from tests.magics.conftest import Shell
from tests.waiting import wait_until


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty namespace of the cluster's administrator."""
    name = f"{NAMESPACE}-{secrets.token_hex(4)}"  # the one of an earlier test may still be there
    path = "/api/v1/namespaces"
    cluster.create(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    wait_until(lambda: cluster.items(f"{path}/{name}/serviceaccounts"), "the namespace")
    yield name
    cluster.delete(f"{path}/{name}")


def kubeconfig_with(directory: Path, kubeconfig: str, **user: Any) -> str:
    """A kubeconfig for the same cluster with other credentials."""
    document = yaml.safe_load(Path(kubeconfig).read_text())
    document["users"][0]["user"] = user
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_the_objects_of_a_namespace_after_detach_are_those_before_attach(
    workspace: Workspace, cluster: Cluster, settings: ClusterSettings, namespace: str
) -> None:
    wait_until(lambda: cluster.items(f"/api/v1/namespaces/{namespace}/secrets"), "the token of the account")
    before = objects(cluster, namespace)
    clusters.begin(workspace, "other", replace(settings, namespace=namespace))
    target = ClusterCompute(workspace, "other")
    target.wait_for_completion()
    assert len(objects(cluster, namespace)) > len(before) + 10
    lines: list[str] = []
    target.detach(lines.append)
    assert lines[-1] == "nothing of mljupyter is left there"
    assert objects(cluster, namespace) == before
    assert "other" not in workspace.compute_targets
    with pytest.raises(ComputeTargetException, match="ComputeTargetNotFound"):
        ComputeTarget(workspace, "other")


def test_a_namespace_that_attach_has_created_is_deleted_with_its_endpoints(
    workspace: Workspace, cluster: Cluster, settings: ClusterSettings
) -> None:
    namespace = f"{NAMESPACE}-new"
    clusters.begin(workspace, "new", replace(settings, namespace=namespace))
    target = ClusterCompute(workspace, "new")
    target.wait_for_completion()
    assert target.provisioning_state == "Succeeded"
    endpoint = {**ENDPOINT, "metadata": {"name": "iris", "finalizers": [names.FINALIZER]}}
    cluster.create(names.mlendpoints(namespace), endpoint)  # no operator finishes it
    target.detach()
    assert cluster.find(f"/api/v1/namespaces/{namespace}") is None
    assert left(cluster, namespace) == []


def test_a_namespace_that_attach_has_created_stays_with_a_claim_of_its_users(
    workspace: Workspace, cluster: Cluster, settings: ClusterSettings
) -> None:
    namespace = f"{NAMESPACE}-claim"
    path = f"/api/v1/namespaces/{namespace}"
    clusters.begin(workspace, "claim", replace(settings, namespace=namespace))
    target = ClusterCompute(workspace, "claim")
    target.wait_for_completion()
    claims = names.persistent_volume_claims(namespace)
    claim = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "resources": {"requests": {"storage": "1Mi"}}}
    cluster.create(claims, {"metadata": {"name": "data"}, "spec": claim})
    lines: list[str] = []
    try:
        with pytest.raises(ComputeTargetException, match="claim 'data' is not bound to a volume: it is Pending"):
            target.update(collected_data_claim="data")
        target.detach(lines.append)
        assert cluster.find(f"{claims}/data") is not None
        assert left(cluster, namespace) == []
        assert any(f"kept Namespace {namespace}: it has the PersistentVolumeClaim data" in line for line in lines)
    finally:
        cluster.delete(path)


def test_the_magic_detaches_a_cluster_with_endpoints_only_with_force(
    workspace: Workspace, cluster: Cluster, settings: ClusterSettings
) -> None:
    namespace = f"{NAMESPACE}-magic"
    clusters.begin(workspace, "magic", replace(settings, namespace=namespace))
    ClusterCompute(workspace, "magic").wait_for_completion()
    cluster.create(names.mlendpoints(namespace), ENDPOINT)
    shell = Shell()
    try:
        shell.run(f"%mlj workspace {workspace.directory}\nname = 'magic'")
        said = shell.error("%mlj detach $name")
        assert said == "magic has 1 endpoint: iris.\nTo delete it as well: %mlj detach magic --force"
        assert cluster.find(f"{names.mlendpoints(namespace)}/iris") is not None
        assert shell.run("%mlj detach $name --force").text() == "✓ magic: detached"
    finally:
        shell.close()
    assert cluster.find(f"/api/v1/namespaces/{namespace}") is None
    assert "magic" not in workspace.compute_targets


def test_attach_with_a_failed_check_changes_nothing(
    workspace: Workspace, cluster: Cluster, settings: ClusterSettings
) -> None:
    large = replace(settings, namespace=f"{NAMESPACE}-large", purpose=AksCompute.ClusterPurpose.FAST_PROD)
    with pytest.raises(ComputeTargetException, match=r"FAST_PROD needs at least 12 vCPU\n.*DEV_TEST"):
        clusters.begin(workspace, "large", large)
    assert cluster.find(f"/api/v1/namespaces/{large.namespace}") is None
    assert "large" not in workspace.compute_targets


def test_missing_rights_are_named_with_the_role_that_grants_them(
    workspace: Workspace, cluster: Cluster, settings: ClusterSettings, namespace: str, kubeconfig: str, tmp_path: Path
) -> None:
    def token() -> str | None:
        for secret in cluster.items(names.secrets(namespace)):
            if secret["type"] == "kubernetes.io/service-account-token":
                return base64.b64decode(secret["data"]["token"]).decode()
        return None

    limited = kubeconfig_with(tmp_path, kubeconfig, token=wait_until(token, "the token"))
    findings = clusters.findings(workspace, "limited", replace(settings, kubeconfig=limited, namespace=namespace))
    rights = next(finding for finding in findings if finding.name == "rights")
    assert rights.state == "failed"
    assert f"create deployments in {namespace}" in rights.text
    roles = [json.loads(text) for text in rights.fix.partition("\n")[2].split("\n---\n")]
    assert [role["kind"] for role in roles] == ["ClusterRole", "Role"]
    for role in roles:  # the API server takes them
        path = names.collection_path(role)
        assert cluster.call("POST", path, role, dryRun="All")["metadata"]["name"] == "mljupyter-attach"


def test_expired_credentials_and_an_unreachable_server_are_said_with_the_way_out(
    kubeconfig: str, tmp_path: Path
) -> None:
    expired = Cluster(access_to(kubeconfig_with(tmp_path, kubeconfig, token="expired")))
    with pytest.raises(ClusterUnreachableError, match="have expired"):
        expired.get("/api/v1/namespaces/default/pods")
    document = yaml.safe_load(Path(kubeconfig).read_text())
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    path = tmp_path / "away"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ClusterUnreachableError, match=r"https://127\.0\.0\.1:9 .* cannot be reached"):
        Cluster(access_to(path)).get("/version")


def test_a_context_that_does_not_exist_is_refused_with_those_that_do(kubeconfig: str, tmp_path: Path) -> None:
    with pytest.raises(ClusterUnreachableError, match="has no context 'x'. It has: "):
        access_to(kubeconfig, "x")
    with pytest.raises(ClusterUnreachableError, match="there is no kubeconfig at"):
        access_to(tmp_path / "none")


def test_a_cluster_and_namespace_are_attached_once(
    workspace: Workspace, target: ClusterCompute, settings: ClusterSettings, tmp_path: Path
) -> None:
    with pytest.raises(ComputeTargetException, match="attached already, as 'team'"):
        clusters.begin(workspace, "again", settings)
    with pytest.raises(ComputeTargetException, match="'team' is namespace"):
        clusters.begin(workspace, "team", replace(settings, namespace=f"{NAMESPACE}-more"))
    stranger = Workspace.create("stranger", path=tmp_path / "stranger")
    with pytest.raises(ComputeTargetException, match="belongs to compute target 'team' of workspace 'clients'"):
        clusters.begin(stranger, "mine", settings)


def test_the_record_of_a_cluster_is_private_and_has_no_credentials(
    workspace: Workspace, target: ClusterCompute, kubeconfig: str
) -> None:
    path = workspace.directory / "clusters" / "team.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    credentials = yaml.safe_load(Path(kubeconfig).read_text())["users"][0]["user"]
    assert not any(value in path.read_text() for value in credentials.values())


def test_targets_have_the_class_of_their_type(workspace: Workspace, target: ClusterCompute) -> None:
    assert isinstance(ComputeTarget(workspace, "team"), KubernetesCompute)
    assert AksCompute(workspace, "team").cluster_purpose == AksCompute.ClusterPurpose.DEV_TEST
    assert list(workspace.compute_targets) == ["local", "docker", "team"]
    with pytest.raises(ComputeTargetException, match="is of type 'Local'"):
        KubernetesCompute(workspace, "local")


def test_an_aks_target_of_an_old_notebook_is_mapped_to_the_cluster(
    workspace: Workspace, target: ClusterCompute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, target.name)
    mapped = AksCompute(workspace, "my-aks")
    try:
        assert (mapped.type, mapped.stands_for, mapped.namespace) == ("AKS", target.name, target.namespace)
        assert target_of(workspace, mapped).name == target.name
        assert mapped.provisioning_errors == target.provisioning_errors
        assert mapped.scoring_address == target.scoring_address
        assert mapped.get_credentials() == target.get_credentials()
        assert isinstance(mapped.served_by, KubernetesCompute)
    finally:
        mapped.delete()
    assert target.name in workspace.compute_targets


def test_attaching_again_under_the_name_repairs_and_keeps_the_secrets(
    workspace: Workspace, target: ClusterCompute, settings: ClusterSettings, cluster: Cluster
) -> None:
    path = f"{names.secrets(NAMESPACE)}/{names.ACCESS_SECRET}"
    before = cluster.get(path)["data"]
    cluster.delete(f"{names.deployments(NAMESPACE)}/{names.ROUTER}")
    wait_until(lambda: target.provisioning_errors, "the problem")
    clusters.begin(workspace, "team", settings)
    target.wait_for_completion()
    assert cluster.get(path)["data"] == before


def test_attaching_a_production_cluster_again_keeps_the_size_of_its_router(
    workspace: Workspace, cluster: Cluster, kubeconfig: str, namespace: str
) -> None:
    def deployment(purpose: str) -> dict[str, Any]:
        settings = ClusterSettings(kubeconfig, namespace=namespace, purpose=purpose, image="registry.example/image:1")
        found = clusters.manifests(workspace, "large", settings)
        return next(item for item in found if (item["kind"], item["metadata"]["name"]) == ("Deployment", names.ROUTER))

    present = deployment("FastProd")
    assert router_size.size_of(present) == Size(0.5, 3)
    present["metadata"] |= Kept(Size(1.0, 5)).annotated()["metadata"]
    cluster.create(names.deployments(namespace), present)
    assert router_size.size_of(deployment("FastProd")) == Size(1.0, 5)
    assert router_size.size_of(deployment("DevTest")) == Size(0.1, 1)


def test_an_image_that_nodes_cannot_pull_is_refused_before_anything_is_deployed(target: ClusterCompute) -> None:
    with pytest.raises(ComputeTargetException, match=r"cannot pull the image mljupyter-test/absent:1: .*\n.*registry"):
        target._target.check_image("mljupyter-test/absent:1")
    target._target.check_image(target._target.attached.image)
