"""Which part of our path costs what, at one connection: by leaving parts out, and by what the replica says."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

import httpx

from benchmarks.serving.load import load
from benchmarks.serving.measure import short_directory
from benchmarks.serving.ours import OurSystem, replica_alone
from benchmarks.serving.server import Server
from benchmarks.serving.workloads import NOTHING, WORKLOADS

ROUTER = "the router's part (whole path - replica only)"
_REQUESTS = 500
_RUN_HEADER = "x-ms-run-fn-exec-ms"


def path_cost(seconds: float) -> list[tuple[str, float]]:
    """Return the parts of the way of a request and their median milliseconds.

    Parameters:
        seconds: length of each of the four loads.

    """
    workload = WORKLOADS["sklearn"]
    with short_directory() as directory, OurSystem().serve(workload, Path(directory)) as server:
        server.wait(workload)
        headers = {**server.request.headers, "Authorization": "Bearer not-a-key"}
        wrong = dataclasses.replace(server.request, headers=headers)
        whole = _p50(server, seconds, directory)
        router = _p50(dataclasses.replace(server, request=wrong), seconds, directory)
    with short_directory() as directory, replica_alone(workload, Path(directory)) as server:
        server.wait(workload)
        replica = _p50(server, seconds, directory)
        run = _run_milliseconds(server)
    with short_directory() as directory, replica_alone(NOTHING, Path(directory)) as server:
        server.wait(NOTHING)
        nothing = _p50(server, seconds, directory)
    return [
        ("the whole path: client, router, server, worker, run(), and back", whole),
        ("client and router only (a request with a wrong key, answered by the router)", router),
        (ROUTER, whole - replica),
        ("client, server and worker with an empty model (replica only)", nothing),
        ("the model's part (replica only - empty model)", replica - nothing),
        (f"run(), as measured by the replica ({_RUN_HEADER})", run),
    ]


def _p50(server: Server, seconds: float, directory: str) -> float:
    load(server.url, server.request, 1, 1.0, Path(directory))
    return load(server.url, server.request, 1, seconds, Path(directory)).p50 * 1000


def _run_milliseconds(server: Server) -> float:
    with httpx.Client(trust_env=False) as client:
        answers = (client.post(server.url, content=server.request.body) for _ in range(_REQUESTS))
        return statistics.median(float(answer.headers[_RUN_HEADER]) for answer in answers)
