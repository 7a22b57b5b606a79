"""Detaching a cluster: endpoints first, then everything that an installation has there.

A list of all objects of the namespace, and of ours in the namespaces for endpoints, proves that nothing is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mljupyter.client.errors import ControllerError, EndpointNotFoundError
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import cluster_wide
from mljupyter.kubernetes.objects.place import Place
from mljupyter.kubernetes.objects.publishing import Publishing
from mljupyter.targets.kubernetes.attached import AttachedCluster, forget
from mljupyter.targets.kubernetes.attachment import CREATED_ANNOTATION, LABELLED_ANNOTATION, OnLine
from mljupyter.targets.kubernetes.client import ClusterClient
from mljupyter.targets.kubernetes.cluster import FORBIDDEN, MERGE, NOT_FOUND, Cluster, ClusterError
from mljupyter.targets.kubernetes.created import created_cluster, kubeconfig_file, remember_created
from mljupyter.targets.kubernetes.definition import DEFINITION_PATH
from mljupyter.targets.kubernetes.endpoint_namespaces import (
    delete_in_namespace,
    former_namespaces,
    left_in_namespace,
)
from mljupyter.targets.kubernetes.installation_state import installation_state
from mljupyter.targets.kubernetes.publishing import published_objects
from mljupyter.targets.kubernetes.workloads import PAUSE_SECONDS, delete_workloads

GONE_WITHIN_SECONDS = 120.0
_MOST_NAMED = 10
_LEFT_ALONE = frozenset({"events", "endpoints", "endpointslices", "replicasets", "pods"})
"""Kinds that the cluster removes by itself: with their owners, or after a while."""


def detach(directory: Path, client: ClusterClient, on_line: OnLine = lambda line: None) -> None:
    """Delete the endpoints of a cluster and everything that was installed there, then forget it.

    Parameters:
        directory: the workspace's directory.
        client: the client of the cluster.
        on_line: called with lines of progress.

    Raises:
        ControllerError: the cluster cannot be reached, or refuses.
        ComputeTargetException: something is left after two minutes, with its names.

    """
    attached, cluster = client.attached, client.cluster
    created = _was_created(cluster, attached.namespace)
    others = former_namespaces(cluster, attached.namespace) | set(attached.endpoint_namespaces)
    elsewhere = [Place(namespace, attached.namespace) for namespace in sorted(others)]
    _delete_webhook(cluster, attached.namespace, on_line)
    _delete_endpoints(client, on_line)
    for manifest in published_objects(cluster, attached.namespace, _gateway_namespace(attached)):
        cluster.delete(names.object_path(manifest))
        on_line(f"deleted {manifest['kind']} {manifest['metadata']['name']}")
    _delete_objects(cluster, attached.namespace, elsewhere, on_line)
    if created and (claims := _claims(cluster, attached.namespace)):
        created = False  # the namespace would take the data of its users along
        metadata = {"annotations": {CREATED_ANNOTATION: None}}
        path = f"/api/v1/namespaces/{attached.namespace}"
        cluster.call("PATCH", path, {"metadata": metadata}, content_type=MERGE)
        on_line(
            f"kept Namespace {attached.namespace}: it has the PersistentVolumeClaim {', '.join(claims)}. Delete it "
            f"with its data: kubectl delete namespace {attached.namespace}"
        )
    if created:
        cluster.delete(f"/api/v1/namespaces/{attached.namespace}")
        on_line(f"deleted Namespace {attached.namespace}")
    _delete_kind(cluster, attached.namespace, on_line)
    _wait_until_gone(cluster, attached.namespace, elsewhere, created=created)
    on_line("nothing of mljupyter is left there")
    forget_only(directory, client)


def _gateway_namespace(attached: AttachedCluster) -> str:
    """Return the namespace of the Gateway, in which the operator has a Role; empty without a Gateway."""
    return Publishing.of(attached.publishing).gateway_at(attached.namespace)[0]


def forget_only(directory: Path, client: ClusterClient) -> None:
    """Forget the attachment of a cluster; what is there stays, and so does the record of how it was created."""
    client.close()
    name = client.attached.name
    created = created_cluster(directory, name)
    if created is None:
        kubeconfig_file(directory, name).unlink(missing_ok=True)  # that of Azure, if there is one
    else:
        remember_created(directory, replace(created, detached=True))
    forget(directory, name)


def _delete_webhook(cluster: Cluster, namespace: str, on_line: OnLine) -> None:
    """Delete the webhook configuration before its operators, so that nothing waits for them."""
    path = names.webhook_configuration(namespace)
    if cluster.find(path) is not None:
        cluster.delete(path)
        on_line(f"deleted {path.rpartition('/')[0].rpartition('/')[2]} {names.admission_name(namespace)}")


def endpoint_names(client: ClusterClient) -> list[str]:
    """Return the names of the endpoints in a cluster's namespace, whether or not its operator runs.

    Raises:
        ControllerError: the cluster cannot be reached, or refuses.

    """
    items = client.cluster.items(names.mlendpoints(client.attached.namespace))
    return sorted(str(item["metadata"]["name"]) for item in items)


def _delete_endpoints(client: ClusterClient, on_line: OnLine) -> None:
    """Delete the endpoints: by the operator, which drains them; without an operator, by removing its finalizer."""
    cluster, namespace = client.cluster, client.attached.namespace
    found = endpoint_names(client)
    if found and installation_state(cluster, namespace).ready:
        for name in found:
            try:
                client.delete(name)
            except EndpointNotFoundError:
                pass
            except ControllerError as error:
                on_line(f"endpoint {name}: {error.message.partition(chr(10))[0]}")
                continue
            on_line(f"deleted endpoint {name}")
    for item in cluster.items(names.mlendpoints(namespace)):
        path = f"{names.mlendpoints(namespace)}/{item['metadata']['name']}"
        try:
            cluster.call("PATCH", path, {"metadata": {"finalizers": None}}, content_type=MERGE)
        except ClusterError as error:
            if error.status != NOT_FOUND:
                raise
        cluster.delete(path)
        on_line(f"deleted endpoint {item['metadata']['name']}")


def _delete_objects(cluster: Cluster, namespace: str, elsewhere: Sequence[Place], on_line: OnLine) -> None:
    """Delete the objects of the installation and of its endpoints: workloads first, so that nothing is made again."""
    delete_workloads(cluster, namespace, partial(_ours, cluster), on_line)
    for place in elsewhere:  # without an operator, which would make them again
        delete_in_namespace(cluster, place, on_line)
    for path in collection_paths(cluster, namespace):
        kind = path.rpartition("/")[2]
        if kind in _LEFT_ALONE or kind == names.PLURAL:  # the endpoints are deleted by then
            continue
        for item in _ours(cluster, path):
            cluster.delete(f"{path}/{item['metadata']['name']}")
            on_line(f"deleted {kind} {item['metadata']['name']}")
    for manifest in _cluster_wide(cluster, namespace):
        cluster.delete(names.object_path(manifest))
        on_line(f"deleted {manifest['kind']} {manifest['metadata']['name']}")
    _take_label(cluster, namespace)


def _take_label(cluster: Cluster, namespace: str) -> None:
    """Take away the label of the namespace, where attaching has set it."""
    path = f"/api/v1/namespaces/{namespace}"
    found = cluster.find(path)
    if found is None or LABELLED_ANNOTATION not in (found["metadata"].get("annotations") or {}):
        return
    metadata = {"labels": {names.NAMESPACE_LABEL: None}, "annotations": {LABELLED_ANNOTATION: None}}
    cluster.call("PATCH", path, {"metadata": metadata}, content_type=MERGE)


def _delete_kind(cluster: Cluster, namespace: str, on_line: OnLine) -> None:
    """Delete the custom resource's definition unless another namespace has an installation or endpoints."""
    try:
        services = cluster.items("/api/v1/services", labels=names.selector(component=names.COMPONENT_OPERATOR))
        resources = cluster.items(f"/apis/{names.GROUP}/{names.API_VERSION}/{names.PLURAL}")
        others = {item["metadata"]["namespace"] for item in (*services, *resources)} - {namespace}
        if others:
            on_line(f"kept {names.PLURAL}.{names.GROUP}: used in namespace {', '.join(sorted(others))}")
            return
        if cluster.find(DEFINITION_PATH) is not None:
            cluster.delete(DEFINITION_PATH)
            on_line(f"deleted {names.PLURAL}.{names.GROUP}")
    except ClusterError as error:
        if error.status != FORBIDDEN:
            raise
        on_line(f"kept {names.PLURAL}.{names.GROUP}: the right to look into other namespaces is missing")


