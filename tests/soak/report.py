"""Write docs/soak.md and its figure from all pieces: ``python -m tests.soak.report`` (make soak-report)."""

from __future__ import annotations

import argparse
import json
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from tests.soak import plan
from tests.soak.endpoints import STREAMS
from tests.soak.judgement import (
    DISK_SLACK,
    MOST_DESCRIPTORS,
    MOST_DISK_GROWTH,
    MOST_GROWTH,
    SHORT_MOST_GROWTH,
    WARM_UP_SECONDS,
    Growth,
    longest_lived,
)
from tests.soak.outcome import ROLES, Outcome, Record, by_process, outcome

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "soak.jsonl"
_INTRODUCTION = Path(__file__).with_name("introduction.md")
_NOT_SAID = "-"
_COLOURS = {"controller": "#12507b", "router": "#d1495b", "replica": "#4f9d69"}


def pieces(results: Path) -> list[list[Record]]:
    """Return the records of each piece, in the order of their starts; a last line that was cut off is left out."""
    found: dict[str, list[Record]] = {}
    for line in results.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        found.setdefault(record["piece"], []).append(record)
    return [found[name] for name in sorted(found)]


def text(records: Sequence[Sequence[Record]]) -> str:
    """Return the page."""
    outcomes = [outcome(piece) for piece in records]
    faults = sum((one.faults for one in outcomes), Counter())
    values = {
        "streams": _table(
            ("requests", "per second", "right answer"),
            ((one.name, f"{one.rate:g}", str(one.expected)) for one in STREAMS),
        ),
        "update": f"{plan.UPDATE_SECONDS / 60:g}",
        "key": f"{plan.KEY_SECONDS:g}",
        "kill": f"{plan.KILL_SECONDS / 60:g}",
        "growth": f"{MOST_GROWTH:.0%}",
        "short": f"{SHORT_MOST_GROWTH:.0%}",
        "hour": f"{WARM_UP_SECONDS / 60:g}",
        "descriptors": str(MOST_DESCRIPTORS),
        "disk": f"{MOST_DISK_GROWTH:.0%} and {DISK_SLACK / 1e6:g} MB",
        "hours": f"{sum(one.seconds for one in outcomes) / 3600:.1f}",
        "pieces": f"{len(outcomes)} piece{'s' if len(outcomes) != 1 else ''}",
        "together": _together(records),
        "longest": f"{max((one.seconds for one in outcomes), default=0) / 60:.0f} minutes",
        "results": _results(outcomes),
        "faults": _table(("injected", "times"), ((kind, f"{number:,}") for kind, number in sorted(faults.items()))),
    }
    return Template(_INTRODUCTION.read_text(encoding="utf-8")).substitute(values)


def _together(records: Sequence[Sequence[Record]]) -> str:
    most = most_together(records)
    return f" Up to {most} pieces ran at the same time." if most > 1 else ""


def most_together(records: Sequence[Sequence[Record]]) -> int:
    """Return how many pieces ran at the same time, at most: each from its first record to its last."""
    starts = sorted(str(piece[0]["time"]) for piece in records)
    ends = sorted(str(piece[-1]["time"]) for piece in records)
    return max((position + 1 - bisect_right(ends, start) for position, start in enumerate(starts)), default=0)


def _results(outcomes: Sequence[Outcome]) -> str:
    columns: dict[str, Callable[[Outcome], str]] = {
        "started (UTC)": lambda one: one.started,
        "minutes": lambda one: f"{one.seconds / 60:.0f}",
        "requests": lambda one: f"{one.requests:,}",
        "failed, explained": lambda one: f"{one.explained:,}",
        "failed, unexplained": lambda one: f"{one.unexplained:,}",
        "memory: controller": lambda one: _grown(one.memory["controller"]),
        "router": lambda one: _grown(one.memory["router"]),
        "replicas": lambda one: _grown(one.memory["replica"]),
        "file descriptors": lambda one: ", ".join(_more(one.descriptors[role]) for role in ROLES),
        "disk": lambda one: (
            _NOT_SAID if one.disk is None else f"{one.disk.first / 1e6:.1f} to {one.disk.last / 1e6:.1f} MB"
        ),
        "load average": lambda one: f"{one.load_average:.1f}",
        "outcome": _outcome,
    }
    return _table(tuple(columns), ([cell(one) for cell in columns.values()] for one in outcomes))


def _outcome(one: Outcome) -> str:
    if one.problems:
        return "; ".join(one.problems)
    return "all holds" if one.ended else "ended early, counts not compared"


def _grown(change: Growth | None) -> str:
    if change is None:
        return _NOT_SAID
    return f"{change.first / 1000:.1f} to {change.last / 1000:.1f} MB ({change.share:+.1%})"


def _more(change: Growth | None) -> str:
    return _NOT_SAID if change is None else f"{change.more:+.0f}"


def _table(header: Sequence[str], rows: Any) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(path: Path, records: Sequence[Sequence[Record]]) -> None:
    """Draw memory, file descriptors, disk and requests of all pieces, one after the other."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "mljupyter", "font.size": 9, "svg.fonttype": "none"})
    figure, axes = pyplot.subplots(2, 2, figsize=(12, 6.5))
    memory, descriptors, disk, requests = axes.flat
    before = 0.0
    for piece in records:
        minutes = [record for record in piece if record["record"] == "minute"]
        for role in ROLES:
            for axis, which, scale in ((memory, 0, 1000), (descriptors, 1, 1)):
                samples = longest_lived(by_process(minutes, role, which))
                axis.plot(
                    [(before + time) / 60 for time, _ in samples],
                    [value / scale for _, value in samples],
                    color=_COLOURS[role],
                    label=role if not before else None,
                    lw=1.2,
                )
        times = [(before + record["seconds"]) / 60 for record in minutes]
        disk.plot(times, [record["disk"] / 1e6 for record in minutes], color=_COLOURS["controller"], lw=1.2)
        requests.plot(times, [sum(record["sent"].values()) for record in minutes], color=_COLOURS["controller"], lw=1.2)
        for record in minutes:
            for fault in record["faults"]:
                _mark(requests, fault, (before + record["seconds"]) / 60)
        before += float(minutes[-1]["seconds"]) if minutes else 0.0
    titles = {
        memory: "memory of the processes that lived longest (PSS, MB)",
        descriptors: "their file descriptors",
        disk: "disk (MB)",
        requests: "requests per minute; red: a replica killed, a router replaced",
    }
    for axis, title in titles.items():
        axis.set_title(title, fontsize=9)
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlabel("minutes")
    memory.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _mark(axis: Any, fault: Mapping[str, Any], minute: float) -> None:
    if fault["kind"] in (plan.Kind.KILL, plan.Kind.ROUTER):
        axis.axvline(minute, color=_COLOURS["router"], lw=0.4, alpha=0.5)


def main() -> int:
    """Write the page and its figure; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, help="the records of all pieces")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the directory of the page")
    given = parser.parse_args()
    if not given.results.is_file():
        print(f"{given.results} does not exist: make soak HOURS=8 RESULTS={given.results}")
        return 2
    records = pieces(given.results)
    given.docs.joinpath("soak.md").write_text(text(records), encoding="utf-8")
    draw(given.docs / "soak.svg", records)
    print(f"{given.docs / 'soak.md'}: {len(records)} pieces")
    return 0


if __name__ == "__main__":
    sys.exit(main())
