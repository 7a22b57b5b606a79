"""Measure what idle endpoints cost a control plane, without a cluster: metrics, rollouts and autoscaling together.

``python -m benchmarks.idle_endpoints 100 300 1000`` prints the CPU time in a second, in percent of a core, for each
number of endpoints of one version: with a fixed number of replicas, and autoscaled at their minimum. The router is a
stand-in that answers at once, without requests; there are no replicas, and only metrics are written. The benchmark
measures the work for each endpoint in this process, without the questions to routers and replicas.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from mljupyter.controller.endpoints.autoscaler import Autoscaler
from mljupyter.controller.endpoints.capacity_manager import CapacityManager
from mljupyter.controller.endpoints.rollouts import Rollouts
from mljupyter.controller.metrics.collector import Collector
from mljupyter.controller.storage.store import Store
from mljupyter.engine.scaling.demand import Reading
from mljupyter.runtimes.base import Runtimes
from mljupyter.spec import AutoscalePolicy, EndpointSpec, EndpointStatus, Scaling, VersionSpec, VersionStatus
from mljupyter.telemetry.metrics.router_statistics import RouterStatistics

SECONDS = 21.0
_SETTLES = 4.0


class _Router:
    """A router without requests."""

    adopted = False
    up = True
    identity = "1@1"

    def __init__(self) -> None:
        self._statistics = RouterStatistics({})
        self._demand: dict[str, Reading] = {}

    async def statistics(self) -> RouterStatistics:
        return self._statistics

    async def demand(self, most_again: Mapping[str, int]) -> dict[str, Reading]:
        if self._demand.keys() != most_again.keys():
            self._demand = {name: Reading(time.monotonic(), 0) for name in most_again}
        return self._demand


class _NoReplicas:
    def of(self, endpoint: str) -> list[Any]:
        return []

    def all(self) -> list[Any]:
        return []


def main(numbers: list[int]) -> int:
    """Print the table for these numbers of endpoints. Return the exit status."""
    print(f"{'endpoints':>9}  {'fixed':>8}  {'autoscaled':>10}")
    for number in numbers or [100, 300, 1000]:
        fixed, scaled = (asyncio.run(_measure(number, autoscaled=autoscaled)) for autoscaled in (False, True))
        print(f"{number:>9}  {fixed:>7.2%}  {scaled:>9.2%}", flush=True)
    return 0


async def _measure(number: int, *, autoscaled: bool) -> float:
    """Return the CPU seconds of this process for each second."""
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory, "endpoints.db"))
        for index in range(number):
            _put(store, f"endpoint-{index}", autoscaled=autoscaled)
        router, supervisor = cast("Any", _Router()), cast("Any", _NoReplicas())
        runtimes = cast("Runtimes", None)
        collector = Collector(Path(directory, "metrics.db"), store, router, supervisor, runtimes)
        autoscaler = Autoscaler(store, router, CapacityManager(runtimes), changed=lambda name: None)
        rollouts = Rollouts(
            store=store,
            statistics=router,
            supervisor=supervisor,
            changed=lambda name: None,
            notify=lambda: None,
        )
        for name in store.names():
            for version, spec in store.get(name).spec.versions.items():
                autoscaler.admitted(name, version, spec, "docker", running=1, proven=True)
        work = [asyncio.create_task(part.run()) for part in (collector, autoscaler, rollouts)]
        await asyncio.sleep(_SETTLES)
        begun, used = time.monotonic(), time.process_time()
        await asyncio.sleep(SECONDS)
        share = (time.process_time() - used) / (time.monotonic() - begun)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await collector.close()
        store.close()
    return share


def _put(store: Store, name: str, *, autoscaled: bool) -> None:
    scaling = Scaling(autoscale=AutoscalePolicy(min_replicas=1, max_replicas=4)) if autoscaled else Scaling(replicas=1)
    spec = EndpointSpec(name=name, versions={name: VersionSpec(image="i:1", scaling=scaling)}, default_version=name)
    status = VersionStatus(replicas_ready=1, replicas_wanted=1, weight=100)
    store.put(spec, EndpointStatus(versions={name: status}), None)


if __name__ == "__main__":
    sys.exit(main([int(argument) for argument in sys.argv[1:]]))
