"""The stages of ``make test``: each runs, whatever became of the others, and one table at the end says how they went.

``python -m tests.stages check unit`` runs ``make check`` and ``make unit``. The exit status is 0 when all stages
passed, and 2 otherwise.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CLOSING = re.compile(r"^=+ ((?=.*\d (?:passed|failed|skipped|error|deselected)|no tests ran).* in [\d.]+s.*?) =+$")
_BAD = re.compile(r"^(?:FAILED|ERROR) \S+")


@dataclass
class Stage:
    """The outcome of one stage: its exit status, how long it took, and the lines that sum up its test runs."""

    name: str
    status: int = 0
    seconds: float = 0.0
    closing: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Keep a line of the output if it sums up a test run or names a test that failed."""
        line = _COLOUR.sub("", line).rstrip()
        if found := _CLOSING.match(line):
            self.closing.append(found[1])
        elif _BAD.match(line):
            self.bad.append(line)


def run(name: str) -> Stage:
    """Run ``make NAME``, show its output while it comes, and return the outcome."""
    stage, began = Stage(name), time.monotonic()
    command = [os.environ.get("MAKE", "make"), "--no-print-directory", name]
    rest = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        while chunk := os.read(process.stdout.fileno(), 65_536):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                stage.read(line.decode(errors="replace"))
    stage.read(rest.decode(errors="replace"))
    stage.status, stage.seconds = process.returncode, time.monotonic() - began
    return stage


def table(stages: Sequence[Stage]) -> str:
    """Return what is printed at the end: a line for each stage, with the closing lines of its test runs."""
    width = max(len(stage.name) for stage in stages)
    lines = ["", " stages ".center(80, "=")]
    for stage in stages:
        outcome = "FAILED" if stage.status else "passed"
        about = "; ".join(stage.closing)
        lines.append(f"{stage.name:{width}}  {outcome}  {stage.seconds / 60:5.1f} min  {about}".rstrip())
        lines += [f"  {line}" for line in stage.bad]
    failed = [stage.name for stage in stages if stage.status]
    minutes = sum(stage.seconds for stage in stages) / 60
    lines.append(f"{minutes:.1f} minutes; {'failed: ' + ', '.join(failed) if failed else 'all stages passed'}")
    return "\n".join(lines)


def main(names: Sequence[str]) -> int:
    """Run the stages in their order and return the exit status."""
    stages = []
    try:
        for name in names:
            print(f"--- make {name}", flush=True)
            stages.append(run(name))
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    finally:
        if stages:
            print(table(stages), flush=True)
    return 2 if any(stage.status for stage in stages) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
