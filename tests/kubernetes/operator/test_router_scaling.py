"""The size of the router's Deployment on a real API server: restored, released, and taken back where nothing fits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mljupyter.controller.layout import Layout, private_directory
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls.listener_manager import ListenerManager
from mljupyter.engine.scaling.router_scaler import Size
from mljupyter.kubernetes.api_server.connection import ApiServer
from mljupyter.kubernetes.objects import names, router_size
from mljupyter.kubernetes.objects.replicas import ReplicaSettings
from mljupyter.kubernetes.objects.router_size import ANNOTATION, Kept, size_of
from mljupyter.kubernetes.operator.cluster_router import ClusterRouter
from mljupyter.kubernetes.operator.pod_logs import PodLogs
from mljupyter.kubernetes.operator.pod_supervisor import PodSupervisor
from mljupyter.kubernetes.operator.revisions import ReplicaOwners
from mljupyter.kubernetes.operator.router_scaling import SelfScaler
from mljupyter.kubernetes.operator.router_surroundings import ClusterSurroundings
from mljupyter.spec import RouterScaling, RouterStep
from tests.kubernetes.cluster import own_namespace
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system
HUGE = 200.0  # cores, which no node has
POLICY = RouterScaling(min_pods=1, max_pods=5, min_cpu=0.1, max_cpu=256)


@dataclass
class Scaled:
    """A namespace with a Deployment of the router, whose pods run nothing, and a self-scaler."""

    api: ApiServer
    namespace: str
    router: ClusterRouter

    @property
    def path(self) -> str:
        return f"{names.deployments(self.namespace)}/{names.ROUTER}"

    async def create(self, size: Size, *, kept: Size | None = None) -> None:
        labels = names.labels(names.COMPONENT_ROUTER)
        requests = router_size.cpu_patch(size.cpu)["spec"]["template"]["spec"]["containers"][0]["resources"]
        container = {"name": names.COMPONENT_ROUTER, "image": "nothing", "resources": requests}
        annotations = {} if kept is None else {ANNOTATION: Kept(kept).text()}
        body: dict[str, Any] = {
            "metadata": {"name": names.ROUTER, "labels": labels, "annotations": annotations},
            "spec": {
                "replicas": size.pods,
                "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"automountServiceAccountToken": False, "containers": [container]},
                },
            },
        }
        await self.api.create(names.deployments(self.namespace), body)

    async def deployment(self) -> dict[str, Any]:
        return await self.api.get(self.path)

    async def becomes(self, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Return the Deployment as soon as it satisfies a condition."""
        found: dict[str, Any] = {}

        async def is_so() -> bool:
            found.update(await self.deployment())
            return condition(found)

        await until(is_so, what)
        return found


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(HANG_SECONDS):
            while not await condition():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not so: {what}") from None


@pytest.fixture
async def scaled(tmp_path: Path) -> AsyncIterator[Scaled]:
    layout = Layout.of(tmp_path)
    for directory in (layout.control, layout.tls):
        private_directory(directory, "")
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as cluster:
        api, namespace = cluster.api, cluster.namespace
        owners = ReplicaOwners(namespace, "demo", ReplicaSettings(), b"key", lambda name: None)
        router = ClusterRouter(
            api,
            namespace,
            "secret",
            keeper=ListenerManager(layout, Store(layout.database)),
            surroundings=ClusterSurroundings(api, namespace),
            supervisor=PodSupervisor(api, owners, "team", PodLogs(api, namespace, tmp_path), lambda endpoint: None),
            owner=lambda name: None,
            changed=lambda: None,
            withdrawn=lambda name: None,
        )
        await router.start()
        yield Scaled(api, namespace, router)
        await router.leave()


