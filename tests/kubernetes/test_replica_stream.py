"""The stream with which a router agent tells Envoy the replicas of clusters: one message for each change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.files import ConfigurationRefusedError
from mljupyter.controller.router.local_http import LocalHttp
from mljupyter.controller.router.resource_files import RouterSettings, discovery
from mljupyter.controller.router.router import Router
from mljupyter.engine.envoy.resources import replicas
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.kubernetes.router_agent import replica_stream
from mljupyter.kubernetes.router_agent.published import PublishedListening
from mljupyter.kubernetes.router_agent.replica_stream import ReplicaStream
from mljupyter.spec import RequestLimits
from tests.ports import free_port
from tests.waiting import HANG_SECONDS

MANY = 140


class Envoy:
    """A client of the stream that speaks as Envoy does."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix:{socket}")
        method = self._channel.stream_stream(
            f"/{replica_stream.SERVICE}/{replica_stream.METHOD}",
            request_serializer=replica_stream.Request.SerializeToString,
            response_deserializer=replica_stream.Response.FromString,
        )
        self._call = method()

    async def ask(self, *clusters: str, has: dict[str, str] | None = None) -> None:
        await self._say(resource_names_subscribe=clusters, initial_resource_versions=has or {})

    async def next(self) -> Any:
        async with asyncio.timeout(HANG_SECONDS):
            return await self._call.read()

    async def accept(self, message: Any) -> None:
        await self._say(response_nonce=message.nonce)

    async def refuse(self, message: Any, reason: str) -> None:
        await self._say(response_nonce=message.nonce, error_detail={"code": 3, "message": reason})

    async def close(self) -> None:
        self._call.cancel()
        await self._channel.close()

    async def _say(self, **fields: Any) -> None:
        await self._call.write(replica_stream.Request(type_url=replica_stream.REPLICAS, **fields))


def document(cluster: str, *addresses: str) -> dict[str, Any]:
    return discovery([replicas(cluster, addresses)])


ONE, TWO = document("iris.one", "127.0.0.1:5001"), document("iris.one", "127.0.0.1:5001", "127.0.0.2:5001")


@pytest.fixture
async def stream(short_path: Path) -> AsyncIterator[ReplicaStream]:
    stream = ReplicaStream(short_path / "replicas.sock")
    await stream.start()
    yield stream
    await stream.close()


@pytest.fixture
async def envoy(stream: ReplicaStream, short_path: Path) -> AsyncIterator[Envoy]:
    envoy = Envoy(short_path / "replicas.sock")
    yield envoy
    await envoy.close()


async def test_an_envoy_gets_the_replicas_of_the_clusters_that_it_asks_for(stream: ReplicaStream, envoy: Envoy) -> None:
    stream.put("iris.one", ONE)
    await envoy.ask("iris.one")
    message = await envoy.next()
    assert [(one.name, one.version) for one in message.resources] == [("iris.one", ONE["version_info"])]
    assert b"127.0.0.1" in message.resources[0].resource.value


async def test_a_version_is_in_force_once_envoy_has_acknowledged_it(stream: ReplicaStream, envoy: Envoy) -> None:
    stream.put("iris.one", ONE)
    await envoy.ask("iris.one")
    message = await envoy.next()
    assert not stream.has("iris.one", ONE["version_info"])
    await envoy.accept(message)
    await stream.in_force({"iris.one": ONE["version_info"]}, HANG_SECONDS)


async def test_a_change_is_one_message_with_its_cluster_alone(stream: ReplicaStream, envoy: Envoy) -> None:
    others = [f"wine.{number}" for number in range(100)]
    for name in (*others, "iris.one"):
        stream.put(name, document(name, "127.0.0.1:5001"))
    await envoy.ask(*others, "iris.one")
    for _ in (*others, "iris.one"):
        await envoy.accept(await envoy.next())
    await stream.in_force({"iris.one": ONE["version_info"]}, HANG_SECONDS)
    before = stream.sent.total()
    stream.put("iris.one", TWO)
    message = await envoy.next()
    await envoy.accept(message)
    await stream.in_force({"iris.one": TWO["version_info"]}, HANG_SECONDS)
    assert [one.name for one in message.resources] == ["iris.one"]
    assert stream.sent.total() == before + 1


