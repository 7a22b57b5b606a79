"""The objects on a real API server. All but the definition of the custom resource is sent as a dry run."""

from __future__ import annotations

import json
import secrets
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from kubernetes import client, config

from mljupyter.kubernetes.objects import installation, names, replicas
from mljupyter.kubernetes.objects.crd import custom_resource_definition
from mljupyter.kubernetes.objects.installation import Installation, Purpose, ServiceType
from mljupyter.kubernetes.objects.replicas import ReplicaSettings
from mljupyter.runtimes.base import ReplicaOrder
from mljupyter.spec import ReplicaDefaults, Resources, VersionSpec
from tests import testbed
from tests.waiting import wait_until

NAMESPACE = "default"


class RefusedError(Exception):
    """The API server has refused a request."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text


def _accepted(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise RefusedError(answer.status_code, answer.text)
    return answer.json()


class Server:
    """The API server, for manifests as plain dictionaries."""

    def __init__(self, kubeconfig: str) -> None:
        found: Any = client.Configuration()
        load: Any = config.load_kube_config
        load(kubeconfig, client_configuration=found)
        context = ssl.create_default_context(cafile=found.ssl_ca_cert)
        if found.cert_file:
            context.load_cert_chain(found.cert_file, found.key_file)
        token = found.get_api_key_with_prefix("authorization") or found.get_api_key_with_prefix("BearerToken")
        headers = {"Authorization": token} if token else {}
        self._http = httpx.Client(base_url=found.host, verify=context, headers=headers, timeout=30)

    def get(self, path: str) -> Any:
        """Return an object."""
        return self._http.get(path).raise_for_status().json()

    def apply(self, manifest: dict[str, Any], **query: str) -> Any:
        """Apply a manifest on the server's side: it refuses fields that it does not know.

        Raises:
            RefusedError: when the server does not accept it.

        """
        answer = self._http.patch(
            names.object_path(manifest),
            params={"fieldManager": "mljupyter-test", "force": "true", **query},
            content=json.dumps(manifest),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        return _accepted(answer)

    def create(self, manifest: dict[str, Any]) -> Any:
        """Create an object, without effect, as ``kubectl create`` does.

        Raises:
            RefusedError: when the server does not accept it.

        """
        return _accepted(self._http.post(names.collection_path(manifest), params={"dryRun": "All"}, json=manifest))

    def dry_run(self, manifest: dict[str, Any]) -> Any:
        """Apply a manifest without effect."""
        return self.apply(manifest, dryRun="All")

    def delete(self, manifest: dict[str, Any]) -> None:
        """Delete an object."""
        self._http.delete(names.object_path(manifest)).raise_for_status()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = Server(testbed.needed("MLJUPYTER_TEST_KUBECONFIG"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def definition(server: Server) -> Iterator[dict[str, Any]]:
    """The definition in force. It stays: other tests on the same cluster may use it.

    The Service of an operator keeps other tests from deleting it, when they detach the last cluster meanwhile.
    """
    place = f"definition-{secrets.token_hex(4)}"
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}}
    labels = names.labels(names.COMPONENT_OPERATOR)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "uses-endpoints", "namespace": place, "labels": labels},
        "spec": {"ports": [{"port": names.OPERATOR_PORT, "protocol": "TCP"}]},
    }
    server.apply(namespace)
    server.apply(service)
    manifest = custom_resource_definition()

    def established() -> bool:
        found = server.apply(manifest)
        conditions = {item["type"]: item["status"] for item in found.get("status", {}).get("conditions", ())}
        in_force = conditions.get("Established") == "True" and conditions.get("NonStructuralSchema") != "True"
        return in_force and "deletionTimestamp" not in found["metadata"]

    wait_until(established, what="the definition in force")
    yield manifest
    server.delete(namespace)


def endpoint(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{names.GROUP}/{names.API_VERSION}",
        "kind": names.KIND,
        "metadata": {"name": "iris", "namespace": NAMESPACE},
        "spec": {"defaultVersion": "iris", "versions": {"iris": {"image": "registry.example/iris:1"}}} | spec,
    }


@pytest.mark.usefixtures("definition")
def test_a_short_custom_resource_written_by_hand_is_accepted(server: Server) -> None:
    assert server.dry_run(endpoint())["spec"]["defaultVersion"] == "iris"


@pytest.mark.usefixtures("definition")
def test_an_unknown_field_is_kept_for_the_operator_to_explain(server: Server) -> None:
    versions = {"iris": {"image": "registry.example/iris:1", "replcias": 2}}
    assert server.dry_run(endpoint(versions=versions))["spec"]["versions"]["iris"]["replcias"] == 2


@pytest.mark.usefixtures("definition")
@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"versions": {"iris": {"trafficPercentile": 200}}}, "trafficPercentile"),
        ({"versions": {}}, "versions"),
        ({"versions": {"iris": {"resources": {"cpu": 0}}}}, "cpu"),
        ({"versions": {"iris": {"scaling": {"replicas": "two"}}}}, "replicas"),
        ({"authentication": "password"}, "authentication"),
        ({"defaultVersion": None}, "defaultVersion"),
    ],
)
def test_a_custom_resource_that_breaks_a_rule_is_refused_with_the_field(
    server: Server, spec: dict[str, Any], field: str
) -> None:
    with pytest.raises(RefusedError) as error:
        server.create(endpoint(**spec))
    assert error.value.status == 422
    assert field in error.value.text


@pytest.mark.usefixtures("definition")
def test_a_custom_resource_whose_name_cannot_be_an_endpoints_is_refused(server: Server) -> None:
    manifest = endpoint()
    manifest["metadata"]["name"] = "1.iris"
    with pytest.raises(RefusedError) as error:
        server.create(manifest)
    assert error.value.status == 422


@pytest.mark.parametrize("purpose", list(Purpose))
def test_every_object_of_an_installation_is_accepted(server: Server, purpose: Purpose) -> None:
    minor = int(server.get("/version")["gitVersion"].split(".")[1])
    wanted = Installation(
        image="registry.example/mljupyter:1",
        target="team",
        workspace="churn",
        namespace=NAMESPACE,  # a dry run creates no namespace for the others
        create_namespace=False,
        purpose=purpose,
        service=ServiceType.LOAD_BALANCER,
        internal=True,
        pull_secrets=("login",),
        policy="policy/v1beta1" if minor < 21 else "policy/v1",
    )
    for manifest in installation.installation(wanted):
        assert server.dry_run(manifest)["metadata"]["name"] == manifest["metadata"]["name"]
    server.dry_run(installation.access_secret(NAMESPACE, api="a" * 64, internal="b" * 64))


def test_the_objects_of_a_revision_are_accepted(server: Server) -> None:
    spec = VersionSpec(
        image="registry.example/iris:1",
        environment_variables={"A": "b", "C.d-e": "f"},
        resources=Resources(cpu=0.5, gpu=1, memory_in_gb_limit=2),
        collect_model_data=True,
    )
    order = ReplicaOrder("", "iris", "blue", "0123456789ab", "team", "churn", spec)
    defaults = ReplicaDefaults.parse({"tolerations": [{"key": "gpu", "operator": "Exists"}]})
    settings = ReplicaSettings(pull_secrets=("login",), defaults=defaults)
    owner = {
        "apiVersion": "mljupyter.io/v1alpha1",
        "kind": "MLEndpoint",
        "name": "iris",
        "uid": "1",
        "controller": True,
    }
    found = server.dry_run(replicas.deployment(order, namespace=NAMESPACE, replicas=2, owner=owner, settings=settings))
    assert replicas.spec_of(found, spec.environment_variables) == spec
    stored = server.dry_run(replicas.secret(order, namespace=NAMESPACE, replica_key="k" * 64, owner=owner))
    assert replicas.variables_of(stored) == spec.environment_variables
