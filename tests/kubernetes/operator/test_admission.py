"""The review of a custom resource: the sentences are those of the SDK, and what is not to be reviewed is allowed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mljupyter.client.errors import InvalidSpecError
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.operator import admission, documents
from mljupyter.spec import EndpointSpec, Rollout, RolloutPhase, RolloutPlan, SpecError, VersionSpec

NAMESPACE, TARGET = "team-a", "team"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{names.OPERATOR}"
IMAGE = {"image": "registry.example/iris:1"}


def resource(status: dict[str, Any] | None = None, deleting: bool = False, **spec: Any) -> dict[str, Any]:
    """A custom resource as a user writes it."""
    metadata = {"name": "iris", "generation": 1} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {})
    document = {"defaultVersion": "one", "versions": {"one": IMAGE}} | spec
    return {"metadata": metadata, "spec": document, **({"status": status} if status is not None else {})}


def review(found: dict[str, Any], before: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """The response to a user's change of a resource from `before`."""
    request = {
        "uid": "7",
        "operation": "CREATE" if before is None else "UPDATE",
        "namespace": NAMESPACE,
        "name": "iris",
        "userInfo": {"username": "ada"},
        "object": found,
        "oldObject": before,
    }
    document = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request | fields}
    answer = admission.answer(document, namespace=NAMESPACE, target=TARGET)
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response: dict[str, Any] = answer["response"]
    assert response["uid"] == "7"
    return response


def refused(response: dict[str, Any]) -> str:
    """The sentence of a refusal."""
    assert not response["allowed"]
    assert response["status"]["code"] == 400
    return str(response["status"]["message"])


SHARES = {"one": IMAGE | {"trafficPercentile": 60}, "two": IMAGE | {"trafficPercentile": 60}}
BROKEN = {
    "shares": {"versions": SHARES},
    "default version": {"defaultVersion": "three"},
    "replicas": {"versions": {"one": IMAGE | {"scaling": {"autoscale": {"minReplicas": 5, "maxReplicas": 2}}}}},
    "name of a version": {"versions": {"One_": IMAGE}, "defaultVersion": "One_"},
    "unknown field": {"versions": {"one": IMAGE | {"replcias": 2}}},
}


@pytest.mark.parametrize("spec", BROKEN.values(), ids=BROKEN)
def test_a_resource_that_breaks_a_rule_is_refused_with_the_sentence_of_the_sdk(spec: dict[str, Any]) -> None:
    broken = resource(**spec)
    with pytest.raises(SpecError) as error:
        EndpointSpec.parse({"name": "iris", "computeTarget": TARGET, **broken["spec"]})
    assert refused(review(broken)) == error.value.message
    assert refused(review(broken, before=resource())) == error.value.message


def test_the_sentence_names_the_sum_of_the_shares() -> None:
    expected = "the traffic percentiles add up to 120 (one 60, two 60): at most 100"
    assert refused(review(resource(versions=SHARES))) == expected


def test_a_short_resource_and_the_full_document_of_the_sdk_are_allowed() -> None:
    assert review(resource())["allowed"]
    version = VersionSpec(image="registry.example/iris:1", environment_variables={"TOKEN": "s3cret"})
    spec = EndpointSpec(name="iris", compute_target=TARGET, default_version="one", versions={"one": version})
    written = documents.resource(spec, NAMESPACE, None)
    described = {**written, "spec": {**written["spec"], "description": "applied again"}}
    assert review(described, before=written)["allowed"]  # with *** for the value, which the operator knows


def test_a_hidden_value_that_is_unknown_is_refused() -> None:
    hidden = resource(versions={"one": IMAGE | {"environmentVariables": {"TOKEN": "***"}}})
    assert "versions.one.environmentVariables.TOKEN is '***'" in refused(review(hidden))
    assert "is '***'" in refused(review(hidden, before=resource()))


def test_no_sentence_shows_the_value_of_an_environment_variable() -> None:
    wrong = resource(versions={"one": IMAGE | {"environmentVariables": {"TOKEN": ["s3cret"]}}})
    assert "s3cret" not in str(review(wrong))


def test_another_compute_target_and_a_local_web_service_are_refused() -> None:
    assert "does not run endpoints on 'local', only on team" in refused(review(resource(computeTarget="local")))
    assert "is a local web service with a port of its own" in refused(review(resource(kind="LOCAL")))


