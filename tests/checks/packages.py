"""Known vulnerabilities of the packages that are installed, and of those that the JavaScript is built with.

pip-audit looks up the Python packages of this environment, npm those of the lock files of `labextension/` and
`widgets-js/`. Both ask a service, which a mirror of packages often lacks: what could not be looked up is said, and
fails with `--strict`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ACCEPTED = Path(__file__).with_name("known-vulnerabilities.toml")
LOCK_FILES = tuple(ROOT / place / "package-lock.json" for place in ("labextension", "widgets-js"))
SEEN = Path(sys.prefix)
OWN = "mljupyter"
_SERVICES = ("pypi", "osv")  # of pip-audit
_PROBE = "packaging"  # looked up first: if it is not known, the service is not there
_TIMEOUT_SECONDS = 300
_LONGEST_REASON = 200


class NotDoneError(Exception):
    """It could not be looked up; the text says why."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known vulnerability of a package, under all of its names."""

    package: str
    version: str
    ids: tuple[str, ...]
    fixed_in: str = ""

    def __str__(self) -> str:
        fixed = f"fixed in {self.fixed_in}" if self.fixed_in else "no fixed release is known"
        return f"{self.package} {self.version}: {', '.join(self.ids)}; {fixed}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A vulnerability that is accepted until a day."""

    id: str
    package: str
    reason: str
    look_again: date


@dataclass(slots=True)
class Audit:
    """What one tool said.

    Parameters:
        tool: its name.
        packages: how many it looked at.
        found: what it knows of.
        unknown: packages that it could not look up.
        not_done: why nothing was looked up; empty when it was.
        seconds: how long it took.

    """

    tool: str
    packages: int = 0
    found: list[Vulnerability] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    not_done: str = ""
    seconds: float = 0.0


def accepted_in(path: Path) -> list[Accepted]:
    """Return what a file accepts; raise ValueError for an entry without id, package, reason or date."""
    entries = []
    for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8")).get("accepted", []), 1):
        texts = [entry.get(key) for key in ("id", "package", "reason")]
        if (
            not all(isinstance(text, str) and text.strip() for text in texts)
            or type(entry.get("look_again")) is not date
        ):
            raise ValueError(f"{path.name}: entry {number} needs id, package, reason and look_again (a date)")
        entries.append(Accepted(**{key: entry[key] for key in ("id", "package", "reason", "look_again")}))
    return entries


def complaints(audits: Iterable[Audit], accepted: Iterable[Accepted], today: date, *, strict: bool) -> list[str]:
    """Return what is wrong: vulnerabilities that nobody accepted, entries that are due or needed no more.

    Parameters:
        audits: what the tools said.
        accepted: the entries.
        today: the day.
        strict: whether what could not be looked up is wrong, too.

    """
    audits, accepted = list(audits), list(accepted)
    said = [
        f"{one.id} ({one.package}): look again, it was accepted until {one.look_again}"
        for one in accepted
        if one.look_again <= today
    ]
    names = {(one.package, one.id) for one in accepted}
    used: set[tuple[str, str]] = set()
    for audit in audits:
        for found in audit.found:
            matching = names & {(found.package, name) for name in found.ids}
            used |= matching
            said += [] if matching else [str(found)]
        if strict and audit.not_done:
            said.append(f"{audit.tool}: nothing was looked up")
        elif strict and audit.unknown:
            said.append(f"{audit.tool}: not looked up: {', '.join(audit.unknown)}")
    if not any(audit.not_done or audit.unknown for audit in audits):
        said += [
            f"{name} ({package}): it is not found any more, remove the entry" for package, name in sorted(names - used)
        ]
    return said


def installed() -> list[str]:
    """Return the packages of this environment, as requirements."""
    found = {item.name.lower(): item.version for item in metadata.distributions() if item.name.lower() != OWN}
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def audit_python(requirements: list[str]) -> Audit:
    """Look up Python packages with the first of pip-audit's services that knows one of them."""
    probe = [line for line in requirements if line.startswith(f"{_PROBE}==")] or requirements[:1]
    reasons = []
    for service in _SERVICES:
        try:
            if not _pip_audit(probe, service).unknown:
                return _pip_audit(requirements, service)
            reasons.append(f"{service} does not know {probe[0]}: a mirror without PyPI's JSON interface?")
        except NotDoneError as error:
            reasons.append(f"{service}: {error}")
    raise NotDoneError("; ".join(reasons))


