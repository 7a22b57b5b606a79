"""The state of a replica's pod, read from what the API server says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mljupyter.kubernetes.objects.pod_state import is_fetching, is_serving, not_created, pod_state
from mljupyter.kubernetes.objects.room import Room

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
        (waiting("ImagePullBackOff", "x509: certificate signed by"), "x509", "do not trust", True),
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


@pytest.mark.parametrize(("created", "fatal"), [("2026-01-01T11:59:00Z", False), ("2026-01-01T11:57:00Z", True)])
def test_a_pod_waits_two_minutes_for_a_registry_that_is_away(created: str, fatal: bool) -> None:
    event = {"reason": "Failed", "message": 'Failed to pull image "x": dial tcp 10.0.0.9:5000: connection refused'}
    waits = pod(state=waiting("ImagePullBackOff", "Back-off pulling image"))
    waits["metadata"]["creationTimestamp"] = created
    found = pod_state(waits, now=NOW, events=[event])
    assert found.obstacle is not None
    assert "do not reach the registry" in found.obstacle.message
    assert found.fatal is fatal


@pytest.mark.parametrize(
    ("conditions", "first", "fatal"),
    [
        ((condition("PodScheduled", "True", since="2026-01-01T11:59:00Z"),), None, False),
        (
            (condition("PodScheduled", "True"), condition("Initialized", "True", since="2026-01-01T11:59:00Z")),
            None,
            False,
        ),
        (
            (condition("PodScheduled", "True"), condition("Initialized", "False", since="2026-01-01T11:59:00Z")),
            None,
            True,
        ),
        ((condition("PodScheduled", "True"),), "2026-01-01T11:59:00Z", False),
        ((condition("PodScheduled", "True", since="2026-01-01T11:59:00Z"),), "2026-01-01T11:57:00Z", True),
    ],
)
def test_the_wait_for_a_registry_counts_from_the_first_failure(
    conditions: tuple[dict[str, Any], ...], first: str | None, fatal: bool
) -> None:
    event = {"reason": "Failed", "message": 'Failed to pull image "x": connection refused', "firstTimestamp": first}
    waits = pod(state=waiting("ImagePullBackOff", "Back-off pulling image"), conditions=conditions)
    waits["metadata"]["creationTimestamp"] = "2026-01-01T11:00:00Z"
    assert pod_state(waits, now=NOW, events=[event]).fatal is fatal


@pytest.mark.parametrize(("created", "fatal"), [("2026-01-01T11:59:00Z", False), ("2026-01-01T11:57:00Z", True)])
@pytest.mark.parametrize("said", ['Back-off pulling image "127.0.0.1:9/away:1"', ""])
def test_a_pull_without_a_known_cause_may_be_one_that_passes(created: str, fatal: bool, said: str) -> None:
    waits = pod(state=waiting("ImagePullBackOff", said))
    waits["metadata"]["creationTimestamp"] = created
    assert pod_state(waits, now=NOW).fatal is fatal


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


FPGA = "example.com/fpga"


def unscheduled(message: str, *, since: str = EARLIER) -> dict[str, Any]:
    """Return a pod that no node takes."""
    return pod(conditions=(condition("PodScheduled", "False", "Unschedulable", message, since),))


def room(*, labels: dict[str, str] | None = None, taint: str = "", **allocatable: str) -> Room:
    """Return a cluster with one node, and a right to see all pods."""
    taints = [{"key": taint, "effect": "NoSchedule"}] if taint else []
    capacity = {"cpu": "1", "memory": "4Gi", "pods": "110", **allocatable}
    node = {"metadata": {"name": "edge", "labels": labels or {}}, "spec": {"taints": taints}}
    return Room([node | {"status": {"allocatable": capacity}}], [], complete=True)


@pytest.mark.parametrize(
    ("message", "around", "parts"),
    [
        (
            "0/1 nodes are available: 1 Insufficient cpu.",
            room(),
            ("no node has room", "The node with most cpu, edge, has 1 of 1 free.", "Ask for less (cpu_cores)"),
        ),
        (
            "0/1 nodes are available: 1 Insufficient memory.",
            room(memory="512Mi"),
            ("The node with most memory, edge, has 512Mi of 512Mi free.", "Ask for less (memory_gb)"),
        ),
        (
            f"0/1 nodes are available: 1 Insufficient {FPGA}.",
            room(),
            (f"1 Insufficient {FPGA}", "Ask for less (gpu_cores)"),
        ),
        (
            "0/1 nodes are available: 1 node(s) had taint {gpu: }, that the pod didn't tolerate.",
            room(taint="gpu"),
            ("no node accepts", "all nodes have gpu:NoSchedule", "tolerations"),
        ),
        (
            "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}.",
            room(taint="gpu"),
            ("all nodes have gpu:NoSchedule", "tolerations"),
        ),
        (
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            None,
            ("no node accepts", "node_selector"),
        ),
        (
            'persistentvolumeclaim "data" not found',
            room(),
            ("no node accepts", "kubectl get persistentvolumeclaims"),
        ),
    ],
)
def test_a_pod_without_a_node_names_the_cause_what_fits_and_the_argument_to_change(
    message: str, around: Room | None, parts: tuple[str, ...]
) -> None:
    found = pod_state(unscheduled(message), now=NOW, room=around).obstacle
    assert found is not None
    assert found.code == "Unschedulable"
    for part in (message.rstrip("."), *parts):
        assert part in found.message


def test_a_pod_that_no_node_takes_is_reported_at_once() -> None:
    just_now = "2026-01-01T11:59:59Z"
    for message in ("1 Insufficient cpu", "1 node(s) didn't match Pod's node affinity", "1 node(s) had taint {gpu: }"):
        assert pod_state(unscheduled(message, since=just_now), now=NOW).obstacle is not None


def event(reason: str, message: str, at: str = "2026-01-01T11:59:00Z") -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": at}


@pytest.mark.parametrize(
    "adding",
    [
        event("TriggeredScaleUp", "pod triggered scale-up: [{pool-1 1->2 (max: 5)}]"),
        event("Nominated", "Pod should schedule on: nodeclaim/default-7xkzp"),
        {**event("TriggeredScaleUp", "scale-up"), "lastTimestamp": None, "eventTime": "2026-01-01T11:59:00.123456Z"},
    ],
)
def test_a_pod_that_waits_for_nodes_of_a_cluster_autoscaler_says_so_and_is_not_unschedulable(adding: Any) -> None:
    waiting_pod = unscheduled("0/1 nodes are available: 1 Insufficient cpu.")
    found = pod_state(waiting_pod, now=NOW, events=[adding], room=room()).obstacle
    assert found is not None
    assert found.code == "NodesAreAdded"
    assert adding["message"] in found.message
    assert "wait" in found.message


def test_a_cluster_autoscaler_that_adds_no_node_is_quoted() -> None:
    earlier = event("TriggeredScaleUp", "pod triggered scale-up", "2026-01-01T11:50:00Z")
    refused = event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")
    waiting_pod = unscheduled("0/1 nodes are available: 1 Insufficient cpu.")
    found = pod_state(waiting_pod, now=NOW, events=[refused, earlier]).obstacle
    assert found is not None
    assert found.code == "Unschedulable"
    assert "The cluster's autoscaler adds no node: 1 max node group size reached." in found.message
    assert "by itself, wait" not in found.message


def test_nodes_that_have_not_come_after_a_quarter_of_an_hour_are_not_waited_for() -> None:
    old = event("TriggeredScaleUp", "pod triggered scale-up", "2026-01-01T11:40:00Z")
    found = pod_state(unscheduled("1 Insufficient cpu"), now=NOW, events=[old]).obstacle
    assert found is not None
    assert found.code == "Unschedulable"


def test_a_node_that_kubernetes_has_given_up_is_named_and_its_pod_is_not_ready() -> None:
    gate = condition("mljupyter.io/serving", "True")
    lost = (condition("ContainersReady", "True"), condition("Ready", "False"), gate)
    found = pod_state(pod(phase="Running", state={"running": {}}, conditions=lost), now=NOW)
    assert found.obstacle is not None
    assert found.obstacle.code == "NodeLost"
    assert "node1" in found.obstacle.message
    assert not found.ready
    closed = (condition("ContainersReady", "True"), condition("Ready", "False", "ReadinessGatesNotReady"))
    assert pod_state(pod(phase="Running", state={"running": {}}, conditions=closed), now=NOW).obstacle is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            (
                'pods "mlj-iris" is forbidden: exceeded quota: team, requested: requests.cpu=2, used: requests.cpu=3, '
                "limited: requests.cpu=4"
            ),
            (
                "the quota team of its namespace has no room",
                "requests.cpu=2 was asked for, requests.cpu=3 of requests.cpu=4",
                "kubectl describe resourcequota team",
            ),
        ),
        (
            'pods "mlj-iris" is forbidden: failed quota: team: must specify limits.cpu,limits.memory',
            ("limits.cpu,limits.memory", "cpu_cores_limit, memory_gb_limit"),
        ),
        (
            'pods "mlj-iris" is forbidden: maximum memory usage per Container is 256Mi, but limit is 512Mi',
            ("a LimitRange", "maximum of memory for a container to 256Mi", "Change memory_gb, and memory_gb_limit"),
        ),
        (
            (
                'pods "mlj-iris" is forbidden: [minimum cpu usage per Container is 500m, but request is 100m, maximum '
                "memory usage per Container is 1Gi.  No limit is specified]"
            ),
            ("minimum of cpu for a container to 500m", "Change cpu_cores", "No limit is specified"),
        ),
        (
            'pods "mlj-iris" is forbidden: maximum example.com/fpga usage per Pod is 1, but limit is 2',
            ("maximum of example.com/fpga for a pod to 1", "Change gpu_cores:"),
        ),
        (
            'pods "mlj-iris" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4',
            ("ratio", "closer together"),
        ),
        (
            (
                'Pod "mlj-iris" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be '
                "less than or equal to cpu limit"
            ),
            ("LimitRange", "cpu_cores_limit"),
        ),
        (
            'admission webhook "policy.example.com" denied the request: images must come from registry.example',
            ("images must come from registry.example", "rule of the cluster", "webhook policy.example.com"),
        ),
        (
            (
                'Internal error occurred: failed calling webhook "policy.example.com": Post "https://x": '
                "context deadline exceeded"
            ),
            ("webhook policy.example.com does not answer",),
        ),
        (
            'pods "mlj-iris" is forbidden: pod rejected: RuntimeClass "kata" not found',
            ("kata", "runtime_class", "kubectl get runtimeclasses"),
        ),
        (
            'pods "mlj-iris" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
            ("restricted", "Ask those who run the cluster"),
        ),
        (
            (
                'pods "mlj-iris" is forbidden: error looking up service account ns/mljupyter-replica: serviceaccount '
                '"mljupyter-replica" not found'
            ),
            ("Attach the cluster again",),
        ),
        ('namespaces "team-b" not found', ("team-b", "give the endpoint another namespace")),
        (
            (
                'secrets "mlj-iris" is forbidden: unable to create new content in namespace team-b because it is being '
                "terminated"
            ),
            ("team-b", "give the endpoint another namespace"),
        ),
        (
            (
                'secrets "mlj-iris" is forbidden: User "system:serviceaccount:ns:mljupyter-operator" cannot patch '
                'resource "secrets" in API group "" in the namespace "team-b"'
            ),
            ("team-b", "attach the cluster again"),
        ),
    ],
)
def test_a_pod_that_the_cluster_does_not_create_names_the_rule_and_the_way_out(
    said: str, expected: tuple[str, ...]
) -> None:
    failure = condition("ReplicaFailure", "True", "FailedCreate", said)
    found = not_created({"status": {"conditions": [failure]}})
    assert found is not None
    assert found.code == "ReplicaNotCreated"
    for part in ("the cluster does not create a pod: ", *expected):
        assert part in found.message
    assert found.message.endswith(".")


def test_a_deployment_whose_replica_set_is_refused_says_so() -> None:
    said = "exceeded quota: few, requested: count/replicasets.apps=1, used: 1, limited: 1"
    refused = condition("Progressing", "False", "ReplicaSetCreateError", said)
    found = not_created({"status": {"conditions": [refused]}})
    assert found is not None
    assert "the quota few" in found.message


def test_pods_that_are_created_have_no_problem() -> None:
    fine = [condition("Progressing", "True", "NewReplicaSetAvailable"), condition("ReplicaFailure", "False")]
    assert not_created({"status": {"conditions": fine}}) is None
    assert not_created({}) is None


def fetching(state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a pod whose init container fetches models."""
    fetcher = {"name": "models", "image": IMAGE, "state": state, "lastState": last or {}}
    return pod(state=waiting("PodInitializing"), initContainerStatuses=[fetcher])