def test_a_change_during_a_rollout_is_refused_unless_it_leaves_the_versions_alone() -> None:
    plan = RolloutPlan(version="two", steps=[10, 50], every_seconds=60)
    time = datetime(2026, 1, 1, tzinfo=UTC)
    rollout = Rollout(plan=plan, phase=RolloutPhase.RUNNING, started_time=time, step_time=time)
    hidden = IMAGE | {"environmentVariables": {"TOKEN": "***"}}
    versions = {"one": hidden, "two": IMAGE}
    before = resource(status={"rollout": rollout.document()}, versions=versions)
    moved = resource(versions={"one": hidden, "two": IMAGE | {"trafficPercentile": 30}})
    assert "a rollout of version 'two' of 'iris' is Running at 10 %" in refused(review(moved, before=before))
    named = resource(versions=versions, description="better")
    assert review(named, before=before)["allowed"]
    # The file of a user has the value itself, which the stored resource does not show.
    own = resource(versions={"one": IMAGE | {"environmentVariables": {"TOKEN": "s3cret"}}, "two": IMAGE})
    assert review(own | {"spec": own["spec"] | {"description": "better"}}, before=before)["allowed"]
    unknown = before | {"status": {"rollout": {"phase": "OfALaterRelease"}}}
    assert review(moved, before=unknown)["allowed"]  # the operator decides


def test_an_endpoint_that_is_being_deleted_is_not_changed_and_its_finalizer_can_go() -> None:
    before = resource(deleting=True)
    sentence = "endpoint 'iris' is being deleted: try again when it is gone."
    assert refused(review(resource(deleting=True, description="new"), before=before)) == sentence
    without = {**before, "metadata": {**before["metadata"], "finalizers": []}}
    assert review(without, before=before)["allowed"]


def test_a_resource_that_breaks_a_rule_already_can_be_labelled_and_repaired() -> None:
    before = resource(versions=SHARES)
    labelled = {**before, "metadata": {**before["metadata"], "labels": {"team": "churn"}}}
    assert review(labelled, before=before)["allowed"]
    assert review(resource(), before=before)["allowed"]


@pytest.mark.parametrize(
    "fields",
    [
        {"userInfo": {"username": OPERATOR}},
        {"namespace": "team-b"},
        {"operation": "DELETE"},
        {"subResource": "status"},
    ],
    ids=str,
)
def test_changes_of_the_operator_itself_and_of_others_are_allowed_unread(fields: dict[str, Any]) -> None:
    assert review(resource(versions=SHARES), **fields)["allowed"]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"apiVersion": "admission.k8s.io/v1beta1", "request": {"uid": "7"}},
        {"apiVersion": "admission.k8s.io/v1", "request": []},
        {"apiVersion": "admission.k8s.io/v1", "request": {}},
        {"apiVersion": "admission.k8s.io/v1", "request": {"uid": "7"}},
        {
            "apiVersion": "admission.k8s.io/v1",
            "request": {"uid": "7", "operation": "CREATE", "namespace": NAMESPACE, "object": []},
        },
        {
            "apiVersion": "admission.k8s.io/v1",
            "request": {"uid": "7", "operation": "CREATE", "namespace": NAMESPACE, "object": {"spec": {}}},
        },
    ],
    ids=str,
)
def test_what_is_no_review_of_a_resource_is_an_error_of_the_caller(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpecError):
        admission.answer(document, namespace=NAMESPACE, target=TARGET)


def test_a_sentence_about_a_huge_value_is_cut() -> None:
    assert len(refused(review(resource(defaultVersion="x" * 100_000)))) == 4000


def test_a_namespace_that_is_not_allowed_is_refused() -> None:
    found = resource(versions={"one": IMAGE | {"placement": {"namespace": "team-b"}}})
    assert "may run in 'team-a' only" in refused(review(found))
    document = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "7", "operation": "CREATE", "namespace": NAMESPACE, "object": found},
    }
    answer = admission.answer(document, namespace=NAMESPACE, target=TARGET, namespaces=[NAMESPACE, "team-b"])
    assert answer["response"]["allowed"]
    own = resource(versions={"one": IMAGE | {"placement": {"namespace": NAMESPACE}}})
    assert review(own)["allowed"]
