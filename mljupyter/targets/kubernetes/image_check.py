"""The check that the nodes of a cluster get an image: a pod with it, which runs no program of the image.

Without it, an image that cannot be pulled is found only when replicas do not start.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Mapping
from typing import Any

from mljupyter.client.errors import ControllerError
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.targets.kubernetes.attached import AttachedCluster
from mljupyter.targets.kubernetes.cluster import Cluster, ClusterError
from mljupyter.targets.kubernetes.preflight import probe_pod
from mljupyter.visible import one_line

PULLED_WITHIN_SECONDS = 300.0
_NO_ROOM_SECONDS = 5.0
_PAUSE_SECONDS = 0.25
PULL_ERRORS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
_MOST_CHARACTERS = 300

_checked: set[tuple[str, str]] = set()


def check_image(cluster: Cluster, attached: AttachedCluster, reference: str) -> None:
    """Check that a node of the cluster has an image or can pull it.

    A cluster without room for the pod, or one that does not admit it, is not the subject: the deployment says so.

    Parameters:
        cluster: the API server.
        attached: the cluster.
        reference: the image.

    Raises:
        ComputeTargetException: it cannot be pulled.

    """
    key = (attached.cluster, reference)
    if key in _checked:
        return
    pod = probe_pod(f"mljupyter-image-{secrets.token_hex(5)}", reference)
    pod["spec"]["serviceAccountName"] = names.REPLICA  # it has the logins of registries
    path = names.pods(attached.namespace)
    try:
        cluster.create(path, pod)
    except ClusterError:
        return  # quota, admission: the operator reports it for the replicas
    place = f"{path}/{pod['metadata']['name']}"
    try:
        problem = _problem(cluster, place)
    finally:
        with contextlib.suppress(ControllerError):
            cluster.delete(place, grace=0)
    if problem is not None:
        raise ComputeTargetException(
            f"the nodes of compute target {attached.name!r} cannot pull the image {reference}: {problem}\n"
            f"{pull_remedy(reference)}"
        )
    _checked.add(key)


def _problem(cluster: Cluster, path: str) -> str | None:
    """Return why the pod's image cannot be pulled; None when it is there, or when that cannot be told."""
    began = time.monotonic()
    while time.monotonic() - began < PULLED_WITHIN_SECONDS:
        found = cluster.find(path)
        status: Mapping[str, Any] = (found or {}).get("status") or {}
        containers = status.get("containerStatuses") or ()
        if found is None:
            return None
        for container in containers:
            state = container.get("state") or {}
            waiting = state.get("waiting") or {}
            if waiting.get("reason") in PULL_ERRORS:
                return f"{waiting['reason']} {one_line(str(waiting.get('message', '')))[:_MOST_CHARACTERS]}".rstrip()
            if not waiting or container.get("imageID") or "Container" not in str(waiting.get("reason")):
                return None
            if waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
                return None  # it has the image, and cannot start its program
        if not containers and time.monotonic() - began > _NO_ROOM_SECONDS and not _is_scheduled(status):
            return None
        time.sleep(_PAUSE_SECONDS)
    return f"it is still being pulled after {PULLED_WITHIN_SECONDS:g} s"


def _is_scheduled(status: Mapping[str, Any]) -> bool:
    return any(one["type"] == "PodScheduled" and one["status"] == "True" for one in status.get("conditions") or ())


def is_of_registry(reference: str) -> bool:
    """Return whether an image is named with the host of a registry; otherwise it is on a Docker engine."""
    host, separator, _ = reference.partition("/")
    return bool(separator) and ("." in host or ":" in host)


def pull_remedy(reference: str) -> str:
    """Return what makes an image available to the nodes."""
    if is_of_registry(reference):
        host = reference.partition("/")[0]
        return (
            f"Nodes must reach {host}, and need its login: run `docker login {host}` here, then attach the cluster "
            "again under its name."
        )
    return (
        "It is on the Docker engine of this machine only. Give the workspace a container registry that nodes reach: "
        "Workspace.create(..., container_registry='HOST:PORT'), or MLJUPYTER_CONTAINER_REGISTRY=HOST:PORT."
    )
