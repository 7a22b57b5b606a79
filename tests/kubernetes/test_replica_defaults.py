"""The placement of all replicas of a cluster: from the attachment to the operator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import Workspace
from mljupyter.core.compute import AksCompute, KubernetesCompute
from mljupyter.core.deployment import print_without_effect
from mljupyter.core.webservice import AksWebservice
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Installation, installation
from mljupyter.kubernetes.operator.settings import OperatorSettings, OperatorSettingsError
from mljupyter.spec import ReplicaDefaults
from mljupyter.targets.kubernetes import KubernetesTarget
from mljupyter.targets.kubernetes.attached import AttachedCluster, attached_clusters, remember
from mljupyter.targets.kubernetes.attachment import settings_of, with_claim
from tests.cli.in_process import failed

GIVEN: dict[str, Any] = {
    "gpu_resource": "amd.com/gpu",
    "node_selector": {"disk": "fast"},
    "tolerations": ["spot", {"key": "gpu", "value": "yes"}],
    "runtime_class": "gvisor",
    "collected_data_claim": "data",
}
DEFAULTS = ReplicaDefaults.parse(
    {
        "gpuResource": "amd.com/gpu",
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "spot", "operator": "Exists"}, {"key": "gpu", "operator": "Equal", "value": "yes"}],
        "runtimeClass": "gvisor",
        "collectedDataClaim": "data",
    }
)


def environment(replicas: str, *namespaces: str) -> dict[str, str]:
    """Return the environment variables of the operator in an installation."""
    found = installation(
        Installation(image="x:1", target="team", workspace="churn", replicas=replicas, endpoint_namespaces=namespaces)
    )
    operator = next(one for one in found if (one["kind"], one["metadata"]["name"]) == ("Deployment", names.OPERATOR))
    listed = operator["spec"]["template"]["spec"]["containers"][0]["env"]
    return {one["name"]: one.get("value", "of the pod") for one in listed}


@pytest.fixture(autouse=True)
def access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that are mounted into the pod of the operator."""
    for key in (names.API_KEY, names.INTERNAL_KEY):
        (tmp_path / key).write_text("secret")
    monkeypatch.setattr(names, "ACCESS_DIRECTORY", str(tmp_path))


