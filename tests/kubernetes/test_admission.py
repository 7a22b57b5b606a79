"""Endpoints by kubectl on an attached cluster: a bad resource is refused when it is sent, and events tell what happens.

The cluster is real, as are operator, routers, replicas and kubectl. The tests of this file run in their order: the last
one detaches the cluster.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core.compute import ComputeTarget
from mljupyter.kubernetes.objects import names
from mljupyter.spec import EndpointSpec, SpecError
from tests.conformance.conftest import CLUSTER, Site, script
from tests.kubernetes.cluster import may_run
from tests.testbed import needed
from tests.waiting import wait_until

pytestmark = pytest.mark.system
DETACHES_CLUSTER = True
KIND = {"apiVersion": f"{names.GROUP}/{names.API_VERSION}", "kind": names.KIND}
IMAGE = {"image": "registry.example/iris:1"}
TOO_MUCH = {
    "defaultVersion": "one",
    "versions": {"one": IMAGE | {"trafficPercentile": 70}, "two": IMAGE | {"trafficPercentile": 70}},
}


class Kubectl:
    """kubectl in the namespace of an attached cluster."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site = site
        self._directory = directory
        client: Any = site.client
        self.cluster = client.cluster
        self.namespace = str(client.attached.namespace)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", "--kubeconfig", needed("TESTBED_KUBECONFIG"), "--namespace", self.namespace, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def done(self, *arguments: str) -> str:
        """Return what a command prints; it must succeed."""
        found = self(*arguments)
        assert found.returncode == 0, found.stderr
        return found.stdout

    def file(self, name: str, spec: dict[str, Any]) -> str:
        """Write a resource into a file, as a user does."""
        path = self._directory / f"{name}.json"
        path.write_text(json.dumps({**KIND, "metadata": {"name": name}, "spec": spec}))
        return str(path)

    def apply(self, name: str, spec: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
        return self("apply", "-f", self.file(name, spec), *options)

    def resource(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.get(f"{names.mlendpoints(self.namespace)}/{name}")
        return found

    def configuration(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.cluster.find(names.webhook_configuration(self.namespace))
        return found

    def operators(self, count: int) -> list[str]:
        """Scale the operator, and return the names of its pods when that many run and are ready."""
        self.done("scale", "deployment", names.OPERATOR, f"--replicas={count}")

        def ready() -> list[str] | None:
            labels = names.selector(component=names.COMPONENT_OPERATOR)
            pods = [pod for pod in self.cluster.items(names.pods(self.namespace), labels=labels) if may_run(pod)]
            conditions = [one for pod in pods for one in pod["status"].get("conditions") or ()]
            well = sum(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
            return [pod["metadata"]["name"] for pod in pods] if len(pods) == count == well else None

        return list(wait_until(lambda: (found := ready()) is not None and [found], f"{count} operators")[0])


@pytest.fixture(scope="module")
def kubectl(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl")
    found = Kubectl(request.getfixturevalue("attached"), tmp_path_factory.mktemp("files"))
    wait_until(lambda: found.apply("bad", TOO_MUCH, "--dry-run=server").returncode, "reviews")
    return found


def sentence(spec: dict[str, Any]) -> str:
    """The sentence of the SDK about a document."""
    with pytest.raises(SpecError) as error:
        EndpointSpec.parse({"name": "bad", "computeTarget": CLUSTER, **spec})
    return error.value.message


@pytest.mark.parametrize(
    "spec",
    [
        TOO_MUCH,
        {"defaultVersion": "three", "versions": {"one": IMAGE}},
        {
            "defaultVersion": "one",
            "versions": {"one": IMAGE | {"scaling": {"autoscale": {"minReplicas": 5, "maxReplicas": 2}}}},
        },
        {"defaultVersion": "one", "versions": {"one": IMAGE | {"replcias": 2}}},
    ],
    ids=["shares", "default version", "replicas", "unknown field"],
)
@pytest.mark.parametrize("options", [(), ("--dry-run=server",)], ids=["apply", "dry run"])
def test_kubectl_shows_the_sentence_of_the_sdk_about_a_bad_resource(
    kubectl: Kubectl, spec: dict[str, Any], options: tuple[str, ...]
) -> None:
    refused = kubectl.apply("bad", spec, *options)
    assert refused.returncode == 1
    assert refused.stderr.strip().endswith(f'"mlendpoints.mljupyter.io" denied the request: {sentence(spec)}')
    assert kubectl("get", "mle", "bad").returncode == 1  # nothing is stored


def test_a_good_resource_is_the_endpoint_that_the_sdk_makes_and_events_tell_of_it(kubectl: Kubectl) -> None:
    site = kubectl.site
    spec = {"defaultVersion": "one", "versions": {"one": site.runs(script("one"))}}
    assert kubectl.apply("good", spec, "--dry-run=server").returncode == 0
    assert kubectl.apply("good", spec).returncode == 0
    wait_until(lambda: kubectl.resource("good").get("status", {}).get("state") == "Healthy", "a healthy endpoint")
    wanted = EndpointSpec.parse({"name": "good", "computeTarget": CLUSTER, **spec})
    assert site.client.endpoint("good").spec == wanted
    assert "unchanged" in kubectl.apply("good", spec).stdout

    bad = {"defaultVersion": "two", "versions": spec["versions"]}
    assert "defaultVersion is 'two'" in kubectl.apply("good", bad).stderr
    better = {**spec, "description": "better"}
    assert kubectl.apply("good", better).returncode == 0
    wait_until(lambda: len(site.client.history("good")) == 2, "the change is accepted")
    assert site.client.endpoint("good").spec == wanted.model_copy(update={"description": "better"})
    assert kubectl.resource("good")["spec"]["defaultVersion"] == "one"

    def described() -> str:
        events: str = kubectl.done("describe", "mle", "good").rpartition("Events:")[2]
        return events if all(word in events for word in ("Created", "VersionReady", "Updated")) else ""

    events = wait_until(described, "the events")
    assert "version 'one' is ready: 1/1 replicas" in events
    assert "description: none → better" in events
    assert names.OPERATOR in events


def test_all_operators_answer_with_the_same_certificate_and_a_change_of_the_installation_keeps_it(
    kubectl: Kubectl,
) -> None:
    before = kubectl.configuration()
    request = {"uid": "7", "operation": "CREATE", "namespace": kubectl.namespace, "userInfo": {"username": "ada"}}
    request["object"] = {"metadata": {"name": "bad"}, "spec": TOO_MUCH}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    for pod in kubectl.operators(2):
        path = f"{names.pods(kubectl.namespace)}/https:{pod}:{names.WEBHOOK_PORT}/proxy{names.WEBHOOK_PATH}"

        def answered(path: str = path) -> dict[str, Any] | None:
            try:
                found: dict[str, Any] = kubectl.cluster.call("POST", path, review)
            except Exception:
                return None  # it does not listen yet
            return found

        assert wait_until(answered, "an answer")["response"]["status"]["message"] == sentence(TOO_MUCH)
    for _ in range(10):  # the API server chooses one of them
        assert sentence(TOO_MUCH) in kubectl.apply("bad", TOO_MUCH).stderr
    after = kubectl.configuration()
    assert before is not None and after is not None
    assert after["webhooks"] == before["webhooks"]
    # As an upgrade does: the manifests have no authority, and leave the one that is there.
    manifest = {key: value for key, value in after.items() if key in ("apiVersion", "kind")}
    webhook = {**after["webhooks"][0], "clientConfig": {"service": after["webhooks"][0]["clientConfig"]["service"]}}
    manifest |= {"metadata": {"name": after["metadata"]["name"]}, "webhooks": [webhook]}
    kubectl.cluster.apply(names.webhook_configuration(kubectl.namespace), manifest)
    assert sentence(TOO_MUCH) in kubectl.apply("bad", TOO_MUCH).stderr


def test_a_secret_that_is_deleted_and_a_configuration_that_is_damaged_are_repaired(kubectl: Kubectl) -> None:
    def authority() -> str:
        found = kubectl.configuration()
        assert found is not None
        return str(found["webhooks"][0]["clientConfig"].get("caBundle", ""))

    def is_refused() -> bool:
        return sentence(TOO_MUCH) in kubectl.apply("bad", TOO_MUCH, "--dry-run=server").stderr

    before = authority()
    kubectl.done("delete", "secret", names.WEBHOOK)
    wait_until(lambda: authority() not in ("", before), "another authority")
    wait_until(is_refused, "reviews")

    damage = [{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]
    path = names.webhook_configuration(kubectl.namespace)
    kubectl.cluster.call("PATCH", path, damage, content_type="application/json-patch+json")
    wait_until(authority, "the authority")
    wait_until(is_refused, "reviews")


def test_without_an_operator_kubectl_works_and_the_next_one_says_what_is_wrong(kubectl: Kubectl) -> None:
    kubectl.operators(0)
    assert kubectl.apply("late", TOO_MUCH).returncode == 0
    kubectl.operators(1)

    def refused() -> bool:
        status = kubectl.resource("late").get("status") or {}
        return any(condition["message"] == sentence(TOO_MUCH) for condition in status.get("conditions") or ())

    wait_until(refused, "the condition")
    shown = wait_until(
        lambda: "Refused" in (text := kubectl.done("describe", "mle", "late").rpartition("Events:")[2]) and text,
        "the event",
    )
    assert sentence(TOO_MUCH) in shown
    kubectl.done("delete", "mle", "late")


def test_detaching_leaves_nothing_of_the_webhook(kubectl: Kubectl) -> None:
    assert kubectl.configuration() is not None
    lines: list[str] = []
    ComputeTarget(kubectl.site.workspace, CLUSTER).detach(lines.append)
    assert lines[-1] == "nothing of mljupyter is left there"
    assert kubectl.configuration() is None
    left = kubectl.done("get", "validatingwebhookconfigurations,clusterroles,clusterrolebindings", "-o", "name")
    assert kubectl.namespace not in left
