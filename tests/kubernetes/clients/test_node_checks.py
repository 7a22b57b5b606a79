"""Checks from the nodes: what a pod reports becomes findings, and on a real cluster nothing of them is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mljupyter.core import Workspace
from mljupyter.core.compute import cluster as clusters
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.connectivity import API_SERVER, DNS, Reached
from mljupyter.targets.base import Finding
from mljupyter.targets.kubernetes.attachment import ClusterSettings
from mljupyter.targets.kubernetes.cluster import Cluster
from mljupyter.targets.kubernetes.node_checks import (
    STORE,
    TOKEN_KEYS,
    NodeChecks,
    findings_of,
    results_in,
    store_address,
)
from mljupyter.targets.kubernetes.removal import left
from tests.kubernetes.clients.conftest import NAMESPACE
from tests.waiting import wait_until

CHECKS = NodeChecks("team", "registry.example/mljupyter:1", "/home/me/artifacts")


def results(**failed: str) -> dict[str, Reached]:
    """The results of a pod that reached everything but what is given."""
    wanted = (DNS, API_SERVER, STORE, TOKEN_KEYS)
    return {name: Reached(name, name not in failed, failed.get(name, "reached")) for name in wanted}


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name.removeprefix("nodes: "): finding for finding in findings}


def test_findings_are_in_the_order_in_which_an_installation_needs_them() -> None:
    found = findings_of(results(), replace(CHECKS, store="s3://team", operator="10.96.0.7"), "node1")
    assert [(one.name, one.state) for one in found] == [
        ("nodes: DNS", "ok"),
        ("nodes: API server", "ok"),
        ("nodes: registry", "ok"),
        ("nodes: artifact store", "ok"),
        ("nodes: token keys", "ok"),
    ]
    assert found[2].text == "node node1 has registry.example/mljupyter:1"


def test_an_api_server_that_pods_do_not_reach_is_a_failure_with_a_remedy() -> None:
    found = by_name(findings_of(results(**{API_SERVER: "timed out"}), CHECKS, "node1"))["API server"]
    assert (found.state, found.text) == ("failed", "timed out")
    assert "NetworkPolicies" in found.fix


def test_a_cluster_without_dns_is_a_note_because_endpoints_work_without() -> None:
    found = by_name(findings_of(results(dns="Name or service not known"), CHECKS, "node1"))["DNS"]
    assert found.state == "note"
    assert "Name or service not known" in found.text
    assert "kube-dns" in found.fix


def test_a_store_that_is_a_directory_is_not_needed_and_one_out_of_reach_keeps_nobody_from_attaching() -> None:
    local = by_name(findings_of({name: results()[name] for name in (DNS, API_SERVER)}, CHECKS, "node1"))
    assert local["artifact store"].state == "note"
    assert "not needed" in local["artifact store"].text
    assert "not needed" in local["token keys"].text
    checks = replace(CHECKS, store="s3://team")
    remote = by_name(findings_of(results(**{STORE: "timed out"}), checks, "node1"))["artifact store"]
    assert (remote.state, "s3://team cannot be reached" in remote.text) == ("note", True)
    assert remote.fix


def test_an_operator_out_of_reach_is_a_failure_with_the_command_that_shows_it() -> None:
    checks = replace(CHECKS, operator="10.96.0.7")
    found = by_name(findings_of(results(**{TOKEN_KEYS: "refused"}), checks, "node1"))["token keys"]
    assert found.state == "failed"
    assert "kubectl get pods -n team" in found.fix


def test_destinations_are_what_has_an_address() -> None:
    assert CHECKS.destinations({}) == {}
    checks = replace(CHECKS, store="s3://team/models", operator="fd00::7")
    assert checks.destinations({}) == {
        STORE: "tcp://s3.amazonaws.com:443",
        TOKEN_KEYS: "http://[fd00::7]:8080/healthz",
    }


@pytest.mark.parametrize(
    ("location", "environment", "address"),
    [
        ("/home/me/artifacts", {}, None),
        ("s3://team", {}, "s3.amazonaws.com:443"),
        ("s3://team", {"AWS_ENDPOINT_URL": "http://minio.example:9000"}, "minio.example:9000"),
        ("gs://team", {}, "storage.googleapis.com:443"),
        ("az://team", {"AZURE_STORAGE_ACCOUNT_NAME": "models"}, "models.blob.core.windows.net:443"),
        ("az://team", {}, None),
        ("https://store.example/team", {}, "store.example:443"),
        ("sftp://store.example:2222/team", {}, "store.example:2222"),
        ("http://store.example:many/team", {}, None),
        ("memory://team", {}, None),
    ],
)
def test_the_address_of_a_store_follows_from_its_location(
    location: str, environment: dict[str, str], address: str | None
) -> None:
    assert store_address(location, environment) == address


@pytest.mark.parametrize("text", ["", "No module named mljupyter", "[]", "{}", "[1]", '[{"name": "dns"}]', "null"])
def test_a_message_that_is_no_result_is_none(text: str) -> None:
    assert results_in(text) == {}


def test_results_of_a_pod_are_bounded_and_have_no_control_characters() -> None:
    document = [{"name": f"n{number}", "reached": True, "text": "x\n" * 1000} for number in range(100)]
    found = results_in(json.dumps(document))
    assert len(found) == 10
    assert all(len(result.text) <= 300 and "\n" not in result.text for result in found.values())


def jobs(cluster: Cluster, namespace: str) -> list[str]:
    return [item["metadata"]["name"] for item in cluster.items(f"/apis/batch/v1/namespaces/{namespace}/jobs")]


@pytest.fixture
def autoscaler(target: ClusterCompute, cluster: Cluster) -> Iterator[str]:
    """A HorizontalPodAutoscaler of somebody who wants to scale a Deployment of ours."""
    path = f"/apis/autoscaling/v1/namespaces/{NAMESPACE}/horizontalpodautoscalers"
    spec: dict[str, Any] = {"maxReplicas": 3}
    for name, scaled in (("mine", "mlj-iris-0a1b2c3d"), ("other", "website")):
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": scaled}
        body = {"metadata": {"name": name}, "spec": {**spec, "scaleTargetRef": reference}}
        cluster.create(path, {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", **body})
    yield "mine"
    for name in ("mine", "other"):
        cluster.delete(f"{path}/{name}")


def test_an_attached_cluster_is_checked_from_a_node_and_nothing_of_it_is_left(
    target: ClusterCompute, cluster: Cluster
) -> None:
    found = by_name(list(target._target.findings()))
    assert found["API server"].state == "ok"
    assert "node" in found["registry"].text
    assert found["token keys"].text.startswith("the operator, which signs tokens:")
    assert found["token keys"].state == "ok"
    assert {one.state for one in found.values()} <= {"ok", "note"}
    wait_until(lambda: not jobs(cluster, NAMESPACE), "the Job is gone")


def test_an_autoscaler_that_would_fight_ours_is_named_with_the_command_that_removes_it(
    target: ClusterCompute, autoscaler: str
) -> None:
    found = [one for one in target._target.findings() if one.name == "autoscaler"]
    assert len(found) == 1  # not that of the website
    assert found[0].state == "failed"
    assert "HorizontalPodAutoscaler 'mine' scales Deployment 'mlj-iris-0a1b2c3d' as well" in found[0].text
    assert f"kubectl delete hpa mine -n {NAMESPACE}" in found[0].fix


def test_an_image_that_nodes_cannot_pull_stops_attaching_and_nothing_is_left(
    workspace: Workspace, cluster: Cluster, settings: ClusterSettings
) -> None:
    wanted = replace(settings, namespace=f"{NAMESPACE}-pull", image="mljupyter-test/absent:1")
    running = clusters.begin(workspace, "pull", wanted)
    with pytest.raises(ComputeTargetException, match="nodes: registry: the nodes cannot pull mljupyter-test/absent:1"):
        running.wait()
    assert cluster.find(f"/api/v1/namespaces/{wanted.namespace}") is None
    assert "pull" not in workspace.compute_targets


def test_a_check_before_attaching_changes_nothing_and_says_when_nodes_are_checked(
    workspace: Workspace, cluster: Cluster, settings: ClusterSettings
) -> None:
    wanted = replace(settings, namespace=f"{NAMESPACE}-check")
    found = clusters.findings(workspace, "check", wanted)[-1]
    assert (found.name, found.state) == ("nodes", "note")
    assert "attaching checks from the nodes" in found.text
    assert cluster.find(f"/api/v1/namespaces/{wanted.namespace}") is None


def test_a_check_before_attaching_runs_on_the_nodes_where_namespace_and_image_exist(
    workspace: Workspace, cluster: Cluster, settings: ClusterSettings
) -> None:
    name = f"{NAMESPACE}-there"
    path = f"/api/v1/namespaces/{name}"
    cluster.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        found = by_name(clusters.findings(workspace, "there", replace(settings, namespace=name)))
        assert found["registry"].text.endswith(f"has {settings.image}")
        assert found["token keys"].state == "note"
        wait_until(lambda: not left(cluster, name), "the Job and its pod are gone")
    finally:
        cluster.delete(path)


def test_a_cancelled_attachment_leaves_nothing(
    workspace: Workspace, cluster: Cluster, settings: ClusterSettings
) -> None:
    wanted = replace(settings, namespace=f"{NAMESPACE}-cancel")
    running = clusters.begin(workspace, "cancel", wanted)
    for line in running.lines():
        if line.startswith("applied Deployment"):
            running.cancel()
    with pytest.raises(ComputeTargetException, match="cancelled"):
        running.wait()
    assert clusters.take_back(workspace, "cancel", running)
    assert cluster.find(f"/api/v1/namespaces/{wanted.namespace}") is None
    assert left(cluster, wanted.namespace) == []
    assert "cancel" not in workspace.compute_targets
