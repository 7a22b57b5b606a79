"""Measure what it costs the router to count each answer at its end: two routers, one of them without its access logger.

Run with ``python -m benchmarks.answer_counts``. Both routers run at the same time before one replica with an empty
model. Equal numbers of requests go to one and the other by turns, so that whatever else the machine does meets both;
the figures are medians of the pairs' ratios. CPU time for a request hardly depends on who else wants the cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import psutil

from benchmarks.serving.ours import replica_alone
from benchmarks.serving.server import Server
from benchmarks.serving.workloads import NOTHING
from mljupyter.controller.router.resource_files import RouterSettings
from mljupyter.controller.router.router import Router
from mljupyter.engine.envoy import resources
from mljupyter.engine.envoy.listener import Listening
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.kubernetes.router_agent.published import PublishedListening
from mljupyter.kubernetes.router_agent.replica_stream import ReplicaStream
from mljupyter.runtimes.ports import free_port
from mljupyter.spec import RequestLimits, RouterSpec

_LIMITS = RequestLimits(max_concurrent_requests=1, max_queue_wait_ms=60_000)


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20, help="pairs of loads, with and without the access logger")
    parser.add_argument("--requests", type=int, default=4000, help="requests of each load")
    parser.add_argument("--connections", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlj") as directory, replica_alone(NOTHING, Path(directory)) as replica:
        replica.wait(NOTHING)
        rows = asyncio.run(_measured(replica, Path(directory), given.pairs, given.requests, given.connections))
    for name, value in rows.items():
        print(f"{name}: {value}")


async def _measured(replica: Server, directory: Path, pairs: int, requests: int, connections: int) -> dict[str, str]:
    place = replica.url.removeprefix("http://").partition("/")[0]
    cpu: dict[bool, list[float]] = {True: [], False: []}
    speed: dict[bool, list[float]] = {True: [], False: []}
    async with contextlib.AsyncExitStack() as stack:
        routers = {}
        for counts in (True, False):
            (directory / str(counts)).mkdir()
            routers[counts] = await stack.enter_async_context(_router(directory / str(counts), place, counts))
        for pair in range(pairs):
            for counts in (True, False) if pair % 2 else (False, True):
                process, url = routers[counts]
                before, began = _cpu(process), time.perf_counter()
                share = requests // connections
                await asyncio.gather(*(_send(url, replica.request.body, share) for _ in range(connections)))
                speed[counts].append(share * connections / (time.perf_counter() - began))
                cpu[counts].append((_cpu(process) - before) / (share * connections))
    shown = {}
    for what, found in (("CPU time of the router for a request", cpu), ("requests per second", speed)):
        ratios = [on / off for on, off in zip(found[True], found[False], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        shown[f"{what}, with / without, median of {pairs} pairs"] = f"{middle:.3f} (quartiles {low:.3f} to {high:.3f})"
    shown["CPU time of the router for a request, with"] = f"{statistics.median(cpu[True]) * 1e6:.0f} µs"
    return shown


@contextlib.asynccontextmanager
async def _router(directory: Path, replica: str, counts: bool) -> AsyncIterator[tuple[psutil.Process, str]]:
    """Start a router before a replica; give its process and the scoring URI."""
    (directory / "router").mkdir()
    listening = PublishedListening(directory / "listening.json")
    listening._listening = Listening(RouterSpec(address="0.0.0.0", allow_without_authentication=True), machine="router")
    port = free_port()
    settings = RouterSettings(directory / "router", directory / "admin.sock", port, stream=directory / "replicas.sock")
    stream = ReplicaStream(directory / "replicas.sock")
    await stream.start()
    router = Router(settings, listening, changed=lambda: None, stream=stream)
    version = VersionRoute("counted", 100, (replica,), _LIMITS, replica_keys={replica: "0" * 32})
    with contextlib.nullcontext() if counts else mock.patch.object(resources, "named", _without_access_log):
        await router.start()
        try:
            await router.apply([EndpointRoute("counted", (version,), "counted")])
            assert router.pid is not None
            yield psutil.Process(router.pid), f"http://127.0.0.1:{port}/api/v1/service/counted/score"
        finally:
            await router.stop()
            await stream.close()


async def _send(url: str, body: bytes, number: int) -> None:
    """Send requests over one connection, each as soon as the one before is answered."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    for _ in range(number):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    writer.close()


_NAMED = resources.named


def _without_access_log(name: str, kind: str, **config: Any) -> resources.Resource:
    return _NAMED(name, kind, **{key: value for key, value in config.items() if key != "access_log"})


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
