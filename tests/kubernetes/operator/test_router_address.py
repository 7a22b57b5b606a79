"""The address of the router for clients outside the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.kubernetes.operator.router_address import RouterAddress, external_address

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
