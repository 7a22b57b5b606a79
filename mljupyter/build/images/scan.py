"""Look for known vulnerabilities in an image, with whichever scanner is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.sbom import requirements_of

TIMEOUT_SECONDS = 600
MOST_OUTPUT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """A known vulnerability of a package in an image."""

    scanner: str
    package: str
    version: str
    vulnerability: str
    severity: str
    fixed_in: str | None = None


def scan(reference: str, bill: bytes, scanners: tuple[str, ...] = ("trivy", "grype", "pip-audit")) -> list[Finding]:
    """Return the known vulnerabilities of an image, by all scanners that are installed, the most severe first.

    trivy and grype look at the image and at what its distribution installs; pip-audit at the Python packages of its
    bill of materials. Raises `ImageError` when none is installed, or one fails.

    Parameters:
        reference: the image.
        bill: its bill of materials.
        scanners: which to use where installed.

    """
    installed = [(name, program) for name in scanners if (program := _program(name))]
    if not installed:
        raise ImageError(
            f"No scanner is installed: none of {', '.join(scanners)} is on PATH.\n"
            "Install one: pip install pip-audit, or see https://trivy.dev and https://github.com/anchore/grype."
        )
    found: dict[tuple[str, str, str], Finding] = {}
    for name, program in installed:
        for finding in _SCANNERS[name](program, reference, bill):
            found.setdefault((finding.package, finding.version, finding.vulnerability), finding)
    order = ("critical", "high", "medium", "low")
    return sorted(
        found.values(),
        key=lambda one: (order.index(one.severity) if one.severity in order else 4, one.package, one.vulnerability),
    )


def _program(name: str) -> str | None:
    beside = Path(sys.executable).with_name(name)
    return shutil.which(name) or (str(beside) if beside.is_file() else None)


def _trivy(program: str, reference: str, bill: bytes) -> list[Finding]:
    document = _run("trivy", [program, "image", "--quiet", "--format", "json", reference])
    return [
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


def _grype(program: str, reference: str, bill: bytes) -> list[Finding]:
    document = _run("grype", [program, "--quiet", "--output", "json", reference])
    return [
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


def _pip_audit(program: str, reference: str, bill: bytes) -> list[Finding]:
    requirements = requirements_of(bill)
    if not requirements:
        return []
    with tempfile.TemporaryDirectory(prefix="mljupyter-scan-") as temporary:
        file = Path(temporary) / "requirements.txt"
        file.write_text("".join(f"{line}\n" for line in requirements))
        options = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
        document = _run("pip-audit", [program, "--requirement", str(file), *options])
    return [
        Finding(
            "pip-audit",
            package["name"],
            package.get("version", ""),
            item["id"],
            "unknown",
            ", ".join(item.get("fix_versions") or []) or None,
        )
        for package in document.get("dependencies") or []
        for item in package.get("vulns") or []
    ]


_SCANNERS: dict[str, Callable[[str, str, bytes], list[Finding]]] = {
    "trivy": _trivy,
    "grype": _grype,
    "pip-audit": _pip_audit,
}


def _run(name: str, command: list[str]) -> dict[str, Any]:
    """Run a scanner and read its report. Scanners say by their exit status, too, that they found something."""
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
            document = json.loads(output.read(MOST_OUTPUT_BYTES))
        except ValueError as error:
            said = errors.read(4000).decode("utf-8", "replace").strip().splitlines()[-5:]
            raise ImageError("\n".join([f"{name} gave no report. It said:", *said])) from error
    return document if isinstance(document, dict) else {"dependencies": document}
