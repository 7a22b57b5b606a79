"""The objects of an installation."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_validate import ValidationError

from mljupyter.kubernetes.objects import installation, names
from mljupyter.kubernetes.objects.installation import Installation, Purpose, Reader, ServiceType
from tests.kubernetes.objects import schemas

READER = Reader("data", {"disk": "fast"}, [{"key": "gpu", "operator": "Exists"}])


def objects(**fields: Any) -> dict[tuple[str, str], dict[str, Any]]:
    wanted = Installation(
        **({"image": "registry.example/mljupyter:1", "target": "team", "workspace": "churn"} | fields)
    )
    return {(item["kind"], item["metadata"]["name"]): item for item in installation.installation(wanted)}


def pod(component: str, **fields: Any) -> dict[str, Any]:
    found = objects(**fields)["Deployment", f"mljupyter-{component}"]
    return dict(found["spec"]["template"]["spec"])


@pytest.mark.parametrize("release", [schemas.OLDEST, schemas.NEWEST])
@pytest.mark.parametrize("purpose", list(Purpose))
def test_every_object_obeys_the_schemas_of_old_and_new_releases(release: str, purpose: Purpose) -> None:
    found = objects(
        purpose=purpose,
        service=ServiceType.LOAD_BALANCER,
        internal=True,
        subnet="apps",
        node_port=30080,
        pull_secrets=("login",),
        node_selector={"pool": "system"},
        tolerations=({"key": "system", "operator": "Exists"},),
        reader=READER,
    )
    for manifest in found.values():
        schemas.check(manifest, release)


def test_the_schemas_refuse_an_unknown_field() -> None:
    broken = objects()["Deployment", names.ROUTER]
    broken["spec"]["replica"] = 1
    with pytest.raises(ValidationError):
        schemas.check(broken)


def test_everything_carries_our_labels_and_namespaced_objects_their_namespace() -> None:
    for (kind, _), manifest in objects(namespace="team-a").items():
        labels = manifest["metadata"]["labels"]
        assert labels[names.PART_OF_LABEL] == labels[names.MANAGED_BY_LABEL] == "mljupyter"
        cluster_wide = kind in (
            "CustomResourceDefinition",
            "Namespace",
            "ClusterRole",
            "ClusterRoleBinding",
            "ValidatingWebhookConfiguration",
        )
        assert manifest["metadata"].get("namespace") == (None if cluster_wide else "team-a")


def test_for_tests_there_is_one_pod_of_each_for_production_two_operators_and_three_routers() -> None:
    def pods(purpose: Purpose) -> list[int]:
        found = objects(purpose=purpose)
        return [found["Deployment", name]["spec"]["replicas"] for name in (names.OPERATOR, names.ROUTER)]

    assert pods(Purpose.DEV_TEST) == [1, 1]
    assert pods(Purpose.FAST_PROD) == [2, 3]


def test_only_production_limits_how_many_pods_may_be_evicted_at_once() -> None:
    kinds = {purpose: {kind for kind, _ in objects(purpose=purpose)} for purpose in Purpose}
    assert "PodDisruptionBudget" in kinds[Purpose.FAST_PROD]
    assert "PodDisruptionBudget" not in kinds[Purpose.DEV_TEST]


def test_routers_are_spread_over_nodes_and_zones_and_a_rollout_takes_none_away() -> None:
    spread = pod("router")["topologySpreadConstraints"]
    assert [item["topologyKey"] for item in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    labels = objects()["Deployment", names.ROUTER]["spec"]["template"]["metadata"]["labels"]
    assert all(item["labelSelector"]["matchLabels"].items() <= labels.items() for item in spread)
    assert objects()["Deployment", names.ROUTER]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert objects()["PodDisruptionBudget", names.ROUTER]["spec"]["maxUnavailable"] == 1


def test_old_clusters_get_the_older_version_of_the_budget() -> None:
    found = objects(policy="policy/v1beta1")
    assert found["PodDisruptionBudget", names.ROUTER]["apiVersion"] == "policy/v1beta1"


@pytest.mark.parametrize("component", ["operator", "router"])
def test_pods_satisfy_the_restricted_pod_security_level(component: str) -> None:
    found = pod(component)
    assert found["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert found["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsUser": 10001,
    }
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    assert all(allowed & volume.keys() for volume in found["volumes"])


@pytest.mark.parametrize("component", ["operator", "router"])
def test_every_container_has_requests_and_a_memory_limit(component: str) -> None:
    resources = pod(component)["containers"][0]["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}


def test_the_router_gets_only_the_secret_between_it_and_the_operator() -> None:
    def keys(component: str) -> list[str]:
        volume = next(item for item in pod(component)["volumes"] if item["name"] == "access")
        return [item["key"] for item in volume["secret"]["items"]]

    assert keys("operator") == ["api", "internal"]
    assert keys("router") == ["internal"]


def test_only_routers_and_the_operator_reach_replicas() -> None:
    policy = objects()["NetworkPolicy", "mljupyter-replica"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= names.replica_labels("iris", "a", "1").items()
    callers = [item["podSelector"]["matchLabels"][names.COMPONENT_LABEL] for item in policy["ingress"][0]["from"]]
    assert sorted(callers) == ["operator", "router"]
    assert [port["port"] for port in policy["ingress"][0]["ports"]] == [5001]


def test_only_the_operator_reaches_the_agents_of_routers() -> None:
    ingress = objects()["NetworkPolicy", "mljupyter-router"]["spec"]["ingress"]
    rules = {rule["ports"][0]["port"]: rule.get("from") for rule in ingress}
    assert rules[8081] is None
    operator = {names.PART_OF_LABEL: "mljupyter", names.COMPONENT_LABEL: "operator"}
    assert rules[8082] == [{"podSelector": {"matchLabels": operator}}]


def test_collected_data_is_read_by_a_pod_without_rights_that_only_the_operator_reaches() -> None:
    assert not [name for _, name in objects() if name == names.READER]
    found = objects(reader=READER)
    reader = found["Deployment", names.READER]["spec"]["template"]["spec"]
    assert (reader["automountServiceAccountToken"], reader["serviceAccountName"]) == (False, names.REPLICA)
    mounts = {mount["name"]: mount.get("readOnly") for mount in reader["containers"][0]["volumeMounts"]}
    assert mounts == {"collected": True, "access": True}
    volumes = {volume["name"]: volume for volume in reader["volumes"]}
    assert volumes["collected"]["persistentVolumeClaim"] == {"claimName": "data"}
    assert [item["key"] for item in volumes["access"]["secret"]["items"]] == ["internal"]
    assert (reader["nodeSelector"], reader["tolerations"]) == (READER.node_selector, READER.tolerations)
    (rule,) = found["NetworkPolicy", names.READER]["spec"]["ingress"]
    callers = [item["podSelector"]["matchLabels"][names.COMPONENT_LABEL] for item in rule["from"]]
    assert (callers, rule["ports"][0]["port"]) == (["operator"], names.READER_PORT)
    for component in (names.COMPONENT_OPERATOR, names.COMPONENT_ROUTER):
        assert pod(component, reader=READER) == pod(component), "the operator starts although a volume is missing"


def test_every_object_of_the_reader_is_known_for_its_removal() -> None:
    known = {(item["kind"], item["metadata"]["name"]) for item in installation.of_reader("mljupyter")}
    assert known == objects(reader=READER).keys() - objects().keys()


def test_no_right_covers_everything_and_only_nodes_are_read_on_the_whole_cluster() -> None:
    found = objects()
    rules = [rule for item in found.values() for rule in item.get("rules", ())]
    assert all("*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]] for rule in rules)
    assert found["ClusterRole", "mljupyter-mljupyter-nodes"]["rules"] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}
    ]


def test_without_the_right_to_read_nodes_and_reviews_nothing_applies_to_the_whole_cluster_but_the_definition() -> None:
    kinds = {kind for kind, _ in objects(reads_nodes=False, admission=False, create_namespace=False)}
    assert {"ClusterRole", "ClusterRoleBinding", "Namespace", "ValidatingWebhookConfiguration"}.isdisjoint(kinds)


def test_all_objects_of_the_whole_cluster_that_belong_to_one_installation_are_known_for_its_removal() -> None:
    shared = ("CustomResourceDefinition", "Namespace")
    found = {
        (kind, name)
        for (kind, name), item in objects(namespace="team-a").items()
        if "namespace" not in item["metadata"] and kind not in shared
    }
    known = {(item["kind"], item["metadata"]["name"]) for item in installation.cluster_wide("team-a")}
    assert found == known
    assert all("team-a" in name for _, name in known)


def webhook(**fields: Any) -> dict[str, Any]:
    return dict(objects(**fields)["ValidatingWebhookConfiguration", "mljupyter-team-a-admission"]["webhooks"][0])


def test_the_api_server_asks_the_operators_of_the_namespace_for_changes_of_specs_and_never_waits_long() -> None:
    found = webhook(namespace="team-a")
    assert found["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "team-a"}}
    assert [rule["resources"] for rule in found["rules"]] == [["mlendpoints"]]  # no status
    assert found["rules"][0]["operations"] == ["CREATE", "UPDATE"]
    assert (found["failurePolicy"], found["timeoutSeconds"], found["sideEffects"]) == ("Ignore", 2, "None")
    service = objects(namespace="team-a")["Service", found["clientConfig"]["service"]["name"]]
    pods = objects(namespace="team-a")["Deployment", names.OPERATOR]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= pods.items()  # whether or not they lead
    assert service["spec"]["ports"][0]["targetPort"] == names.WEBHOOK_PORT


def test_a_namespace_that_is_created_has_the_label_that_the_webhook_selects() -> None:
    labels = objects(namespace="team-a")["Namespace", "team-a"]["metadata"]["labels"]
    assert labels.items() >= webhook(namespace="team-a")["namespaceSelector"]["matchLabels"].items()


def test_the_operator_may_write_its_own_webhook_configuration_only() -> None:
    found = objects(namespace="team-a")["ClusterRole", "mljupyter-team-a-admission"]
    assert found["rules"] == [
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["validatingwebhookconfigurations"],
            "resourceNames": ["mljupyter-team-a-admission"],
            "verbs": ["get", "patch"],
        }
    ]


def test_the_network_policy_lets_the_api_server_reach_the_webhook() -> None:
    ingress = objects()["NetworkPolicy", "mljupyter-operator"]["spec"]["ingress"]
    assert {rule["ports"][0]["port"]: rule.get("from") for rule in ingress} == {8080: None, 8443: None}


def test_replicas_have_no_role() -> None:
    subjects = {
        subject["name"]
        for (kind, _), item in objects().items()
        if kind.endswith("RoleBinding")
        for subject in item["subjects"]
    }
    assert subjects == {names.OPERATOR, names.ROUTER}


@pytest.mark.parametrize("service", list(ServiceType))
def test_the_router_is_reached_as_wanted_and_the_operator_inside_only(service: ServiceType) -> None:
    found = objects(service=service)
    published = service in ("Ingress", "HTTPRoute")
    assert found["Service", names.ROUTER]["spec"]["type"] == ("ClusterIP" if published else service.value)
    assert found["Service", names.OPERATOR]["spec"]["type"] == "ClusterIP"


def test_an_internal_load_balancer_is_one_by_annotation() -> None:
    plain = objects(service=ServiceType.LOAD_BALANCER)["Service", names.ROUTER]["metadata"]
    assert "annotations" not in plain
    found = objects(service=ServiceType.LOAD_BALANCER, internal=True, subnet="apps")["Service", names.ROUTER][
        "metadata"
    ]
    assert found["annotations"]["service.beta.kubernetes.io/azure-load-balancer-internal"] == "true"
    assert found["annotations"]["service.beta.kubernetes.io/azure-load-balancer-internal-subnet"] == "apps"


def test_the_definition_comes_first_and_the_pods_last() -> None:
    kinds = [kind for kind, _ in objects()]
    assert kinds[:2] == ["CustomResourceDefinition", "Namespace"]
    assert kinds[-2:] == ["Deployment", "Deployment"]


def test_no_object_holds_a_secret() -> None:
    assert all(kind != "Secret" for kind, _ in objects())


def test_the_access_secret_has_both_secrets() -> None:
    found = installation.access_secret("ns", api="a" * 64, internal="b" * 64)
    schemas.check(found)
    assert found["metadata"]["name"] == names.ACCESS_SECRET
    assert found["stringData"] == {"api": "a" * 64, "internal": "b" * 64}


@pytest.mark.parametrize("release", [schemas.OLDEST, schemas.NEWEST])
def test_in_a_namespace_for_endpoints_are_an_account_two_roles_and_a_policy_of_the_installation(release: str) -> None:
    there = [
        item
        for item in objects(namespace="home", endpoint_namespaces=("team",)).values()
        if item["metadata"].get("namespace") == "team"
    ]
    assert sorted(item["kind"] for item in there) == [
        "NetworkPolicy",
        "Role",
        "Role",
        "RoleBinding",
        "RoleBinding",
        "ServiceAccount",
    ]
    for item in there:
        schemas.check(item, release)
        assert item["metadata"]["labels"][names.INSTALLATION_LABEL] == "home"
        assert item["metadata"]["name"].startswith("mljupyter-home-")
        assert all(subject["namespace"] == "home" for subject in item.get("subjects", ()))
    policy = next(item["spec"] for item in there if item["kind"] == "NetworkPolicy")
    pods = names.replica_labels("iris", "a", "1") | {names.INSTALLATION_LABEL: "home"}
    assert policy["podSelector"]["matchLabels"].items() <= pods.items()
    callers = policy["ingress"][0]["from"]
    assert [one["namespaceSelector"]["matchLabels"] for one in callers] == [{names.NAMESPACE_LABEL: "home"}] * 2


def test_in_a_namespace_for_endpoints_routers_read_pods_alone_and_the_operator_no_endpoints() -> None:
    found = objects(namespace="home", endpoint_namespaces=("team",))
    router, operator = (found["Role", f"mljupyter-home-{one}"]["rules"] for one in ("router", "operator"))
    assert [rule["resources"] for rule in router] == [["pods"]]
    assert not any(rule["apiGroups"] in ([names.GROUP], ["coordination.k8s.io"]) for rule in operator)
    assert not any("*" in rule["verbs"] + rule["resources"] for rule in operator)


def test_operator_and_routers_know_the_namespaces_for_endpoints() -> None:
    for component in ("operator", "router"):
        found = pod(component, endpoint_namespaces=("team-a", "team-b"))["containers"][0]["env"]
        variables = {one["name"]: one.get("value") for one in found}
        assert variables[names.ENDPOINT_NAMESPACES_VARIABLE] == "team-a,team-b"
