"""Measure what metrics cost: throughput with and without them, and the idle controller with many endpoints.

Run with ``python -m benchmarks.metrics``. Throughput is measured in pairs, on and off by turns, so that what else the
machine does meets both; the figure is the median of the pairs' ratios. On a machine with other work the CPU time for a
request, of controller, router and replica together, tells more: it hardly depends on who else wants the cores. The idle
cost is CPU time over wall time, of the
controller and of the router.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.client import load

SCRIPT = """
import json


def init():
    pass


def run(data):
    return len(json.loads(data)["data"])
"""
BODY = json.dumps({"data": [[5.1, 3.5, 1.4, 0.2]]})


def main() -> None:
    """Measure everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12, help="pairs of loads")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each load")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--endpoints", type=int, default=50, help="endpoints of the idle controller")
    parser.add_argument("--idle-seconds", type=float, default=60.0, help="for how long it is watched")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, workspace(Path(directory)) as found:
        rows = throughput(found, arguments.pairs, arguments.seconds, arguments.connections)
        if arguments.endpoints:
            rows |= idle(found, arguments.endpoints, arguments.idle_seconds)
    for name, value in rows.items():
        print(f"{name}: {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


@contextmanager
def workspace(directory: Path) -> Iterator[Any]:
    """Give a workspace that nothing is left of."""
    from mljupyter.core import Workspace

    os.environ["MLJUPYTER_HOME"] = str(directory)
    found = Workspace.create("metrics-benchmark", path=directory / "workspace")
    try:
        yield found
    finally:
        found.controller.stop(force=True)


def throughput(found: Any, pairs: int, seconds: float, connections: int) -> dict[str, Any]:
    """Measure requests per second with metrics on and off, by turns."""
    service = deploy(found, "loaded")
    service.wait_for_deployment()
    key = service.get_keys()[0]
    status = found.controller.ensure()
    controller, router = psutil.Process(status["pid"]), psutil.Process(status["router"]["pid"])
    replica = psutil.Process(found.endpoints.endpoint("loaded").status.versions["loaded"].replicas[0].pid)
    everybody = [controller, router, replica, *replica.children(recursive=True)]
    for_a_request: dict[bool, list[float]] = {True: [], False: []}
    measured: dict[bool, list[float]] = {True: [], False: []}
    cores: dict[bool, list[float]] = {True: [], False: []}
    for pair in range(pairs):
        for enabled in (True, False) if pair % 2 else (False, True):
            found.controller.metrics_settings(enabled=enabled)
            began, used, used_by_all = time.perf_counter(), cpu(controller), sum(map(cpu, everybody))
            measured[enabled].append(load(service.scoring_uri, BODY, connections, seconds, key=key).per_second)
            requests = measured[enabled][-1] * (time.perf_counter() - began)
            for_a_request[enabled].append((sum(map(cpu, everybody)) - used_by_all) / requests)
            cores[enabled].append((cpu(controller) - used) / (time.perf_counter() - began))
    found.controller.metrics_settings(enabled=True)
    service.delete()
    ratios = [on / off for on, off in zip(measured[True], measured[False], strict=True)]
    dearer = [on / off for on, off in zip(for_a_request[True], for_a_request[False], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return {
        "requests per second, metrics on": round(statistics.median(measured[True])),
        "requests per second, metrics off": round(statistics.median(measured[False])),
        "throughput lost, median of the pairs (%)": round(100 * (1 - statistics.median(ratios)), 2),
        "throughput lost, quartiles (%)": [round(100 * (1 - high), 2), round(100 * (1 - low), 2)],
        "CPU time for a request, more with metrics, median of the pairs (%)": round(
            100 * (statistics.median(dearer) - 1), 2
        ),
        "controller under load, metrics on (% of a core)": round(100 * statistics.median(cores[True]), 2),
        "controller under load, metrics off (% of a core)": round(100 * statistics.median(cores[False]), 2),
    }


def idle(found: Any, endpoints: int, seconds: float) -> dict[str, Any]:
    """Measure CPU and memory of controller and router while nobody asks anything."""
    services = [deploy(found, f"idle-{number}") for number in range(endpoints)]
    for service in services:
        service.wait_for_deployment()
    status = found.controller.ensure()
    controller, router = psutil.Process(status["pid"]), psutil.Process(status["router"]["pid"])
    rows: dict[str, Any] = {}
    for enabled in (True, False):
        found.controller.metrics_settings(enabled=enabled)
        time.sleep(5)
        began, used, used_router = time.perf_counter(), cpu(controller), cpu(router)
        time.sleep(seconds)
        wall = time.perf_counter() - began
        name = f"{endpoints} endpoints, idle, metrics {'on' if enabled else 'off'}"
        rows[f"{name}: controller (% of a core)"] = round(100 * (cpu(controller) - used) / wall, 2)
        rows[f"{name}: router (% of a core)"] = round(100 * (cpu(router) - used_router) / wall, 2)
        rows[f"{name}: controller (MB)"] = round(controller.memory_info().rss / 1e6, 1)
    return rows


def deploy(found: Any, name: str) -> Any:
    """Deploy the script under a name."""
    from mljupyter.core import AksWebservice, InferenceConfig, Model

    script = found.directory / "score.py"
    script.write_text(SCRIPT)
    config = AksWebservice.deploy_configuration(num_replicas=1, max_request_wait_time=5000)
    return Model.deploy(found, name, [], InferenceConfig(str(script)), config)


def cpu(process: psutil.Process) -> float:
    """Return the CPU time of a process in seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
