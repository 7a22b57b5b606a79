"""All objects of a namespace, to compare those before an installation with those after it."""

from __future__ import annotations

from mljupyter.targets.kubernetes.cluster import Cluster
from mljupyter.targets.kubernetes.removal import collection_paths


def objects(cluster: Cluster, namespace: str) -> set[str]:
    """All objects of a namespace but events and what Kubernetes makes in each, and all of the whole cluster."""
    found = {
        f"{path} {item['metadata']['name']}"
        for path in collection_paths(cluster, namespace)
        if not path.endswith("/events")
        for item in cluster.items(path)
    }
    for kind in ("clusterroles", "clusterrolebindings"):
        items = cluster.items(f"/apis/rbac.authorization.k8s.io/v1/{kind}")
        found |= {f"{kind} {item['metadata']['name']}" for item in items if namespace in item["metadata"]["name"]}
    for item in cluster.items("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"):
        if namespace in item["metadata"]["name"]:
            found.add(f"validatingwebhookconfigurations {item['metadata']['name']}")
    metadata = cluster.get(f"/api/v1/namespaces/{namespace}")["metadata"]
    return found | {f"{key} {metadata.get(key)}" for key in ("labels", "annotations")}
