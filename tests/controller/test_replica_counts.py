"""Replicas are asked for their counters; one that has none is not asked all the time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mljupyter.controller.metrics.replica_counts import MOST_AT_A_TIME, ReplicaAsker
from mljupyter.runtimes.base import RunningReplica

COUNTERS = b'{"started": 1, "run_seconds_count": 2, "run_seconds_sum": 0.5, "wait_seconds_sum": 0, "worker_pid": 7}'


class Server:
    """A replica that answers everything with the same text."""

    def __init__(self, body: bytes) -> None:
        self.questions = 0
        self._answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.readline()).strip():
            while (await reader.readline()).strip():
                pass
            self.questions += 1
            writer.write(self._answer)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def replicas(body: bytes, count: int = 1) -> AsyncIterator[tuple[Server, list[RunningReplica]]]:
    server = Server(body)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    yield (
        server,
        [
            RunningReplica(
                id=f"r{number}",
                endpoint="iris",
                version="one",
                revision="1",
                target="team",
                address=f"127.0.0.1:{port}",
                pid=None,
                started_time=0.0,
            )
            for number in range(count)
        ],
    )
    listening.close()


async def test_a_replica_with_counters_is_asked_each_time() -> None:
    async with replicas(COUNTERS) as (server, found):
        asker = ReplicaAsker()
        for _ in range(3):
            assert (await asker.ask(found))["r0"].worker_pid == 7
        assert server.questions == 3
        await asker.keep([])


async def test_a_server_without_counters_is_not_asked_again_at_once() -> None:
    async with replicas(b"hello") as (server, found):
        asker = ReplicaAsker()
        for _ in range(3):
            assert not await asker.ask(found)
        assert server.questions == 1
        await asker.keep([])


async def test_those_with_the_oldest_reading_are_asked_first() -> None:
    async with replicas(COUNTERS, MOST_AT_A_TIME + 3) as (server, found):
        asker = ReplicaAsker()
        first, second = await asker.ask(found), await asker.ask(found)
        assert server.questions == 2 * MOST_AT_A_TIME
        assert set(first) | set(second) == {replica.id for replica in found}
        await asker.keep([])
