"""The state of a replica's pod, with the cause and the way out when it cannot start."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mljupyter.engine.endpoints.status import FETCHING_MODELS, NOT_CREATED, UNSCHEDULABLE
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.replicas import CONTAINER, FETCHER
from mljupyter.kubernetes.objects.room import Room, what_fits
from mljupyter.scoring.fetch.contract import FAILED
from mljupyter.spec import Problem

_MOST_LINES = 20
_KILLED = 137
_SOON_SECONDS = 5
"""The time in which a pod is usually scheduled; an earlier complaint of the scheduler may be about a passing state."""

_LASTING = ("Insufficient", "taint", "affinity", "node selector")
"""Words in complaints of the scheduler that are reported at once."""

_NODES_COME_SECONDS = 900
"""The time in which a cluster autoscaler gives up a node that does not come."""

FETCH_FAILED = "ModelFetchFailed"
"""The code of the problem that models cannot be fetched."""

_REGISTRY_RETURNS_SECONDS = 120
"""The time that a registry may be away before a pod that waits for it is given up; it counts from the first failure."""

_NO_CAUSE = re.compile(r'back-off pulling image "[^"]*"|no reason is given', re.IGNORECASE)
"""The message of a node that waits before it tries again, without the cause of the failure."""

_AWAY = (
    "no such host",
    "timeout",
    "timed out",
    "refused",
    "unreachable",
    "http response",
    "unavailable",
    "bad gateway",
)
"""Words of a node that did not reach the registry. All other answers are those of the registry, and stay."""

_LONGEST = 1000
_MISSING = re.compile(r"Insufficient ([\w./-]*\w)")
_ARGUMENTS = {"cpu": "cpu_cores", "memory": "memory_gb"}
_QUOTA = re.compile(r"exceeded quota: ([^,]+), requested: (.+), used: (.+), limited: (.+)")
_RANGE = re.compile(r"(maximum|minimum) (\S+) usage per (\w+) is (\S+?)(?=[,.]?(?:\s|$))")
_WEBHOOK = re.compile(r'webhook "([^"]+)"')
_UNUSABLE_NAMESPACE = re.compile(
    r'because it is being terminated|namespaces "[^"]+" not found|cannot \w+ resource .* in the namespace "'
)

_NOT_PULLED = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable"})
_FATAL = frozenset({"InvalidImageName", "ImagePullBackOff", "ErrImageNeverPull"})
_BEGUN = frozenset({"PodScheduled", "Initialized"})
_NOT_CONFIGURED = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_MOUNTS = frozenset({"FailedMount", "FailedAttachVolume"})
_ENDED_PHASES = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class PodState:
    """The state of a pod.

    Parameters:
        ready: its containers are ready; the readiness gate does not count.
        ended: it has ended for good.
        deleting: it has been asked to end.
        restarts: how often its container has been restarted.
        exit_status: the exit status of the last run of its container that ended.
        reason: why that run ended; it completes "the replica ...".
        last_lines: the last lines of the log of that run, if it failed.
        obstacle: why it cannot start now, and the way out.
        fatal: the obstacle will not go away by itself.

    """

    ready: bool
    ended: bool
    deleting: bool
    restarts: int = 0
    exit_status: int | None = None
    reason: str | None = None
    last_lines: tuple[str, ...] = ()
    obstacle: Problem | None = None
    fatal: bool = False


def pod_state(
    pod: Mapping[str, Any],
    *,
    now: float,
    events: Sequence[Mapping[str, Any]] = (),
    room: Room | None = None,
    progress: str = "",
) -> PodState:
    """Return the state of a replica's pod.

    Parameters:
        pod: the pod, as the API server returns it.
        now: seconds since the epoch.
        events: events about the pod. They alone tell of volumes that cannot be mounted, and of nodes that are added.
        room: the nodes of the cluster, to say what would fit.
        progress: the last line of the log of its init container, while that fetches models.

    """
    status = pod.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    container = _container(status)
    ended_run = _ended_run(container)
    ended = status.get("phase") in _ENDED_PHASES
    deleting = "deletionTimestamp" in pod["metadata"]
    obstacle: Problem | None = None
    fatal = False
    if not ended and not deleting:
        fetcher = _fetcher(status)
        if fetcher is not None and not _is_lost(conditions):  # before events, which may be of an earlier attempt
            obstacle, fatal = _fetching(fetcher, progress)
        if obstacle is None:
            obstacle, fatal = _obstacle(pod, conditions, container if fetcher is None else fetcher, now, events, room)
    return PodState(
        ready=_is_true(conditions.get("ContainersReady")) and not _is_lost(conditions),
        ended=ended,
        deleting=deleting,
        restarts=int(container.get("restartCount", 0)),
        exit_status=ended_run.get("exitCode"),
        reason=_reason(pod, status, ended_run),
        last_lines=_last_lines(ended_run),
        obstacle=obstacle,
        fatal=fatal,
    )


def is_unschedulable(pod: Mapping[str, Any]) -> bool:
    """Return whether the scheduler has found no node for a pod."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled":
            return bool(condition.get("status") == "False" and condition.get("reason") == UNSCHEDULABLE)
    return False


