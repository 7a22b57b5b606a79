"""The load: equal requests over keep-alive connections for some seconds, by wrk, else by the client in Python."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from benchmarks import client
from benchmarks.client import Figures
from benchmarks.serving.exchange import Request

LONGEST_ANSWER = 60  # seconds; wrk's own limit of 2 would count slow answers as errors
_SPARE = 30
_SCRIPT = """
wrk.method = "POST"
wrk.body = io.open("{body}", "rb"):read("*a")
{headers}
function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '\\n{{"seconds": %.6f, "answers": %d, "p50": %.3f, "p99": %.3f, "refused": %d, "lost": %d}}\\n',
    summary.duration / 1e6, summary.requests, latency:percentile(50) / 1e6 * 1e3, latency:percentile(99) / 1e6 * 1e3,
    failed.status, failed.connect + failed.read + failed.write + failed.timeout))
end
"""


def name() -> str:
    """Return which client is used, with its version."""
    if shutil.which("wrk") is None:
        return "a client in Python (wrk is not installed)"
    return subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout.split("Copyright")[
        0
    ]


def load(url: str, request: Request, connections: int, seconds: float, directory: Path) -> Figures:
    """Send requests for some seconds, one at a time on each connection, and return what was measured.

    Parameters:
        url: where to; on this machine.
        request: what to post.
        connections: how many keep-alive connections.
        seconds: how long.
        directory: for the client's files.

    """
    if shutil.which("wrk") is None:
        return client.load(url, request.body, connections, seconds, headers=request.headers)
    (directory / "body").write_bytes(request.body)
    script = directory / "load.lua"
    sent = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in request.headers.items()
    )
    script.write_text(_SCRIPT.format(body=directory / "body", headers=sent))
    script.chmod(0o600)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", f"--timeout={LONGEST_ANSWER}s"]
    done = subprocess.run(
        [*command, "--script", str(script), url], capture_output=True, text=True, check=True, timeout=seconds + _SPARE
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return Figures(
        per_second=(found["answers"] - found["refused"]) / found["seconds"],
        p50=found["p50"] / 1000,
        p99=found["p99"] / 1000,
        failed=found["refused"] + found["lost"],
    )
