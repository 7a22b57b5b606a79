"""What was measured, as it is written to JSON; everything the report and the plot show is computed from that."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.machine import OF_THE_DAY


def is_ours(system: str) -> bool:
    """Return whether a system's name is one of ours."""
    return system.startswith("ours")


@dataclass(frozen=True)
class Cell:
    """One load: a system, a workload, a number of connections, a round.

    Latencies in milliseconds; `cpu_per_1000` in processor seconds of all server processes for 1,000 requests;
    `peak_mb` is their resident memory at its highest.
    """

    system: str
    workload: str
    connections: int
    round: int
    per_second: float
    p50: float
    p99: float
    errors: int
    cpu_per_1000: float
    peak_mb: float


@dataclass(frozen=True)
class Start:
    """One start: seconds to the first right answer, beside the bare model's own in the same interpreter."""

    system: str
    workload: str
    round: int
    seconds: float
    import_seconds: float


@dataclass(frozen=True)
class Skipped:
    """What could not be measured, and why."""

    system: str
    title: str
    workload: str | None
    reason: str


@dataclass
class Results:
    """All of a run.

    Attributes:
        machine: facts of the machine and the client.
        settings: how it was measured.
        systems: by name: title, version, setting, batching, packages.
        rounds: how often everything was measured.
        paths: for each round, the parts of our path: what, and milliseconds.

    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    systems: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    rounds: int = 0
    paths: list[list[tuple[str, float]]] = field(default_factory=list)

    @property
    def path(self) -> list[tuple[str, float]]:
        """The parts of our path, and the median of their milliseconds."""
        found: dict[str, list[float]] = defaultdict(list)
        for part, milliseconds in (pair for path in self.paths for pair in path):
            found[part].append(milliseconds)
        return [(part, statistics.median(times)) for part, times in found.items()]

    def differences(self, other: Results) -> list[str]:
        """Return what differs in the way that two results were measured: machine, settings, versions of servers."""
        sides = [
            {
                **{name: value for name, value in one.machine.items() if name not in OF_THE_DAY},
                **one.settings,
                **{facts["title"]: [facts["version"], facts["setting"]] for facts in one.systems.values()},
                **{f"packages of {facts['title']}": facts["packages"] for facts in one.systems.values()},
            }
            for one in (other, self)
        ]
        return [
            f"{name}" if name.startswith("packages") else f"{name}: {sides[0].get(name)} and {sides[1].get(name)}"
            for name in dict.fromkeys([*sides[0], *sides[1]])
            if sides[0].get(name) != sides[1].get(name)
        ]

    def write(self, path: Path) -> None:
        """Write everything as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` has written."""
        document = json.loads(path.read_text())
        for name, kind in (("cells", Cell), ("starts", Start), ("skipped", Skipped)):
            document[name] = [kind(**item) for item in document[name]]
        document["paths"] = [[(part, milliseconds) for part, milliseconds in path] for path in document["paths"]]
        return cls(**document)

    def medians(self) -> dict[tuple[str, str, int], Cell]:
        """Return for each system, workload and number of connections the medians of its rounds; errors are summed."""
        groups: dict[tuple[str, str, int], list[Cell]] = defaultdict(list)
        for cell in self.cells:
            groups[cell.system, cell.workload, cell.connections].append(cell)
        return {key: _median(cells) for key, cells in groups.items()}


def _median(cells: list[Cell]) -> Cell:
    names = ("per_second", "p50", "p99", "cpu_per_1000", "peak_mb")
    middle = {name: statistics.median(getattr(cell, name) for cell in cells) for name in names}
    return dataclasses.replace(cells[0], errors=sum(cell.errors for cell in cells), **middle)
