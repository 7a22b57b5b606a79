"""Packages as source: directories, archives and git repositories, which build offline with a backend of their own."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from .package_index import wheel

BACKEND = """
import io, tarfile, zipfile
NAME, VERSION, REQUIRES = {name!r}, {version!r}, {requires!r}
METADATA = f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n" + "".join(
    f"Requires-Dist: {{line}}\\n" for line in REQUIRES)
def build_wheel(directory, *args, **kwargs):
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    tag = {tag!r}
    with zipfile.ZipFile(f"{{directory}}/{{NAME}}-{{VERSION}}-{{tag}}.whl", "w") as archive:
        archive.writestr(f"{{NAME}}.py", open(f"{{NAME}}.py").read())
        archive.writestr(f"{{info}}/METADATA", METADATA)
        archive.writestr(f"{{info}}/WHEEL", f"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {{tag}}\\n")
        archive.writestr(f"{{info}}/RECORD", "")
    return f"{{NAME}}-{{VERSION}}-{{tag}}.whl"
def build_sdist(directory, *args, **kwargs):
    with tarfile.open(f"{{directory}}/{{NAME}}-{{VERSION}}.tar.gz", "w:gz") as archive:
        for file in (f"{{NAME}}.py", "pyproject.toml", "backend.py"):
            archive.add(file, f"{{NAME}}-{{VERSION}}/{{file}}")
        member = tarfile.TarInfo(f"{{NAME}}-{{VERSION}}/PKG-INFO")
        member.size = len(METADATA.encode())
        archive.addfile(member, io.BytesIO(METADATA.encode()))
    return f"{{NAME}}-{{VERSION}}.tar.gz"
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def directory(
    place: Path, name: str, version: str = "1.0", *, requires: tuple[str, ...] = (), tag: str = "py3-none-any"
) -> Path:
    """Write a package with one module into a directory of its name, and return it."""
    folder = place / name
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND.format(name=name, version=version, requires=requires, tag=tag))
    (folder / f"{name}.py").write_text(f"VERSION = {version!r}\nORIGIN = 'source'\n")
    return folder


def archive(place: Path, name: str) -> Path:
    """Write a source archive, and return it."""
    content = directory(place / "unpacked", name)
    file = place / f"{name}-1.0.tar.gz"
    with tarfile.open(file, "w:gz") as packed:
        packed.add(content, f"{name}-1.0")
    return file


def repository(place: Path, name: str) -> Path:
    """Write a git repository, and return it."""
    folder = directory(place, name)
    for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        user = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
        subprocess.run(["git", *user, *step], cwd=folder, check=True)
    return folder


def wheel_file(place: Path, name: str) -> Path:
    """Write a wheel, and return it."""
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"{name}-1.0-py3-none-any.whl"
    file.write_bytes(wheel(name, "1.0"))
    return file


#: The kinds of requirements for a package by its source, as lines relative to a directory.
KINDS: dict[str, Callable[[Path, str], str]] = {
    "git": lambda place, name: f"git+{repository(place, name).as_uri()}",
    "named_git": lambda place, name: f"{name} @ git+{repository(place, name).as_uri()}",
    "editable_git": lambda place, name: f"-e git+{repository(place, name).as_uri()}#egg={name}",
    "folder": lambda place, name: f"./{directory(place, name).name}",
    "named_folder": lambda place, name: f"{name} @ {directory(place, name).as_uri()}",
    "editable": lambda place, name: f"-e./{directory(place, name).name}",
    "sdist": lambda place, name: archive(place, name).name,
    "wheel": lambda place, name: f"./{wheel_file(place, name).name}",
    "wheel_url": lambda place, name: wheel_file(place, name).as_uri(),
    "found": lambda place, name: f"-f{wheel_file(place / 'links', name).parent.name}\n{name}",
}


def requirements(place: Path) -> Path:
    """Write a package of each kind and a requirements file with all of them, and return it."""
    lines = [line(place, f"of_{kind}") for kind, line in KINDS.items()]
    file = place / "requirements.txt"
    file.write_bytes("\r\n".join(lines).encode("utf-16"))
    return file
