"""The table of the fault suite: what was injected, what it cost, how long it took to recover.

A test marked ``faults(number, what)`` belongs to the suite; the numbers are those of docs/faults.md. Its fixture
`fault` takes down what was measured. The table is printed when the run ends, and written to build/faults.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

FILE = Path(__file__).parents[1] / "build" / "faults.md"
NOTHING = "-"
_HEADER = ("#", "injected fault", "target", "requests", "failed", "recovery", "")


class Counted(Protocol):
    """A load of requests."""

    @property
    def sent(self) -> int: ...

    @property
    def failed(self) -> int: ...


@dataclass
class Fault:
    """What a test has measured of its fault."""

    loads: list[Counted] = field(default_factory=list)
    requests: int = 0
    failures: int = 0
    seconds: float | None = None
    note: str = ""

    def under(self, *loads: Counted) -> None:
        """Take down loads that requests are sent by."""
        self.loads += loads

    def answered(self, requests: int, failed: int = 0) -> None:
        """Take down requests that were sent otherwise."""
        self.requests += requests
        self.failures += failed

    def recovered(self, seconds: float, note: str = "") -> None:
        """Take down how long it took until all was well again."""
        self.seconds, self.note = seconds, note

    def cells(self) -> tuple[str, str, str]:
        """Return requests, failed, recovery."""
        sent = self.requests + sum(load.sent for load in self.loads)
        failed = self.failures + sum(load.failed for load in self.loads)
        took = NOTHING if self.seconds is None else f"{self.seconds:.2f} s"
        counted = (f"{sent:,}", f"{failed:,}") if sent else (NOTHING, NOTHING)
        return (*counted, f"{took} {self.note}".strip())


@pytest.fixture
def fault() -> Iterator[Fault]:
    """What is measured of the fault that a test injects."""
    yield Fault()


_PROPERTY = "fault"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" or report.failed:
        measured = getattr(item, "funcargs", {}).get("fault") or Fault()
        target = getattr(item, "callspec", None)
        where = target.id.partition("-")[0] if target is not None else ""
        for marker in item.iter_markers("faults"):
            number, what = marker.args
            cells = (what, where, *measured.cells(), {"passed": "", "failed": "FAILED"}.get(report.outcome, "skipped"))
            report.user_properties.append((_PROPERTY, [number, *cells]))
    return report


class _Table:
    """Collects the rows from the reports of tests, wherever they ran, and prints them."""

    def __init__(self) -> None:
        self._rows: list[list[object]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._rows += [row for name, row in report.user_properties if name == _PROPERTY and isinstance(row, list)]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        ordered = sorted(self._rows, key=lambda row: int(str(row[0])))
        rows = [(str(number or NOTHING), *(str(cell) for cell in cells)) for number, *cells in ordered]
        if not rows:
            return
        widths = [max(len(row[column]) for row in (_HEADER, *rows)) for column in range(len(_HEADER))]
        terminalreporter.section("faults")
        for row in (_HEADER, *rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            terminalreporter.line("  ".join(cells).rstrip())
        FILE.parent.mkdir(exist_ok=True)
        lines = [_HEADER, ("---",) * len(_HEADER), *rows]
        FILE.write_text("".join(f"| {' | '.join(row)} |\n" for row in lines))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Table())
