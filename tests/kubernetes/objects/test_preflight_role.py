"""The rights that an installation takes."""

from __future__ import annotations

from mljupyter.kubernetes.objects.installation import Installation, installation
from mljupyter.kubernetes.objects.preflight_role import Right, access_review, granting_roles, needed_rights
from tests.kubernetes.objects import schemas

OBJECTS = installation(Installation(image="x:1", target="team", workspace="churn", namespace="ns"))
RIGHTS = needed_rights(OBJECTS, "ns")


def test_every_object_of_an_installation_can_be_created_changed_and_removed() -> None:
    for verb in ("get", "create", "patch", "delete"):
        assert Right(verb, "apps", "deployments", "ns") in RIGHTS
        assert Right(verb, "apiextensions.k8s.io", "customresourcedefinitions", None) in RIGHTS
        assert Right(verb, "", "secrets", "ns") in RIGHTS
    assert len(RIGHTS) == len(set(RIGHTS))


def test_a_question_to_the_api_server_names_the_subresource() -> None:
    found = access_review(Right("get", "", "services/proxy", "ns"))
    schemas.check(found)
    assert found["spec"]["resourceAttributes"] == {
        "verb": "get",
        "group": "",
        "resource": "services",
        "subresource": "proxy",
        "namespace": "ns",
    }


def test_missing_rights_are_granted_by_a_role_for_the_namespace_and_one_for_the_cluster() -> None:
    roles = granting_roles([Right("get", "", "secrets", "ns"), Right("create", "", "secrets", "ns"), RIGHTS[0]])
    for role in roles:
        schemas.check(role)
    assert [role["kind"] for role in roles] == ["Role", "ClusterRole"]
    assert roles[0]["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create"]}]


def test_a_right_reads_as_people_write_it() -> None:
    assert Right("patch", "apps", "deployments", "ns").text() == "patch deployments.apps in ns"
