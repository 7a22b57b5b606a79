"""Certificates in Secrets on a real API server: those of the operator, and those of others."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mljupyter.client.errors import CertificateError
from mljupyter.engine.envoy.listener import PublicAddress
from mljupyter.kubernetes.objects import names, publishing
from mljupyter.kubernetes.objects.installation import ServiceType
from mljupyter.kubernetes.objects.publishing import Publishing
from mljupyter.kubernetes.operator.router_address import RouterAddress
from mljupyter.kubernetes.operator.router_surroundings import ClusterSurroundings
from tests.kubernetes.cluster import Cluster, own_namespace
from tests.system.certificates import pem_pair
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system


@dataclass
class Followed:
    cluster: Cluster
    surroundings: ClusterSurroundings
    changed: asyncio.Event

    @property
    def secrets(self) -> str:
        return names.secrets(self.cluster.namespace)

    async def write(self, name: str, kind: str, **data: str) -> None:
        encoded = {entry.replace("_", "."): base64.b64encode(text.encode()).decode() for entry, text in data.items()}
        await self.cluster.api.create(self.secrets, {"metadata": {"name": name}, "type": kind, "data": encoded})

    async def becomes(self, name: str, told: str) -> None:
        """Wait until a Secret cannot be used for a reason."""
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                try:
                    self.surroundings.pair(name)
                except CertificateError as error:
                    if told in error.message:
                        return
                await asyncio.sleep(0.02)


@pytest.fixture
async def followed(request: pytest.FixtureRequest) -> AsyncIterator[Followed]:
    service = getattr(request, "param", ServiceType.CLUSTER_IP)
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as cluster:
        surroundings, changed = ClusterSurroundings(cluster.api, cluster.namespace, service), asyncio.Event()
        running = asyncio.create_task(surroundings.run())
        surroundings.on_change(changed.set)
        async with asyncio.timeout(HANG_SECONDS):
            await surroundings.known()
        yield Followed(cluster, surroundings, changed)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_certificate_is_stored_as_a_secret_for_tls_replaced_and_deleted(followed: Followed) -> None:
    surroundings = followed.surroundings
    for pair in (pem_pair("localhost"), pem_pair("localhost")):
        name = await surroundings.store_pair(*pair)
        assert surroundings.pair(name) == pair, "it is known when the call returns"
    secret = await followed.cluster.api.get(f"{followed.secrets}/{name}")
    assert secret["type"] == "kubernetes.io/tls"
    assert secret["metadata"]["labels"][names.PART_OF_LABEL] == "mljupyter", "detaching finds it"
    await surroundings.forget_pair(name)
    await followed.becomes(name, "has no Secret")


async def test_each_certificate_of_an_endpoint_has_a_secret_of_its_own(followed: Followed) -> None:
    surroundings, pairs = followed.surroundings, (pem_pair("localhost"), pem_pair("localhost"))
    stored = [await surroundings.store_pair(*pair, "iris") for pair in pairs]
    assert sorted(surroundings.stored_pairs) == sorted(stored)
    assert [surroundings.pair(name) for name in stored] == list(pairs), "one that is in use is not replaced"
    await surroundings.store_pair(*pairs[0])
    assert sorted(surroundings.stored_pairs) == sorted(stored), "that of the router is none of an endpoint"
    await surroundings.forget_pair(stored[0])
    await followed.becomes(stored[0], "has no Secret")
    assert surroundings.stored_pairs == stored[1:]


async def test_a_secret_of_somebody_else_is_read_and_never_deleted(followed: Followed) -> None:
    pair = pem_pair("localhost")
    await followed.becomes("scoring-tls", "kubectl --namespace")
    await followed.write("scoring-tls", "kubernetes.io/tls", tls_crt=pair[0], tls_key=pair[1])
    await followed.write("binary", "kubernetes.io/tls", tls_crt="\xff\xfe", tls_key=pair[1])
    await followed.write("passwords", "Opaque", tls_crt=pair[0], tls_key=pair[1])
    await followed.becomes("binary", "tls.crt of Secret 'binary' is not PEM")
    assert followed.surroundings.pair("scoring-tls") == pair
    await followed.becomes("passwords", "has no Secret 'passwords' of the type kubernetes.io/tls")
    await followed.surroundings.forget_pair("scoring-tls")
    assert await followed.cluster.api.get(f"{followed.secrets}/scoring-tls")


async def test_the_addresses_follow_the_service_of_the_router(followed: Followed) -> None:
    inside = f"{names.ROUTER}.{followed.cluster.namespace}.svc"
    assert followed.surroundings.public == PublicAddress(inside, 443)
    ports = [{"name": "http", "port": 80, "targetPort": 8081}, {"name": "https", "port": 443, "targetPort": 8081}]
    path = names.services(followed.cluster.namespace)
    await followed.cluster.api.create(path, {"metadata": {"name": names.ROUTER}, "spec": {"ports": ports}})
    async with asyncio.timeout(HANG_SECONDS):
        await followed.changed.wait()
    service = await followed.cluster.api.get(f"{path}/{names.ROUTER}")
    assert service["spec"]["clusterIP"] in followed.surroundings.hosts
    assert followed.surroundings.public == PublicAddress(inside, 443)
    body = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
    followed.changed.clear()
    await followed.cluster.api.patch(f"{path}/{names.ROUTER}/status", body, kind="merge")
    async with asyncio.timeout(HANG_SECONDS):
        await followed.changed.wait()
    assert followed.surroundings.public == PublicAddress("192.0.2.7", 443)
    assert "192.0.2.7" in followed.surroundings.hosts


@pytest.mark.parametrize("followed", [ServiceType.INGRESS], indirect=True)
async def test_the_address_follows_the_ingress_of_the_router(followed: Followed) -> None:
    surroundings, namespace = followed.surroundings, followed.cluster.namespace
    assert surroundings.is_published
    assert "has no Ingress" in surroundings.way_problem(secure=False)
    path = names.ingresses(namespace)
    followed.changed.clear()
    await followed.cluster.api.create(path, publishing.ingress(Publishing(scoring_host="ml.example.org"), namespace))
    async with asyncio.timeout(HANG_SECONDS):
        while "has taken it" not in surroundings.way_problem(secure=False):
            await followed.changed.wait()
            followed.changed.clear()
    body = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
    await followed.cluster.api.patch(f"{path}/{names.ROUTER}/status", body, kind="merge")
    async with asyncio.timeout(HANG_SECONDS):
        await followed.changed.wait()
    published = surroundings.published
    assert published is not None
    assert published.address == RouterAddress("ml.example.org", 80, "Ingress")
    assert surroundings.way_problem(secure=False) == ""
    assert "TLS of their own" in surroundings.way_problem(secure=True)
    assert surroundings.address(secure=True).kind == "ClusterIP", "TLS of the router does not end at the Ingress"
