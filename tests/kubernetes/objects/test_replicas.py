"""Replicas as Kubernetes objects."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from mljupyter.kubernetes.objects import names, replicas
from mljupyter.kubernetes.objects.replicas import WRITER_VARIABLE, ManifestError, ReplicaSettings
from mljupyter.runtimes.base import ReplicaOrder
from mljupyter.spec import (
    CodeReference,
    LivenessProbe,
    ModelReference,
    Placement,
    ReplicaDefaults,
    RequestLimits,
    Resources,
    VersionSpec,
)
from tests.kubernetes.objects import schemas

OWNER = {"apiVersion": "mljupyter.io/v1alpha1", "kind": "MLEndpoint", "name": "iris", "uid": "1", "controller": True}


def order(**fields: Any) -> ReplicaOrder:
    spec = VersionSpec(**({"image": "registry.example/iris:1"} | fields))
    return ReplicaOrder(
        id="", endpoint="iris", version="blue", revision="0123456789ab", target="team", workspace="ws", spec=spec
    )


def deployment(settings: ReplicaSettings = ReplicaSettings(), **fields: Any) -> dict[str, Any]:  # noqa: B008
    return replicas.deployment(order(**fields), namespace="ns", replicas=2, owner=OWNER, settings=settings)


def pod(settings: ReplicaSettings = ReplicaSettings(), **fields: Any) -> dict[str, Any]:  # noqa: B008
    return dict(deployment(settings, **fields)["spec"]["template"]["spec"])


def container(settings: ReplicaSettings = ReplicaSettings(), **fields: Any) -> dict[str, Any]:  # noqa: B008
    return dict(pod(settings, **fields)["containers"][0])


def variables(found: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in found["env"]}


def test_a_deployment_selects_the_pods_of_its_revision_only() -> None:
    found = deployment()
    chosen = found["spec"]["selector"]["matchLabels"]
    assert chosen == {
        names.ENDPOINT_LABEL: "iris",
        names.VERSION_LABEL: "blue",
        names.REVISION_LABEL: "0123456789ab",
    }
    assert chosen.items() <= found["spec"]["template"]["metadata"]["labels"].items()
    assert found["metadata"]["ownerReferences"] == [OWNER]
    assert found["spec"]["replicas"] == 2


def test_pods_satisfy_the_restricted_pod_security_level() -> None:
    found, server = pod(), container()
    assert found["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert server["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_replicas_have_no_token_of_the_api_server() -> None:
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["serviceAccountName"] == names.REPLICA


def test_our_server_gets_options_with_the_name_of_its_pod_and_an_image_of_the_user_none() -> None:
    arguments = container()["args"]
    assert arguments[arguments.index("--replica") + 1] == "$(MLJUPYTER_POD_NAME)"
    assert arguments[arguments.index("--scoring-timeout-ms") + 1] == "60000"
    assert "args" not in container(ReplicaSettings(own_server=False))


def test_an_image_of_the_user_runs_as_a_user_that_is_not_root() -> None:
    assert container(ReplicaSettings(own_server=False))["securityContext"]["runAsUser"] == 10001


def test_values_of_environment_variables_are_in_the_secret_only() -> None:
    given = {"PASSWORD": "open sesame", "OMP_NUM_THREADS": "7"}
    found = deployment(environment_variables=given)
    assert "sesame" not in json.dumps(found)
    secret = replicas.secret(order(environment_variables=given), namespace="ns", replica_key="k" * 64, owner=OWNER)
    assert replicas.variables_of(secret) == given
    assert replicas.replica_key_of(secret) == "k" * 64
    env = variables(found["spec"]["template"]["spec"]["containers"][0])
    for name in given:
        reference = env[name]["secretKeyRef"]
        assert reference["name"] == secret["metadata"]["name"] == found["metadata"]["name"]
        assert reference["key"] in secret["data"]
    assert env["MLJUPYTER_REPLICA_KEY"]["secretKeyRef"]["key"] in secret["data"]


def test_the_variables_of_the_scoring_contract_win_over_those_of_the_user() -> None:
    env = variables(container(environment_variables={"SERVICE_NAME": "mine", "MLJUPYTER_REPLICA_KEY": "mine"}))
    assert env["SERVICE_NAME"] == "iris"
    assert env["SERVICE_VERSION"] == "blue"
    assert env["WORKSPACE_NAME"] == "ws"
    assert env["MLJUPYTER_REPLICA_KEY"]["secretKeyRef"]["key"] == replicas.REPLICA_KEY


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(), {"requests": {"cpu": "100m", "memory": "512Mi"}}),
        (
            Resources(cpu=1, memory_in_gb=2, cpu_limit=2.5, memory_in_gb_limit=4),
            {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "2500m", "memory": "4Gi"}},
        ),
        (
            Resources(gpu=2),
            {
                "requests": {"cpu": "100m", "memory": "512Mi", "nvidia.com/gpu": "2"},
                "limits": {"nvidia.com/gpu": "2"},
            },
        ),
    ],
)
def test_resources_become_requests_and_limits(resources: Resources, expected: dict[str, Any]) -> None:
    assert container(resources=resources)["resources"] == expected


def test_the_resource_that_counts_gpus_can_be_chosen() -> None:
    settings = ReplicaSettings(defaults=ReplicaDefaults(gpu_resource="amd.com/gpu"))
    found = container(settings, resources=Resources(gpu=1))
    assert found["resources"]["limits"] == {"amd.com/gpu": "1"}


def test_a_slow_init_is_not_killed() -> None:
    found = container(probe=LivenessProbe(initial_delay_seconds=600, period_seconds=5, failure_threshold=4))
    startup = found["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > 600
    assert (found["livenessProbe"]["periodSeconds"], found["livenessProbe"]["failureThreshold"]) == (5, 4)
    assert found["readinessProbe"]["periodSeconds"] == 1


def test_a_replica_that_restarts_its_worker_is_alive_and_not_ready() -> None:
    found = container()
    assert found["livenessProbe"]["httpGet"]["path"] == "/?alive"
    assert found["readinessProbe"]["httpGet"]["path"] == "/"


def test_a_replica_that_does_not_answer_ends_at_once_where_the_cluster_can() -> None:
    assert container(ReplicaSettings(probe_grace=True))["livenessProbe"]["terminationGracePeriodSeconds"] == 1
    assert "terminationGracePeriodSeconds" not in container()["livenessProbe"]


def test_a_replica_may_finish_its_longest_request() -> None:
    assert pod(limits=RequestLimits(scoring_timeout_ms=120_500))["terminationGracePeriodSeconds"] == 131


def test_pods_get_requests_only_when_the_control_plane_agrees() -> None:
    assert pod()["readinessGates"] == [{"conditionType": "mljupyter.io/serving"}]


def test_settings_of_the_cluster_reach_the_pod() -> None:
    taint = {"key": "gpu", "operator": "Exists"}
    settings = ReplicaSettings(
        pull_secrets=("login",),
        defaults=ReplicaDefaults.parse(
            {"nodeSelector": {"disk": "fast"}, "tolerations": [taint], "runtimeClass": "gvisor"}
        ),
    )
    found = pod(settings)
    assert found["imagePullSecrets"] == [{"name": "login"}]
    assert found["nodeSelector"] == {"disk": "fast"}
    assert found["tolerations"] == [taint]
    assert found["runtimeClassName"] == "gvisor"


def test_the_placement_of_a_version_comes_before_that_of_the_cluster() -> None:
    common = {"key": "spot", "operator": "Exists"}
    defaults = ReplicaDefaults.parse(
        {
            "nodeSelector": {"disk": "fast", "zone": "a"},
            "tolerations": [common],
            "runtimeClass": "gvisor",
            "gpuResource": "amd.com/gpu",
        }
    )
    own = {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60}
    placement = Placement.parse({"nodeSelector": {"zone": "b"}, "tolerations": [own, common], "runtimeClass": "kata"})
    settings = ReplicaSettings(defaults=defaults)
    found = pod(settings, placement=placement, resources=Resources(gpu=2, gpu_resource="example.com/fpga"))
    assert found["nodeSelector"] == {"disk": "fast", "zone": "b"}
    assert found["tolerations"] == [own, common]
    assert found["runtimeClassName"] == "kata"
    asked = found["containers"][0]["resources"]
    assert (asked["requests"]["example.com/fpga"], asked["limits"]) == ("2", {"example.com/fpga": "2"})
    assert "amd.com/gpu" not in asked["requests"]


def test_a_pod_without_placement_has_no_fields_for_it() -> None:
    assert not {"nodeSelector", "tolerations", "runtimeClassName"} & pod().keys()


def test_collected_data_is_kept_in_a_claim_if_there_is_one() -> None:
    assert [item["name"] for item in pod()["volumes"]] == ["tmp"]
    kept = pod(ReplicaSettings(defaults=ReplicaDefaults(collected_data_claim="data")), collect_model_data=True)
    assert {"name": "collected", "persistentVolumeClaim": {"claimName": "data"}} in kept["volumes"]
    assert kept["securityContext"]["fsGroup"] == 10001
    (mount,) = [one for one in kept["containers"][0]["volumeMounts"] if one["name"] == "collected"]
    assert mount["subPath"] == "iris", "a script must not see what other endpoints collect"
    assert kept["containers"][0]["securityContext"]["runAsUser"] == 10001, "the user that reads it"
    lost = pod(collect_model_data=True)
    assert {"name": "collected", "emptyDir": {}} in lost["volumes"]
    assert {"name": "collected", "mountPath": "/var/mljupyter/collected"} in lost["containers"][0]["volumeMounts"]


def test_each_pod_writes_files_of_its_own_into_a_claim() -> None:
    def writer(**fields: Any) -> list[dict[str, str]]:
        settings = ReplicaSettings(defaults=ReplicaDefaults(collected_data_claim="data"))
        return [one for one in pod(settings, **fields)["containers"][0]["env"] if one["name"] == WRITER_VARIABLE]

    assert writer(collect_model_data=True) == [{"name": WRITER_VARIABLE, "value": f"$({names.POD_NAME_VARIABLE})"}]
    assert writer() == []
    assert (
        pod(ReplicaSettings(defaults=ReplicaDefaults(collected_data_claim="data")))["securityContext"].get("fsGroup")
        is None
    ), "a version that does not collect mounts nothing"


def test_a_version_without_an_image_is_refused_with_the_way_out() -> None:
    with pytest.raises(ManifestError, match="has no image") as error:
        deployment(image=None, no_code="sklearn", models=[model("m", 1)])
    assert "names" not in error.value.message


def test_a_variable_that_a_pod_cannot_have_is_refused_without_its_value() -> None:
    with pytest.raises(ManifestError, match="'my variable'") as error:
        deployment(environment_variables={"my variable": "hidden"})
    assert "hidden" not in error.value.message


def model(name: str, version: int) -> ModelReference:
    return ModelReference(name=name, version=version, digest=f"sha256:{version:064x}", entry="model.pkl")


@pytest.mark.parametrize("models", [0, 1000])
def test_a_deployment_holds_the_spec_that_it_was_made_from(models: int) -> None:
    spec = order(
        models=[model("a" * 100, number) for number in range(models)],
        environment_variables={"SECRET": "x"},
        tags={"team": "churn"},
    ).spec
    found = deployment(**{name: getattr(spec, name) for name in type(spec).model_fields})
    annotation = found["metadata"]["annotations"][names.SPEC_ANNOTATION]
    assert len(annotation) < 128 * 1024
    expected = spec.model_copy(update={"tags": {}})
    assert replicas.spec_of(found, spec.environment_variables) == expected


CODE = CodeReference(digest=f"sha256:{'0' * 64}", entry_script="score.py")
MOUNTED: dict[str, Any] = {"model_delivery": "mount", "code": CODE, "models": [model("churn", 3)]}


def test_a_mounted_model_is_fetched_into_a_volume_that_the_replica_reads() -> None:
    found = pod(**MOUNTED, model_bytes=200 << 20, resources=Resources(gpu=1, memory_in_gb_limit=2))
    (fetcher,), (server,) = found["initContainers"], found["containers"]
    volumes = {volume["name"]: volume for volume in found["volumes"]}
    assert volumes["models"]["emptyDir"] == {"sizeLimit": "284Mi"}
    place = {"name": "models", "mountPath": "/var/azureml-app/azureml-models"}
    assert place in fetcher["volumeMounts"]
    assert {**place, "readOnly": True} in server["volumeMounts"]
    assert variables(server)["AZUREML_MODEL_DIR"] == "/var/azureml-app/azureml-models/churn/3"
    assert fetcher["resources"]["limits"] == {"memory": "2Gi"}, "an accelerator is not needed for a download"
    assert fetcher["securityContext"]["readOnlyRootFilesystem"]


def test_the_login_of_the_registry_reaches_the_download_alone() -> None:
    found = pod(ReplicaSettings(fetcher_image="registry.example/control-plane:1"), **MOUNTED)
    (fetcher,), (server,) = found["initContainers"], found["containers"]
    (login,) = [volume["name"] for volume in found["volumes"] if names.REGISTRY_SECRET in json.dumps(volume)]
    assert {"name": login, "mountPath": "/etc/mljupyter/registry", "readOnly": True} in fetcher["volumeMounts"]
    assert login not in json.dumps(server)
    assert fetcher["image"] == "registry.example/control-plane:1", "an image of a user must not see the login"
    assert fetcher["command"] == ["python", "-m", "mljupyter.scoring.fetch"]


def test_the_models_to_fetch_are_named_in_the_secret_of_the_revision() -> None:
    mounted = order(**{**MOUNTED, "models": [model("churn", number) for number in range(1000)]})
    stored = replicas.secret(mounted, namespace="ns", replica_key="key", owner=OWNER)
    document = json.loads(base64.b64decode(stored["data"]["models.json"]))
    assert document["registry"] == "registry.example"
    assert document["models"][3] == model("churn", 3).document()
    assert len(json.dumps(stored)) < 1 << 20, "more does not fit into a Secret"
    assert replicas.variables_of(stored) == {}


def test_models_are_not_fetched_for_an_image_without_a_registry() -> None:
    with pytest.raises(ManifestError, match=r"'mount', and its image iris:1 is in no container registry") as error:
        deployment(**MOUNTED, image="iris:1")
    assert "modelDelivery to 'bake'" in error.value.message


@pytest.mark.parametrize("fields", [{"model_delivery": "bake", "models": [model("a", 1)]}, {"model_delivery": "mount"}])
def test_nothing_is_fetched_without_mounted_models(fields: dict[str, Any]) -> None:
    found = pod(code=CODE, **fields)
    assert "initContainers" not in found
    assert [volume["name"] for volume in found["volumes"]] == ["tmp"]


def test_the_budget_of_a_version_covers_all_its_revisions() -> None:
    budget = replicas.disruption_budget(order(), namespace="ns", owner=OWNER)
    assert budget["spec"]["selector"]["matchLabels"] == {names.ENDPOINT_LABEL: "iris", names.VERSION_LABEL: "blue"}
    assert budget["spec"]["maxUnavailable"] == 1
    assert names.REVISION_LABEL not in budget["metadata"]["labels"]


@pytest.mark.parametrize("release", [schemas.OLDEST, schemas.NEWEST])
def test_every_object_obeys_the_schemas_of_old_and_new_releases(release: str) -> None:
    settings = ReplicaSettings(
        pull_secrets=("login",),
        defaults=ReplicaDefaults.parse(
            {
                "nodeSelector": {"disk": "fast"},
                "tolerations": [{"key": "gpu", "operator": "Exists"}],
                "runtimeClass": "gvisor",
                "collectedDataClaim": "data",
            }
        ),
        probe_grace=True,
    )
    fields = {
        "resources": Resources(gpu=1, cpu_limit=2),
        "environment_variables": {"A": "b"},
        "collect_model_data": True,
    }
    schemas.check(deployment(settings, **fields), release)
    schemas.check(replicas.secret(order(**fields), namespace="ns", replica_key="k", owner=OWNER), release)
    schemas.check(replicas.disruption_budget(order(), namespace="ns", owner=OWNER), release)


def test_in_a_namespace_for_endpoints_everything_belongs_to_its_installation() -> None:
    others = {"namespace": "team", "owner": None, "home": "mljupyter"}
    found = replicas.deployment(order(), replicas=1, settings=ReplicaSettings(), **others)
    stored = replicas.secret(order(), replica_key="k", **others)
    schemas.check(found)
    own = deployment()
    assert found["metadata"]["name"] == stored["metadata"]["name"] != own["metadata"]["name"]
    template = found["spec"]["template"]
    for labels in (found["metadata"], stored["metadata"], template["metadata"]):
        assert labels["labels"][names.INSTALLATION_LABEL] == "mljupyter"
    assert names.INSTALLATION_LABEL not in own["spec"]["template"]["metadata"]["labels"]
    # Kubernetes would delete an object whose owner it does not find in its namespace.
    assert "ownerReferences" not in found["metadata"]
    assert template["spec"]["serviceAccountName"] == "mljupyter-mljupyter-replica"
    assert template["spec"]["automountServiceAccountToken"] is False
    claimed = ReplicaSettings(defaults=ReplicaDefaults(collected_data_claim="collected"))
    collecting = replicas.deployment(order(collect_model_data=True), replicas=1, settings=claimed, **others)
    assert "persistentVolumeClaim" not in json.dumps(collecting)  # it is in the namespace of the installation
    references = [one["valueFrom"]["secretKeyRef"] for one in template["spec"]["containers"][0]["env"][1:2]]
    assert [one["name"] for one in references] == [stored["metadata"]["name"]]