def test_the_progress_of_a_download_of_models_is_shown() -> None:
    running = fetching({"running": {}})
    assert is_fetching(running)
    found = pod_state(running, now=NOW, progress="fetching model churn:3, 120 of 800 MB")
    assert found.obstacle is not None
    assert (found.obstacle.code, found.fatal) == ("FetchingModels", False)
    assert found.obstacle.message == "fetching model churn:3, 120 of 800 MB."


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("status", "fatal"), [(64, True), (75, False)])
def test_a_download_of_models_that_failed_says_why(restarted: bool, status: int, fatal: bool) -> None:
    ended = terminated(status, message="model churn:3 is not in the registry registry.example. Deploy again.")
    found = pod_state(fetching(waiting("CrashLoopBackOff"), ended) if restarted else fetching(ended), now=NOW)
    assert found.obstacle is not None
    assert (found.obstacle.code, found.fatal) == ("ModelFetchFailed", fatal)
    assert "model churn:3 is not in the registry registry.example. Deploy again." in found.obstacle.message
    assert ("tried again" in found.obstacle.message) is not fatal


def test_a_mount_that_failed_before_a_download_does_not_hide_how_that_ended() -> None:
    event = {"reason": "FailedMount", "message": "failed to sync secret cache: timed out"}
    found = pod_state(fetching(terminated(64, message="model churn:3 is refused")), now=NOW, events=[event]).obstacle
    assert found is not None
    assert found.code == "ModelFetchFailed"
    waits = pod_state(fetching(waiting("PodInitializing")), now=NOW, events=[event]).obstacle
    assert waits is not None
    assert waits.code == "FailedMount"


def test_a_download_that_used_too_much_memory_says_so() -> None:
    found = pod_state(fetching(terminated(137, "OOMKilled")), now=NOW).obstacle
    assert found is not None
    assert "raise memory_gb_limit" in found.message


def test_an_image_that_cannot_be_pulled_is_told_of_the_download_too() -> None:
    found = pod_state(fetching(waiting("ImagePullBackOff", "Back-off pulling image")), now=NOW)
    assert found.obstacle is not None
    assert (found.obstacle.code, found.fatal) == ("ImagePullBackOff", True)


def test_after_a_download_the_replica_itself_counts() -> None:
    done = {"name": "models", "state": terminated(0, "Completed")}
    found = pod_state(pod(state=waiting("CreateContainerError", "x"), initContainerStatuses=[done]), now=NOW)
    assert found.obstacle is not None
    assert found.obstacle.code == "CreateContainerError"
