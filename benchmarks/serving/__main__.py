"""Measure our serving path beside other model servers; see ``--help``. Without filters it writes into ``docs/``."""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving import machine, report
from benchmarks.serving.environments import DEFAULT_CACHE, UnavailableError, environment
from benchmarks.serving.measure import Plan, measure
from benchmarks.serving.ours import OurSystem
from benchmarks.serving.path_cost import path_cost
from benchmarks.serving.peer import INFERENCE_SCHEMA, SHARED_REQUIREMENTS
from benchmarks.serving.peers import PEERS
from benchmarks.serving.results import Results, Skipped
from benchmarks.serving.systems import PeerSystem, System
from benchmarks.serving.workloads import WORKLOADS, Workload

_DOCS = Path(__file__).parents[2] / "docs"
_NAME = "serving-benchmark"
_CONNECTIONS = [1, 8, 64]
_PLOT_REQUIREMENTS = ("matplotlib==3.10.7",)
_START_SECONDS = 6  # of a server on average, with the bare model's runs, for the estimate


def main(given: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for, print the report, and write it."""
    arguments = _parser().parse_args(given)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that servers are ended, too
    workloads = [WORKLOADS[name] for name in arguments.workload or WORKLOADS]
    plan = Plan(tuple(arguments.connections), arguments.seconds, arguments.warm_up)
    results = Results(
        machine.facts(),
        {
            "seconds": plan.seconds,
            "warm_up": plan.warm_up,
            "connections": list(plan.connections),
            "workloads": {workload.name: workload.title for workload in workloads},
        },
    )
    filtered = arguments.only or arguments.workload or arguments.connections != _CONNECTIONS
    output = arguments.output or (None if filtered else _DOCS)
    systems = _prepared(arguments.only, arguments.cache, results)
    if arguments.add:
        path = (arguments.output or _DOCS) / f"{_NAME}.json"
        if not path.exists():
            sys.exit(f"--add: there is no {path} with earlier rounds. Measure without --add first.")
        before = Results.read(path)
        if differences := results.differences(before):
            sys.exit("--add: the earlier rounds were measured in another way: " + "; ".join(differences))
        results = before

    def is_measured(workload: Workload, system: System) -> bool:
        return workload.batching or not system.batching or arguments.batch_all

    loads = [(workload, system) for workload in workloads for system in systems if is_measured(workload, system)]
    _say(f"about {sum(_START_SECONDS + _seconds(plan, workload) for workload, _ in loads) / 60:.0f} minutes a round")
    for number in range(results.rounds, results.rounds + arguments.rounds):
        for workload in workloads:
            for system in _rotated(systems, number):
                if is_measured(workload, system):
                    _run(system, workload, plan, number, results)
        if not arguments.no_path:
            results.paths.append(path_cost(plan.seconds))
        results.rounds = number + 1
        if output is not None:  # after each round, since the next ones may be interrupted
            _write(results, output, arguments.cache, plot=not arguments.no_plot)
    print(report.markdown(results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    names = ["ours", *(peer.name for peer in PEERS)]
    add = parser.add_argument
    add("--only", action="append", choices=names, help="measure this server, with and without batching; repeatable")
    add("--workload", action="append", choices=list(WORKLOADS), help="measure this model; repeatable")
    add("--connections", type=int, nargs="+", default=_CONNECTIONS, help="numbers of connections (1 8 64)")
    add("--seconds", type=float, default=3.0, help="length of each load (3)")
    add("--warm-up", type=float, default=1.0, help="seconds of load before the first, half of it before each other (1)")
    add("--rounds", type=int, default=1, help="how often everything is measured; medians are shown (1)")
    add(
        "--add",
        action="store_true",
        help="add the rounds to those of the last report, which must have been measured in the same way",
    )
    add("--batch-all", action="store_true", help="batching with every model, not only with scikit-learn's")
    add("--no-path", action="store_true", help="leave out what the parts of our path cost")
    add("--no-plot", action="store_true", help="leave out the plot")
    add("--cache", type=Path, default=DEFAULT_CACHE, help=f"where the servers' environments are kept ({DEFAULT_CACHE})")
    add("--output", type=Path, help="directory of the report; docs/ if everything is measured, else it is only printed")
    return parser


def _prepared(only: list[str] | None, cache: Path, results: Results) -> list[System]:
    """Return the systems that are installed here, and note the others with the reason."""
    wanted: list[System] = []
    if not only or "ours" in only:
        wanted += [OurSystem(), OurSystem(batching=True)]
    for peer in PEERS:
        if only and peer.name not in only:
            continue
        wanted.append(PeerSystem(peer, cache))
        if (batched := peer.batched()) is not None:
            wanted.append(PeerSystem(batched, cache))
        elif peer.no_batching:
            results.skipped.append(Skipped(peer.name, f"{peer.title}, batching", None, peer.no_batching))
    ready = []
    for system in wanted:
        _say(f"preparing {system.title}")
        try:
            system.prepare()
        except UnavailableError as error:
            results.skipped.append(Skipped(system.name, system.title, None, str(error)))
            continue
        ready.append(system)
        results.systems[system.name] = {
            "title": system.title,
            "version": system.version(),
            "setting": system.setting,
            "batching": system.batching,
            "runs_at_once": system.runs_at_once,
            "proxy": system.proxy,
            "packages": system.packages(),
        }
    return ready


def _seconds(plan: Plan, workload: Workload) -> float:
    """Return the seconds of the loads of one system with a workload."""
    return sum(max(plan.seconds, workload.least_seconds) + plan.warm_up for _ in plan.connections)


def _rotated(systems: list[System], number: int) -> list[System]:
    """Return the systems in the order of a round: as many rounds as there are systems each begin with another one."""
    count = max(len(systems), 1)
    step = next(step for step in range(max(count // 3, 1), count + 1) if math.gcd(step, count) == 1)
    first = number * step % count
    return systems[first:] + systems[:first]


def _run(system: System, workload: Workload, plan: Plan, number: int, results: Results) -> None:
    try:
        start, cells = measure(system, workload, plan, number)
    except (UnavailableError, subprocess.SubprocessError) as error:
        results.skipped.append(Skipped(system.name, system.title, workload.name, str(error)))
        _say(f"{system.title}, {workload.name}: {error}")
        return
    results.starts.append(start)
    results.cells += cells
    figures = ", ".join(f"{cell.per_second:,.0f}/s at {cell.connections}" for cell in cells)
    _say(f"round {number + 1}, {workload.name}, {system.title}: ready in {start.seconds:.2f} s, {figures}")


def _write(results: Results, output: Path, cache: Path, *, plot: bool) -> None:
    output.mkdir(parents=True, exist_ok=True)
    data, figure = output / f"{_NAME}.json", output / f"{_NAME}.svg"
    results.write(data)
    if plot:
        python = environment(cache, "plot", _PLOT_REQUIREMENTS)
        subprocess.run([str(python), str(Path(__file__).with_name("plot.py")), str(data), str(figure)], check=True)
    text = report.markdown(results, figure.name if plot else None)
    page = output / f"{_NAME}.md"
    page.write_text(text + (report.by_hand(page.read_text()) if page.exists() else ""))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _in_own_environment() -> None:
    """Go on in an environment of mljupyter and the packages that the other servers have, unless this is the one.

    That of development has more packages, and some of them make others slower: with PyArrow, pandas keeps texts in
    Arrow's arrays.
    """
    sources = Path(__file__).parents[2]
    requirements = (f"--editable={sources}", "uv", INFERENCE_SCHEMA, *SHARED_REQUIREMENTS)
    python = environment(_parser().parse_args().cache, "ours", requirements)
    if Path(sys.executable) != python:
        os.chdir(sources)
        os.execv(python, [str(python), "-m", "benchmarks.serving", *sys.argv[1:]])


if __name__ == "__main__":
    _in_own_environment()
    main()
