"""Virtual environment layers, built without running the image's Python: uv unpacks wheels."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from email.parser import HeaderParser
from importlib import metadata
from pathlib import Path

from mljupyter.build.environments.uv import Uv
from mljupyter.build.images.builder import InstalledPackage
from mljupyter.build.images.oci.layers import LayerEntry, tree_entries

# Files that installers write and that differ each time or are not needed in an image.
_LEFT_OUT = ("uv_cache.json", ".lock")
_SHEBANG = re.compile(rb"\A#!.*\n(?:'''exec'.*\n' '''\n)?")
MOST_SCRIPT_BYTES = 1 << 20


def install_wheels(
    uv: Uv, file: Path, target: Path, *, minor: int, platform: str, python: str, arguments: Sequence[str] = ()
) -> None:
    """Unpack wheels for another platform and Python into a directory.

    Parameters:
        uv: runs uv.
        file: the requirements file.
        target: the directory.
        minor: the minor version of the image's Python 3.
        platform: the platform in the form of `uv_platform`.
        python: an interpreter of this machine, which uv requires.
        arguments: more arguments for uv.

    Raises `EnvironmentBuildError` with a hint when no wheel satisfies a requirement.
    """
    target.mkdir(parents=True, exist_ok=True)
    uv.checked(
        "installing packages",
        *("pip", "install", "--no-config", "--target", target, "--only-binary", ":all:", "--python", python),
        *("--python-version", f"3.{minor}", "--python-platform", platform),
        *arguments,
        *("--requirement", file),
    )


def environment_entries(packages: Path | None, prefix: str, python: str, minor: int) -> Iterator[LayerEntry]:
    """Yield a virtual environment for the image.

    Parameters:
        packages: the directory from `install_wheels`; None for an empty environment.
        prefix: the path of the environment in the image.
        python: the path of the image's own Python.
        minor: its minor version.

    """
    home = python.rpartition("/")[0]
    yield LayerEntry(
        f"{prefix}/pyvenv.cfg",
        f"home = {home}\ninclude-system-site-packages = false\nversion = 3.{minor}\n".encode(),
    )
    yield LayerEntry(f"{prefix}/bin/python", link=python)
    for name in ("python3", f"python3.{minor}"):
        yield LayerEntry(f"{prefix}/bin/{name}", link="python")
    site = f"{prefix}/lib/python3.{minor}/site-packages"
    yield LayerEntry(site)
    if packages is None or not packages.is_dir():
        return
    for entry in tree_entries(packages, site, skip=_skipped):
        relative = entry.path.removeprefix(site).lstrip("/")
        if relative == "bin":
            continue
        if relative.startswith("bin/"):
            yield _script(entry, f"{prefix}/{relative}", prefix)
        elif relative.endswith(".dist-info/RECORD") and isinstance(entry.source, Path):
            yield LayerEntry(entry.path, _record(entry.source))
        else:
            yield entry


def wrapper_entries(script: str, prefix: str) -> Iterator[LayerEntry]:
    """Yield the wrapper that replaces an environment when the base image's own interpreter is used."""
    yield LayerEntry(f"{prefix}/bin/python", script.encode(), executable=True)


def installed_packages(directory: Path, part: str = "environment") -> list[InstalledPackage]:
    """Return the packages installed in a directory, sorted by name."""
    found = []
    for distribution in metadata.distributions(path=[str(directory)]):
        text = distribution.read_text("METADATA") or ""
        headers = HeaderParser().parsestr(text, headersonly=True)
        name = headers["Name"]
        if name:
            license_text = headers["License-Expression"] or headers["License"]
            short = license_text if license_text and len(license_text) < 100 and "\n" not in license_text else None
            found.append(InstalledPackage(name, headers["Version"] or "0", part, short))
    return sorted(found, key=lambda package: package.name.lower())


def _skipped(relative: str) -> bool:
    return "__pycache__" in relative.split("/") or relative.rpartition("/")[2] in _LEFT_OUT


def _script(entry: LayerEntry, path: str, prefix: str) -> LayerEntry:
    """Return a script changed to start the image's interpreter instead of the one that it was installed with."""
    if not isinstance(entry.source, Path) or entry.source.stat().st_size > MOST_SCRIPT_BYTES:
        return LayerEntry(path, entry.source, executable=True, link=entry.link)
    content = entry.source.read_bytes()
    first = content.partition(b"\n")[0]
    if first.startswith(b"#!") and (b"python" in first or b"/bin/sh" in first):
        content = _SHEBANG.sub(f"#!{prefix}/bin/python\n".encode(), content, count=1)
    return LayerEntry(path, content, executable=True)


def _record(path: Path) -> bytes:
    """Return the RECORD of a package for the image: sorted, with scripts in the directory of Python."""
    rows: Iterable[list[str]] = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
    kept = []
    for row in rows:
        if not row or _skipped(row[0]):
            continue
        if row[0].startswith("bin/"):
            row = [f"../../../{row[0]}", "", ""]
        kept.append(row)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(kept))
    return text.getvalue().encode()
