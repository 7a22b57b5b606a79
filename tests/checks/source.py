"""Bandit's findings in the sources, with the exceptions that ruff has already.

Ruff's rules `S` are bandit's under the same numbers, but not all of them, and bandit sees some places that ruff does
not. An exception is written once, for both: `# noqa: S108 - in the container` lets B108 pass, too. Each needs a reason.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("mljupyter", "binder", "labextension", "widgets-js")
_EXCEPTION = re.compile(r"#\s*noqa:\s*(?P<codes>[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*)(?P<reason>.*)")
_SHORTEST_REASON = 4  # letters


@dataclass(frozen=True, slots=True)
class Exempted:
    """An exception at a line: the rules it is for, and its reason."""

    codes: frozenset[str]
    reason: str


def exempted(line: str) -> Exempted:
    """Return the exceptions that a line of source makes."""
    found = _EXCEPTION.search(line)
    if found is None:
        return Exempted(frozenset(), "")
    codes = frozenset(code.strip() for code in found["codes"].split(","))
    return Exempted(codes, found["reason"].strip(" -()\t"))


def without_reason(path: Path) -> list[str]:
    """Return a complaint for each exception of a security rule in a file that gives no reason."""
    complaints = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = exempted(line)
        codes = sorted(code for code in found.codes if re.fullmatch(r"S\d+", code))
        if codes and len(re.sub(r"\W", "", found.reason)) < _SHORTEST_REASON:
            complaints.append(f"{path}:{number}: the exception {', '.join(codes)} gives no reason behind it")
    return complaints


def findings(root: Path, sources: list[str]) -> list[str]:
    """Return a line for each of bandit's findings that no exception lets pass.

    Parameters:
        root: where `pyproject.toml` is.
        sources: files and directories below it.

    """
    command = [sys.executable, "-m", "bandit", "--quiet", "--configfile", "pyproject.toml", "--format", "json"]
    done = subprocess.run([*command, "--recursive", *sources], cwd=root, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return [f"bandit gave no report (exit status {done.returncode}): {done.stderr.strip()[-2000:]}"]
    said = [f"{error['filename']}: bandit could not read it: {error['reason']}" for error in report["errors"]]
    for found in report["results"]:
        lines = (root / found["filename"]).read_text(encoding="utf-8").splitlines()
        rule = found["test_id"].replace("B", "S", 1)
        if not any(rule in exempted(lines[number - 1]).codes for number in found["line_range"]):
            place = f"{found['filename']}:{found['line_number']}"
            said.append(f"{place}: {found['test_id']} ({found['issue_severity'].lower()}) {found['issue_text']}")
    return said


def main() -> int:
    """Print what was found; return the exit status."""
    began = time.monotonic()
    sources = [name for name in SOURCES if (ROOT / name).exists()]
    files = [path for name in sources for path in (ROOT / name).rglob("*.py") if "node_modules" not in path.parts]
    complaints = findings(ROOT, sources)
    complaints += [line for path in files for line in without_reason(path.relative_to(ROOT))]
    for line in complaints:
        print(line)
    print(f"bandit: {len(files)} files, {len(complaints)} complaints ({time.monotonic() - began:.1f} s)")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
