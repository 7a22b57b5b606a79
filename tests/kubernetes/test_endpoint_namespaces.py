"""Endpoints in namespaces of their own on an attached cluster: allowed ones alone, and nothing is left there.

The cluster is real, as are operator, routers and replicas. The tests of this file run in their order: the last one
detaches the cluster.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mljupyter.client.errors import ControllerError
from mljupyter.core import Workspace
from mljupyter.core.compute import ComputeTarget, KubernetesCompute
from mljupyter.core.webservice import AksWebservice
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.spec import EndpointSpec
from mljupyter.targets.kubernetes.cluster import Cluster, ClusterError, access_to
from tests.conformance.conftest import CLUSTER, Site, attach, score, script
from tests.kubernetes.namespace_objects import objects
from tests.load import Load
from tests.testbed import needed
from tests.waiting import wait_until

pytestmark = pytest.mark.system
SMALL = {"cpu": 0.01, "memoryInGB": 0.1}


@dataclass
class Teams:
    """An attached cluster whose endpoints may run in three namespaces of the administrator.

    `before` has the objects of two of them before the attachment. The third one is deleted by a test.
    """

    site: Site
    cluster: Cluster
    before: dict[str, set[str]]
    deleted: str

    @property
    def one(self) -> str:
        return next(iter(self.before))

    @property
    def two(self) -> str:
        return list(self.before)[1]

    @property
    def attached(self) -> Any:
        client: Any = self.site.client
        return client.attached

    def spec(self, name: str, namespace: str | None, **others: Any) -> EndpointSpec:
        """An endpoint in a namespace, which answers with its name."""
        placement = {"placement": {"namespace": namespace}} if namespace is not None else {}
        version = {**self.site.runs(script(name)), "resources": SMALL, "scaling": {"replicas": 1}}
        found = self.site.spec(name, **{name: {**version, **placement, **others}})
        return EndpointSpec.parse({**found.document(), "kind": "AKS"})

    def replicas(self, endpoint: str, namespace: str) -> list[dict[str, Any]]:
        """The pods of an endpoint in a namespace that stay."""
        labels = names.selector(component=names.COMPONENT_REPLICA, endpoint=endpoint)
        found = self.cluster.items(names.pods(namespace), labels=labels)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def problem(self, endpoint: str) -> str:
        """What the status of an endpoint says is wrong; an empty text for nothing."""
        status = self.site.client.endpoint(endpoint).status
        found = [status.problem, *(version.problem for version in status.versions.values())]
        return " ".join(one.message for one in found if one is not None)

    def of(self, endpoint: str, namespace: str) -> set[str]:
        """Everything that a namespace has of an endpoint."""
        return {one for one in objects(self.cluster, namespace) if f" mlj-{endpoint}" in one}


@pytest.fixture(scope="module")
def teams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Teams]:
    cluster = Cluster(access_to(needed("TESTBED_KUBECONFIG")))
    path = "/api/v1/namespaces"
    namespaces = [f"team-{secrets.token_hex(4)}" for _ in range(3)]
    for name in namespaces:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        metadata = {"name": name, "labels": labels}
        cluster.create(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MLJUPYTER_BASE_IMAGE", needed("TESTBED_BASE_IMAGE"))
        site = Site(CLUSTER, Workspace.create("teams"))
        try:
            for name in namespaces:
                wait_until(lambda name=name: cluster.items(names.secrets(name)), "the token of the account")
            before = {name: objects(cluster, name) for name in namespaces[:2]}
            attach(site.workspace, endpoint_namespaces=namespaces)
            yield Teams(site, cluster, before, namespaces[2])
            if CLUSTER in site.workspace.compute_targets:
                ComputeTarget(site.workspace, CLUSTER).detach()
        finally:
            for name in namespaces:
                cluster.delete(f"{path}/{name}")


def test_replicas_run_in_the_namespace_of_their_endpoint_and_answer(teams: Teams) -> None:
    first = teams.site.healthy(teams.spec("alpha", teams.one))
    second = teams.site.healthy(teams.spec("beta", teams.two))
    for record, namespace, other in ((first, teams.one, teams.two), (second, teams.two, teams.one)):
        name = record.spec.name
        assert score(record.status.scoring_uri).text.strip('"') == name
        (pod,) = teams.replicas(name, namespace)
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["serviceAccountName"] == f"mljupyter-{teams.attached.namespace}-replica"
        assert not teams.of(name, other)
        assert not teams.of(name, teams.attached.namespace)
    found = teams.cluster.items(names.mlendpoints(teams.attached.namespace))
    assert {item["metadata"]["name"] for item in found} == {"alpha", "beta"}
    assert not any(teams.cluster.items(names.mlendpoints(namespace)) for namespace in teams.before)


def test_logs_and_the_number_of_replicas_are_those_of_the_namespace(teams: Teams) -> None:
    assert "alpha got" in teams.site.client.logs("alpha")
    endpoint = teams.site.workspace.webservices["alpha"]
    assert isinstance(endpoint, AksWebservice)
    assert endpoint.namespace == teams.one
    endpoint.update(num_replicas=2)
    endpoint.wait_for_deployment()
    assert len(teams.replicas("alpha", teams.one)) == 2
    endpoint.update(num_replicas=1)
    wait_until(lambda: len(teams.replicas("alpha", teams.one)) == 1, "one replica")


def test_the_quota_of_the_namespace_is_the_reason_that_is_told(teams: Teams) -> None:
    path = f"/api/v1/namespaces/{teams.one}/resourcequotas"
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "of-the-team"}}
    teams.cluster.create(path, {**quota, "spec": {"hard": {"requests.cpu": "1"}}})
    wait_until(lambda: teams.cluster.get(f"{path}/of-the-team").get("status", {}).get("hard"), "the quota")
    record = teams.site.client.create(teams.spec("large", teams.one, resources={**SMALL, "cpu": 2}))

    said = wait_until(lambda: teams.problem("large"), "the reason")
    assert "the quota of-the-team of its namespace has no room" in said
    teams.site.client.delete(record.spec.name)
    teams.cluster.delete(f"{path}/of-the-team")
    wait_until(lambda: not teams.of("large", teams.one), "nothing is left of a deleted endpoint")


def test_a_changed_namespace_moves_the_replicas_and_no_request_fails(teams: Teams) -> None:
    endpoint = teams.site.workspace.webservices["alpha"]
    assert isinstance(endpoint, AksWebservice)
    with Load(str(endpoint.scoring_uri), clients=1) as load:
        wait_until(lambda: load.sent > 20, "requests")
        endpoint.update(namespace=teams.two)
        endpoint.wait_for_deployment()
        wait_until(lambda: not teams.of("alpha", teams.one), "nothing is left in the namespace before")
        sent = load.sent
        wait_until(lambda: load.sent > sent + 20, "requests afterwards")
    assert set(load.results) == {"200"}, load.results
    assert len(teams.replicas("alpha", teams.two)) == 1


def test_a_namespace_that_is_not_allowed_is_refused_with_the_way_out_also_by_the_api_server(teams: Teams) -> None:
    spec = teams.spec("gamma", "kube-system")
    with pytest.raises(ControllerError) as refused:
        teams.site.client.create(spec)
    said = refused.value.message
    assert "names namespace 'kube-system'" in said
    assert "--endpoint-namespace kube-system" in said
    document = spec.document()
    resource = {
        "apiVersion": f"{names.GROUP}/{names.API_VERSION}",
        "kind": names.KIND,
        "metadata": {"name": document.pop("name")},
        "spec": {key: value for key, value in document.items() if key != "computeTarget"},
    }
    path = names.mlendpoints(teams.attached.namespace)

    def answer() -> str:
        try:
            teams.cluster.call("POST", path, resource, dryRun="All")
        except ClusterError as error:
            return error.message
        return ""

    reviewed = wait_until(answer, "a review")
    assert all(line in reviewed for line in said.splitlines())


def test_a_namespace_with_endpoints_cannot_be_left_out_and_one_that_does_not_exist_cannot_be_named(
    teams: Teams,
) -> None:
    def again(*namespaces: str) -> None:
        configuration = KubernetesCompute.attach_configuration(
            kubeconfig=needed("TESTBED_KUBECONFIG"),
            namespace=teams.attached.namespace,
            cluster_purpose="DevTest",
            service_type="NodePort",
            endpoint_namespaces=namespaces,
        )
        ComputeTarget.attach(teams.site.workspace, CLUSTER, configuration)

    with pytest.raises(ComputeTargetException, match=f"'alpha' runs in namespace '{teams.two}', which is not among"):
        again(teams.one, teams.deleted)
    with pytest.raises(ComputeTargetException, match="namespace 'no-such-team' does not exist"):
        again(teams.one, teams.two, "no-such-team")
    assert teams.attached.endpoint_namespaces == (teams.one, teams.two, teams.deleted)


def test_nothing_is_left_of_a_deleted_endpoint(teams: Teams) -> None:
    teams.site.client.delete("beta")
    wait_until(lambda: not teams.of("beta", teams.two), "nothing is left of a deleted endpoint")


def test_a_namespace_that_somebody_deletes_takes_its_own_endpoint_alone(teams: Teams) -> None:
    client = teams.site.client
    teams.site.healthy(teams.spec("delta", teams.deleted))
    path = f"/api/v1/namespaces/{teams.deleted}"
    teams.cluster.delete(path)
    wait_until(lambda: teams.cluster.find(path) is None, "the namespace is gone")
    wait_until(lambda: teams.deleted in teams.problem("delta"), "the reason")
    assert "attach the cluster again" in teams.problem("delta")
    assert score(client.endpoint("alpha").status.scoring_uri).status_code == 200
    client.delete("delta")
    assert "delta" not in {record.spec.name for record in client.endpoints()}


def test_after_detach_the_namespaces_are_as_before(teams: Teams) -> None:
    assert all(len(objects(teams.cluster, name)) > len(before) + 5 for name, before in teams.before.items())
    ComputeTarget(teams.site.workspace, CLUSTER).detach()
    for name, before in teams.before.items():
        assert objects(teams.cluster, name) == before
