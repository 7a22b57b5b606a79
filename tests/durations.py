"""Print where the minutes of a test run go, by test file: ``python -m tests.durations FILE`` reads a JUnit report."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree


def by_file(report: Path) -> dict[str, list[float]]:
    """Return the seconds of each test, fixtures included, by test file; the file that takes longest comes first."""
    found: dict[str, list[float]] = defaultdict(list)
    for case in ElementTree.parse(report).iter("testcase"):
        parts = case.get("classname", "").split(".")
        module = [part for part in parts if not part[:1].isupper()]  # without the class
        found["/".join(module) + ".py"].append(float(case.get("time", "0")))
    return dict(sorted(found.items(), key=lambda item: -sum(item[1])))


def table(report: Path) -> str:
    """Return the table in Markdown: seconds, share of all, tests and the longest test of each file."""
    found = by_file(report)
    total = sum(sum(times) for times in found.values()) or 1.0
    rows = [
        f"| {name} | {sum(times):.1f} | {sum(times) / total:.1%} | {len(times)} | {max(times):.1f} |"
        for name, times in found.items()
    ]
    return "\n".join(["| file | seconds | share | tests | longest |", "|---|---|---|---|---|", *rows])


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
