from __future__ import annotations

import base64
import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest

from mljupyter.client.errors import ControllerStartError, EndpointNotFoundError
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.kubernetes.objects import names
from mljupyter.ownership import user_name
from mljupyter.targets.kubernetes import transport
from mljupyter.targets.kubernetes.client import ClusterClient
from mljupyter.targets.kubernetes.cluster import Cluster
from tests.kubernetes.clients.conftest import ENDPOINT, NAMESPACE
from tests.kubernetes.cluster import runs
from tests.waiting import wait_until

OPERATOR = f"{names.deployments(NAMESPACE)}/{names.OPERATOR}"
SERVED_BY = f"/api/v1/namespaces/{NAMESPACE}/endpoints/{names.OPERATOR}"
MERGE = "application/merge-patch+json"


def scale(cluster: Cluster, replicas: int) -> None:
    cluster.call("PATCH", OPERATOR, {"spec": {"replicas": replicas}}, content_type=MERGE)


def operators(cluster: Cluster) -> list[dict[str, Any]]:
    return cluster.items(names.pods(NAMESPACE), labels=names.selector(component=names.COMPONENT_OPERATOR))


def delete_operators(cluster: Cluster) -> None:
    for pod in operators(cluster):
        cluster.delete(f"{names.pods(NAMESPACE)}/{pod['metadata']['name']}", grace=0)


def test_requests_reach_the_operator_through_the_api_server_with_the_name_of_the_user(client: ClusterClient) -> None:
    assert client.status() == {"method": "GET", "user": user_name()}
    assert client.endpoints() == []


def test_an_error_of_the_operator_is_raised_as_its_class(client: ClusterClient) -> None:
    with pytest.raises(EndpointNotFoundError, match="no such endpoint"):
        client.keys("missing")


def test_a_secret_that_was_replaced_is_read_again(client: ClusterClient, cluster: Cluster) -> None:
    client.status()
    path = f"{names.secrets(NAMESPACE)}/{names.ACCESS_SECRET}"
    new = base64.b64encode(b"1" * 64).decode()
    cluster.call("PATCH", path, {"data": {names.API_KEY: new}}, content_type=MERGE)

    delete_operators(cluster)  # the next one has the new secret at once
    assert client.endpoints() == []


def test_endpoints_can_be_read_while_the_operator_is_down_and_not_changed(
    client: ClusterClient, cluster: Cluster, target: ClusterCompute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_TAKE_OVER_SECONDS", 1.0)  # each request waits so long for the next operator
    cluster.create(names.mlendpoints(NAMESPACE), ENDPOINT)
    # A node takes a minute to end a pod that is deleted before its container runs.
    wait_until(lambda: all(runs(pod) for pod in operators(cluster)), "the operator runs")
    scale(cluster, 0)
    try:
        # Its pod may stay for a minute after its end, but gets no requests any more.
        wait_until(lambda: not cluster.get(SERVED_BY).get("subsets"), "the operator's end")
        assert [record.spec.name for record in client.endpoints()] == ["iris"]
        assert client.endpoint("iris").spec.compute_target == "team"
        assert client.watch("iris", 0, 30).resource_version > 0
        with pytest.raises(EndpointNotFoundError, match="'other' on compute target 'team'"):
            client.endpoint("other")
        with pytest.raises(
            ControllerStartError, match="operator of compute target .team. is not ready: .*; no endpoints available"
        ):
            client._transport.ask("GET", "/v1/status", start=False)
    finally:
        monkeypatch.undo()
        scale(cluster, 1)
        cluster.delete(f"{names.mlendpoints(NAMESPACE)}/iris")
    wait_until(lambda: target.provisioning_errors is None, "the operator's return")
    assert client.endpoints() == []


def test_a_change_waits_for_an_operator_that_takes_over(client: ClusterClient, cluster: Cluster) -> None:
    delete_operators(cluster)
    assert client._transport.ask("POST", "/v1/status", body={}).json()["method"] == "POST"


def test_a_change_waits_for_an_operator_that_does_not_lead_yet(client: ClusterClient) -> None:
    assert client._transport.ask("POST", "/v1/later", body={}).json()["asked"] == 3


def test_a_uri_that_only_the_cluster_knows_is_reached_by_a_port_forward(client: ClusterClient) -> None:
    uri = client._uri(f"http://{names.ROUTER}.{NAMESPACE}.svc/api/v1/service/iris/score")
    parts = urlsplit(uri)
    assert parts.hostname == "localhost"
    assert parts.path == "/api/v1/service/iris/score"
    assert "port-forward" in client.way_of(uri)
    connection = http.client.HTTPConnection(parts.netloc, timeout=90)
    for size in (1, 3_000_000, 10):  # one connection after the other, then the same again
        connection.request("POST", parts.path, b"x" * size)
        assert len(connection.getresponse().read()) == size
    connection.close()


def test_with_tls_a_port_forward_has_a_name_that_the_certificate_is_for(client: ClusterClient) -> None:
    inside = urlsplit(client._uri(f"https://{names.ROUTER}.{NAMESPACE}.svc/api/v1/service/iris/score"))
    assert (inside.scheme, inside.hostname) == ("https", "localhost")
    node = urlsplit(client._uri("https://192.0.2.7:30080/api/v1/service/iris/score"))
    assert (node.hostname, node.port) == ("localhost", inside.port)
    own = urlsplit(client._uri("https://scoring.invalid/api/v1/service/iris/score"))
    assert (own.hostname, own.port) == ("scoring.invalid", inside.port), "its certificate is for no other host"


def test_where_tls_ends_before_the_routers_a_port_forward_has_none_and_no_path_of_the_ingress(
    client: ClusterClient,
) -> None:
    found = urlsplit(client._uri("https://ml.invalid/ml/api/v1/service/iris/score", ends_before=True))
    assert (found.scheme, found.hostname, found.path) == ("http", "localhost", "/api/v1/service/iris/score")


def test_a_uri_that_answers_from_here_stays_as_it_is(client: ClusterClient, cluster: Cluster) -> None:
    uri = cluster.server.replace("https:", "http:") + "/score"
    assert client._uri(uri) == uri
    assert "address of the routers" in client.way_of(uri)
