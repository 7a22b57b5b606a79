"""Replicas are asked for their counters and their usage; one that has none is not asked all the time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mljupyter.controller.metrics import replica_counts
from mljupyter.controller.metrics.replica_counts import MOST_AT_A_TIME, ReplicaAsker
from mljupyter.runtimes.base import RunningReplica, Usage

COUNTERS = b'{"started": 1, "run_seconds_count": 2, "run_seconds_sum": 0.5, "wait_seconds_sum": 0, "worker_pid": 7}'


class Server:
    """A replica that answers everything with the same text."""

    def __init__(self, body: bytes) -> None:
        self.asked: list[str] = []
        self._answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := (await reader.readline()).decode().strip():
            while (await reader.readline()).strip():
                pass
            self.asked.append(line.split()[1])
            writer.write(self._answer)
            await writer.drain()
        writer.close()

    @property
    def questions(self) -> int:
        return len(self.asked)


@asynccontextmanager
async def replicas(
    body: bytes, count: int = 1, *, measures_itself: bool = False
) -> AsyncIterator[tuple[Server, list[RunningReplica]]]:
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
                measures_itself=measures_itself,
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


async def test_streamed_answers_are_counted_if_a_replica_knows_them() -> None:
    told = json.dumps({**json.loads(COUNTERS), "streamed": 3, "first_piece_seconds_sum": 0.25}).encode()
    for answer, expected in ((told, (3, 250_000)), (COUNTERS, (0, 0))):
        async with replicas(answer) as (_, found):
            asker = ReplicaAsker()
            counts = (await asker.ask(found))["r0"].counts
            assert (counts.streamed, counts.first_byte_microseconds) == expected
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


def with_usage(usage: object) -> bytes:
    return json.dumps({**json.loads(COUNTERS), "usage": usage}).encode()


async def test_only_a_replica_that_measures_itself_is_asked_for_its_usage() -> None:
    answer = with_usage({"cpu_seconds": 1.5, "memory_bytes": 2000})
    async with replicas(answer, measures_itself=True) as (server, found):
        asker = ReplicaAsker()
        assert (await asker.ask(found))["r0"].usage == Usage(1.5, 2000)
        assert server.asked == ["/-/state?usage"]
        await asker.keep([])
    async with replicas(COUNTERS) as (server, found):
        asker = ReplicaAsker()
        assert (await asker.ask(found))["r0"].usage is None
        assert server.asked == ["/-/state"]
        await asker.keep([])


@pytest.mark.parametrize(
    "usage",
    [
        None,
        1,
        [],
        {},
        {"cpu_seconds": 1},
        {"cpu_seconds": -1, "memory_bytes": 1},
        {"cpu_seconds": 1, "memory_bytes": -1},
        {"cpu_seconds": "x", "memory_bytes": 1},
        {"cpu_seconds": float("nan"), "memory_bytes": 1},
        {"cpu_seconds": 1, "memory_bytes": 2**70},
    ],
)
async def test_an_invalid_usage_is_unknown_and_the_counters_count(usage: object) -> None:
    async with replicas(with_usage(usage), measures_itself=True) as (_, found):
        asker = ReplicaAsker()
        report = (await asker.ask(found))["r0"]
        assert (report.usage, report.counts.runs) == (None, 2)
        await asker.keep([])


async def test_an_idle_replica_is_asked_again_after_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(COUNTERS) as (server, found):
        asker = ReplicaAsker()
        assert set(await asker.ask([], found)) == {"r0"}
        assert not await asker.ask([], found)
        monkeypatch.setattr(replica_counts, "IDLE_SECONDS", 0.0)
        assert set(await asker.ask([], found)) == {"r0"}
        assert server.questions == 2
        await asker.keep([])


async def test_idle_replicas_take_no_turn_of_busy_ones() -> None:
    async with replicas(COUNTERS, 2 * MOST_AT_A_TIME) as (_, found):
        asker = ReplicaAsker()
        busy, idle = found[:MOST_AT_A_TIME], found[MOST_AT_A_TIME:]
        assert set(await asker.ask(busy, idle)) == {replica.id for replica in found}
        assert set(await asker.ask(busy, idle)) == {replica.id for replica in busy}
        await asker.keep([])
