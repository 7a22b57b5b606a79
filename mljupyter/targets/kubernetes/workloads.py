"""Removal of what an installation runs: Deployments first, then their pods, so that nothing is made again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from mljupyter.kubernetes.objects import names
from mljupyter.targets.kubernetes.cluster import Cluster, ClusterError

PAUSE_SECONDS = 0.5
_SETS_WITHIN_SECONDS = 15.0
_GRACE_SECONDS = 1
_PODS_WITHIN_SECONDS = 60.0
_ENDED_WITHIN = 10.0

OnLine = Callable[[str], None]


class Pods(Protocol):
    """The part of `Cluster` that is needed to delete pods."""

    def find(self, path: str, /) -> dict[str, Any] | None:
        """Return an object, None if there is none."""
        ...

    def delete(self, path: str, /, *, grace: int | None = None) -> None:
        """Delete an object."""
        ...


def delete_workloads(
    cluster: Cluster, namespace: str, ours: Callable[[str], Iterable[Mapping[str, Any]]], on_line: OnLine
) -> None:
    """Delete Deployments, then their pods, which have nothing to finish: no endpoint is left.

    Parameters:
        cluster: the API server.
        namespace: the namespace.
        ours: returns the objects at the path of a kind that belong to the installation.
        on_line: called with lines of progress.

    """
    deployments = names.deployments(namespace)
    for item in list(ours(deployments)):
        cluster.delete(f"{deployments}/{item['metadata']['name']}")
        on_line(f"deleted deployments {item['metadata']['name']}")
    sets = deployments.replace("/deployments", "/replicasets")
    deadline = time.monotonic() + _SETS_WITHIN_SECONDS
    while any(ours(sets)) and time.monotonic() < deadline:  # they would start their pods again
        time.sleep(PAUSE_SECONDS)
    delete_pods(cluster, list(ours(names.pods(namespace))))


def delete_pods(cluster: Pods, pods: Sequence[Mapping[str, Any]], *, ended_within: float = _ENDED_WITHIN) -> None:
    """Delete pods, and wait until they are gone, or for a minute.

    Nodes of Kubernetes 1.20 keep a pod for up to a minute after its containers have ended, and so its namespace. It is
    deleted from the API server then, unless its node does not answer: nobody knows whether it still runs.

    Parameters:
        cluster: the cluster.
        pods: the pods.
        ended_within: the seconds in which a node ends the containers of a pod.

    """
    paths = {f"{names.pods(names.namespace_of(pod))}/{pod['metadata']['name']}": pod for pod in pods}
    for path in paths:
        cluster.delete(path, grace=_GRACE_SECONDS)
    began, forced = time.monotonic(), False
    while time.monotonic() < began + _PODS_WITHIN_SECONDS:
        left = [path for path, pod in paths.items() if _is_there(cluster, path, pod)]
        if not left:
            return
        if not forced and time.monotonic() >= began + ended_within:
            forced = True
            for path in left:
                if _answers(cluster, paths[path]["spec"].get("nodeName")):
                    cluster.delete(path, grace=0)
        time.sleep(PAUSE_SECONDS)


def _is_there(cluster: Pods, path: str, pod: Mapping[str, Any]) -> bool:
    found = cluster.find(path)
    return found is not None and found["metadata"]["uid"] == pod["metadata"]["uid"]


def _answers(cluster: Pods, node: str | None) -> bool:
    """Return whether a node is ready; False when nobody may know."""
    try:
        found = cluster.find(f"{names.nodes()}/{node}") if node else None
    except ClusterError:
        return False
    conditions = (found or {}).get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
