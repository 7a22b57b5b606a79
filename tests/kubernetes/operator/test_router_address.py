"""The address of the router for clients outside the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.kubernetes.operator.router_address import RouterAddress, certificate_hosts, external_address

NODES = [
    {"status": {"addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.1"}]}}
]
PORT = {"port": 80, "targetPort": 8081}


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ({"spec": {"ports": [PORT]}}, RouterAddress("mljupyter-router.team.svc", 80, "ClusterIP")),
        ({"spec": {"ports": [{**PORT, "nodePort": 30080}]}}, RouterAddress("10.0.0.1", 30080, "NodePort")),
        (
            {
                "spec": {"ports": [{**PORT, "nodePort": 30080}]},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}},
            },
            RouterAddress("192.0.2.7", 80, "LoadBalancer"),
        ),
        (
            {"spec": {"ports": [PORT]}, "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}},
            RouterAddress("lb.example", 80, "LoadBalancer"),
        ),
        (
            {"spec": {"ports": [{**PORT, "nodePort": 30080}]}, "status": {"loadBalancer": {}}},
            RouterAddress("10.0.0.1", 30080, "NodePort"),
        ),
    ],
)
def test_the_nearest_address_is_chosen(service: dict[str, Any], expected: RouterAddress) -> None:
    assert external_address(service, NODES, "team") == expected


def test_an_external_address_of_a_node_is_better_than_its_internal_one() -> None:
    node = {"status": {"addresses": [*NODES[0]["status"]["addresses"], {"type": "ExternalIP", "address": "192.0.2.9"}]}}
    service = {"spec": {"ports": [{**PORT, "nodePort": 30080}]}}
    assert external_address(service, [node], "team").host == "192.0.2.9"


PORTS = [{**PORT, "name": "http", "nodePort": 30080}, {"name": "https", "port": 443, "nodePort": 30443}]
INSIDE = {
    "mljupyter-router",
    "mljupyter-router.team",
    "mljupyter-router.team.svc",
    "mljupyter-router.team.svc.cluster.local",
}


def node(name: str, **addresses: str) -> dict[str, Any]:
    found = [{"type": kind, "address": address} for kind, address in addresses.items()]
    return {"metadata": {"name": name}, "status": {"addresses": found}}


def balanced(*entries: dict[str, str]) -> dict[str, Any]:
    return {"spec": {"ports": PORTS, "clusterIP": "10.96.0.7"}, "status": {"loadBalancer": {"ingress": list(entries)}}}


def test_requests_with_tls_use_the_port_https_of_a_load_balancer_and_the_same_port_of_nodes() -> None:
    balancer = balanced({"ip": "192.0.2.7"})
    assert external_address(balancer, NODES, "team", secure=True) == RouterAddress("192.0.2.7", 443, "LoadBalancer")
    on_nodes = {"spec": {"ports": PORTS}}
    assert external_address(on_nodes, NODES, "team", secure=True) == RouterAddress("10.0.0.1", 30080, "NodePort")
    inside = {"spec": {"ports": [PORT]}}
    assert external_address(inside, NODES, "team", secure=True).port == 443


def test_a_certificate_is_for_the_names_of_the_service_and_for_its_addresses() -> None:
    service = {"spec": {"ports": [PORT], "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00::7"]}}
    assert set(certificate_hosts(service, NODES, "team")) == {*INSIDE, "10.96.0.7", "fd00::7"}
    headless = {"spec": {"ports": [PORT], "clusterIP": "None"}}
    assert set(certificate_hosts(headless, NODES, "team")) == INSIDE
    assert set(certificate_hosts(None, NODES, "team")) == INSIDE


def test_a_certificate_is_for_the_load_balancer_and_then_not_for_nodes() -> None:
    balancer = balanced({"ip": "192.0.2.7"}, {"hostname": "lb.example", "ip": "192.0.2.8"})
    assert set(certificate_hosts(balancer, NODES, "team")) == {*INSIDE, "10.96.0.7", "192.0.2.7", "lb.example"}


def test_a_certificate_is_for_the_nodes_whose_ports_clients_use_in_a_stable_order_and_number() -> None:
    service = {"spec": {"ports": PORTS, "clusterIP": "10.96.0.7"}}
    nodes = [node("b", InternalIP="10.0.0.2"), node("a", InternalIP="10.0.0.1", ExternalIP="192.0.2.9"), node("c")]
    found = certificate_hosts(service, nodes, "team")
    assert found[-2:] == ("192.0.2.9", "10.0.0.2")
    assert found == certificate_hosts(service, reversed(nodes), "team")
    many = [node(f"n{number:04}", InternalIP=f"10.1.{number // 250}.{number % 250}") for number in range(1000)]
    limited = certificate_hosts(service, many, "team")
    assert len(limited) == len(INSIDE) + 1 + 64
    assert external_address(service, many, "team").host in limited
