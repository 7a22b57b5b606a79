"""The state of an installation in a cluster: whether its parts run, and the reason if they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.kubernetes.objects import names
from mljupyter.targets.kubernetes.cluster import Cluster
from mljupyter.visible import one_line

_FATAL = ("ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CrashLoopBackOff")
_MOST_CHARACTERS = 300


@dataclass(frozen=True)
class InstallationState:
    """The state of operator and routers, and of the reader of collected data if it is asked for.

    Parameters:
        ready: whether all of them run.
        failed: whether a reason does not go away by itself.
        missing: whether there is no installation.
        text: a phrase for people, such as ``operator 0/1: its pod waits: ImagePullBackOff ...``.

    """

    ready: bool
    failed: bool
    missing: bool
    text: str


def installation_state(cluster: Cluster, namespace: str, *, reader: bool = False) -> InstallationState:
    """Return the state of the installation in a namespace.

    Parameters:
        cluster: the cluster.
        namespace: that of the installation.
        reader: whether the pod that reads collected data counts. Endpoints serve without it.

    Raises:
        ControllerError: the cluster cannot be asked.

    """
    parts = []
    wanted = [(names.COMPONENT_OPERATOR, names.OPERATOR), (names.COMPONENT_ROUTER, names.ROUTER)]
    wanted += [(names.COMPONENT_READER, names.READER)] if reader else []
    for component, name in wanted:
        deployment = cluster.find(f"{names.deployments(namespace)}/{name}")
        if deployment is None:
            return InstallationState(
                False, False, True, f"namespace {namespace!r} has no Deployment {name!r}: it is not installed"
            )
        parts.append(_of(cluster, namespace, component, deployment))
    texts = [part.text for part in parts]
    return InstallationState(
        all(part.ready for part in parts), any(part.failed for part in parts), False, ", ".join(texts)
    )


def _of(cluster: Cluster, namespace: str, component: str, deployment: Mapping[str, Any]) -> InstallationState:
    status = deployment.get("status") or {}
    wanted = int(deployment["spec"].get("replicas", 1))
    current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    ready = int(status.get("readyReplicas", 0))
    updated = int(status.get("updatedReplicas", 0))
    head = f"{component} {ready}/{wanted}"
    if current and ready >= wanted and updated >= wanted and not status.get("unavailableReplicas"):
        return InstallationState(True, False, False, head)
    pods = cluster.items(names.pods(namespace), labels=names.selector(component=component))
    reason, fatal = _reason(pods)
    reason = reason or _of_conditions(status.get("conditions") or ())
    return InstallationState(False, fatal, False, f"{head}: {reason}" if reason else head)


def _reason(pods: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
    """Return why a pod is not ready, and whether that will not change by itself."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True):
        status = pod.get("status") or {}
        for condition in status.get("conditions") or ():
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return f"no node has room for its pod: {_short(condition.get('message'))}", False
        for container in status.get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            reason = str(waiting.get("reason", ""))
            if reason and reason not in ("ContainerCreating", "PodInitializing"):
                return f"its pod waits: {reason} {_short(waiting.get('message'))}".rstrip(), reason in _FATAL
            if "running" in (container.get("state") or {}) and not container.get("ready"):
                return "its pod starts", False
    return ("its pod is being created" if pods else ""), False


def _of_conditions(conditions: Sequence[Mapping[str, Any]]) -> str:
    for condition in conditions:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return _short(condition.get("message"))
    return ""


def _short(text: object) -> str:
    return one_line(str(text or ""))[:_MOST_CHARACTERS]
