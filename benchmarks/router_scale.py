"""Measure what many endpoints cost a router, without a cluster: its Envoy, and the part of the agent that feeds it.

``python -m benchmarks.router_scale 100 300 1000`` starts an Envoy for each number of endpoints, on this machine, and
prints a table: CPU time for a change, the size of the configuration, and CPU time for each reading of idle endpoints.
CPU time depends less than elapsed time on other programs of the machine. Nothing answers at the addresses of replicas.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import psutil

from mljupyter.controller.router.resource_files import RouterSettings
from mljupyter.controller.router.router import Router
from mljupyter.engine.envoy.listener import Listening
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.kubernetes.router_agent.published import PublishedListening
from mljupyter.kubernetes.router_agent.replica_stream import ReplicaStream
from mljupyter.runtimes.ports import free_port
from mljupyter.spec import RequestLimits, RouterSpec

PODS = 10
READINGS = 20
_MEBI = 1 << 20


def main(numbers: list[int]) -> int:
    """Print the table for these numbers of endpoints. Return the exit status."""
    columns = [asyncio.run(_measure(number)) for number in numbers or [100, 300, 1000]]
    width = max(len(name) for name in columns[0])
    for name in columns[0]:
        print(f"{name:<{width}}", *(f"{column[name]:>12}" for column in columns))
    return 0


async def _measure(number: int) -> dict[str, str]:
    found = {"endpoints": str(number)}
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        (directory / "router").mkdir()
        listening = PublishedListening(directory / "listening.json")
        listening._listening = Listening(
            RouterSpec(address="0.0.0.0", allow_without_authentication=True),
            machine="router",
        )
        settings = RouterSettings(
            directory / "router", directory / "admin.sock", free_port(), stream=directory / "replicas.sock"
        )
        stream = ReplicaStream(directory / "replicas.sock")
        await stream.start()
        router = Router(settings, listening, changed=lambda: None, stream=stream)
        await router.start()
        try:
            routes = [_route(index) for index in range(number)]
            await router.apply(routes)
            await _fill(found, router, routes, directory / "router")
        finally:
            await router.stop()
            await stream.close()
    return found


async def _fill(found: dict[str, str], router: Router, routes: list[EndpointRoute], directory: Path) -> None:
    sizes = _sizes(directory)
    tables = [size for name, size in sizes.items() if name.startswith("rds-")]
    found["largest table of routes"] = f"{max(tables) / 1e6:.2f} MB"
    found["configuration"] = f"{sum(sizes.values()) / 1e6:.2f} MB"
    for what, change in _CHANGES.items():
        routes = change(routes)
        envoy, own = await _cost(router, lambda routes=routes: router.apply(routes))
        found[what] = f"{envoy:.2f} + {own:.2f} s"
    await router.statistics()

    async def read() -> None:
        for _ in range(READINGS):
            await router.statistics()

    async def read_demand() -> None:
        for _ in range(READINGS):
            await router.demand({})

    for what, work in {"reading of the statistics": read, "reading of the demand": read_demand}.items():
        envoy, own = await _cost(router, work)
        found[what] = f"{envoy / READINGS * 1000:.1f} + {own / READINGS * 1000:.1f} ms"
    assert router.pid is not None
    found["memory of Envoy"] = f"{psutil.Process(router.pid).memory_info().rss / _MEBI:.0f} MB"


def _sizes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.glob("*.json")}


async def _cost(router: Router, work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return the CPU seconds of Envoy and of this process for some work."""
    assert router.pid is not None
    processes = psutil.Process(router.pid), psutil.Process(os.getpid())
    before = [_cpu(process) for process in processes]
    await work()
    envoy, own = (_cpu(process) - earlier for process, earlier in zip(processes, before, strict=True))
    return envoy, own


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _route(index: int) -> EndpointRoute:
    addresses = tuple(f"127.{index % 200}.{index // 200}.{pod + 1}:9" for pod in range(PODS))
    keys = dict.fromkeys(addresses, f"{index:032x}")
    version = VersionRoute(f"endpoint-{index}", 100, addresses, RequestLimits(), replica_keys=keys)
    name = f"endpoint-{index}"
    return EndpointRoute(name, (version,), name, keys=(f"{index:032d}", f"{index + 1:032d}"))


def _another_pod(routes: list[EndpointRoute]) -> list[EndpointRoute]:
    (version,) = routes[0].versions
    more = replace(version, addresses=(*version.addresses, "127.250.0.1:9"))
    return [replace(routes[0], versions=(more,)), *routes[1:]]


def _another_key(routes: list[EndpointRoute]) -> list[EndpointRoute]:
    return [replace(routes[0], keys=("n" * 32, "m" * 32)), *routes[1:]]


def _another_weight(routes: list[EndpointRoute]) -> list[EndpointRoute]:
    (version,) = routes[1].versions
    return [routes[0], replace(routes[1], versions=(replace(version, weight=90),)), *routes[2:]]


def _another_endpoint(routes: list[EndpointRoute]) -> list[EndpointRoute]:
    return [*routes, _route(len(routes))]


_CHANGES: dict[str, Callable[[list[EndpointRoute]], list[EndpointRoute]]] = {
    "a pod more: Envoy + agent": _another_pod,
    "another key: Envoy + agent": _another_key,
    "another weight: Envoy + agent": _another_weight,
    "a new endpoint: Envoy + agent": _another_endpoint,
}


if __name__ == "__main__":
    sys.exit(main([int(argument) for argument in sys.argv[1:]]))
