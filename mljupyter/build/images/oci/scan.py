"""Look for known vulnerabilities in an image with the scanners that are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.oci.sbom import requirements_of
from mljupyter.build.images.registry.references import Reference
from mljupyter.outside import json_value

SCANNERS = ("trivy", "grype", "pip-audit")
TIMEOUT_SECONDS = 600
MOST_OUTPUT_BYTES = 256 << 20
_MOST_SAID_BYTES = 4000
_LONGEST_REASON = 300
_UNREACHABLE = re.compile(
    r"name resolution|NameResolutionError|no such host|Name or service not known|Connection(Error| refused| reset)"
    r"|Max retries exceeded|timed? ?out|network is unreachable|dial tcp|TLS handshake",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A known vulnerability of a package in an image."""

    scanner: str
    package: str
    version: str
    vulnerability: str
    severity: str
    fixed_in: str | None = None


# The findings of a scanner, and the packages that it could not look up.
Scanned = tuple[list[Finding], list[str]]


@dataclass(frozen=True, slots=True)
class ScanReport:
    """The results of all scanners for an image.

    Parameters:
        scanners: the scanners that were run.
        findings: known vulnerabilities, the most severe first.
        unchecked: packages that a scanner could not check, with its reason. They may be vulnerable or not.

    """

    scanners: tuple[str, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a document for JSON."""
        return asdict(self)


def scan(reference: str, bill: bytes, scanners: tuple[str, ...] = SCANNERS) -> list[Finding]:
    """Return the findings of `scan_report`."""
    return list(scan_report(reference, bill, scanners).findings)


def scan_report(reference: str, bill: bytes, scanners: tuple[str, ...] = SCANNERS) -> ScanReport:
    """Return the findings of all installed scanners for an image.

    trivy and grype scan the image with the packages of its distribution. pip-audit checks the Python packages of its
    bill of materials.

    Parameters:
        reference: the image.
        bill: its bill of materials.
        scanners: the scanners to use, if installed.

    Raises:
        ImageError: for an invalid reference; when no scanner is installed, when one fails, or when one could not look
            up any package.

    """
    # Check the reference, which may come from a shared database: a scanner takes `--config=...` as an option and
    # `dir:/home` as a directory.
    Reference.parse(reference)
    installed = [(name, program) for name in scanners if (program := _program(name))]
    if not installed:
        raise ImageError(
            f"No scanner is installed: none of {', '.join(scanners)} is on PATH.\n"
            "Install one: pip install pip-audit, or see https://trivy.dev and https://github.com/anchore/grype."
        )
    found: dict[tuple[str, str, str], Finding] = {}
    unchecked: list[str] = []
    for name, program in installed:
        findings, unknown = _SCANNERS[name](program, reference, bill)
        for finding in findings:
            found.setdefault((finding.package, finding.version, finding.vulnerability), finding)
        unchecked += unknown
    order = ("critical", "high", "medium", "low")
    ordered = sorted(
        found.values(),
        key=lambda one: (order.index(one.severity) if one.severity in order else 4, one.package, one.vulnerability),
    )
    return ScanReport(tuple(name for name, _ in installed), tuple(ordered), tuple(unchecked))


def _program(name: str) -> str | None:
    beside = Path(sys.executable).with_name(name)
    return shutil.which(name) or (str(beside) if beside.is_file() else None)


def _trivy(program: str, reference: str, bill: bytes) -> Scanned:
    document = _run("trivy", [program, "image", "--quiet", "--format", "json", reference])
    findings = [
        Finding(
            "trivy",
            item["PkgName"],
            item.get("InstalledVersion", ""),
            item["VulnerabilityID"],
            item.get("Severity", "unknown").lower(),
            item.get("FixedVersion") or None,
        )
        for result in document.get("Results") or []
        for item in result.get("Vulnerabilities") or []
    ]
    return findings, []


def _grype(program: str, reference: str, bill: bytes) -> Scanned:
    document = _run("grype", [program, "--quiet", "--output", "json", reference])
    findings = [
        Finding(
            "grype",
            match["artifact"]["name"],
            match["artifact"].get("version", ""),
            match["vulnerability"]["id"],
            match["vulnerability"].get("severity", "unknown").lower(),
            ", ".join(match["vulnerability"].get("fix", {}).get("versions") or []) or None,
        )
        for match in document.get("matches") or []
    ]
    return findings, []


def _pip_audit(program: str, reference: str, bill: bytes) -> Scanned:
    requirements = requirements_of(bill)
    if not requirements:
        return [], []
    with tempfile.TemporaryDirectory(prefix="mljupyter-scan-") as temporary:
        file = Path(temporary) / "requirements.txt"
        file.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        options = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
        document = _run("pip-audit", [program, "--requirement", str(file), *options])
    packages = document.get("dependencies") or []
    findings = [
        Finding(
            "pip-audit",
            package["name"],
            package.get("version", ""),
            item["id"],
            "unknown",
            ", ".join(item.get("fix_versions") or []) or None,
        )
        for package in packages
        for item in package.get("vulns") or []
    ]
    unchecked = [f"{package['name']}: {package['skip_reason']}" for package in packages if "skip_reason" in package]
    if packages and len(unchecked) == len(packages):
        # pip-audit ends with success here. This happens with a package index that only serves files.
        raise ImageError(
            f"pip-audit could not look up any of the {len(packages)} packages. It said: {unchecked[0]}\n"
            "It asks the JSON interface of PyPI, which many mirrors lack. With OSV instead: set "
            "PIP_AUDIT_VULNERABILITY_SERVICE=osv, or install trivy or grype."
        )
    return findings, unchecked


_SCANNERS: dict[str, Callable[[str, str, bytes], Scanned]] = {
    "trivy": _trivy,
    "grype": _grype,
    "pip-audit": _pip_audit,
}


def _run(name: str, command: list[str]) -> dict[str, Any]:
    """Run a scanner and read its report. The exit status is ignored, since findings also change it."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                check=False,
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise ImageError(f"{name} did not finish within {TIMEOUT_SECONDS} s.") from error
        output.seek(0)
        errors.seek(0)
        try:
            document = json_value(output.read(MOST_OUTPUT_BYTES))
        except ValueError as error:
            raise ImageError(_no_report(name, errors)) from error
    return document if isinstance(document, dict) else {"dependencies": document}


def _no_report(name: str, errors: IO[bytes]) -> str:
    """Return the message for a scanner that failed: the end of its output, and a hint where one is known."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _MOST_SAID_BYTES))
    said = errors.read().decode("utf-8", "replace")
    if _UNREACHABLE.search(said):
        hint = "Its vulnerability service cannot be reached: check the network and the proxy (HTTPS_PROXY)."
        return f"{name} gave no report: {said.strip().splitlines()[-1][:_LONGEST_REASON]}\n{hint}"
    return "\n".join([f"{name} gave no report. It said:", *said.strip().splitlines()[-5:]])
