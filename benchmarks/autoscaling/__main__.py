"""Play all loads with all policies, and write the report. Run as ``python -m benchmarks.autoscaling``."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.autoscaling import report
from benchmarks.autoscaling.loads import LOADS
from benchmarks.autoscaling.policies import POLICIES
from benchmarks.autoscaling.service import run

_DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", nargs="*", choices=[load.name for load in LOADS], help="only these; writes nothing")
    parser.add_argument("--docs", type=Path, default=_DOCS, help="where the report goes")
    chosen = parser.parse_args()
    began = time.monotonic()
    courses = {}
    for load in LOADS:
        if chosen.loads and load.name not in chosen.loads:
            continue
        for policy in POLICIES:
            course = courses[load.name, policy.title] = run(load, policy(load.most_replicas, load.step))
            print(report.line(load, policy.title, course), flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    if not chosen.loads:
        report.write(chosen.docs, courses)


if __name__ == "__main__":
    main()
