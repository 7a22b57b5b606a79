"""An attached cluster under load: whatever happens to the operator, a replica or the spec, no request fails.

The cluster is real, as are operator, routers and replicas. The load is sent to the router's port on the node.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mljupyter.core import Workspace
from mljupyter.core.compute import ComputeTarget
from mljupyter.kubernetes.objects import names
from mljupyter.spec import Authentication, EndpointRecord, EndpointState
from tests.conformance.conftest import CLUSTER, Site, attach, changed, script, until
from tests.load import Load
from tests.testbed import needed

pytestmark = pytest.mark.system
BEFORE, AFTER = 100, 300
MANY = {"maxConcurrentRequests": 16, "maxQueueWaitMs": 20_000}


class Cluster:
    """An attached cluster, and what an administrator does with it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        client: Any = site.client
        self.api = client.cluster
        self.namespace = str(client.attached.namespace)

    def pods(self, **selected: str) -> list[dict[str, Any]]:
        """Return the pods of a component or an endpoint that are to stay."""
        found = self.api.items(names.pods(self.namespace), labels=names.selector(**selected))
        return [dict(pod) for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def delete(self, pod: dict[str, Any], *, grace: int | None = None) -> None:
        """Delete a pod, with its own grace period unless another one is given."""
        options = {} if grace is None else {"grace": grace}
        self.api.delete(f"{names.pods(self.namespace)}/{pod['metadata']['name']}", **options)

    def container(self, pod: dict[str, Any]) -> str:
        """Return the id of a pod's container on the Docker engine of the node."""
        return str(pod["status"]["containerStatuses"][0]["containerID"]).removeprefix("docker://")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    needed("TESTBED_KUBECONFIG")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MLJUPYTER_BASE_IMAGE", needed("TESTBED_BASE_IMAGE"))
        site = Site(CLUSTER, Workspace.create("faults"))
        attach(site.workspace)
        yield Cluster(site)
        ComputeTarget(site.workspace, CLUSTER).detach()


@pytest.fixture
def endpoint(cluster: Cluster) -> Iterator[EndpointRecord]:
    """An endpoint with two replicas that is healthy, and is deleted after the test."""
    site = cluster.site
    name = f"e{next(site.numbers)}-endpoint"
    version = {**site.runs(script("one")), "limits": MANY, "scaling": {"replicas": 2}}
    yield site.healthy(site.spec(name, one=version).model_copy(update={"authentication": Authentication.KEY}))
    site.client.delete(name)


def loaded(cluster: Cluster, record: EndpointRecord, fault: Callable[[], None]) -> None:
    """Run a fault under load, and check that no request has failed before, during and after it."""
    key = cluster.site.client.keys(record.spec.name)[0]
    with Load(str(record.status.scoring_uri), key=key) as load:
        until(lambda: load.sent > BEFORE, "the load runs")
        fault()
        sent = load.sent
        until(lambda: load.sent > sent + AFTER, "the load goes on")
    assert load.failed == 0, (load.results, load.refusals)


def settled(cluster: Cluster, name: str, replicas: int) -> None:
    """Wait until an endpoint has a number of ready replicas and is healthy."""

    def reached() -> bool:
        status = cluster.site.client.endpoint(name).status
        return status.state is EndpointState.HEALTHY and status.versions["one"].replicas_ready == replicas

    until(reached, f"{replicas} replicas are ready")


def test_the_operator_is_killed_and_another_one_takes_over(cluster: Cluster, endpoint: EndpointRecord) -> None:
    name = endpoint.spec.name
    before = {pod["metadata"]["uid"] for pod in cluster.pods(endpoint=name)}
    operator = cluster.pods(component=names.COMPONENT_OPERATOR)[0]

    def fault() -> None:
        cluster.delete(operator, grace=0)
        settled(cluster, name, 2)
        assert cluster.site.client.endpoint(name).generation == endpoint.generation

    loaded(cluster, endpoint, fault)
    assert {pod["metadata"]["uid"] for pod in cluster.pods(endpoint=name)} == before
    assert [entry.number for entry in cluster.site.client.history(name)] == [1]


def test_the_container_of_a_replica_is_killed(cluster: Cluster, endpoint: EndpointRecord) -> None:
    pod = cluster.pods(endpoint=endpoint.spec.name)[0]
    container = cluster.container(pod)

    def fault() -> None:
        subprocess.run(["docker", "kill", container], check=True, capture_output=True)
        until(
            lambda: container not in {cluster.container(one) for one in cluster.pods(endpoint=endpoint.spec.name)},
            "the container is replaced",
        )
        settled(cluster, endpoint.spec.name, 2)

    loaded(cluster, endpoint, fault)
    assert cluster.site.client.endpoint(endpoint.spec.name).status.versions["one"].restarts == 1


def test_the_pod_of_a_replica_is_deleted(cluster: Cluster, endpoint: EndpointRecord) -> None:
    pod = cluster.pods(endpoint=endpoint.spec.name)[0]

    def fault() -> None:
        cluster.delete(pod)
        until(
            lambda: pod["metadata"]["uid"] not in _uids(cluster.pods(endpoint=endpoint.spec.name)),
            "the pod is about to end",
        )
        settled(cluster, endpoint.spec.name, 2)

    loaded(cluster, endpoint, fault)
    assert cluster.site.client.endpoint(endpoint.spec.name).status.versions["one"].restarts == 0


def test_replicas_are_added_and_taken_away(cluster: Cluster, endpoint: EndpointRecord) -> None:
    client, name = cluster.site.client, endpoint.spec.name

    def fault() -> None:
        for count in (4, 1):
            cluster.site.settle(client.replace(changed(endpoint.spec, "one", scaling={"replicas": count})))
            settled(cluster, name, count)
        until(lambda: len(cluster.pods(endpoint=name)) == 1, "the other pods end")

    loaded(cluster, endpoint, fault)


def test_a_version_is_added_gets_requests_and_is_deleted(cluster: Cluster, endpoint: EndpointRecord) -> None:
    site = cluster.site
    two = {**site.runs(script("two")), "limits": MANY, "trafficPercentile": 50}

    def fault() -> None:
        site.settle(site.client.replace(changed(endpoint.spec, "two", **two)))
        site.settle(site.client.replace(endpoint.spec))
        until(lambda: len(cluster.pods(endpoint=endpoint.spec.name)) == 2, "the pods of the version end")

    loaded(cluster, endpoint, fault)


def test_the_other_key_is_replaced(cluster: Cluster, endpoint: EndpointRecord) -> None:
    loaded(cluster, endpoint, lambda: cluster.site.client.regenerate_key(endpoint.spec.name, "secondary"))


def test_a_resource_is_changed_with_kubectl(cluster: Cluster, endpoint: EndpointRecord) -> None:
    name = endpoint.spec.name
    path = f"{names.mlendpoints(cluster.namespace)}/{name}"

    def fault() -> None:
        body = {"spec": {"versions": {"one": {"scaling": {"replicas": 1}}}}}
        cluster.api.call("PATCH", path, body, content_type="application/merge-patch+json")
        settled(cluster, name, 1)

    loaded(cluster, endpoint, fault)
    assert cluster.site.client.endpoint(name).spec.versions["one"].scaling.replicas == 1
    assert len(cluster.site.client.history(name)) == 2


def _uids(pods: list[dict[str, Any]]) -> set[str]:
    return {str(pod["metadata"]["uid"]) for pod in pods}
