"""Rows of docs/faults.md on an attached cluster about its only router, or the route of an endpoint, being gone.

They run after all other tests of their cluster, since what a node has accepted meanwhile may stay there: see
`_without_router`. For two minutes, the node remembers the ports of clients that came without a router: what they open
next is not sent to a router either.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from mljupyter.kubernetes.objects import names
from mljupyter.spec import EndpointRecord
from tests.conformance.conftest import CLUSTER, until
from tests.fault_table import Fault
from tests.kubernetes.test_cluster_damage import cluster, docker, endpoint, secret  # noqa: F401 - fixtures
from tests.kubernetes.test_cluster_faults import Cluster, settled
from tests.steady_load import REQUESTS_ON, SteadyLoad
from tests.waiting import promised

pytestmark = pytest.mark.system
LEAVES_TRACES = True


@pytest.mark.faults(1, "kill -9 of the only router pod's container")
def test_the_only_router_is_there_again_within_seconds(
    cluster: Cluster,  # noqa: F811
    endpoint: EndpointRecord,  # noqa: F811
    fault: Fault,
) -> None:
    (pod,) = cluster.pods(component=names.COMPONENT_ROUTER)
    _without_router(cluster, endpoint, fault, lambda: docker("kill", cluster.container(pod)))


@pytest.mark.faults(32, "the only router hangs")
def test_a_router_that_hangs_is_said_and_replaced_within_15_seconds(
    cluster: Cluster,  # noqa: F811
    endpoint: EndpointRecord,  # noqa: F811
    fault: Fault,
) -> None:
    (pod,) = cluster.pods(component=names.COMPONENT_ROUTER)
    (pid,) = cluster.processes(pod, "envoy")
    status: list[EndpointRecord] = []

    def act() -> None:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: cluster.site.client.endpoint(endpoint.spec.name).status.problem, "the status says so")
        status.append(cluster.site.client.endpoint(endpoint.spec.name))

    _without_router(cluster, endpoint, fault, act)
    assert status
    assert pid not in cluster.processes(pod, "envoy")


@pytest.mark.faults(33, "Secret of the route deleted")
def test_a_route_that_somebody_deletes_is_published_again(
    cluster: Cluster,  # noqa: F811
    endpoint: EndpointRecord,  # noqa: F811
    fault: Fault,
) -> None:
    path = secret(cluster, names.route_secret(endpoint.spec.name))
    _without_router(cluster, endpoint, fault, lambda: cluster.api.delete(path))


def _without_router(
    cluster: Cluster,  # noqa: F811
    endpoint: EndpointRecord,  # noqa: F811
    fault: Fault,
    act: Callable[[], Any],
) -> None:
    """Let the only router, or its route, go under load; measure how long after it requests that are sent fail.

    In old releases of Kubernetes, kube-proxy listens at the node's port itself, to reserve it. A connection that is
    opened just when the last router pod is removed from the Service is accepted there and never answered. Nothing
    in the cluster can notice that, only the patience of a client ends it.
    """
    key = cluster.site.client.keys(endpoint.spec.name)[0]
    with SteadyLoad(
        str(endpoint.status.scoring_uri),
        key=key,
        requests=REQUESTS_ON[CLUSTER],
        most=1_000_000,
        pause=0.01,
        patience=30,
    ) as load:
        fault.under(load)
        load.runs()
        began = time.monotonic()
        act()
        load.runs()
        last = max((failure.sent for failure in load.failures), default=began)
        fault.recovered(last - began, "until the last request that failed was sent")
    assert last - began < promised(15), load.failures[-3:]
    until(lambda: cluster.ready(component=names.COMPONENT_ROUTER), "the router's node has noticed")
    settled(cluster, endpoint.spec.name, 2)
