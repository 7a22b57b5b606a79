"""The state of a replica's pod, read from what the API server says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mljupyter.kubernetes.objects.pod_state import is_serving, pod_state

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC).timestamp()
EARLIER = "2026-01-01T11:00:00Z"
IMAGE = "registry.example/iris:1"


def pod(
    *,
    phase: str = "Pending",
    state: dict[str, Any] | None = None,
    last: dict[str, Any] | None = None,
    restarts: int = 0,
    conditions: tuple[dict[str, Any], ...] = (),
    limits: dict[str, str] | None = None,
    deleted: bool = False,
    **status: Any,
) -> dict[str, Any]:
    resources = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": limits or {}}
    container = {"name": "server", "image": IMAGE, "restartCount": restarts, "state": state, "lastState": last or {}}
    return {
        "metadata": {"name": "iris-1", **({"deletionTimestamp": EARLIER} if deleted else {})},
        "spec": {"nodeName": "node1", "containers": [{"name": "server", "image": IMAGE, "resources": resources}]},
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "containerStatuses": [container] if state is not None else [],
            **status,
        },
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def terminated(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def condition(kind: str, status: str, reason: str = "", message: str = "", since: str = EARLIER) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def test_a_new_pod_is_neither_ready_nor_ended_and_has_no_obstacle() -> None:
    found = pod_state({"metadata": {"name": "iris-1"}, "spec": {}, "status": {"phase": "Pending"}}, now=NOW)
    assert not (found.ready or found.ended or found.deleting or found.fatal)
    assert (found.obstacle, found.reason, found.exit_status, found.restarts) == (None, None, None, 0)


def test_a_pod_is_ready_with_its_containers_whatever_its_readiness_gate_says() -> None:
    conditions = (condition("ContainersReady", "True"), condition("Ready", "False", "ReadinessGatesNotReady"))
    assert pod_state(pod(phase="Running", state={"running": {}}, conditions=conditions), now=NOW).ready


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_has_ended_when_its_phase_says_so(phase: str) -> None:
    assert pod_state(pod(phase=phase, state=terminated(1)), now=NOW).ended


def test_a_pod_that_is_being_deleted_has_no_obstacle() -> None:
    found = pod_state(pod(state=waiting("ImagePullBackOff"), deleted=True), now=NOW)
    assert found.deleting
    assert found.obstacle is None


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("0/1 nodes are available: 1 Insufficient cpu.", "Ask for less"),
        ("0/3 nodes are available: 3 node(s) didn't match node selector.", "node selector"),
    ],
)
def test_a_pod_without_a_node_says_what_it_asks_for_and_the_words_of_the_scheduler(message: str, remedy: str) -> None:
    unscheduled = condition("PodScheduled", "False", "Unschedulable", message)
    found = pod_state(pod(conditions=(unscheduled,)), now=NOW)
    assert found.obstacle is not None
    assert found.obstacle.code == "Unschedulable"
    assert message.rstrip(".") in found.obstacle.message
    assert "cpu 2, memory 1Gi" in found.obstacle.message
    assert remedy in found.obstacle.message
    assert not found.fatal


def test_a_complaint_of_the_scheduler_that_may_pass_is_not_reported_at_once() -> None:
    late = condition("PodScheduled", "False", "Unschedulable", "no nodes available", "2026-01-01T11:59:58Z")
    assert pod_state(pod(conditions=(late,)), now=NOW).obstacle is None


@pytest.mark.parametrize(
    ("state", "part", "remedy", "fatal"),
    [
        (waiting("ErrImagePull", "manifest unknown"), "manifest unknown", "build it again", False),
        (waiting("ImagePullBackOff", "unauthorized"), "unauthorized", "pull Secret", True),
        (waiting("ErrImagePull", "dial tcp: no such host"), "no such host", "do not reach", False),
        (waiting("InvalidImageName", "couldn't parse"), "couldn't parse", "Correct", True),
        (
            waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
            "run as root",
            "numeric USER",
            False,
        ),
        (waiting("CreateContainerConfigError", 'secret "mlj-iris" not found'), "mlj-iris", "Deploy again", False),
    ],
)
def test_a_container_that_cannot_be_created_says_why_and_the_way_out(
    state: dict[str, Any], part: str, remedy: str, fatal: bool
) -> None:
    found = pod_state(pod(state=state), now=NOW)
    assert found.obstacle is not None
    assert found.obstacle.code == state["waiting"]["reason"]
    assert part in found.obstacle.message
    assert remedy in found.obstacle.message
    assert IMAGE in found.obstacle.message
    assert found.fatal is fatal


def test_the_cause_of_a_failed_pull_is_found_in_the_events_while_the_node_waits() -> None:
    event = {"reason": "Failed", "message": 'Failed to pull image "x": no basic auth credentials'}
    found = pod_state(pod(state=waiting("ImagePullBackOff", "Back-off pulling image")), now=NOW, events=[event])
    assert found.obstacle is not None
    assert "no basic auth credentials" in found.obstacle.message
    assert "pull Secret" in found.obstacle.message


def test_a_volume_that_cannot_be_mounted_is_found_in_the_events() -> None:
    event = {"reason": "FailedMount", "message": 'MountVolume.SetUp failed: secret "x" not found'}
    found = pod_state(pod(state=waiting("ContainerCreating")), now=NOW, events=[event])
    assert found.obstacle is not None
    assert found.obstacle.code == "FailedMount"
    running = pod(phase="Running", state={"running": {}})
    assert pod_state(running, now=NOW, events=[event]).obstacle is None


def test_a_container_that_needs_too_much_memory_says_its_limit() -> None:
    found = pod_state(
        pod(
            phase="Running",
            state=waiting("CrashLoopBackOff"),
            last=terminated(137, "OOMKilled"),
            restarts=3,
            limits={"memory": "512Mi"},
        ),
        now=NOW,
    )
    assert found.reason == (
        "was killed: it used more memory than its limit of 512Mi (OOMKilled); raise memory_gb or its limit"
    )
    assert (found.exit_status, found.restarts) == (137, 3)


def test_a_container_that_failed_has_its_exit_status_and_the_last_lines_of_its_log() -> None:
    found = pod_state(pod(state=waiting("CrashLoopBackOff"), last=terminated(3, "Error", "one\ntwo\n")), now=NOW)
    assert (found.exit_status, found.reason, found.last_lines) == (3, None, ("one", "two"))
    assert found.obstacle is None


def test_an_evicted_pod_says_why() -> None:
    found = pod_state(pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."), now=NOW)
    assert found.ended
    assert found.reason == "was evicted from its node: The node was low on resource: memory"


def test_a_node_that_does_not_answer_is_named() -> None:
    found = pod_state(pod(phase="Running", state={"running": {}}, conditions=(condition("Ready", "Unknown"),)), now=NOW)
    assert found.obstacle is not None
    assert found.obstacle.code == "NodeLost"
    assert "node1" in found.obstacle.message


@pytest.mark.parametrize(("status", "expected"), [("True", True), ("False", False), (None, True)])
def test_a_pod_gets_requests_unless_the_control_plane_has_said_no(status: str | None, expected: bool) -> None:
    conditions = () if status is None else (condition("mljupyter.io/serving", status),)
    assert is_serving(pod(conditions=conditions)) is expected