async def test_replicas_that_envoy_refuses_are_told_with_its_reason(stream: ReplicaStream, envoy: Envoy) -> None:
    stream.put("iris.one", ONE)
    await envoy.ask("iris.one")
    await envoy.refuse(await envoy.next(), "malformed address")
    with pytest.raises(ConfigurationRefusedError, match=r"the router refused replicas of iris\.one: malformed address"):
        await stream.in_force({"iris.one": ONE["version_info"]}, HANG_SECONDS)


async def test_an_envoy_that_does_not_follow_is_told_of(stream: ReplicaStream) -> None:
    stream.put("iris.one", ONE)
    with pytest.raises(ControllerError, match=r"the router did not follow a change of replicas: iris\.one"):
        await stream.in_force({"iris.one": ONE["version_info"]}, 0.05)


async def test_a_cluster_that_envoy_has_replaced_gets_its_replicas_again(stream: ReplicaStream, envoy: Envoy) -> None:
    stream.put("iris.one", ONE)
    await envoy.ask("iris.one")
    await envoy.accept(await envoy.next())
    await stream.in_force({"iris.one": ONE["version_info"]}, HANG_SECONDS)
    stream.again(["iris.one"])
    assert not stream.has("iris.one", ONE["version_info"])
    await envoy.accept(await envoy.next())
    await stream.in_force({"iris.one": ONE["version_info"]}, HANG_SECONDS)


async def test_an_envoy_that_connects_again_gets_what_it_asks_for(
    stream: ReplicaStream, envoy: Envoy, short_path: Path
) -> None:
    stream.put("iris.one", ONE)
    await envoy.ask("iris.one")
    await envoy.accept(await envoy.next())
    await envoy.close()
    stream.put("iris.one", TWO)
    later = Envoy(short_path / "replicas.sock")
    await later.ask("iris.one", has={"iris.one": ONE["version_info"]})
    message = await later.next()
    assert message.resources[0].version == TWO["version_info"]
    await later.accept(message)
    await stream.in_force({"iris.one": TWO["version_info"]}, HANG_SECONDS)
    await later.close()


async def test_a_router_has_more_versions_than_a_user_has_inotify_instances(
    stream: ReplicaStream, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mljupyter.controller.router.files._IN_FORCE_WITHIN", HANG_SECONDS)
    monkeypatch.setattr("mljupyter.controller.router.router._READY_WITHIN", HANG_SECONDS)
    (short_path / "router").mkdir()
    settings = RouterSettings(
        short_path / "router", short_path / "admin.sock", free_port(), stream=short_path / "replicas.sock"
    )
    listening = PublishedListening(short_path / "listening.json")
    router = Router(settings, listening, changed=lambda: None, stream=stream)
    await router.start()
    try:
        endpoints = [_endpoint(number, "127.0.0.1:5001") for number in range(MANY)]
        await router.apply(endpoints)
        endpoints[5] = _endpoint(5, "127.0.0.1:5001", "127.0.0.2:5001")
        before = stream.sent.total()
        await router.apply(endpoints)
        assert stream.sent.total() == before + 1
        admin = LocalHttp(str(router.admin_address), HANG_SECONDS)
        _, body = await admin.get("/clusters")
        await admin.close()
        assert {line.partition(b"::")[0] for line in body.splitlines()} >= {
            f"e{number}.one".encode() for number in range(MANY)
        }
        assert b"e5.one::127.0.0.2:5001::" in body
    finally:
        await router.stop()


def _endpoint(number: int, *addresses: str) -> EndpointRoute:
    return EndpointRoute(f"e{number}", (VersionRoute("one", 100, addresses, RequestLimits()),), "one")
