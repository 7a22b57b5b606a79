"""Measure what recording requests costs: the same endpoint with and without, in turns, and the ratio.

Run with ``python -m benchmarks.insights``. Both endpoints stand side by side and are loaded one after the other, round
after round, so that what else the machine does meets both alike. A collector that only counts takes the records.
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

from benchmarks.client import load
from benchmarks.spine import BODY, SCRIPT, _train


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
            ratios, without = [], []
            for _ in range(rounds):
                off, on = (
                    load(service.scoring_uri, BODY, connections, seconds, key=service.get_keys()[0])
                    for service in services
                )
                ratios.append(on.per_second / off.per_second)
                without.append(off.per_second)
            print(
                f"{connections} connections: {statistics.median(ratios):.3f} of {statistics.median(without):,.0f} "
                f"requests/s ({min(ratios):.3f} to {max(ratios):.3f})"
            )
        if export:
            print(workspace.telemetry.status())
    finally:
        workspace.delete(delete_dependent_resources=True)
        server.shutdown()


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
