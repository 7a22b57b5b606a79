"""An attached cluster under the steady load of twenty clients: whatever happens there, no request fails.

The cluster is real, as are operator, routers and replicas. The load is sent to the routers' port on the node.
"""

from __future__ import annotations

import contextlib
import ipaddress
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from mljupyter.client.errors import EndpointNotFoundError
from mljupyter.kubernetes.objects import names
from mljupyter.spec import Authentication, EndpointRecord, EndpointSpec, EndpointState
from tests import testbed
from tests.conformance.conftest import CLUSTER, Site, changed, score, script, until
from tests.fault_table import Fault
from tests.steady_load import REQUESTS_ON, SteadyLoad
from tests.system.faults.test_control_plane import created_at_once
from tests.waiting import promised

pytestmark = pytest.mark.system
MANY = {"maxConcurrentRequests": 16, "maxQueueWaitMs": 20_000}
OUTAGE_SECONDS = 60


class Cluster:
    """An attached cluster, and the things that an administrator or bad luck does to it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        client: Any = site.client
        self.api = client.cluster
        self.namespace = str(client.attached.namespace)

    def pods(self, **selected: str) -> list[dict[str, Any]]:
        """Return the pods of a component or an endpoint that are to stay."""
        found = self.api.items(names.pods(self.namespace), labels=names.selector(**selected))
        return [dict(pod) for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def uids(self, **selected: str) -> set[str]:
        """Return the uids of these pods."""
        return {str(pod["metadata"]["uid"]) for pod in self.pods(**selected)}

    def ready(self, **selected: str) -> set[str]:
        """Return the uids of those pods that are ready."""
        return {
            str(pod["metadata"]["uid"])
            for pod in self.pods(**selected)
            if any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))
        }

    def delete(self, pod: dict[str, Any], *, grace: int | None = None) -> None:
        """Delete a pod, with its own grace period unless another one is given."""
        options = {} if grace is None else {"grace": grace}
        self.api.delete(self._path(pod), **options)

    def evict(self, pod: dict[str, Any]) -> None:
        """Evict a pod, as `kubectl drain` does."""
        body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": pod["metadata"]["name"]}}
        with contextlib.suppress(Exception):
            self.api.call("POST", f"{self._path(pod)}/eviction", body | {"apiVersion": "policy/v1"})
            return
        self.api.call("POST", f"{self._path(pod)}/eviction", body)

    def container(self, pod: dict[str, Any]) -> str:
        """Return the id of a pod's container on the Docker engine of the node."""
        return str(pod["status"]["containerStatuses"][0]["containerID"]).removeprefix("docker://")

    def processes(self, pod: dict[str, Any], name: str) -> list[int]:
        """Return the pids, on the node, of the processes with a name in the container of a pod."""
        listed = subprocess.run(
            ["docker", "top", self.container(pod), "-eo", "pid,comm"], check=True, capture_output=True, text=True
        )
        rows = [line.split(maxsplit=1) for line in listed.stdout.splitlines()[1:]]
        return [int(pid) for pid, command in rows if command.strip() == name]

    def containers(self, **selected: str) -> set[str]:
        """Return the ids of the containers of pods; a pod that has just been created has none."""
        found = self.pods(**selected)
        created = [pod for pod in found if (pod["status"].get("containerStatuses") or [{}])[0].get("containerID")]
        return {self.container(pod) for pod in created}

    def deployment(self, component: str) -> str:
        """Return the path of the Deployment of a component."""
        listed = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        (found,) = self.api.items(listed, labels=names.selector(component=component))
        return f"{listed}/{found['metadata']['name']}"

    def change(self, component: str, spec: dict[str, Any]) -> None:
        """Change the Deployment of a component, and wait until it is rolled out."""
        path = self.deployment(component)
        body = {"spec": spec}
        self.api.call("PATCH", path, body, content_type="application/strategic-merge-patch+json")

        def rolled() -> bool:
            found = self.api.get(path)
            status, wanted = found["status"], found["spec"]["replicas"]
            counts = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
            return status.get("observedGeneration") == found["metadata"]["generation"] and counts == [wanted] * 3

        until(rolled, f"the Deployment {path} is rolled out")

    def use_other_image(self, component: str) -> None:
        """Let a component run another image, as a new release does; its contents are the same."""
        path = self.deployment(component)
        container = self.api.get(path)["spec"]["template"]["spec"]["containers"][0]
        other = f"{container['image'].rpartition(':')[0]}:next-{time.monotonic_ns()}"
        subprocess.run(["docker", "tag", container["image"], other], check=True, capture_output=True)
        policy = {"imagePullPolicy": "IfNotPresent"}
        containers = [{"name": container["name"], "image": other} | policy]
        self.change(component, {"template": {"spec": {"containers": containers}}})

    def _path(self, pod: dict[str, Any]) -> str:
        return f"{names.pods(self.namespace)}/{pod['metadata']['name']}"

    @contextlib.contextmanager
    def without_api_server(self) -> Iterator[None]:
        """Drop everything that the pods of the namespace send to the API server, open connections included.

        No pod gets another address meanwhile: who would create one does not reach the API server.
        """
        found = [pod["status"].get("podIP") for pod in self.api.items(names.pods(self.namespace))]
        pods = ",".join(str(ipaddress.ip_address(address)) for address in found if address)
        port = str(urlsplit(self.api.server).port or 443)
        rule = ["INPUT", "-s", pods, "-p", "tcp", "--dport", port, "-j", "DROP"]  # iptables makes one of each address
        subprocess.run(["iptables", "-w", "-I", *rule], check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run(["iptables", "-w", "-D", *rule], check=True, capture_output=True)


@pytest.fixture(scope="module", params=[CLUSTER])
def cluster(attached: Site) -> Cluster:
    return Cluster(attached)


@pytest.fixture
def endpoint(cluster: Cluster) -> Iterator[EndpointRecord]:
    """An endpoint with two replicas that is healthy, and is deleted after the test."""
    site = cluster.site
    name = f"e{next(site.numbers)}-endpoint"
    version = {**site.runs(script("one")), "limits": MANY, "scaling": {"replicas": 2}}
    yield site.healthy(site.spec(name, one=version).model_copy(update={"authentication": Authentication.KEY}))
    site.discard(name)


def loaded(cluster: Cluster, record: EndpointRecord, fault: Fault, act: Callable[[], None], *, note: str = "") -> None:
    """Let something happen under load, and check that no request has failed before, during and after it."""
    key = cluster.site.client.keys(record.spec.name)[0]
    least = REQUESTS_ON[CLUSTER]
    with SteadyLoad(str(record.status.scoring_uri), key=key, requests=least, most=1_000_000) as load:
        fault.under(load)
        load.runs()
        began = time.monotonic()
        act()
        fault.recovered(time.monotonic() - began, note)
        load.runs()
    assert load.failed == 0, (load.results, load.failures)


def settled(cluster: Cluster, name: str, replicas: int, version: str = "one") -> None:
    """Wait until an endpoint has a number of ready replicas and is healthy."""

    def reached() -> bool:
        status = cluster.site.client.endpoint(name).status
        return status.state is EndpointState.HEALTHY and status.versions[version].replicas_ready == replicas

    until(reached, f"{replicas} replicas are ready")


def put(cluster: Cluster, spec: EndpointSpec) -> EndpointRecord:
    """Change an endpoint and wait until it is as wanted."""
    record = cluster.site.settle(cluster.site.client.replace(spec))
    assert record.status.state is EndpointState.HEALTHY, record.status.problem
    return record


def answers(cluster: Cluster, record: EndpointRecord, count: int = 20) -> set[str]:
    """Return the first words of answers."""
    key = cluster.site.client.keys(record.spec.name)[0]
    found = [score(record.status.scoring_uri, key) for _ in range(count)]
    return {answer.json().partition(" ")[0] for answer in found}


@pytest.mark.faults(26, "operator killed")
def test_the_operator_is_killed_and_another_one_takes_over(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    name = endpoint.spec.name
    before = cluster.uids(endpoint=name)
    operator = cluster.pods(component=names.COMPONENT_OPERATOR)[0]

    def act() -> None:
        cluster.delete(operator, grace=0)
        settled(cluster, name, 2)
        assert cluster.site.client.endpoint(name).generation == endpoint.generation

    loaded(cluster, endpoint, fault, act)
    assert cluster.uids(endpoint=name) == before
    assert [entry.number for entry in cluster.site.client.history(name)] == [1]


@pytest.mark.alone  # an operator that gets little of the processor replaces the pod of the killed container
def test_the_api_server_cannot_be_reached_for_a_minute(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    name = endpoint.spec.name
    before = cluster.uids(endpoint=name)
    container = cluster.container(cluster.pods(endpoint=name)[0])

    def act() -> None:
        ends = time.monotonic() + OUTAGE_SECONDS
        with cluster.without_api_server():
            subprocess.run(["docker", "kill", container], check=True, capture_output=True)
            time.sleep(ends - time.monotonic())  # the fault itself, no wait for something
        began = time.monotonic()
        put(cluster, changed(endpoint.spec, "one", scaling={"replicas": 3}))
        fault.recovered(time.monotonic() - began)

    loaded(cluster, endpoint, fault, act, note="with the minute")
    assert cluster.uids(endpoint=name) > before


@pytest.mark.faults(26, "container of a replica killed")
def test_the_container_of_a_replica_is_killed(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    container = cluster.container(cluster.pods(endpoint=endpoint.spec.name)[0])

    def act() -> None:
        subprocess.run(["docker", "kill", container], check=True, capture_output=True)
        until(lambda: container not in cluster.containers(endpoint=endpoint.spec.name), "the container is replaced")
        settled(cluster, endpoint.spec.name, 2)

    loaded(cluster, endpoint, fault, act)
    assert cluster.site.client.endpoint(endpoint.spec.name).status.versions["one"].restarts == 1


@pytest.mark.faults(26, "container of a replica paused until it is replaced")
def test_the_container_of_a_replica_is_paused(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    name = endpoint.spec.name
    container = cluster.container(cluster.pods(endpoint=name)[0])

    def act() -> None:
        subprocess.run(["docker", "pause", container], check=True, capture_output=True)
        until(lambda: container not in cluster.containers(endpoint=name), "the container is replaced")
        settled(cluster, name, 2)

    loaded(cluster, endpoint, fault, act)


@pytest.mark.faults(26, "pod of a replica deleted")
def test_the_pod_of_a_replica_is_deleted(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    _pod_leaves(cluster, endpoint, fault, cluster.delete)
    assert cluster.site.client.endpoint(endpoint.spec.name).status.versions["one"].restarts == 0


@pytest.mark.faults(26, "pod of a replica evicted")
def test_the_pod_of_a_replica_is_evicted(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    _pod_leaves(cluster, endpoint, fault, cluster.evict)


def _pod_leaves(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault, remove: Callable[[dict[str, Any]], None]
) -> None:
    name = endpoint.spec.name
    pod = cluster.pods(endpoint=name)[0]

    def act() -> None:
        remove(pod)
        until(lambda: len(cluster.ready(endpoint=name) - {pod["metadata"]["uid"]}) == 2, "another pod is ready")
        settled(cluster, name, 2)

    loaded(cluster, endpoint, fault, act)


@pytest.mark.faults(26, "scaled from 1 replica to 4, and to 1")
def test_replicas_are_added_and_taken_away(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    name = endpoint.spec.name
    put(cluster, changed(endpoint.spec, "one", scaling={"replicas": 1}))

    def act() -> None:
        for count in (4, 1):
            put(cluster, changed(endpoint.spec, "one", scaling={"replicas": count}))
            settled(cluster, name, count)
        until(lambda: len(cluster.pods(endpoint=name)) == 1, "the other pods end")

    loaded(cluster, endpoint, fault, act)


@pytest.mark.faults(26, "version added, given traffic, and deleted")
def test_a_version_is_added_gets_requests_and_is_deleted(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    two = {**cluster.site.runs(script("two")), "limits": MANY}

    def act() -> None:
        for share in (50, 0, 100, 20):
            put(cluster, changed(endpoint.spec, "two", **two, trafficPercentile=share))
            if share in (0, 100):
                assert answers(cluster, endpoint) == {"two" if share else "one"}
        put(cluster, endpoint.spec)
        until(lambda: len(cluster.pods(endpoint=endpoint.spec.name)) == 2, "the pods of the version end")

    loaded(cluster, endpoint, fault, act)


@pytest.mark.faults(26, "image of the replicas updated")
def test_the_image_of_a_version_is_updated(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    before = cluster.uids(endpoint=endpoint.spec.name)

    def act() -> None:
        put(cluster, changed(endpoint.spec, "one", **cluster.site.runs(script("two"))))
        assert answers(cluster, endpoint) == {"two"}
        until(lambda: not cluster.uids(endpoint=endpoint.spec.name) & before, "the pods before end")

    loaded(cluster, endpoint, fault, act)


@pytest.mark.faults(26, "other key replaced, three times")
def test_the_other_key_is_replaced(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    client, name = cluster.site.client, endpoint.spec.name

    def act() -> None:
        for _ in range(3):
            old = client.keys(name)[1]
            assert score(endpoint.status.scoring_uri, old).status_code == 200
            client.regenerate_key(name, "secondary")
            assert score(endpoint.status.scoring_uri, old).status_code == 401
            assert score(endpoint.status.scoring_uri, client.keys(name)[1]).status_code == 200

    loaded(cluster, endpoint, fault, act)


@pytest.mark.faults(26, "resource changed with kubectl")
def test_a_resource_is_changed_with_kubectl(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    name = endpoint.spec.name
    path = f"{names.mlendpoints(cluster.namespace)}/{name}"

    def act() -> None:
        body = {"spec": {"versions": {"one": {"scaling": {"replicas": 1}}}}}
        cluster.api.call("PATCH", path, body, content_type="application/merge-patch+json")
        settled(cluster, name, 1)

    loaded(cluster, endpoint, fault, act)
    assert cluster.site.client.endpoint(name).spec.versions["one"].scaling.replicas == 1
    assert len(cluster.site.client.history(name)) == 2


@pytest.fixture
def two_routers(cluster: Cluster) -> Iterator[None]:
    """Two router pods instead of one."""
    cluster.change(names.COMPONENT_ROUTER, {"replicas": 2})
    yield
    cluster.change(names.COMPONENT_ROUTER, {"replicas": 1})


@pytest.mark.usefixtures("two_routers")
@pytest.mark.faults(26, "one of two router pods deleted")
def test_a_router_pod_is_deleted(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    pod = cluster.pods(component=names.COMPONENT_ROUTER)[0]

    def act() -> None:
        cluster.delete(pod)
        until(
            lambda: len(cluster.ready(component=names.COMPONENT_ROUTER) - {pod["metadata"]["uid"]}) == 2,
            "two are ready",
        )

    loaded(cluster, endpoint, fault, act)


@pytest.mark.usefixtures("two_routers")
@pytest.mark.faults(26, "one of two router pods killed at once")
def test_a_router_pod_that_is_killed_costs_its_open_requests_only(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    pod = cluster.pods(component=names.COMPONENT_ROUTER)[0]
    key = cluster.site.client.keys(endpoint.spec.name)[0]
    with SteadyLoad(str(endpoint.status.scoring_uri), key=key, requests=REQUESTS_ON[CLUSTER]) as load:
        fault.under(load)
        load.runs()
        began = time.monotonic()
        subprocess.run(["docker", "kill", cluster.container(pod)], check=True, capture_output=True)
        load.runs(1000)
        last = max((failure.at for failure in load.failures), default=began)
        fault.recovered(last - began, "until the last failure")
    open_then = [failure for failure in load.failures if failure.sent <= began]
    assert len(open_then) <= load.clients
    # New connections go to the pod that has died, too, until its node learns of it.
    assert last - began < promised(5), load.failures[-5:]


@pytest.mark.faults(26, "routers rolled to another image")
def test_the_routers_are_rolled_to_another_image(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    before = cluster.uids(component=names.COMPONENT_ROUTER)
    name = endpoint.spec.name

    def counted() -> int:
        return int(sum(cluster.site.client.metrics(name, since=3600, merge=True)["summary"]["requests"]))

    counted_before = counted()
    loaded(cluster, endpoint, fault, lambda: cluster.use_other_image(names.COMPONENT_ROUTER))
    assert not cluster.uids(component=names.COMPONENT_ROUTER) & before
    sent = counted_before + sum(load.sent for load in fault.loads)
    until(lambda: counted() >= sent, "the answers of all routers are counted")
    assert counted() == sent


@pytest.mark.faults(26, "operator rolled to another image")
def test_the_operator_is_rolled_to_another_image(cluster: Cluster, endpoint: EndpointRecord, fault: Fault) -> None:
    name = endpoint.spec.name
    before = cluster.uids(endpoint=name)

    def act() -> None:
        cluster.use_other_image(names.COMPONENT_OPERATOR)
        settled(cluster, name, 2)

    loaded(cluster, endpoint, fault, act)
    assert cluster.uids(endpoint=name) == before
    assert put(cluster, changed(endpoint.spec, "one", scaling={"replicas": 1})).generation == 2


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """The name of an endpoint, which is deleted after the test."""
    name = f"e{next(cluster.site.numbers)}-endpoint"
    yield name
    cluster.site.discard(name)


@pytest.mark.faults(18, "ten deploys of one name at once")
def test_of_ten_deployments_of_one_name_one_is_accepted(cluster: Cluster, name: str, fault: Fault) -> None:
    spec = cluster.site.spec(name)
    specs = [spec.model_copy(update={"tags": {"who": str(number)}}) for number in range(10)]
    won = created_at_once(cluster.site.client, specs)
    settled = cluster.site.settle(cluster.site.client.endpoint(name))
    assert (settled.status.state, settled.spec) == (EndpointState.HEALTHY, won.spec)
    assert len(cluster.pods(endpoint=name)) == 1
    fault.answered(10)


@pytest.mark.faults(18, "update, update and delete while a deploy is under way")
def test_the_last_accepted_operation_is_there_in_the_end(cluster: Cluster, name: str, fault: Fault) -> None:
    site, client = cluster.site, cluster.site.client
    first, second, third = (site.runs(script(word, init="time.sleep(2)")) for word in ("one", "two", "three"))
    spec = site.spec(name, one=first)
    client.create(spec)
    until(lambda: cluster.pods(endpoint=name), "the first revision starts")
    client.replace(changed(spec, "one", **second))
    record = site.settle(client.replace(changed(spec, "one", **third)))
    assert record.status.state is EndpointState.HEALTHY, record.status.problem
    assert {score(record.status.scoring_uri).json().partition(" ")[0] for _ in range(10)} == {"three"}
    before = cluster.uids(endpoint=name)
    client.replace(spec)
    until(lambda: cluster.uids(endpoint=name) - before, "the next revision starts")
    began = time.monotonic()
    client.delete(name)
    fault.recovered(time.monotonic() - began, "until deleted")
    assert not cluster.pods(endpoint=name)
    with pytest.raises(EndpointNotFoundError):
        client.endpoint(name)
    assert score(record.status.scoring_uri).status_code == 404
    site.healthy(spec)


@pytest.mark.faults(21, "update to a script that raises, to an image that nobody has")
def test_an_update_that_cannot_start_gets_nothing_and_the_old_one_serves(
    cluster: Cluster, endpoint: EndpointRecord, fault: Fault
) -> None:
    site = cluster.site
    raising = site.runs(script("two", init="raise ValueError('no such model')"))
    # A registry that answers: for one that is away, replicas wait two minutes.
    absent = f"{testbed.found('REGISTRY') or '127.0.0.1:5999'}/nobody/has:this"
    missing = {**raising, "image": absent}

    def act() -> None:
        for version, told in ((raising, "no such model"), (missing, absent)):
            failed = site.settle(site.client.replace(changed(endpoint.spec, "one", **version)))
            assert failed.status.state is EndpointState.FAILED, failed
            assert failed.status.problem is not None
            assert told in failed.status.problem.text()
            assert answers(cluster, endpoint) == {"one"}
        put(cluster, endpoint.spec)

    loaded(cluster, endpoint, fault, act)