def audit_javascript(lock_file: Path) -> Audit:
    """Look up the packages of a lock file with npm; nothing is installed."""
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        raise NotDoneError("npm is not installed: `make labextension` installs it")
    with tempfile.TemporaryDirectory(prefix="mljupyter-audit-") as place:
        for name in (lock_file.name, "package.json"):
            shutil.copy(lock_file.with_name(name), place)
        report, said = _output([npm, "audit", "--package-lock-only", "--json"], Path(place))
    if "vulnerabilities" not in report:
        raise NotDoneError(str(report.get("message") or said))
    found = []
    for name, item in report["vulnerabilities"].items():
        fix = item.get("fixAvailable")
        fixed = f"{fix['name']} {fix['version']}" if isinstance(fix, dict) else "a later release" if fix else ""
        # A source that is a name stands for a package that is vulnerable itself, and listed, too.
        urls = [source["url"] for source in item["via"] if isinstance(source, dict)]
        found += [Vulnerability(name, item["range"], (url.rpartition("/")[2],), fixed) for url in urls]
    return Audit(f"npm audit {lock_file.parent.name}", report["metadata"]["dependencies"]["total"], found)


def timed(tool: str, what: str, audit: Callable[[], Audit]) -> Audit:
    """Run an audit unless it was done today and found nothing; `what` is what it depends on."""
    began = time.monotonic()
    key = f"{tool} {datetime.now(UTC).date()} {hashlib.sha256(what.encode()).hexdigest()}"
    seen = SEEN / f".{tool.replace(' ', '-')}-done"
    if seen.is_file() and seen.read_text(encoding="utf-8").startswith(f"{key} "):
        return Audit(f"{tool}, earlier today", int(seen.read_text(encoding="utf-8").rpartition(" ")[2]))
    try:
        done = audit()
    except NotDoneError as error:
        done = Audit(tool, not_done=" ".join(str(error).split()))
    done.seconds = time.monotonic() - began
    if not done.found and not done.unknown and not done.not_done:
        seen.write_text(f"{key} {done.packages}", encoding="utf-8")
    return done


def describe(audit: Audit) -> str:
    """Return a line on what a tool did."""
    if audit.not_done:
        return f"{audit.tool}: NOT DONE, nothing was looked up ({audit.seconds:.1f} s). {audit.not_done}"
    unknown = f", {len(audit.unknown)} NOT LOOKED UP: {', '.join(audit.unknown)}" if audit.unknown else ""
    known = f"{len(audit.found)} known vulnerabilities"
    return f"{audit.tool}: {audit.packages} packages, {known}{unknown} ({audit.seconds:.1f} s)"


def main(arguments: list[str]) -> int:
    """Look everything up at the same time, print what was found, and return the exit status."""
    strict = "--strict" in arguments
    try:
        accepted = accepted_in(ACCEPTED)
    except ValueError as error:
        print(error)
        return 1
    requirements = installed()
    with ThreadPoolExecutor() as pool:
        python = pool.submit(timed, "pip-audit", "\n".join(requirements), lambda: audit_python(requirements))
        javascript = [
            pool.submit(
                timed, f"npm audit {file.parent.name}", file.read_text("utf-8"), partial(audit_javascript, file)
            )
            for file in LOCK_FILES
        ]
        audits = [python.result(), *(audit.result() for audit in javascript)]
    for audit in audits:
        print(describe(audit))
    wrong = complaints(audits, accepted, datetime.now(UTC).date(), strict=strict)
    for line in wrong:
        print(line)
    if not strict and any(audit.not_done or audit.unknown for audit in audits):
        print("Where the services answer, `make audit STRICT=1` looks everything up, and fails if it cannot.")
    return 1 if wrong else 0


def _pip_audit(requirements: list[str], service: str) -> Audit:
    with tempfile.TemporaryDirectory(prefix="mljupyter-audit-") as place:
        file = Path(place) / "requirements.txt"
        file.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        options = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(file), "--vulnerability-service", service]
        report, said = _output([*command, *options], Path(place))
    if "dependencies" not in report:
        raise NotDoneError(said)
    audit = Audit("pip-audit", len(requirements))
    for package in report["dependencies"]:
        if "skip_reason" in package:
            audit.unknown.append(package["name"])
        for item in package.get("vulns") or []:
            ids = (item["id"], *(item.get("aliases") or []))
            fixed = ", ".join(item.get("fix_versions") or [])
            audit.found.append(Vulnerability(package["name"], package["version"], ids, fixed))
    return audit


def _output(command: list[str], directory: Path) -> tuple[dict[str, Any], str]:
    """Return the JSON object that a tool printed, an empty one for anything else, and the end of what it complained."""
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise NotDoneError(f"no answer within {_TIMEOUT_SECONDS} s") from None
    said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
    try:
        report = json.loads(done.stdout)
    except ValueError:
        report = None
    return (report if isinstance(report, dict) else {}), said[-1][:_LONGEST_REASON]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
