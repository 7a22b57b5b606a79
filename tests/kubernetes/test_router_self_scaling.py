"""What replicas and routers of an attached cluster use: CPU and memory of replicas, and self-scaling of the router.

The Deployment of the router changes under load, and no request fails.

A cluster of the purpose FAST_PROD has at least 12 vCPU. Here the operator of a small cluster gets that purpose, and
thresholds that any load is above or below, by the variables of its Deployment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mljupyter.core.compute import ComputeTarget, KubernetesCompute
from mljupyter.engine.scaling.router_scaler import Size
from mljupyter.exceptions import WebserviceException
from mljupyter.kubernetes.objects import names, router_size
from mljupyter.kubernetes.objects.router_size import Kept
from mljupyter.spec import Authentication, EndpointRecord, RouterStep
from tests.conformance.conftest import CLUSTER, Site, attached_site, score, script, until
from tests.load import Load
from tests.system.targets import build
from tests.testbed import needed
from tests.widgets.test_panels import Recorded

pytestmark = pytest.mark.system
SMALLEST, LARGEST = Size(0.1, 1), Size(0.15, 2)
BOUNDS = {"min_pods": 1, "max_pods": 2, "min_cpu": 0.1, "max_cpu": 0.15, "room_seconds": 5}
EVERYTHING_IS_SLOW = {"routing_ms": 0.001, "up_seconds": 5, "out_seconds": 5, "shrink_seconds": 3600}
HOLDING_MEMORY = 120_000_000
HOLDS_AND_COMPUTES = f"""
import time

def init():
    global kept
    kept = bytearray(b"x" * {HOLDING_MEMORY})

def run(data):
    end = time.process_time() + 0.5
    while time.process_time() < end:
        pass
    return 1
"""
OWN_SERVER = """
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ("/", "/?alive") else 404)
        self.end_headers()

http.server.ThreadingHTTPServer(("", 5001), Handler).serve_forever()
"""
OWN_IMAGE = """
FROM {base}
COPY score.py /score.py
USER 1000
CMD ["python3", "/score.py"]
"""
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
    with Load(str(endpoint.status.scoring_uri), key=key, clients=2, rate=None) as load:
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
    shown = in_panel(routers, endpoint)["router"]
    assert dict(shown["fields"])["Pods"] == "1/1, 0.1 cores each"
    assert "% of the requested cores" in dict(shown["fields"])["CPU"]
    newest = routers.target.router.scaling_history()[-1]
    assert shown["decisions"][0]["words"][::2] == [newest.step, newest.reason]


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


def test_the_memory_of_routers_is_that_of_their_pods(routers: Routers) -> None:
    with pytest.raises(WebserviceException, match="the memory limit of its pods counts"):
        routers.target.router.set_limits(max_memory_mb=512)
    assert routers.target.router.show().spec.limits.max_memory_mb is None


def test_replicas_report_their_cpu_and_memory_and_those_of_an_own_server_stay_unknown(routers: Routers) -> None:
    site = routers.site
    own = {"image": build(OWN_SERVER, OWN_IMAGE)}
    version = {**site.runs(HOLDS_AND_COMPUTES), "limits": {"scoringTimeoutMs": 60_000}}
    record = site.healthy(site.spec("measured", one=version, own=own))
    replicas = {name: status.replicas[0].id for name, status in record.status.versions.items()}

    def memory() -> list[float]:
        return [float(value) for value in site.client.metrics("measured", since=600)["replicas"]["memory_mb"]]

    until(lambda: memory(), "the memory of an idle replica is known")
    assert HOLDING_MEMORY / 1e6 <= memory()[-1] <= 2 * HOLDING_MEMORY / 1e6
    for _ in range(4):
        assert score(record.status.scoring_uri).status_code == 200

    def used() -> dict[str, float]:
        client: Any = site.client
        text = client._transport.ask("GET", "/metrics").body.decode()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = families["mljupyter_replica_cpu_seconds"].samples
        return {one.labels["replica"]: one.value for one in samples if one.labels["endpoint"] == "measured"}

    until(lambda: used().get(replicas["one"], 0.0) >= 2.0, "the CPU time of all four calls is known")
    assert used().keys() == {replicas["one"]}
    measured = site.client.metrics("measured", since=600)
    assert set(measured["replicas"]["replica"]) == {replicas["one"]}
    summary = dict(zip(measured["summary"]["version"], measured["summary"]["memory_mb"], strict=True))
    assert summary["own"] is None
    assert summary["one"] >= HOLDING_MEMORY / 1e6
    shown = {one["version"]: one for one in in_panel(routers, record)["status"]["replicas"]}
    assert (shown["own"]["cpu"], shown["own"]["memory"]) == (None, None)
    assert shown["one"]["memory"] >= HOLDING_MEMORY / 1e6
    site.client.delete("measured")


def in_panel(routers: Routers, record: EndpointRecord) -> dict[str, Any]:
    """Return the first message of a live panel, which has everything."""
    panel = Recorded(routers.site.workspace, record.spec.name)
    panel._received(None, {"kind": "hello"}, None)
    until(panel.ticks, "the panel shows the endpoint")
    panel.close()
    return panel.ticks()[0]


def _placed(steps: list[RouterStep]) -> list[RouterStep]:
    """Return each step once: on a small node, some are taken back for lack of room, and done again."""
    return list(dict.fromkeys(step for step in steps if step is not RouterStep.NO_ROOM))
