"""Random examples for hours: rounds that grow longer, each with another seed, until the time is over.

    python -m tests.fuzz.hours 8

What has failed stays in `.hypothesis`, where the next run of the tests tries it first, and its report in
`build/fuzz/`.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

_FIRST_SECONDS = 120.0
_LONGEST_SECONDS = 3600.0
_LEAST_SECONDS = 30.0
_STARTS_SECONDS = 60.0  # what the servers of a round need on top of it
REPORTS = Path("build/fuzz")


def rounds(seconds: float, now: float, deadline: float) -> float | None:
    """Return how long the next round may take, None when no time is left for one."""
    left = deadline - now - _STARTS_SECONDS
    return min(seconds, left) if left >= _LEAST_SECONDS else None


def main(arguments: list[str]) -> int:
    """Run rounds; return 1 if one of them found something."""
    try:
        hours = float(arguments[0]) if arguments else 1.0
    except ValueError:
        hours = -1.0
    if not 0 < hours <= 1000:
        print(f"{arguments[0]!r} is not a number of hours: make fuzz HOURS=8")
        return 2
    REPORTS.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + max(hours * 3600, _LEAST_SECONDS + _STARTS_SECONDS)
    seconds, number, found = _FIRST_SECONDS, 0, []
    while (length := rounds(seconds, time.monotonic(), deadline)) is not None:
        number += 1
        seed = secrets.randbelow(2**32)
        print(f"round {number}: {length:.0f} s, seed {seed}", flush=True)
        report = REPORTS / f"{seed}.txt"
        with report.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-m", "fuzz", "tests/fuzz", f"--hypothesis-seed={seed}"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "MLJUPYTER_FUZZ_SECONDS": str(length)},
                check=False,
            )
        lines = report.read_text(errors="replace").splitlines()
        wanted = (line for line in lines if line.startswith(("FAILED", "ERROR")) or " s  test_" in line)
        print(*(f"  {line}" for line in wanted), sep="\n", flush=True)
        if done.returncode:
            found.append(report)
            print(f"  the report is in {report}", flush=True)
        else:
            report.unlink()
        seconds = min(2 * seconds, _LONGEST_SECONDS)
    said = f"{len(found)} of them found something: {', '.join(map(str, found))}" if found else "nothing was found"
    print(f"{number} rounds, {said}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
