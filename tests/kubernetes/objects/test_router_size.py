"""The size of the router: read from its Deployment, kept when that is applied again, and the room for more."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mljupyter.engine.scaling.router_scaler import Node, Size
from mljupyter.kubernetes.objects import names, router_size
from mljupyter.kubernetes.objects.installation import Installation, Purpose, installation
from mljupyter.kubernetes.objects.router_size import ANNOTATION, MOST_DECISIONS, Kept
from mljupyter.spec import RouterScaling, RouterScalingDecision, RouterStep
from tests.kubernetes.objects import schemas

GIB = float(1 << 30)
MIB = float(1 << 20)


def deployment(purpose: Purpose = Purpose.FAST_PROD, **annotations: str) -> dict[str, Any]:
    wanted = Installation(image="registry.example/mljupyter:1", target="team", workspace="churn", purpose=purpose)
    found = next(item for item in installation(wanted) if item["kind"] == "Deployment" and _is_router(item))
    found["metadata"]["annotations"] = annotations
    return copy.deepcopy(found)


def _is_router(item: dict[str, Any]) -> bool:
    return bool(item["metadata"]["name"] == names.ROUTER)


def decision(number: int = 1) -> RouterScalingDecision:
    return RouterScalingDecision(
        time=datetime(2030, 1, 1, tzinfo=UTC),
        step=RouterStep.UP,
        pods_before=3,
        pods_after=3,
        cpu_before=0.5,
        cpu_after=1,
        reason=f"reason {number}",
    )


def kept(size: Size) -> str:
    return Kept(size, (decision(),)).text()


def test_self_scaling_begins_with_the_size_of_the_installation() -> None:
    found, policy = router_size.size_of(deployment()), RouterScaling()
    assert found == Size(policy.min_cpu, policy.min_pods) == Size(0.5, 3)
    assert router_size.memory_of(deployment()) == 512 * MIB


def test_the_annotation_keeps_the_size_and_the_newest_decisions() -> None:
    decisions = tuple(decision(number) for number in range(MOST_DECISIONS + 10))
    found = router_size.kept_in(deployment(**{ANNOTATION: Kept(Size(1.0, 4), decisions).text()}))
    assert found is not None
    assert found.size == Size(1.0, 4)
    assert [item.reason for item in found.decisions] == [f"reason {number}" for number in range(10, 60)]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "{}", '{"cpu": 1}', '{"cpu": "x", "pods": 1}', '{"cpu": 0, "pods": 1}'],
)
def test_an_annotation_that_cannot_be_read_counts_as_none(text: str) -> None:
    assert router_size.kept_in(deployment(**{ANNOTATION: text})) is None


def test_decisions_of_another_release_make_the_annotation_unreadable_not_the_operator() -> None:
    text = json.dumps({"cpu": 1, "pods": 3, "decisions": [{"step": "Sideways"}]})
    assert router_size.kept_in(deployment(**{ANNOTATION: text})) is None


def test_a_deployment_that_is_applied_again_keeps_the_size() -> None:
    manifest = deployment()
    router_size.with_kept_size(manifest, deployment(**{ANNOTATION: kept(Size(1.0, 5))}))
    assert router_size.size_of(manifest) == Size(1.0, 5)
    assert manifest["metadata"]["annotations"] == {}
    schemas.check(manifest)


@pytest.mark.parametrize("present", [None, deployment()])
def test_without_self_scaling_the_applied_size_is_that_of_the_installation(present: dict[str, Any] | None) -> None:
    manifest = deployment()
    router_size.with_kept_size(manifest, present)
    assert manifest == deployment()


def test_the_patch_of_the_cpu_changes_nothing_else() -> None:
    container = router_size.cpu_patch(0.75)["spec"]["template"]["spec"]["containers"]
    assert container == [{"name": "router", "resources": {"requests": {"cpu": "750m"}}}]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}, True),
        ({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}, False),
        ({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 3, "readyReplicas": 3}, False),
        ({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 3}, False),
        ({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 2}, False),
        ({}, False),
    ],
)
def test_a_rollout_is_over_when_all_pods_are_new_and_ready(status: dict[str, int], expected: bool) -> None:
    found = deployment()
    found["metadata"]["generation"] = 2
    assert router_size.is_settled({**found, "status": status}) is expected


def test_the_messages_of_scheduler_and_quota_are_found() -> None:
    waiting = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient cpu."}
    assert router_size.unplaced({"status": {"conditions": [waiting]}}).endswith("3 Insufficient cpu.")
    assert router_size.unplaced({"status": {"conditions": [{**waiting, "status": "True"}]}}) == ""
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    assert router_size.refusal_of({"status": {"conditions": [refused]}}) == "exceeded quota"
    assert router_size.refusal_of({}) == ""


def node(name: str, cpu: str = "4", memory: str = "8Gi", *, ready: str = "True", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"pool": name}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def pod(on: str | None, *requests: tuple[str, str], router: bool = False, **others: Any) -> dict[str, Any]:
    containers = [{"resources": {"requests": {"cpu": cpu, "memory": memory}}} for cpu, memory in requests]
    spec = {"containers": containers, **({"nodeName": on} if on else {}), **others.pop("spec", {})}
    labels = names.labels(names.COMPONENT_ROUTER) if router else {}
    return {"metadata": {"namespace": names.DEFAULT_NAMESPACE, "labels": labels}, "spec": spec, **others}


def test_room_is_what_a_node_can_give_minus_the_requests_of_its_pods() -> None:
    pods = [
        pod("a", ("500m", "512Mi"), router=True),
        pod("a", ("1", "1Gi"), ("250m", "1Gi"), spec={"initContainers": pod(None, ("2", "1Mi"))["spec"]["containers"]}),
        pod("a", ("1", "1Gi"), status={"phase": "Succeeded"}),
        pod("b", ("3900m", "1Gi"), spec={"overhead": {"cpu": "100m"}}),
        pod(None, ("1", "1Gi")),
        pod("elsewhere", ("1", "1Gi")),
        {"metadata": {"namespace": "x"}, "spec": {"nodeName": "a", "containers": [{"name": "without requests"}]}},
    ]
    found = router_size.room(deployment(), [node("a"), node("b")], pods)
    assert found == [Node(1.5, 5.5 * GIB, 1), Node(0.0, 7 * GIB, 0)]


@pytest.mark.parametrize(
    "unusable",
    [
        node("a", ready="False"),
        node("a", unschedulable=True),
        node("a", taints=[{"key": "gpu", "effect": "NoSchedule"}]),
        node("a", taints=[{"key": "gpu", "effect": "NoExecute", "value": "x"}]),
    ],
)
def test_nodes_that_take_no_router_give_no_room(unusable: dict[str, Any]) -> None:
    assert router_size.room(deployment(), [unusable], []) == []


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"operator": "Exists"}, 1),
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, 1),
        ({"key": "gpu", "value": "x"}, 1),
        ({"key": "gpu", "value": "y"}, 0),
        ({"key": "other", "operator": "Exists"}, 0),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, 0),
    ],
)
def test_a_taint_that_the_router_tolerates_leaves_the_room(toleration: dict[str, str], expected: int) -> None:
    found = deployment()
    found["spec"]["template"]["spec"]["tolerations"] = [toleration]
    tainted = node("a", taints=[{"key": "gpu", "value": "x", "effect": "NoSchedule"}])
    assert len(router_size.room(found, [tainted], [])) == expected


def test_only_nodes_that_the_router_selects_give_room() -> None:
    found = deployment()
    found["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "b"}
    assert len(router_size.room(found, [node("a"), node("b")], [])) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100n", 1e-7),
        ("1500m", 1.5),
        (2, 2),
        ("0.5", 0.5),
        ("2k", 2000),
        ("1E", 1e18),
        ("128Ki", 131072),
        ("1.5Gi", 1.5 * GIB),
    ],
)
def test_quantities_of_kubernetes(text: object, expected: float) -> None:
    assert router_size.quantity(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "x", "1Qi", "m"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity|could not convert"):
        router_size.quantity(text)
