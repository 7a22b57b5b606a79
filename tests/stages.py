"""The stages of ``make test``: each runs, also after a failure of another one, and one table at the end sums them up.

``python -m tests.stages check,test-js unit`` runs ``make check`` and ``make test-js`` side by side, then ``make unit``.
In ``faults,notebooks+soak``, the soak begins when the notebooks end, beside the faults.
The exit status is 0 when all stages passed, and 2 otherwise.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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


def run(name: str, show: Callable[[bytes], None]) -> Stage:
    """Run ``make NAME``, pass its output to `show` while it comes, and return the outcome."""
    stage, began = Stage(name), time.monotonic()
    command = [os.environ.get("MAKE", "make"), "--no-print-directory", name]
    rest = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        while chunk := os.read(process.stdout.fileno(), 65_536):
            show(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                stage.read(line.decode(errors="replace"))
    stage.read(rest.decode(errors="replace"))
    stage.status, stage.seconds = process.returncode, time.monotonic() - began
    return stage


def run_in_turn(names: Sequence[str], show: Callable[[bytes], None]) -> list[Stage]:
    """Run stages one after the other, and pass a heading and the output of each to `show` while it comes."""
    stages = []
    for name in names:
        show(f"--- make {name}\n".encode())
        stages.append(run(name, show))
    return stages


def run_group(lanes: Sequence[Sequence[str]]) -> list[Stage]:
    """Run lanes side by side. The output of the first is shown while it comes, that of the others when they end."""
    outputs: list[list[bytes]] = [[] for _ in lanes[1:]]
    with ThreadPoolExecutor(len(lanes)) as threads:
        each = zip(lanes[1:], (kept.append for kept in outputs), strict=True)
        others = [threads.submit(run_in_turn, *lane) for lane in each]
        stages = run_in_turn(lanes[0], write)
        for other, output in zip(others, outputs, strict=True):
            stages += other.result()
            write(b"".join(output))
    return stages


def write(output: bytes) -> None:
    """Write to standard output at once."""
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()


def table(stages: Sequence[Stage], seconds: float) -> str:
    """Return the summary: a line for each stage, with the closing lines of its test runs, and the time of all."""
    width = max(len(stage.name) for stage in stages)
    lines = ["", " stages ".center(80, "=")]
    for stage in stages:
        outcome = "FAILED" if stage.status else "passed"
        about = "; ".join(stage.closing)
        lines.append(f"{stage.name:{width}}  {outcome}  {stage.seconds / 60:5.1f} min  {about}".rstrip())
        lines += [f"  {line}" for line in stage.bad]
    failed = [stage.name for stage in stages if stage.status]
    lines.append(f"{seconds / 60:.1f} minutes; {'failed: ' + ', '.join(failed) if failed else 'all stages passed'}")
    return "\n".join(lines)


def main(groups: Sequence[str]) -> int:
    """Run the stages, group by group, and return the exit status."""
    stages: list[Stage] = []
    began = time.monotonic()
    try:
        for group in groups:
            stages += run_group([[name for name in lane.split("+") if name] for lane in group.split(",")])
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    finally:
        if stages:
            print(table(stages, time.monotonic() - began), flush=True)
    return 2 if any(stage.status for stage in stages) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
