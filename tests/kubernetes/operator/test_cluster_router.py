"""Published routes on a real API server: what somebody deletes or changes by hand is published again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mljupyter.controller.layout import Layout, private_directory
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls.listener_manager import ListenerManager
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.kubernetes.api_server.connection import ApiServer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.replicas import ReplicaSettings
from mljupyter.kubernetes.operator.cluster_router import ClusterRouter
from mljupyter.kubernetes.operator.pod_logs import PodLogs
from mljupyter.kubernetes.operator.pod_supervisor import PodSupervisor
from mljupyter.kubernetes.operator.revisions import ReplicaOwners
from mljupyter.kubernetes.operator.router_surroundings import ClusterSurroundings
from mljupyter.spec import RequestLimits
from tests.kubernetes.cluster import own_namespace
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system
ROUTE = EndpointRoute("iris", (VersionRoute("one", 100, (), RequestLimits()),), "one", ("key",))
SECRETS = (names.route_secret("iris"), names.LISTENING_SECRET)


@dataclass
class Published:
    """A router that has published a route."""

    api: ApiServer
    namespace: str
    router: ClusterRouter
    changed: asyncio.Event

    def path(self, secret: str) -> str:
        return f"{names.secrets(self.namespace)}/{secret}"

    async def follow(self) -> None:
        """Publish again whenever the router reports a change, as the reconciler does."""
        while True:
            await self.changed.wait()
            self.changed.clear()
            await self.router.apply([ROUTE])

    async def becomes(self, secret: str, data: dict[str, str]) -> None:
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                found, _ = await self.api.list(names.secrets(self.namespace), fields=f"metadata.name={secret}")
                if found and found[0]["data"] == data:
                    return
                await asyncio.sleep(0.05)


@pytest.fixture
async def published(tmp_path: Path) -> AsyncIterator[Published]:
    layout = Layout.of(tmp_path)
    for directory in (layout.control, layout.tls):
        private_directory(directory, "")
    keeper = ListenerManager(layout, Store(layout.database))
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as cluster:
        api, namespace, changed = cluster.api, cluster.namespace, asyncio.Event()
        owners = ReplicaOwners(namespace, "demo", ReplicaSettings(), b"key", lambda name: None)
        supervisor = PodSupervisor(api, owners, "team", PodLogs(api, namespace, tmp_path), lambda endpoint: None)
        router = ClusterRouter(
            api,
            namespace,
            "secret",
            keeper=keeper,
            surroundings=ClusterSurroundings(api, namespace),
            supervisor=supervisor,
            owner=lambda name: None,
            changed=changed.set,
            withdrawn=lambda name: changed.set(),
        )
        await router.start()
        await router.apply([ROUTE])
        published = Published(api, namespace, router, changed)
        following = asyncio.create_task(published.follow())
        yield published
        following.cancel()
        await router.leave()


@pytest.mark.parametrize("secret", SECRETS)
async def test_a_document_that_was_deleted_is_published_again(published: Published, secret: str) -> None:
    before = await published.api.get(published.path(secret))
    await published.api.delete(published.path(secret))
    await published.becomes(secret, before["data"])


@pytest.mark.parametrize("secret", SECRETS)
async def test_a_document_that_was_changed_is_published_again(published: Published, secret: str) -> None:
    before = await published.api.get(published.path(secret))
    body = {"data": dict.fromkeys(before["data"], "e30=")}
    await published.api.patch(published.path(secret), body, kind="merge", manager="kubectl")
    await published.becomes(secret, before["data"])


async def test_a_route_that_was_withdrawn_stays_away(published: Published) -> None:
    await published.router.apply([])
    found, _ = await published.api.list(names.secrets(published.namespace), labels=names.PUBLISHED_SELECTOR)
    assert [item["metadata"]["name"] for item in found] == [names.LISTENING_SECRET]


async def test_a_changed_route_is_the_work_for_its_endpoint_alone(published: Published) -> None:
    routes = [replace(ROUTE, name=f"e{number}") for number in range(20)]
    await published.router.apply([ROUTE, *routes])
    before = published.router.documents_made
    await published.router.apply([ROUTE, *routes])
    assert published.router.documents_made == before
    routes[3] = replace(routes[3], keys=("another",))
    await published.router.apply([ROUTE, *routes])
    assert published.router.documents_made == before + 1