def _wait_until_gone(cluster: Cluster, namespace: str, elsewhere: Sequence[Place], *, created: bool) -> None:
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while True:
        if created:
            found = [] if cluster.find(f"/api/v1/namespaces/{namespace}") is None else [f"Namespace {namespace}"]
            found += left_cluster_wide(cluster, namespace)
        else:
            found = left(cluster, namespace)
        found += [item for place in elsewhere for item in left_in_namespace(cluster, place)]
        if not found:
            return
        if time.monotonic() > deadline:
            more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
            raise ComputeTargetException(
                f"after {GONE_WITHIN_SECONDS:g} s the cluster still has {', '.join(found[:_MOST_NAMED])}{more}.\n"
                "Detach again, or look with kubectl what holds them (finalizers)."
            )
        time.sleep(PAUSE_SECONDS)


def left(cluster: Cluster, namespace: str) -> list[str]:
    """Return the objects of an installation that are in a namespace or belong to it, as ``Kind name``."""
    inside = [
        f"{item.get('kind') or path.rpartition('/')[2]} {item['metadata']['name']}"
        for path in collection_paths(cluster, namespace)
        if path.rpartition("/")[2] != "events"
        for item in _ours(cluster, path)
    ]
    return inside + left_cluster_wide(cluster, namespace)


