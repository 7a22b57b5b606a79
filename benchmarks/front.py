"""Measure the CPU time per request of the server in a replica (the front), for two source trees in turns.

Run with ``python -m benchmarks.front TREE OTHER``: directories with a package ``mljupyter``, such as checkouts of two
commits. Each tree has a replica on a Unix socket, with a script whose `run()` returns its input. The replicas are
loaded one after the other, round after round, so what else the machine does meets both alike. The ratio of a round is
OTHER divided by TREE. Processor time is that of the scheduler, in nanoseconds, over all threads of the process.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

_SCRIPT = "def init(): pass\ndef run(data): return 1\n"
_STREAMS = """
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
def run(data):
    return AMLResponse((b"x" * 100 for _ in range(100)), 200)
"""
_HEADERS = (
    "host: localhost:8080\r\nuser-agent: python-requests/2.32.3\r\naccept-encoding: gzip, deflate\r\naccept: */*\r\n"
    "content-type: application/json\r\nx-forwarded-proto: http\r\nx-request-id: 5f9c21e3-8e0b-4d0c-9d6f-0d5a3c4b7a1\r\n"
)
_WARM_UP_SECONDS = 0.5


class _Cost(NamedTuple):
    """Microseconds of processor time for a request, in the server and in its worker, and requests per second."""

    front: float
    worker: float
    rate: float


def main() -> None:
    """Print the medians and the ratios for each load."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trees", nargs=2, type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--body", type=int, default=40, help="bytes of the body")
    parser.add_argument("--stream", action="store_true", help="answers of 100 parts")
    arguments = parser.parse_args()
    request = _request(arguments.body)
    with _replica(arguments.trees[0], arguments.stream) as one, _replica(arguments.trees[1], arguments.stream) as other:
        for connections in arguments.connections:
            rounds = []
            for number in range(arguments.rounds):
                order = (one, other) if number % 2 else (other, one)
                costs = {path: _loaded(*path, connections, arguments.seconds, request) for path in order}
                rounds.append((costs[one], costs[other]))
            _report(connections, rounds)


def _report(connections: int, rounds: list[tuple[_Cost, _Cost]]) -> None:
    parts = []
    for field in _Cost._fields:
        ratios = [getattr(other, field) / getattr(one, field) for one, other in rounds]
        first, second = (statistics.median(getattr(costs[number], field) for costs in rounds) for number in (0, 1))
        parts.append(
            f"{field} {first:,.1f} and {second:,.1f}, ratio {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f})"
        )
    print(f"{connections} connections, {len(rounds)} rounds: " + "; ".join(parts), flush=True)


@contextmanager
def _replica(tree: Path, streams: bool) -> Iterator[tuple[str, int]]:
    """Start a replica of a tree; return its socket and the process id of its server."""
    with tempfile.TemporaryDirectory(prefix="mlj") as directory:
        (Path(directory) / "score.py").write_text(_STREAMS if streams else _SCRIPT)
        path = str(Path(directory) / "s")
        flags = ["--entry-script", f"{directory}/score.py", "--unix-socket", path, "--log-file", f"{directory}/log"]
        command = [sys.executable, "-m", "mljupyter.scoring", *flags]
        process = subprocess.Popen(command, cwd=tree, env={**os.environ, "AZUREML_MODEL_DIR": directory})
        try:
            _wait(path)
            yield path, process.pid
        finally:
            process.terminate()
            process.wait()


def _wait(path: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as raw:
            try:
                raw.connect(path)
                raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                if raw.recv(65536).startswith(b"HTTP/1.1 200"):
                    return
            except OSError:
                pass
        time.sleep(0.05)
    raise SystemExit(f"the replica at {path} was not ready within 60 s")


def _loaded(path: str, pid: int, connections: int, seconds: float, request: bytes) -> _Cost:
    (worker,) = psutil.Process(pid).children()
    _send(path, connections, _WARM_UP_SECONDS, request)
    before = _cpu(pid), _cpu(worker.pid), time.perf_counter()
    answers = _send(path, connections, seconds, request)
    after = _cpu(pid), _cpu(worker.pid), time.perf_counter()
    front, work, took = (end - start for start, end in zip(before, after, strict=True))
    return _Cost(front / answers / 1000, work / answers / 1000, answers / took)


def _cpu(pid: int) -> int:
    """Return the nanoseconds that a process has run."""
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())


def _request(size: int) -> bytes:
    start = f"x-mlj-start: {(time.time() + 3600) * 1000:.0f}\r\n"  # in the future: it never counts as having waited
    return f"POST /score HTTP/1.1\r\n{_HEADERS}{start}content-length: {size}\r\n\r\n".encode() + b"1" * size


def _send(path: str, connections: int, seconds: float, request: bytes) -> int:
    """Send requests, one at a time on each connection, and return how many were answered."""
    poll = select.epoll()
    clients: dict[int, socket.socket] = {}
    for _ in range(connections):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        clients[client.fileno()] = client
        poll.register(client, select.EPOLLIN)
        client.send(request)
    answers, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        for descriptor, _ in poll.poll(1):
            client = clients[descriptor]
            answer = client.recv(1 << 16)
            chunked = b"chunked" in answer[:1000]
            while chunked and not answer.endswith(b"0\r\n\r\n"):
                answer = client.recv(1 << 16)
            # A replica that waits for a processor may answer "busy", as it does to the router.
            if not chunked and not answer.startswith(b"HTTP/1.1 200") and b"x-mlj-busy" not in answer:
                raise SystemExit(f"the replica has answered {answer[:200]!r}")
            answers += 1
            client.send(request)
    for client in clients.values():
        client.close()
    poll.close()
    return answers


if __name__ == "__main__":
    main()
