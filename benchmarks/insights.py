"""Measure what recording requests costs: the same endpoint with and without, in turns, and the ratio.

Run with ``python -m benchmarks.insights``. Both endpoints stand side by side and are loaded one after the other, round
after round, so that what else the machine does meets both alike. A collector that only counts takes the records.
The CPU time that the replica needs for a thousand requests depends less on what else runs than their rate does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.client import load
from benchmarks.spine import BODY, SCRIPT, _train
from mljupyter.runtimes.process.usage import usage_of


def main() -> None:
    """Measure and print one line for each number of connections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--export", action="store_true", help="send records to a collector, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["MLJUPYTER_HOME"] = directory
        measure(Path(directory), arguments.rounds, arguments.seconds, arguments.export)


def measure(directory: Path, rounds: int, seconds: float, export: bool) -> None:
    from mljupyter.core import AksWebservice, InferenceConfig, Model, Workspace

    workspace = Workspace.create("benchmark", path=directory / "workspace")
    _train(directory / "iris.joblib")
    (directory / "score.py").write_text(SCRIPT)
    model = Model.register(workspace, str(directory / "iris.joblib"), "iris")
    inference = InferenceConfig(str(directory / "score.py"))
    server = _counting_collector()
    try:
        if export:
            workspace.telemetry.configure(otlp_endpoint=f"http://127.0.0.1:{server.server_port}")
        services = []
        for name, on in (("without", False), ("recorded", True)):
            config = AksWebservice.deploy_configuration(
                num_replicas=1, max_request_wait_time=5000, enable_app_insights=on
            )
            services.append(Model.deploy(workspace, name, [model], inference, config))
        for service in services:
            service.wait_for_deployment()
        for connections in (1, 8):
            rounds_of = [[_loaded(service, connections, seconds) for service in services] for _ in range(rounds)]
            rates = [on[0] / off[0] for off, on in rounds_of]
            without, recorded = (statistics.median(cpu for _, cpu in column) for column in zip(*rounds_of, strict=True))
            print(
                f"{connections} connections: {statistics.median(rates):.3f} of "
                f"{statistics.median(off[0] for off, _ in rounds_of):,.0f} requests/s "
                f"({min(rates):.3f} to {max(rates):.3f}); CPU for 1,000 requests {without:.3f} s without, "
                f"{recorded:.3f} s recorded: {recorded / without:.3f}"
            )
        if export:
            print(workspace.telemetry.status())
    finally:
        workspace.delete(delete_dependent_resources=True)
        server.shutdown()


def _loaded(service: Any, connections: int, seconds: float) -> tuple[float, float]:
    """Return requests per second, and the CPU seconds of the replica for a thousand of them."""
    record = service.workspace.endpoints.endpoint(service.name)
    (replica,) = record.status.versions[service.name].replicas
    before, cpu = _completed(replica.pid), usage_of(replica.pid).cpu_seconds
    figures = load(service.scoring_uri, BODY, connections, seconds, key=service.get_keys()[0])
    used = usage_of(replica.pid).cpu_seconds - cpu
    return figures.per_second, 1000 * used / (_completed(replica.pid) - before)


def _completed(pid: int) -> int:
    command = psutil.Process(pid).cmdline()
    socket = command[command.index("--unix-socket") + 1]
    with httpx.Client(transport=httpx.HTTPTransport(uds=socket)) as client:
        return int(client.get("http://replica/-/state").json()["completed"])


def _counting_collector() -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    main()
