"""The address of the router's Service for clients outside the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mljupyter.kubernetes.objects import names


@dataclass(frozen=True)
class RouterAddress:
    """A host and a port. `kind` is ``LoadBalancer``, ``NodePort`` or ``ClusterIP``; the last one leads nowhere outside.

    Parameters:
        host: a name or an IP address.
        port: the port there.
        kind: the kind of the address.

    """

    host: str
    port: int
    kind: str


def external_address(
    service: Mapping[str, Any] | None, nodes: Iterable[Mapping[str, Any]], namespace: str
) -> RouterAddress:
    """Return the address that is nearest to clients outside the cluster.

    Parameters:
        service: the router's Service; None before it is known.
        nodes: the nodes of the cluster, which NodePorts answer on.
        namespace: the namespace of the router.

    Example:
        >>> external_address(None, [], "mljupyter")
        RouterAddress(host='mljupyter-router.mljupyter.svc', port=80, kind='ClusterIP')

    """
    inside = RouterAddress(f"{names.ROUTER}.{namespace}.svc", 80, "ClusterIP")
    if service is None:
        return inside
    balanced = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or ()
    for entry in balanced:
        if host := entry.get("hostname") or entry.get("ip"):
            return RouterAddress(str(host), int(service["spec"]["ports"][0]["port"]), "LoadBalancer")
    port = service["spec"]["ports"][0].get("nodePort")
    host = next((found for found in map(_node_address, nodes) if found is not None), None)
    return RouterAddress(host, int(port), "NodePort") if port and host is not None else inside


def _node_address(node: Mapping[str, Any]) -> str | None:
    """Return the address of a node: an external one if it has one."""
    found = {item["type"]: item["address"] for item in node.get("status", {}).get("addresses") or ()}
    return found.get("ExternalIP") or found.get("InternalIP")