@asynccontextmanager
async def scaling(scaled: Scaled, policy: RouterScaling | None) -> AsyncIterator[None]:
    running = asyncio.create_task(SelfScaler(scaled.api, scaled.namespace, scaled.router, policy).run())
    try:
        yield
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_size_that_was_applied_or_set_by_hand_is_restored(scaled: Scaled) -> None:
    await scaled.create(Size(0.1, 1), kept=Size(0.2, 2))
    async with scaling(scaled, POLICY):
        found = await scaled.becomes(
            lambda found: size_of(found) == Size(0.2, 2), "another operator's size is restored"
        )
        before = found["metadata"]["generation"]
        await scaled.api.patch(f"{scaled.path}/scale", {"spec": {"replicas": 4}}, kind="merge", manager="kubectl")
        found = await scaled.becomes(
            lambda found: found["metadata"]["generation"] >= before + 2, "the number is changed twice"
        )
        assert size_of(found) == Size(0.2, 2)
        await scaled.api.patch(scaled.path, router_size.cpu_patch(0.5), kind="strategic", manager="kubectl")
        found = await scaled.becomes(
            lambda found: found["metadata"]["generation"] >= before + 4, "the CPU is changed twice"
        )
        assert size_of(found) == Size(0.2, 2)


async def test_a_deployment_that_is_deleted_and_created_again_is_scaled_too(scaled: Scaled) -> None:
    await scaled.create(Size(0.1, 1), kept=Size(0.2, 2))
    async with scaling(scaled, POLICY):
        await scaled.becomes(lambda found: size_of(found) == Size(0.2, 2), "the first one is scaled")
        await scaled.api.delete(scaled.path)
        await scaled.create(Size(0.1, 1), kept=Size(0.1, 3))
        await scaled.becomes(lambda found: size_of(found) == Size(0.1, 3), "the second one is scaled")


async def test_without_self_scaling_the_size_is_that_of_the_deployment(scaled: Scaled) -> None:
    await scaled.create(Size(0.1, 3), kept=Size(0.2, 2))
    async with scaling(scaled, None):
        found = await scaled.becomes(
            lambda found: ANNOTATION not in found["metadata"].get("annotations", {}), "the annotation is gone"
        )
        assert size_of(found) == Size(0.1, 3)

        async def reported() -> bool:
            return scaled.router.size is not None

        await until(reported, "the size is reported")
    size = scaled.router.size
    assert size is not None
    assert (size.pods, size.cpu, size.settings) == (3, 0.1, None)


async def test_a_size_that_self_scaling_gave_becomes_that_of_a_cluster_for_tests(scaled: Scaled) -> None:
    await scaled.create(Size(0.2, 2), kept=Size(0.2, 2))
    async with scaling(scaled, None):
        await scaled.becomes(lambda found: size_of(found) == Size(0.1, 1), "the size is that of the purpose")


async def test_pods_that_find_no_node_take_the_size_back_step_by_step(scaled: Scaled) -> None:
    await scaled.create(Size(HUGE, 2))
    async with scaling(scaled, POLICY):
        await scaled.becomes(lambda found: size_of(found) == Size(HUGE, 1), "there is a pod less")
        await scaled.becomes(lambda found: size_of(found) == Size(HUGE / 2, 1), "the pod requests less")

        async def told() -> bool:
            found, _ = await scaled.api.list(names.events(scaled.namespace))
            return "RouterScalingNoRoom" in {event["reason"] for event in found}

        await until(told, "there is an event")
    size = scaled.router.size
    assert size is not None
    first = size.decisions[0]
    assert (first.step, first.pods_before, first.pods_after) == (RouterStep.NO_ROOM, 2, 1)
    assert first.reason.startswith("the cluster has no room for 2 pods of 200 cores: ")
    kept = router_size.kept_in(await scaled.deployment())
    assert kept is not None
    assert kept.decisions[0] == first


async def test_the_size_is_left_to_an_autoscaler_of_somebody_else(scaled: Scaled) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": names.ROUTER}
    body = {"metadata": {"name": "other"}, "spec": {"scaleTargetRef": target, "maxReplicas": 9}}
    await scaled.api.create(names.horizontal_pod_autoscalers(scaled.namespace), body)
    await scaled.create(Size(HUGE, 2))
    async with scaling(scaled, POLICY):

        async def said() -> bool:
            size = scaled.router.size
            return size is not None and "HorizontalPodAutoscaler 'other'" in size.reason

        await until(said, "the reason names the other one")
        assert size_of(await scaled.deployment()) == Size(HUGE, 2)
