"""Measure what live panels cost the kernel they are shown by: CPU time, messages and their sizes.

Run with ``python -m benchmarks.panels``. The process plays the kernel: it holds the panels, of an endpoint under a
steady load among many idle ones, and says every four seconds that they are looked at, as views in a browser do. What is
measured is the CPU time of this process alone, over wall time, and of the controller that it asks.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.metrics import BODY, cpu, deploy, workspace

_WATCH_SECONDS = 4.0


def main() -> None:
    """Measure and print one line for each number of panels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoints", type=int, default=50)
    parser.add_argument("--panels", type=int, nargs="+", default=[0, 1, 5])
    parser.add_argument("--seconds", type=float, default=30.0, help="for how long each number of panels is watched")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, workspace(Path(directory)) as found:
        names = [f"endpoint-{number}" for number in range(arguments.endpoints)]
        services = [deploy(found, name) for name in names]
        for service in services:
            service.wait_for_deployment()
        loader = _load(services[0], arguments.seconds * len(arguments.panels) + 60)
        try:
            for count in arguments.panels:
                print(json.dumps(measured(found, names[:count], arguments.seconds)), flush=True)
        finally:
            loader.kill()


def measured(found: Any, names: list[str], seconds: float) -> dict[str, Any]:
    """Return what panels of these endpoints cost while they are looked at."""
    from mljupyter.widgets.panels.monitor import Monitor

    sizes: list[int] = []

    class Counted(Monitor):
        def send(self, content: Any, buffers: Any = None) -> None:
            sizes.append(len(json.dumps(content)))
            super().send(content, buffers)

    panels = [Counted(found, name) for name in names]
    for panel in panels:
        panel._received(None, {"kind": "hello"}, None)
    time.sleep(3)
    whole, sizes[:] = max(sizes, default=0), []
    controller = psutil.Process(found.controller.ensure()["pid"])
    began, used, used_by_controller = time.perf_counter(), time.process_time(), cpu(controller)
    while (passed := time.perf_counter() - began) < seconds:
        for panel in panels:
            panel._received(None, {"kind": "watch"}, None)
        time.sleep(min(_WATCH_SECONDS, seconds - passed))
    wall = time.perf_counter() - began
    row = {
        "panels": len(panels),
        "kernel (% of a core)": round(100 * (time.process_time() - used) / wall, 2),
        "controller (% of a core)": round(100 * (cpu(controller) - used_by_controller) / wall, 2),
        "messages a second and panel": round(len(sizes) / wall / max(len(panels), 1), 2),
        "bytes of a message, median": round(statistics.median(sizes)) if sizes else 0,
        "bytes of the first message": whole,
    }
    for panel in panels:
        panel.close()
    return row


def _load(service: Any, seconds: float) -> subprocess.Popen[bytes]:
    """Send requests from another process, so that they are not this one's CPU time."""
    program = (
        "import sys, time, httpx\n"
        "uri, key, body, end = sys.argv[1], sys.argv[2], sys.argv[3], time.time() + float(sys.argv[4])\n"
        "with httpx.Client(headers={'Authorization': f'Bearer {key}'}) as client:\n"
        "    while time.time() < end: client.post(uri, content=body); time.sleep(0.02)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, service.scoring_uri, service.get_keys()[0], BODY, str(seconds)]
    )


if __name__ == "__main__":
    main()
