"""Clusters as ``az aks show`` knows them: attached ones, those of the kubeconfig, and those of Azure.

A cluster that is not in Azure gets a resource ID of the same form, below the subscription that the workspace notes:
``az ml computetarget attach aks -i ID`` finds it again by that.
"""

from __future__ import annotations

from typing import Any

from mljupyter.core import ComputeTarget, Workspace
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.exceptions import ComputeTargetException
from mljupyter.targets.kubernetes.cluster import ClusterUnreachableError, contexts_of
from mljupyter.targets.kubernetes.providers.azure import ClusterId
from mljupyter.targets.mapped.setting import HOW, aks_place

_TYPE = "Microsoft.ContainerService/ManagedClusters"


def shown_cluster(workspace: Workspace, name: str, resource_group: str | None) -> dict[str, Any]:
    """Return a cluster as a document of Azure: ``id``, ``name``, ``provisioningState`` and so on.

    It is an attached cluster of that name, or a context of the kubeconfig. If the user has mapped AKS targets to
    another target, any name is a cluster: old scripts name clusters that are gone.

    Parameters:
        workspace: the workspace.
        name: the name of a compute target, of a context, or of the cluster in Azure.
        resource_group: its group; by default that of the workspace.

    Raises:
        ComputeTargetException: `ResourceNotFound`: there is none.

    """
    group = resource_group or workspace.resource_group
    for target in _attached(workspace):
        document = target.serialize()
        resource_id = document.get("clusterResourceId")
        if name in (target.name, document.get("context"), resource_id and resource_id.rpartition("/")[2]):
            return _document(
                ClusterId.of(resource_id) if resource_id else ClusterId(workspace.subscription_id, group, name),
                target.provisioning_state,
                attachedAs=target.name,
            )
    if name in _contexts():
        return _document(ClusterId(workspace.subscription_id, group, name), "Succeeded", context=name)
    if (mapped_to := aks_place()) is not None:
        return _document(ClusterId(workspace.subscription_id, group, name), "Succeeded", mappedTo=mapped_to)
    raise ComputeTargetException(
        f"ResourceNotFound: there is no cluster {name!r}: no compute target and no context of the kubeconfig has this "
        "name.\nCompute targets: mljupyter computetarget list. Contexts: kubectl config get-contexts -o name\n"
        f"{HOW}"
    )


def listed_clusters(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the attached clusters as documents of Azure."""
    return [shown_cluster(workspace, target.name, None) for target in _attached(workspace)]


def local_context(workspace: Workspace, resource_id: str) -> str | None:
    """Return the context of the kubeconfig that a resource ID of `shown_cluster` names; None for one of Azure.

    Raises:
        ComputeTargetException: it is not the ID of a cluster.

    """
    place = ClusterId.of(resource_id)
    if place.subscription != workspace.subscription_id:
        return None
    return place.name if place.name in _contexts() else _context_of_attached(workspace, place.name)


def _context_of_attached(workspace: Workspace, name: str) -> str | None:
    for target in _attached(workspace):
        if target.name == name:
            context: str | None = target.serialize().get("context")
            return context
    return None


def _attached(workspace: Workspace) -> list[ClusterCompute]:
    return [target for target in ComputeTarget.list(workspace) if isinstance(target, ClusterCompute)]


def _contexts() -> list[str]:
    try:
        return contexts_of()[1]
    except ClusterUnreachableError:
        return []


def _document(place: ClusterId, state: str, **more: Any) -> dict[str, Any]:
    return {
        "id": place.resource_id,
        "name": place.name,
        "resourceGroup": place.resource_group,
        "provisioningState": state,
        "type": _TYPE,
        **more,
    }