@pytest.mark.parametrize("kind", [KubernetesCompute, AksCompute])
def test_a_cluster_is_attached_with_a_placement_of_its_replicas(kind: type[KubernetesCompute | AksCompute]) -> None:
    assert kind.attach_configuration(**GIVEN).settings.replicas == DEFAULTS
    assert kind.attach_configuration().settings.replicas == ReplicaDefaults()


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"gpu_resource": "gpu"}, "not the resource of an accelerator"),
        ({"node_selector": {"disk": "a b"}}, "nodeSelector.disk is 'a b'"),
        ({"tolerations": ["gpu:Never"]}, "toleration 'gpu:Never'"),
        ({"runtime_class": "G Visor"}, "runtimeClass is 'G Visor'"),
        ({"collected_data_claim": "My Data"}, "'My Data' cannot name a PersistentVolumeClaim"),
    ],
)
def test_a_placement_that_breaks_a_rule_attaches_nothing(given: dict[str, Any], rule: str) -> None:
    with pytest.raises(ComputeTargetException, match=rule):
        KubernetesCompute.attach_configuration(**given)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (("--node-selector", "disk"), "LABEL=VALUE"),
        (("--toleration", "a b"), "toleration 'a b'"),
        (("--gpu-resource", "gpu"), "not the resource of an accelerator"),
        (("--collected-data-claim", "My Data"), "cannot name a PersistentVolumeClaim"),
    ],
)
def test_the_command_line_refuses_a_placement_that_breaks_a_rule(
    options: tuple[str, str], rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    Workspace.create("default")
    assert rule in failed("computetarget", "attach", "team", *options)


def test_the_operator_has_the_placement_that_its_cluster_was_attached_with() -> None:
    assert OperatorSettings.of_pod(environment(DEFAULTS.json_text())).replicas == DEFAULTS


def test_an_operator_of_an_installation_before_placement_has_none() -> None:
    variables = environment("{}")
    del variables[names.REPLICAS_VARIABLE]
    assert OperatorSettings.of_pod(variables).replicas == ReplicaDefaults()


def test_an_operator_says_which_variable_breaks_a_rule() -> None:
    with pytest.raises(OperatorSettingsError, match=rf"{names.REPLICAS_VARIABLE} breaks a rule: .*colour"):
        OperatorSettings.of_pod(environment('{"colour": "red"}'))


def test_a_cluster_that_was_attached_before_placement_is_still_attached(tmp_path: Path) -> None:
    record = {
        "name": "team",
        "type": "Kubernetes",
        "kubeconfig": None,
        "context": None,
        "namespace": "n",
        "cluster": "1",
    }
    (tmp_path / "clusters").mkdir()
    (tmp_path / "clusters/team.json").write_text(json.dumps(record))
    found = attached_clusters(tmp_path)
    assert [one.replicas for one in found] == [{}]
    remember(tmp_path, found[0])
    assert attached_clusters(tmp_path) == found


def test_a_cluster_is_attached_with_namespaces_for_endpoints() -> None:
    for kind in (KubernetesCompute, AksCompute):
        settings = kind.attach_configuration(namespace="home", endpoint_namespaces=["b", "home", "b", "c"]).settings
        assert settings.endpoint_namespaces == ("b", "c")


@pytest.mark.parametrize(
    ("namespaces", "rule"),
    [("team-b", "give a list"), (["Team B"], "1 to 63 lower-case letters"), (["kube-system"], "not for applications")],
)
def test_namespaces_for_endpoints_that_break_a_rule_attach_nothing(namespaces: Any, rule: str) -> None:
    with pytest.raises(ComputeTargetException, match=rule):
        KubernetesCompute.attach_configuration(endpoint_namespaces=namespaces)


def test_the_operator_has_the_namespaces_that_its_cluster_was_attached_with() -> None:
    settings = OperatorSettings.of_pod(environment("{}", "team-b", "team-c"))
    assert settings.endpoint_namespaces == ("team-b", "team-c")
    assert settings.namespaces == (settings.namespace, "team-b", "team-c")
    variables = environment("{}")
    del variables[names.ENDPOINT_NAMESPACES_VARIABLE]  # of an installation before there were any
    assert OperatorSettings.of_pod(variables).endpoint_namespaces == ()


def test_the_record_of_a_cluster_has_its_namespaces_for_endpoints(tmp_path: Path) -> None:
    wanted = AttachedCluster("team", "Kubernetes", None, None, "n", "1", endpoint_namespaces=("b", "c"))
    remember(tmp_path, wanted)
    assert attached_clusters(tmp_path) == [wanted]
    assert settings_of(wanted).endpoint_namespaces == ("b", "c")


def test_another_claim_keeps_the_other_settings_of_a_cluster() -> None:
    assert with_claim(DEFAULTS, "other") == ReplicaDefaults(**{**dict(DEFAULTS), "collected_data_claim": "other"})
    without = with_claim(DEFAULTS, None)
    assert (without.collected_data_claim, without.gpu_resource) == (None, "amd.com/gpu")
    with pytest.raises(ComputeTargetException, match="'My Data' cannot name a PersistentVolumeClaim"):
        with_claim(DEFAULTS, "My Data")


def test_the_settings_of_an_attached_cluster_are_those_that_it_was_attached_with(tmp_path: Path) -> None:
    cluster = AttachedCluster(
        "team", "AKS", None, None, "n", "1", service_type="LoadBalancer", internal=True, subnet="apps"
    )
    remember(tmp_path, cluster)
    (found,) = attached_clusters(tmp_path)
    assert (settings_of(found).internal, settings_of(found).subnet) == (True, "apps")


@pytest.mark.parametrize("replicas", [{}, {"collectedDataClaim": "data"}])
def test_a_deployment_that_collects_without_a_claim_says_that_its_data_ends_with_its_pod(
    replicas: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    context = Workspace.create("default").context
    target = KubernetesTarget(context, AttachedCluster("team", "AKS", None, None, "n", "1", replicas=replicas))
    print_without_effect(AksWebservice.deploy_configuration(collect_model_data=False), target)
    assert capsys.readouterr().out == ""
    print_without_effect(AksWebservice.deploy_configuration(collect_model_data=True), target)
    assert ("Collected data ends with its pod" in capsys.readouterr().out) is not bool(replicas)
