"""Measure what mirroring costs the requests that are mirrored: none, a mirror that answers, a mirror that is dead.

Run with ``make benchmark-mirror``. The runs are interleaved, so that whatever else the machine does meets all of them;
the figure to look at is the ratio of the 99th percentiles, which must stay within 5 %.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
from pathlib import Path

from benchmarks.client import load

SCRIPT = "import time\ndef init(): pass\ndef run(data):\n    time.sleep(0.005)\n    return 1\n"
CONNECTIONS = 4


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the three measurements")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each load")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["MLJUPYTER_HOME"] = directory
        measured = measure(Path(directory), arguments.rounds, arguments.seconds)
    base = statistics.median(measured["no mirror"])
    print(f"{'':<12} {'p99, median':>12} {'ratio':>6}")
    for name, values in measured.items():
        found = statistics.median(values)
        print(f"{name:<12} {found * 1e3:>9.2f} ms {found / base:>6.3f}")


def measure(directory: Path, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return the 99th percentiles by what the mirror does, in seconds."""
    from mljupyter.core import AksEndpoint, InferenceConfig, Model, Workspace

    workspace = Workspace.create("mirror", path=directory / "workspace")
    (directory / "score.py").write_text(SCRIPT)
    inference = InferenceConfig(str(directory / "score.py"))
    limits = {"replica_max_concurrent_requests": 8, "max_request_wait_time": 5000, "num_replicas": 1}
    configuration = AksEndpoint.deploy_configuration(version_name="primary", auth_enabled=False, **limits)
    measured: dict[str, list[float]] = {"no mirror": [], "mirror": [], "dead mirror": []}
    try:
        endpoint = Model.deploy(workspace, "mirrored", [], inference, configuration)
        endpoint.create_version("shadow", models=[], inference_config=inference, **limits)
        endpoint.wait_for_deployment()
        record = workspace.endpoints.endpoint("mirrored")
        (replica,) = record.status.versions["shadow"].replicas
        for _ in range(rounds):
            for name, share in (("no mirror", 0), ("mirror", 100), ("dead mirror", 100)):
                endpoint.set_traffic(mirror={"shadow": share})
                endpoint.wait_for_deployment()
                if name == "dead mirror":  # it holds its connections and answers nothing: worse than one that is gone
                    os.kill(replica.pid, signal.SIGSTOP)
                figures = load(endpoint.scoring_uri, "x", CONNECTIONS, seconds)
                os.kill(replica.pid, signal.SIGCONT)
                assert not figures.failed, figures
                measured[name].append(figures.p99)
    finally:
        workspace.delete(delete_dependent_resources=True)
    return measured


if __name__ == "__main__":
    main()