def is_fetching(pod: Mapping[str, Any]) -> bool:
    """Return whether the init container of a pod fetches models."""
    return "running" in ((_fetcher(pod.get("status") or {}) or {}).get("state") or {})


def _fetcher(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the state of the init container that fetches models; None without one, or when it has succeeded."""
    for item in status.get("initContainerStatuses") or ():
        ended = (item.get("state") or {}).get("terminated")
        if item.get("name") == FETCHER and (ended is None or ended.get("exitCode")):
            return dict(item)
    return None


def _fetching(fetcher: Mapping[str, Any], progress: str) -> tuple[Problem | None, bool]:
    """Return the progress of a download of models, or the reason of its failure, and whether that stays."""
    if "running" in (fetcher.get("state") or {}):
        return Problem(code=FETCHING_MODELS, message=f"{_sentence(progress or 'fetching models')}."), False
    ended = _ended_run(fetcher)
    if not ended.get("exitCode"):
        return None, False
    said = _sentence(ended.get("message"))
    if ended.get("reason") == "OOMKilled":
        said = "it used more memory than the limit of the replica (OOMKilled); raise memory_gb_limit"
    if ended["exitCode"] == FAILED:
        return Problem(code=FETCH_FAILED, message=f"{said}."), True
    return Problem(code=FETCH_FAILED, message=f"models cannot be fetched now, and are tried again: {said}."), False


def _is_true(condition: Mapping[str, Any] | None) -> bool:
    return condition is not None and condition.get("status") == "True"


def _container(status: Mapping[str, Any]) -> Mapping[str, Any]:
    found = [item for item in status.get("containerStatuses") or () if item.get("name") == CONTAINER]
    return found[0] if found else {}


def _ended_run(container: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how the newest run that has ended did so; empty if none has."""
    for state in ("state", "lastState"):
        ended: Mapping[str, Any] | None = (container.get(state) or {}).get("terminated")
        if ended is not None:
            return ended
    return {}


def _last_lines(ended_run: Mapping[str, Any]) -> tuple[str, ...]:
    if not ended_run.get("exitCode"):
        return ()
    return tuple((ended_run.get("message") or "").splitlines()[-_MOST_LINES:])


def _reason(pod: Mapping[str, Any], status: Mapping[str, Any], ended_run: Mapping[str, Any]) -> str | None:
    if status.get("reason") == "Evicted":
        return f"was evicted from its node: {_sentence(status.get('message'))}"
    if status.get("reason") == "NodeLost":
        return f"was lost with its node {_node(pod)}, which does not answer"
    if status.get("reason") in ("Preempting", "Preempted"):
        return "was ended, since a pod with a higher priority needed its place"
    if not ended_run and status.get("reason"):
        return f"was refused by its node: {_sentence(status.get('message'))} ({status['reason']})"
    if ended_run.get("reason") == "OOMKilled":
        limit = _limits(pod).get("memory")
        of = f" of {limit}" if limit else ""
        return f"was killed: it used more memory than its limit{of} (OOMKilled); raise memory_gb or its limit"
    if ended_run.get("exitCode") == _KILLED:
        return "was killed: it did not answer its health checks, or its node had no memory left"
    if ended_run.get("reason") in ("ContainerCannotRun", "StartError"):
        return f"could not run: {_sentence(ended_run.get('message'))}"
    return None


def _obstacle(
    pod: Mapping[str, Any],
    conditions: Mapping[str, Mapping[str, Any]],
    container: Mapping[str, Any],
    now: float,
    events: Sequence[Mapping[str, Any]],
    room: Room | None,
) -> tuple[Problem | None, bool]:
    """Return why a pod cannot start, and whether that needs somebody to act."""
    scheduled = conditions.get("PodScheduled") or {}
    if is_unschedulable(pod):
        return _unschedulable(pod, scheduled, now, events, room), False
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, said = waiting.get("reason"), _sentence(waiting.get("message"))
    image = container.get("image") or _image(pod)
    if reason == "InvalidImageName":
        message = f"{image!r} is not the name of an image: {said}. Correct the version's image and deploy again."
        return Problem(code=reason, message=message), True
    if reason in _NOT_PULLED:
        return _not_pulled(pod, reason, image, said, events, now)
    if reason in _NOT_CONFIGURED:
        return _not_configured(reason, image, said), False
    for event in events:
        if event.get("reason") in _MOUNTS and not container.get("started") and not _is_running(container):
            message = f"a volume cannot be mounted on node {_node(pod)}: {_sentence(event.get('message'))}."
            way_out = "Create what is missing, or correct the version; the pod then starts by itself."
            return Problem(code="FailedMount", message=f"{message} {way_out}"), False
    if _is_lost(conditions):
        message = f"node {_node(pod)} does not answer. The replica is replaced when the cluster gives the node up."
        return Problem(code="NodeLost", message=message), False
    return None, False


def _is_lost(conditions: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether the node of a pod does not answer.

    Kubernetes then says that the pod is not ready, but gives no reason. A node that answers gives one.
    """
    ready = conditions.get("Ready") or {}
    if ready.get("status") == "Unknown" or ready.get("reason") == "NodeLost":
        return True
    return ready.get("status") == "False" and not ready.get("reason") and _is_true(conditions.get("ContainersReady"))


def _is_running(container: Mapping[str, Any]) -> bool:
    return "running" in (container.get("state") or {})


def _unschedulable(
    pod: Mapping[str, Any],
    scheduled: Mapping[str, Any],
    now: float,
    events: Sequence[Mapping[str, Any]],
    room: Room | None,
) -> Problem | None:
    since = _seconds(scheduled.get("lastTransitionTime"))
    text = _sentence(scheduled.get("message"))
    adding, refused = _autoscaling(events, now)
    asked = f"it asks for {', '.join(f'{name} {amount}' for name, amount in _requests(pod).items())}"
    if adding is not None:
        message = f"the cluster adds nodes for a replica ({asked}): {adding}. It starts when they are ready: wait."
        return Problem(code="NodesAreAdded", message=message)
    if since is not None and now - since < _SOON_SECONDS and not any(word in text for word in _LASTING):
        return None
    missing = _MISSING.findall(text)
    fits = what_fits(pod, room, missing) if room is not None else ""
    head = "no node has room for a replica" if missing else "no node accepts a replica"
    if refused is not None:
        fits = f"{fits} The cluster's autoscaler adds no node: {refused}.".strip()
    parts = [f"{head} ({asked}): {text}.", fits, _way_out(text, missing, autoscaled=refused is not None)]
    return Problem(code=UNSCHEDULABLE, message=" ".join(part for part in parts if part))


def _way_out(text: str, missing: Sequence[str], *, autoscaled: bool) -> str:
    if missing:
        arguments = dict.fromkeys(_ARGUMENTS.get(name, "gpu_cores") for name in missing)
        wait = "" if autoscaled else " If the cluster adds nodes by itself, wait."
        return f"Ask for less ({', '.join(arguments)}), remove replicas, or add nodes.{wait}"
    if "persistentvolumeclaim" in text.lower() or "volume" in text.lower():
        return "Its volume cannot be had: kubectl get persistentvolumeclaims shows why."
    return (
        "Correct the version's node selector (node_selector) and tolerations, or the labels and taints of nodes: "
        "kubectl describe nodes."
    )


def _autoscaling(events: Sequence[Mapping[str, Any]], now: float) -> tuple[str | None, str | None]:
    """Return what a cluster autoscaler or Karpenter said last about a pod: nodes that come, or why none does."""
    known = {"TriggeredScaleUp", "NotTriggerScaleUp", "Nominated"}
    found = [(_time_of(event), event) for event in events if event.get("reason") in known]
    if not found:
        return None, None
    time, last = max(found, key=lambda pair: pair[0])
    said = _sentence(last.get("message"))
    if last["reason"] == "NotTriggerScaleUp":
        return None, said.removeprefix("pod didn't trigger scale-up: ").removeprefix("pod didn't trigger scale-up ")
    return (said, None) if now - time < _NODES_COME_SECONDS else (None, None)


def _time_of(event: Mapping[str, Any]) -> float:
    times = ((event.get("series") or {}).get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((seconds for time in times if (seconds := _seconds(time)) is not None), 0.0)


def not_created(deployment: Mapping[str, Any]) -> Problem | None:
    """Return the reason why the pods of a Deployment are not created, and the way out; None when they are."""
    for condition in (deployment.get("status") or {}).get("conditions") or ():
        refused = condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        if refused or condition.get("reason") == "ReplicaSetCreateError":
            said = condition.get("message") or condition.get("reason")
            return Problem(code=NOT_CREATED, message=f"the cluster does not create a pod: {refusal(said)}")
    return None


def not_started(said: str) -> Problem:
    """Return that the Deployment of a revision cannot be created, with the reason in the API server's message."""
    return Problem(code=NOT_CREATED, message=f"no pod can be started: {refusal(said)}")


def refusal(said: str) -> str:
    """Return the reason for which a cluster refuses an object, in sentences that end with the way out.

    Parameters:
        said: the message of the API server.

    """
    text = _sentence(said)
    if (quota := _QUOTA.search(text)) is not None:
        name, wanted, used, most = quota.groups()
        return (
            f"the quota {name} of its namespace has no room: {wanted} was asked for, {used} of {most} is used. "
            "Ask for less, remove replicas, or ask those who run the cluster for more: "
            f"kubectl describe resourcequota {name}."
        )
    if "failed quota" in text and "must specify" in text:
        return f"{text}. Give the limits that the quota counts: cpu_cores_limit, memory_gb_limit."
    if (limits := _RANGE.search(text)) is not None:
        which, name, per, bound = limits.groups()
        argument = _ARGUMENTS.get(name, "gpu_cores")
        limit = f", and {argument}_limit" if argument != "gpu_cores" else ""
        return (
            f"a LimitRange of its namespace sets the {which} of {name} for a {per.lower()} to {bound}: {text}. "
            f"Change {argument}{limit}: kubectl describe limitranges."
        )
    return f"{text}. {_way_out_of_refusal(text)}"


def _way_out_of_refusal(text: str) -> str:
    if _UNUSABLE_NAMESPACE.search(text) is not None:
        return (
            "Create the namespace if it is gone and attach the cluster again, or give the endpoint another namespace."
        )
    if "service account" in text:
        return "Attach the cluster again, which repairs it."
    if "limit to request ratio" in text:
        return "Bring limits and requests closer together: cpu_cores_limit, memory_gb_limit."
    if "less than or equal to" in text and "limit" in text:
        return (
            "A LimitRange of its namespace gives a limit below the request: ask for less, or give a higher limit, "
            "cpu_cores_limit or memory_gb_limit."
        )
    if "RuntimeClass" in text:
        return "Name one that the cluster has in runtime_class: kubectl get runtimeclasses."
    if "PodSecurity" in text or "pod security policy" in text.lower():
        return "Ask those who run the cluster to admit pods of the level restricted in this namespace."
    if (webhook := _WEBHOOK.search(text)) is not None:
        if "denied" in text:
            return f"This is a rule of the cluster: follow it, or ask those who run the webhook {webhook[1]}."
        return f"The webhook {webhook[1]} does not answer: ask those who run the cluster to repair it."
    return "Ask for other resources, or ask those who run the cluster to change its rule."


def _not_pulled(
    pod: Mapping[str, Any], reason: str, image: str, said: str, events: Sequence[Mapping[str, Any]], now: float
) -> tuple[Problem, bool]:
    # The back-off hides the cause; the event of the failed attempt has it.
    failed = [
        event for event in events if event.get("reason") == "Failed" and "ull image" in (event.get("message") or "")
    ]
    cause = _sentence(failed[-1].get("message")) if failed else said
    lowered = cause.lower()
    recent = now - _not_pulled_since(pod, failed) < _REGISTRY_RETURNS_SECONDS
    passing = False
    if any(word in lowered for word in ("unauthorized", "denied", "authentication required", "no basic auth")):
        way_out = "The cluster needs a login for this registry: name a pull Secret when you attach it."
    elif any(word in lowered for word in ("not found", "manifest unknown", "does not exist")):
        way_out = "The registry does not have it: build it again by repeating the deployment, or correct its name."
    elif any(word in lowered for word in _AWAY):
        passing = recent
        way_out = "The nodes do not reach the registry: compare its address and network rules."
    elif "certificate" in lowered or "http response" in lowered:
        way_out = (
            "The nodes do not trust the registry: install its certificate authority on them, or list it as a registry "
            "without TLS."
        )
    else:
        # A busy node sends its events late, or drops them. The cause that is not known yet may be one that passes.
        passing = recent and _NO_CAUSE.fullmatch(cause) is not None
        way_out = "Pull it on a node by hand to see why, or name another image."
    problem = Problem(code=reason, message=f"the nodes cannot pull image {image}: {cause}. {way_out}")
    return problem, reason in _FATAL and not passing


def _not_pulled_since(pod: Mapping[str, Any], failed: Sequence[Mapping[str, Any]]) -> float:
    """Return since when an image has not been pulled, in seconds since the epoch.

    The time before does not count: a pod may wait long for a node, or for its models.
    """
    first = [time for event in failed if (time := _seconds(event.get("firstTimestamp"))) is not None]
    if first:
        return min(first)
    conditions = (pod.get("status") or {}).get("conditions") or ()
    begun = [item.get("lastTransitionTime") for item in conditions if item["type"] in _BEGUN and _is_true(item)]
    times = (_seconds(time) for time in (pod["metadata"].get("creationTimestamp"), *begun))
    return max((time for time in times if time is not None), default=0.0)


def _not_configured(reason: str, image: str, said: str) -> Problem:
    if "run as root" in said or "non-numeric user" in said:
        way_out = "Give the image a numeric USER other than 0."
    elif "not found" in said:
        way_out = "Deploy again, which creates it."
    else:
        way_out = "Correct the version and deploy again."
    return Problem(code=reason, message=f"a container of image {image} cannot be created: {said}. {way_out}")


def _server(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    found = [item for item in (pod.get("spec") or {}).get("containers") or () if item.get("name") == CONTAINER]
    return found[0] if found else {}


def _image(pod: Mapping[str, Any]) -> str:
    return str(_server(pod).get("image") or "")


def _limits(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    return (_server(pod).get("resources") or {}).get("limits") or {}


def _requests(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    return (_server(pod).get("resources") or {}).get("requests") or {}


def _node(pod: Mapping[str, Any]) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "(none)")


def _seconds(time: str | None) -> float | None:
    return datetime.fromisoformat(time).timestamp() if time else None


def _sentence(text: str | None) -> str:
    """Return a message on one line, without a full stop at its end."""
    return re.sub(r"\s+", " ", text or "no reason is given").strip()[:_LONGEST].rstrip(".")


def is_serving(pod: Mapping[str, Any]) -> bool:
    """Return whether the control plane lets a pod get requests: unless it has said no."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == names.SERVING_CONDITION:
            return bool(condition.get("status") != "False")
    return True
