"""Removal of what an installation runs: Deployments first, then their pods, so that nothing is made again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mljupyter.kubernetes.objects import names
from mljupyter.targets.kubernetes.cluster import Cluster

PAUSE_SECONDS = 0.5
_SETS_WITHIN_SECONDS = 15.0
_GRACE_SECONDS = 1
_PODS_WITHIN_SECONDS = 60.0

OnLine = Callable[[str], None]


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
    pods = names.pods(namespace)
    for item in list(ours(pods)):
        cluster.delete(f"{pods}/{item['metadata']['name']}", grace=_GRACE_SECONDS)
    # Kubernetes deletes a namespace in growing intervals while it has pods.
    deadline = time.monotonic() + _PODS_WITHIN_SECONDS
    while any(ours(pods)) and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
