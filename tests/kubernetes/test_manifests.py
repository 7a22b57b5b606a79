"""The files of ``deploy/``: plain YAML and the Helm chart, from the same source as what is attached."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mljupyter.kubernetes import manifests
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Installation, Purpose, Reader, ServiceType, installation
from mljupyter.kubernetes.objects.publishing import NGINX_ANNOTATIONS, Publishing, http_route, ingress
from mljupyter.spec import ReplicaDefaults
from tests.kubernetes import helm

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm/mljupyter"


PUBLISHED = {
    ServiceType.INGRESS: Publishing(
        ingress_class="nginx", scoring_host="ml.example.org", scoring_path="/api", tls_secret="ml-tls"
    ),
    ServiceType.HTTP_ROUTE: Publishing(scoring_host="ml.example.org", gateway="infra/public", gateway_section="https"),
}
PUBLISHED_VALUES: dict[ServiceType, dict[str, str]] = {
    ServiceType.INGRESS: {
        "router.scoringHost": "ml.example.org",
        "router.ingress.className": "nginx",
        "router.ingress.path": "/api",
        "router.ingress.tlsSecret": "ml-tls",
    },
    ServiceType.HTTP_ROUTE: {
        "router.scoringHost": "ml.example.org",
        "router.gateway.namespace": "infra",
        "router.gateway.name": "public",
        "router.gateway.section": "https",
    },
}


def sorted_by_name(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(
        found, key=lambda item: (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])
    )


def test_the_files_in_the_repository_are_those_that_are_generated() -> None:
    present = {str(path.relative_to(DEPLOY)): path.read_text() for path in DEPLOY.rglob("*") if path.is_file()}
    assert present == manifests.deploy_files(), "python -m mljupyter.kubernetes.manifests --write deploy"


def test_the_plain_yaml_is_an_installation_for_tests() -> None:
    wanted = Installation(image=manifests.IMAGE, target="cluster", workspace="default", purpose=Purpose.DEV_TEST)
    text = (DEPLOY / "kubernetes/mljupyter.yaml").read_text()
    assert list(yaml.safe_load_all(text)) == installation(wanted)


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("service", list(ServiceType))
@pytest.mark.parametrize("internal", [False, True])
@pytest.mark.parametrize("policy", ["policy/v1", "policy/v1beta1"])
def test_the_chart_is_the_same_installation(
    purpose: Purpose, service: ServiceType, internal: bool, policy: str
) -> None:
    values = {
        "image": "registry.example/mljupyter:2",
        "purpose": purpose.value,
        "workspace": "churn",
        "target": "team",
        "readsNodes": not internal,
        "admission": policy == "policy/v1",
        "router.serviceType": service.value,
        "router.internal": internal,
        **PUBLISHED_VALUES.get(service, {}),
    }
    wanted = Installation(
        image="registry.example/mljupyter:2",
        target="team",
        workspace="churn",
        namespace="team-a",
        create_namespace=False,
        purpose=purpose,
        service=service,
        internal=internal,
        publishing=PUBLISHED.get(service, Publishing()),
        reads_nodes=not internal,
        admission=policy == "policy/v1",
        policy=policy,
    )
    found = helm.render(CHART, namespace="team-a", values=values, api_versions=frozenset({policy}))
    assert sorted_by_name(found) == sorted_by_name(installation(wanted))


@pytest.mark.parametrize("namespaces", [(), ("team-b",), ("team-b", "team-c")])
def test_chart_and_command_have_the_namespaces_for_endpoints(
    namespaces: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = Installation(
        image=manifests.IMAGE, target="cluster", workspace="default", namespace="team-a", endpoint_namespaces=namespaces
    )
    found = helm.render(
        CHART,
        namespace="team-a",
        values={"endpointNamespaces": list(namespaces)},
        api_versions=frozenset({"policy/v1"}),
    )
    without_namespace = installation(replace(wanted, create_namespace=False))
    assert sorted_by_name(found) == sorted_by_name(without_namespace)
    options = [text for namespace in namespaces for text in ("--endpoint-namespace", namespace)]
    assert manifests.main(["--namespace", "team-a", *options]) == 0
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == installation(wanted)


def test_the_chart_leaves_out_what_an_ingress_or_a_route_need_not_have() -> None:
    found = helm.render(CHART, namespace="team-a", values={"router.serviceType": "Ingress"})
    published = Publishing(annotations=NGINX_ANNOTATIONS)
    assert next(one for one in found if one["kind"] == "Ingress") == ingress(published, "team-a")
    values = {"router.serviceType": "HTTPRoute", "router.gateway.namespace": "infra", "router.gateway.name": "public"}
    found = helm.render(CHART, namespace="team-a", values=values)
    published = Publishing(gateway="infra/public")
    assert next(one for one in found if one["kind"] == "HTTPRoute") == http_route(published, "team-a")


def test_the_chart_gives_the_operator_the_placement_of_replicas() -> None:
    replicas = {"gpuResource": "amd.com/gpu", "tolerations": [{"key": "gpu", "operator": "Exists"}]}
    found = helm.render(CHART, namespace="team-a", values={"replicas": replicas})
    operator = next(one for one in found if (one["kind"], one["metadata"]["name"]) == ("Deployment", names.OPERATOR))
    variables = {one["name"]: one.get("value") for one in operator["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert ReplicaDefaults.parse(variables[names.REPLICAS_VARIABLE]) == ReplicaDefaults.parse(replicas)


def test_the_command_prints_an_ingress_and_refuses_what_is_not_for_the_service(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--ingress-class", "nginx", "--scoring-host", "ml.example.org"]
    assert manifests.main(["--service", "Ingress", *options]) == 0
    printed = yaml.safe_load_all(capsys.readouterr().out)
    published = Publishing(ingress_class="nginx", scoring_host="ml.example.org")
    assert next(one for one in printed if one["kind"] == "Ingress") == ingress(published, names.DEFAULT_NAMESPACE)
    with pytest.raises(SystemExit):
        manifests.main(["--service", "NodePort", *options])
    assert "ingress_class is given, and service_type is 'NodePort'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "placement", [{}, {"nodeSelector": {"disk": "fast"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}]
)
def test_the_chart_reads_collected_data_from_a_claim_as_an_attachment_does(placement: dict[str, Any]) -> None:
    replicas = {"collectedDataClaim": "data", **placement}
    found = helm.render(CHART, namespace="team-a", values={"replicas": replicas, "image": "x:1"})
    reader = Reader.of(ReplicaDefaults.parse(replicas))
    wanted = Installation(image="x:1", target="cluster", workspace="default", namespace="team-a", reader=reader)
    expected = [one for one in installation(wanted) if one["metadata"]["name"] == names.READER]
    assert len(expected) == 2
    rendered = [one for one in found if one["metadata"]["name"] == names.READER]
    for one in rendered:
        pod = one["spec"].get("template", {}).get("spec", {})
        for field in ("nodeSelector", "tolerations"):
            if not pod.get(field):
                pod.pop(field, None)  # a chart cannot leave out a field, and an empty one means the same
    assert sorted_by_name(rendered) == sorted_by_name(expected)


def test_the_command_prints_an_installation_with_a_claim(capsys: pytest.CaptureFixture[str]) -> None:
    assert manifests.main(["--collected-data-claim", "data"]) == 0
    assert any(one["metadata"]["name"] == names.READER for one in yaml.safe_load_all(capsys.readouterr().out))
    with pytest.raises(SystemExit):
        manifests.main(["--collected-data-claim", "Not A Name"])
    assert "this cannot name a claim" in capsys.readouterr().err


def test_the_command_prints_an_installation(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--namespace", "team-a", "--purpose", "DevTest", "--service", "NodePort", "--image", "x:1"]
    assert manifests.main(arguments) == 0
    wanted = Installation(
        image="x:1",
        target="cluster",
        workspace="default",
        namespace="team-a",
        purpose=Purpose.DEV_TEST,
        service=ServiceType.NODE_PORT,
    )
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == installation(wanted)
