"""One system with one workload: its start, then a load at each number of connections."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import processes
from benchmarks.serving.environments import UnavailableError
from benchmarks.serving.load import load
from benchmarks.serving.results import Cell, Start
from benchmarks.serving.server import Server
from benchmarks.serving.systems import System
from benchmarks.serving.workloads import Workload


@dataclass(frozen=True)
class Plan:
    """How long each load is, and at how many connections. The first load warms up for longer than those after it."""

    connections: tuple[int, ...]
    seconds: float
    warm_up: float


def short_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary directory with a short path, since servers put sockets into it."""
    return tempfile.TemporaryDirectory(prefix="mlj-", dir="/tmp", ignore_cleanup_errors=True)


def measure(system: System, workload: Workload, plan: Plan, number: int) -> tuple[Start, list[Cell]]:
    """Start a system, load it, end it.

    Parameters:
        system: what to measure.
        workload: with which model.
        plan: how long, at how many connections.
        number: of the round.

    Raises:
        UnavailableError: when it does not start, or gives wrong answers.

    """
    with tempfile.TemporaryDirectory(
        prefix="mlj-", dir="/tmp", ignore_cleanup_errors=True
    ) as name:  # short for sockets
        directory = Path(name)
        bare = system.import_seconds(workload, directory)
        with system.serve(workload, directory) as server:
            start = Start(system.name, workload.name, number, server.wait(workload), bare)
            cells = list(_cells(system, workload, server, plan, number, directory))
    return start, cells


def _cells(
    system: System, workload: Workload, server: Server, plan: Plan, number: int, directory: Path
) -> Iterable[Cell]:
    seconds = max(plan.seconds, workload.least_seconds)
    for position, connections in enumerate(plan.connections):
        warm_up = plan.warm_up if position == 0 else plan.warm_up / 2
        load(server.url, server.request, connections, warm_up, directory)
        _must_be_right(server, workload)  # and what the warm-up left in queues is worked off before it is answered
        before = processes.cpu_seconds(server.processes())
        with processes.PeakMemory(server.processes) as memory:
            figures = load(server.url, server.request, connections, seconds, directory)
        used = processes.cpu_seconds(server.processes()) - before
        _must_be_right(server, workload)
        answers = max(figures.per_second * seconds, 1.0)
        yield Cell(
            system=system.name,
            workload=workload.name,
            connections=connections,
            round=number,
            per_second=figures.per_second,
            p50=figures.p50 * 1000,
            p99=figures.p99 * 1000,
            errors=figures.failed,
            cpu_per_1000=used / answers * 1000,
            peak_mb=memory.megabytes,
        )


def _must_be_right(server: Server, workload: Workload) -> None:
    wrong = server.check(workload)
    if wrong is not None:
        raise UnavailableError(wrong)
