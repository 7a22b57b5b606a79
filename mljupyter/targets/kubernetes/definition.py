"""The definition of the custom resource in a cluster. All installations share it, and the last one deletes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from mljupyter.kubernetes.objects import names
from mljupyter.targets.kubernetes.cluster import NOT_FOUND, ClusterError

DEFINITION_PATH = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{names.PLURAL}.{names.GROUP}"


class Definitions(Protocol):
    """The part of `Cluster` that is needed here."""

    def apply(self, path: str, body: Mapping[str, Any], /) -> dict[str, Any]:
        """Create an object or change it."""
        ...

    def find(self, path: str, /) -> dict[str, Any] | None:
        """Return an object, None if there is none."""
        ...

    def get(self, path: str, /) -> dict[str, Any]:
        """Return an object or a list."""
        ...


def define(cluster: Definitions, manifest: Mapping[str, Any], namespace: str) -> str:
    """Apply the definition; return why the API server does not serve custom resources yet, empty if it does.

    To be called until they are served: while a definition is being deleted, it cannot be created again.

    Parameters:
        cluster: the cluster.
        manifest: the definition.
        namespace: the namespace in which custom resources are listed.

    Raises:
        ClusterError: the API server refuses the definition.

    """
    if is_deleted(cluster.apply(DEFINITION_PATH, manifest)):
        return "an earlier definition is being deleted"
    try:
        cluster.get(names.mlendpoints(namespace))
    except ClusterError as error:
        if error.status != NOT_FOUND:
            raise
        return error.message
    return ""


def is_deleted(definition: Mapping[str, Any] | None) -> bool:
    """Return whether a definition is gone, or is going."""
    return definition is None or "deletionTimestamp" in definition["metadata"]
