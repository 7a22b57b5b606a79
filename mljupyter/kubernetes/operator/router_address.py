"""The addresses of the router's Service: the nearest to clients outside the cluster, and all for certificates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mljupyter.kubernetes.objects import names

_MOST_NODES = 64
"""The number of nodes in a certificate: a larger one slows each handshake."""
_SECURE_PORT = "https"


@dataclass(frozen=True)
class RouterAddress:
    """A host and a port.

    Parameters:
        host: a name or an IP address.
        port: the port there.
        kind: ``LoadBalancer``, ``NodePort``, ``Ingress``, ``HTTPRoute``, or ``ClusterIP``, which leads nowhere outside.
        secure: whether TLS ends there, before the routers.
        path: what stands there before the paths of endpoints, such as ``/ml``.

    """

    host: str
    port: int
    kind: str
    secure: bool = False
    path: str = ""


def external_address(
    service: Mapping[str, Any] | None, nodes: Iterable[Mapping[str, Any]], namespace: str, *, secure: bool = False
) -> RouterAddress:
    """Return the address that is nearest to clients outside the cluster.

    Parameters:
        service: the router's Service; None before it is known.
        nodes: the nodes of the cluster, which NodePorts answer on.
        namespace: the namespace of the router.
        secure: whether the port is that for requests with TLS. On nodes it is the same one: the router tells them
            apart, and a firewall has to let only one port pass.

    Example:
        >>> external_address(None, [], "mljupyter")
        RouterAddress(host='mljupyter-router.mljupyter.svc', port=80, kind='ClusterIP')
        >>> external_address(None, [], "mljupyter", secure=True).port
        443

    """
    inside = RouterAddress(f"{names.ROUTER}.{namespace}.svc", 443 if secure else 80, "ClusterIP")
    if service is None:
        return inside
    if balanced := _balanced(service):
        return RouterAddress(balanced[0], _port(service, secure=secure), "LoadBalancer")
    node_port, addresses = _node_port(service), _node_addresses(nodes)
    if node_port is not None and addresses:
        return RouterAddress(addresses[0], node_port, "NodePort")
    return inside


def certificate_hosts(
    service: Mapping[str, Any] | None, nodes: Iterable[Mapping[str, Any]], namespace: str
) -> tuple[str, ...]:
    """Return the names and addresses of a certificate: all by which clients in and outside the cluster may connect.

    Nodes belong to them as long as clients use the port on nodes.

    Parameters:
        service: the router's Service; None before it is known.
        nodes: the nodes of the cluster.
        namespace: the namespace of the router.

    Example:
        >>> certificate_hosts(None, [], "team")[1:3]
        ('mljupyter-router.team.svc', 'mljupyter-router.team.svc.cluster.local')

    """
    name = f"{names.ROUTER}.{namespace}"
    hosts = [name, f"{name}.svc", f"{name}.svc.cluster.local", names.ROUTER]
    if service is not None:
        spec = service["spec"]
        own = spec.get("clusterIPs") or [spec.get("clusterIP")]
        hosts += [str(address) for address in own if address and address != "None"]
        hosts += [str(address) for address in spec.get("externalIPs") or ()]
        balanced = _balanced(service)
        hosts += balanced
        if not balanced and _node_port(service) is not None:
            hosts += _node_addresses(nodes)[:_MOST_NODES]
    return tuple(dict.fromkeys(hosts))


def _port(service: Mapping[str, Any], *, secure: bool) -> int:
    ports: list[Mapping[str, Any]] = service["spec"]["ports"]
    return int(next((port for port in ports if secure and port.get("name") == _SECURE_PORT), ports[0])["port"])


def _node_port(service: Mapping[str, Any]) -> int | None:
    found = service["spec"]["ports"][0].get("nodePort")
    return int(found) if found else None


def _balanced(service: Mapping[str, Any]) -> list[str]:
    """Return the addresses that a load balancer has given the Service: of each the name, or else the IP address."""
    entries = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or ()
    return [str(host) for entry in entries if (host := entry.get("hostname") or entry.get("ip"))]


def _node_addresses(nodes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return an address of each node, always in the same order: an external one if it has one."""
    ordered = sorted(nodes, key=lambda node: str(node.get("metadata", {}).get("name")))
    items = (node.get("status", {}).get("addresses") or () for node in ordered)
    found = ({item["type"]: item["address"] for item in of_node} for of_node in items)
    addresses = (addresses.get("ExternalIP") or addresses.get("InternalIP") for addresses in found)
    return [str(address) for address in addresses if address]
