"""The state of a replica's pod, with the cause and the way out when it cannot start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.replicas import CONTAINER
from mljupyter.spec import Problem

_MOST_LINES = 20
_KILLED = 137
_SOON_SECONDS = 10
"""The time in which a pod is usually scheduled; an earlier complaint of the scheduler may be about a passing state."""

_NOT_PULLED = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "RegistryUnavailable"})
_FATAL = frozenset({"InvalidImageName", "ImagePullBackOff", "ErrImageNeverPull"})
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


def pod_state(pod: Mapping[str, Any], *, now: float, events: Iterable[Mapping[str, Any]] = ()) -> PodState:
    """Return the state of a replica's pod.

    Parameters:
        pod: the pod, as the API server returns it.
        now: seconds since the epoch.
        events: events about the pod. They alone tell of volumes that cannot be mounted.

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
        obstacle, fatal = _obstacle(pod, conditions, container, now, events)
    return PodState(
        ready=_is_true(conditions.get("ContainersReady")),
        ended=ended,
        deleting=deleting,
        restarts=int(container.get("restartCount", 0)),
        exit_status=ended_run.get("exitCode"),
        reason=_reason(pod, status, ended_run),
        last_lines=_last_lines(ended_run),
        obstacle=obstacle,
        fatal=fatal,
    )


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
    events: Iterable[Mapping[str, Any]],
) -> tuple[Problem | None, bool]:
    """Return why a pod cannot start, and whether that needs somebody to act."""
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return _unschedulable(pod, scheduled, now), False
    waiting = (container.get("state") or {}).get("waiting") or {}
    reason, said = waiting.get("reason"), _sentence(waiting.get("message"))
    image = container.get("image") or _image(pod)
    if reason == "InvalidImageName":
        message = f"{image!r} is not the name of an image: {said}. Correct the version's image and deploy again."
        return Problem(code=reason, message=message), True
    if reason in _NOT_PULLED:
        return _not_pulled(reason, image, said, events), reason in _FATAL
    if reason in _NOT_CONFIGURED:
        return _not_configured(reason, image, said), False
    for event in events:
        if event.get("reason") in _MOUNTS and not container.get("started") and not _is_running(container):
            message = f"a volume cannot be mounted on node {_node(pod)}: {_sentence(event.get('message'))}."
            way_out = "Create what is missing, or correct the version; the pod then starts by itself."
            return Problem(code="FailedMount", message=f"{message} {way_out}"), False
    if (conditions.get("Ready") or {}).get("reason") == "NodeLost" or _is_unknown(conditions.get("Ready")):
        message = f"node {_node(pod)} does not answer. The replica is replaced when the cluster gives the node up."
        return Problem(code="NodeLost", message=message), False
    return None, False


def _is_unknown(condition: Mapping[str, Any] | None) -> bool:
    return condition is not None and condition.get("status") == "Unknown"


def _is_running(container: Mapping[str, Any]) -> bool:
    return "running" in (container.get("state") or {})


def _unschedulable(pod: Mapping[str, Any], scheduled: Mapping[str, Any], now: float) -> Problem | None:
    since = _seconds(scheduled.get("lastTransitionTime"))
    text = _sentence(scheduled.get("message"))
    if since is not None and now - since < _SOON_SECONDS and "Insufficient" not in text and "taint" not in text:
        return None
    requests = _requests(pod)
    asked = ", ".join(f"{name} {amount}" for name, amount in requests.items())
    way_out = (
        "Ask for less, remove replicas, or add nodes. If the cluster adds nodes by itself, wait."
        if "Insufficient" in text
        else "No node accepts it: compare its node selector and tolerations with the labels and taints of nodes."
    )
    return Problem(
        code="Unschedulable", message=f"no node has room for a replica (it asks for {asked}): {text}. {way_out}"
    )


def _not_pulled(reason: str, image: str, said: str, events: Iterable[Mapping[str, Any]]) -> Problem:
    # The back-off hides the cause; the event of the failed attempt has it.
    causes = [
        _sentence(event.get("message"))
        for event in events
        if event.get("reason") == "Failed" and "ull image" in (event.get("message") or "")
    ]
    cause = causes[-1] if causes else said
    lowered = cause.lower()
    if any(word in lowered for word in ("unauthorized", "denied", "authentication required", "no basic auth")):
        way_out = "The cluster needs a login for this registry: name a pull Secret when you attach it."
    elif any(word in lowered for word in ("not found", "manifest unknown", "does not exist")):
        way_out = "The registry does not have it: build it again by repeating the deployment, or correct its name."
    elif any(word in lowered for word in ("no such host", "timeout", "refused", "certificate", "http response")):
        way_out = "The nodes do not reach the registry: compare its address, network rules and certificate."
    else:
        way_out = "Pull it on a node by hand to see why, or name another image."
    return Problem(code=reason, message=f"the nodes cannot pull image {image}: {cause}. {way_out}")


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
    return re.sub(r"\s+", " ", text or "no reason is given").strip().rstrip(".")


def is_serving(pod: Mapping[str, Any]) -> bool:
    """Return whether the control plane lets a pod get requests: unless it has said no."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == names.SERVING_CONDITION:
            return bool(condition.get("status") != "False")
    return True
