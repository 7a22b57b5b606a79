"""The rights that the checks before an attachment ask for."""

from __future__ import annotations

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Installation, installation
from mljupyter.targets.kubernetes.preflight import Right, access_review, granting_role, rights_for
from tests.kubernetes.objects import schemas

OBJECTS = installation(Installation(image="x:1", target="team", workspace="churn", namespace="ns"))
RIGHTS = rights_for(OBJECTS, "ns")


def test_every_object_of_an_installation_can_be_created_changed_and_removed() -> None:
    for verb in ("get", "create", "patch", "delete"):
        assert Right("apps", "deployments", verb, "ns") in RIGHTS
        assert Right("apiextensions.k8s.io", "customresourcedefinitions", verb) in RIGHTS
        assert Right("", "secrets", verb, "ns") in RIGHTS
    assert len(RIGHTS) == len(set(RIGHTS))


def test_a_claim_is_looked_at_only_if_there_is_one() -> None:
    right = Right("", "persistentvolumeclaims", "get", "ns")
    assert right not in RIGHTS
    assert right in rights_for(OBJECTS, "ns", claim=True)


def test_a_question_to_the_api_server_names_the_subresource() -> None:
    found = access_review(Right("", "services/proxy", "get", "ns"))
    schemas.check(found)
    assert found["spec"]["resourceAttributes"] == {
        "verb": "get",
        "group": "",
        "resource": "services",
        "subresource": "proxy",
        "namespace": "ns",
    }


def test_missing_rights_are_granted_by_a_role_for_the_namespace_and_one_for_the_cluster() -> None:
    of_cluster = Right("apiextensions.k8s.io", "customresourcedefinitions", "get")
    roles = granting_role([Right("", "secrets", "get", "ns"), Right("", "secrets", "create", "ns"), of_cluster])
    for role in roles:
        schemas.check(role)
    assert [role["kind"] for role in roles] == ["ClusterRole", "Role"]
    assert roles[1]["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "get"]}]


def test_a_namespace_for_endpoints_needs_the_rights_to_set_it_up_and_to_clear_it() -> None:
    wanted = Installation(
        image="x:1", target="team", workspace="churn", namespace="ns", endpoint_namespaces=("team-b",)
    )
    there = {right for right in rights_for(installation(wanted), "ns", ["team-b"]) if right.namespace == "team-b"}
    assert Right("rbac.authorization.k8s.io", "roles", "create", "team-b") in there
    assert Right("networking.k8s.io", "networkpolicies", "delete", "team-b") in there
    assert Right("", "pods", "delete", "team-b") in there
    assert Right("", "secrets", "create", "team-b") in there
    assert Right(names.GROUP, names.PLURAL, "get", "team-b") not in there
    assert not {right for right in RIGHTS if right.namespace == "team-b"}
