"""The namespaces for endpoints of an attached cluster: their checks, which ones are in use, and the removal there.

They belong to the administrator of the cluster. Attaching creates objects in them, and never the namespaces themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import endpoint_namespace_objects
from mljupyter.kubernetes.objects.place import Place, namespaces_of
from mljupyter.targets.base import Finding
from mljupyter.targets.kubernetes.cluster import Cluster, ClusterError
from mljupyter.targets.kubernetes.workloads import OnLine, delete_workloads


def former_namespaces(cluster: Cluster, home: str) -> set[str]:
    """Return the namespaces for endpoints that the present installation in a namespace has; none without one."""
    found = cluster.find(f"{names.deployments(home)}/{names.OPERATOR}")
    containers = found["spec"]["template"]["spec"]["containers"] if found is not None else ()
    variables = {one["name"]: one.get("value") or "" for container in containers for one in container.get("env") or ()}
    return set(namespaces_of(variables.get(names.ENDPOINT_NAMESPACES_VARIABLE, "")))


def endpoints_elsewhere(cluster: Cluster, home: str, allowed: Iterable[str]) -> Iterator[Finding]:
    """Yield a finding for each endpoint that runs in a namespace that is not allowed any more."""
    known = {home, *allowed}
    for item in cluster.items(names.mlendpoints(home)):
        versions: Mapping[str, Any] = (item.get("spec") or {}).get("versions") or {}
        used = {str((one.get("placement") or {}).get("namespace") or home) for one in versions.values()}
        for namespace in sorted(used - known):
            yield Finding(
                "endpoint namespaces",
                "failed",
                f"endpoint {item['metadata']['name']!r} runs in namespace {namespace!r}, which is not among them",
                f"name it (--endpoint-namespace {namespace}); or delete the endpoint or change its namespace first",
            )


def objects_in(cluster: Cluster, place: Place, path: str) -> list[dict[str, Any]]:
    """Return the objects at the path of a kind that an installation has in a namespace for endpoints."""
    (label, value), *_ = place.labels.items()
    try:
        return cluster.items(path, labels=f"{label}={value}")
    except ClusterError:
        return []  # the right is missing, or the namespace is gone


def delete_in_namespace(cluster: Cluster, place: Place, on_line: OnLine) -> None:
    """Delete everything that an installation has in a namespace for endpoints.

    Parameters:
        cluster: the API server.
        place: the namespace, and that of the installation.
        on_line: called with lines of progress.

    """
    delete_workloads(cluster, place.namespace, partial(objects_in, cluster, place), on_line)
    for path in _paths(place):
        for item in objects_in(cluster, place, path):
            cluster.delete(f"{path}/{item['metadata']['name']}")
            on_line(f"deleted {path.rpartition('/')[2]} {item['metadata']['name']} in namespace {place.namespace}")


def left_in_namespace(cluster: Cluster, place: Place) -> list[str]:
    """Return the objects that an installation has in a namespace for endpoints, as ``kinds NAMESPACE/NAME``."""
    paths = [names.deployments(place.namespace), names.pods(place.namespace), *_paths(place)]
    return [
        f"{path.rpartition('/')[2]} {place.namespace}/{item['metadata']['name']}"
        for path in paths
        for item in objects_in(cluster, place, path)
    ]


def _paths(place: Place) -> list[str]:
    """Return the paths of all kinds of objects there, besides those that run."""
    kinds = dict.fromkeys(names.collection_path(manifest) for manifest in endpoint_namespace_objects(place))
    return [names.secrets(place.namespace), *reversed(kinds)]