def left_cluster_wide(cluster: Cluster, namespace: str) -> list[str]:
    """Return the objects of an installation that are in no namespace, as ``Kind name``."""
    return [f"{item['kind']} {item['metadata']['name']}" for item in _cluster_wide(cluster, namespace)]


def _cluster_wide(cluster: Cluster, namespace: str) -> list[Mapping[str, Any]]:
    """Return references to the objects of an installation that are in no namespace, and exist."""
    return [item for item in cluster_wide(namespace) if cluster.find(names.object_path(item)) is not None]


def _ours(cluster: Cluster, path: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a kind that belong to an installation: by their label, or by a name that only we use."""
    try:
        items = cluster.items(path)
    except ClusterError:
        return  # a kind that cannot be listed
    for item in items:
        metadata = item["metadata"]
        labelled = (metadata.get("labels") or {}).get(names.PART_OF_LABEL) == "mljupyter"
        if labelled or str(metadata["name"]).startswith(("mljupyter-operator", "mljupyter-router", "mlj-")):
            yield item


def collection_paths(cluster: Cluster, namespace: str) -> list[str]:
    """Return the paths of all kinds of objects that the namespace can have, one version of each."""
    found: dict[str, str] = {}
    groups = cluster.get("/apis")["groups"]
    versions = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
    for version in versions:
        try:
            resources = cluster.get(version).get("resources") or ()
        except ClusterError:
            continue  # an aggregated API that is not available
        for resource in resources:
            name = resource["name"]
            if resource.get("namespaced") and "list" in resource["verbs"] and "delete" in resource["verbs"]:
                found.setdefault(f"{name}.{version}", f"{version}/namespaces/{namespace}/{name}")
    return list(found.values())


def _claims(cluster: Cluster, namespace: str) -> list[str]:
    """Return the names of the PersistentVolumeClaims in a namespace. An installation has none of its own."""
    try:
        items = cluster.items(names.persistent_volume_claims(namespace))
    except ClusterError:  # the right is missing
        return []
    return [str(item["metadata"]["name"]) for item in items]


def _was_created(cluster: Cluster, namespace: str) -> bool:
    found = cluster.find(f"/api/v1/namespaces/{namespace}")
    return found is not None and CREATED_ANNOTATION in (found["metadata"].get("annotations") or {})
