"""The self-scaling of the router on an attached cluster: its Deployment changes under load, and no request fails.

A cluster of the purpose FAST_PROD has at least 12 vCPU. Here the operator of a small cluster gets that purpose, and
thresholds that any load is above or below, by the variables of its Deployment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mljupyter.core.compute import ComputeTarget, KubernetesCompute
from mljupyter.engine.scaling.router_scaler import Size
from mljupyter.kubernetes.objects import names, router_size
from mljupyter.kubernetes.objects.router_size import Kept
from mljupyter.spec import Authentication, EndpointRecord, RouterStep
from tests.conformance.conftest import CLUSTER, Site, attached_site, script, until
from tests.load import Load
from tests.testbed import needed

pytestmark = pytest.mark.system
SMALLEST, LARGEST = Size(0.1, 1), Size(0.15, 2)
BOUNDS = {"min_pods": 1, "max_pods": 2, "min_cpu": 0.1, "max_cpu": 0.15, "room_seconds": 5}
EVERYTHING_IS_SLOW = {"routing_ms": 0.001, "up_seconds": 5, "out_seconds": 5, "shrink_seconds": 3600}
NOTHING_IS_SLOW = {"routing_ms": 60_000, "shrink_seconds": 5, "down_utilization": 45, "in_utilization": 45}


class Routers:
    """The routers of an attached cluster, and what an administrator does with them."""

    def __init__(self, site: Site) -> None:
        client: Any = site.client
        self.site = site
        self.api = client.cluster
        self.namespace = str(client.attached.namespace)

    @property
    def target(self) -> Any:
        return ComputeTarget(self.site.workspace, CLUSTER)

    def deployment(self, name: str = names.ROUTER) -> dict[str, Any]:
        return dict(self.api.get(f"{names.deployments(self.namespace)}/{name}"))

    def size(self) -> Size:
        return router_size.size_of(self.deployment())

    def patch(self, name: str, body: dict[str, Any], kind: str = "strategic-merge-patch") -> None:
        path = f"{names.deployments(self.namespace)}/{name}"
        self.api.call("PATCH", path, body, content_type=f"application/{kind}+json")

    def configure(self, purpose: str, **settings: float) -> None:
        """Give the operator a purpose and settings, and wait until it has them."""
        values = {names.PURPOSE_VARIABLE: purpose}
        values |= {names.ROUTER_SETTING + name.upper(): str(value) for name, value in settings.items()}
        env = [{"name": name, "value": value} for name, value in values.items()]
        container = {"name": names.COMPONENT_OPERATOR, "env": env}
        self.patch(names.OPERATOR, {"spec": {"template": {"spec": {"containers": [container]}}}})
        until(lambda: router_size.is_settled(self.deployment(names.OPERATOR)), "the operator has its settings")

    def becomes(self, size: Size) -> None:
        """Wait until the Deployment has a size, and all pods are ready."""
        until(lambda: self.size() == size and router_size.is_settled(self.deployment()), f"the router has {size}")

    def gets(self, size: Size) -> None:
        """Ask for a size as the operator keeps it, and wait until the Deployment has it, and all pods are ready.

        The operator takes a pod back that finds no node: on a small one, those of other tests may fill it for a while.
        """

        def has_it() -> bool:
            if self.size() != size:
                self.patch(names.ROUTER, Kept(size).annotated(), "merge-patch")
                return False
            return router_size.is_settled(self.deployment())

        until(has_it, f"the router has {size}")

    def steps(self) -> list[RouterStep]:
        return [decision.step for decision in self.target.router.scaling_history()]

    def events(self) -> set[str]:
        found = self.api.items(names.events(self.namespace))
        return {str(event["reason"]) for event in found if event["involvedObject"]["name"] == names.ROUTER}


@pytest.fixture(scope="module")
def routers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routers]:
    with attached_site("selfscaling", tmp_path_factory) as site:
        yield Routers(site)


@pytest.fixture(scope="module")
def endpoint(routers: Routers) -> EndpointRecord:
    version = {**routers.site.runs(script("one")), "limits": {"maxConcurrentRequests": 16, "maxQueueWaitMs": 20_000}}
    spec = routers.site.spec("steady", one=version)
    return routers.site.healthy(spec.model_copy(update={"authentication": Authentication.KEY}))


def test_under_load_pods_get_larger_then_more_without_it_smaller_then_fewer(
    routers: Routers, endpoint: EndpointRecord
) -> None:
    key = routers.site.client.keys(endpoint.spec.name)[0]
    with Load(str(endpoint.status.scoring_uri), key=key, clients=2, limit=1_000_000) as load:
        routers.configure("FastProd", **BOUNDS, **EVERYTHING_IS_SLOW)
        routers.becomes(LARGEST)
        grown = routers.steps()
        routers.configure("FastProd", **BOUNDS, **NOTHING_IS_SLOW)
        sent = load.sent
        until(lambda: load.sent > sent + 100, "the load goes on")
    assert load.failed == 0, (load.results, load.refusals)
    assert _placed(grown) == [RouterStep.UP, RouterStep.OUT]
    for step in (RouterStep.DOWN, RouterStep.IN):
        until(lambda step=step: step in routers.steps(), f"the step {step}")
    routers.becomes(SMALLEST)
    assert _placed(routers.steps())[-2:] == [RouterStep.DOWN, RouterStep.IN]
    assert {"RouterScalingUp", "RouterScalingOut", "RouterScalingDown", "RouterScalingIn"} <= routers.events()
    until(lambda: routers.target.router.show().size.utilization is not None, "the load is measured")
    until(lambda: routers.target.router.show().size.ready == 1, "the other pods end")
    size = routers.target.router.show().size
    assert (size.pods, size.cpu) == (1, 0.1)
    assert size.utilization > 0


def test_a_size_that_somebody_changes_is_restored(routers: Routers) -> None:
    routers.configure("FastProd", **BOUNDS, routing_ms=60_000, shrink_seconds=3600)
    routers.becomes(SMALLEST)
    body = {"spec": {"replicas": 2}}
    generation = routers.deployment()["metadata"]["generation"]
    routers.patch(names.ROUTER, body, "merge-patch")
    until(lambda: routers.deployment()["metadata"]["generation"] >= generation + 2, "it is changed back")
    routers.becomes(SMALLEST)


def test_an_attachment_again_keeps_the_size_of_a_production_cluster_only(routers: Routers) -> None:
    routers.configure("FastProd", **BOUNDS, routing_ms=60_000, shrink_seconds=3600)
    routers.gets(Size(0.1, 2))
    configuration = KubernetesCompute.attach_configuration(
        kubeconfig=needed("TESTBED_KUBECONFIG"), namespace=routers.namespace, cluster_purpose="DevTest"
    )
    ComputeTarget.attach(routers.site.workspace, CLUSTER, configuration).wait_for_completion()
    until(lambda: router_size.kept_in(routers.deployment()) is None, "the size is that of the Deployment")
    routers.becomes(Size(0.1, 1))
    size = routers.target.router.show().size
    assert size.settings is None


def _placed(steps: list[RouterStep]) -> list[RouterStep]:
    """Return each step once: on a small node, some are taken back for lack of room, and done again."""
    return list(dict.fromkeys(step for step in steps if step is not RouterStep.NO_ROOM))
