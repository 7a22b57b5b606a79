"""Environments from what is there already: files, images, conda environments, the notebook."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.build.environments.definition import redacted
from mljupyter.core import conda_file
from mljupyter.core.conda_dependencies import CondaDependencies
from mljupyter.core.docker_section import DockerSection
from mljupyter.core.environment import Environment
from mljupyter.exceptions import UserErrorException
from mljupyter.files import draft_of

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace

_CONDA_TIMEOUT_SECONDS = 120
_WITH_FILE = re.compile(r"(?P<option>-r|--requirement|-c|--constraint|-e|--editable)[\s=]+(?P<path>\S.*)")
_OWN = {"mljupyter", "pip"}


def from_conda_specification(name: str, file_path: str | os.PathLike[str]) -> Environment:
    """Do what `Environment.from_conda_specification` promises."""
    environment = Environment(name)
    environment.python.conda_dependencies_file = file_path
    assert environment.python.conda_dependencies is not None  # noqa: S101 (for the type checker)
    lines = [*environment.python.conda_dependencies.pip_options, *environment.python.conda_dependencies.pip_packages]
    if lines:
        absolute = _absolute(lines, Path(file_path).expanduser().parent)
        environment.python.conda_dependencies.set_pip_requirements(absolute)
    environment.environment_variables = dict(environment.python.conda_dependencies.definition().variables)
    return environment


def from_pip_requirements(name: str, file_path: str | os.PathLike[str], pip_version: str | None) -> Environment:
    """Do what `Environment.from_pip_requirements` promises."""
    environment = Environment(name)
    packages = CondaDependencies.create(pip_packages=[])
    packages.set_pip_requirements(_requirements(Path(file_path).expanduser(), ()))
    if pip_version is not None:
        packages.add_conda_package(f"pip={pip_version}")
    environment.python.conda_dependencies = packages
    return environment


def on_image(
    name: str,
    docker: DockerSection,
    conda_specification: str | os.PathLike[str] | None,
    pip_requirements: str | os.PathLike[str] | None,
) -> Environment:
    """Return an environment that begins with an image."""
    if conda_specification is not None and pip_requirements is not None:
        raise UserErrorException("conda_specification and pip_requirements exclude each other: give one.")
    if conda_specification is not None:
        environment = from_conda_specification(name, conda_specification)
    elif pip_requirements is not None:
        environment = from_pip_requirements(name, pip_requirements, None)
    else:
        environment = Environment(name)
        environment.python.user_managed_dependencies = True
    environment.docker = docker
    return environment


def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
    """Do what `Environment.from_existing_conda_environment` promises."""
    tool = os.environ.get("CONDA_EXE") or next(filter(None, map(shutil.which, ("conda", "mamba", "micromamba"))), None)
    if tool is None:
        raise UserErrorException(
            f"The conda environment {conda_environment_name!r} cannot be read: there is no conda on PATH.\n"
            "Use Environment.from_current() for the notebook's own, or from_conda_specification() for a file."
        )
    command = [tool, "env", "export", "--name", conda_environment_name, "--no-builds"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_CONDA_TIMEOUT_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserErrorException(f"{tool} does not answer: {error}") from None
    if answer.returncode:
        raise UserErrorException(
            f"conda cannot export the environment {conda_environment_name!r}: {redacted(answer.stderr.strip())[:1000]}"
        )
    content = conda_file.parse(answer.stdout, f"What {tool} says of {conda_environment_name!r}")
    content.pop("prefix", None)
    environment = Environment(name)
    environment.python.conda_dependencies = CondaDependencies(_underlying_structure=content)
    return environment


def from_current(name: str) -> Environment:
    """Do what `Environment.from_current` promises."""
    found: dict[str, str] = {}
    left_out = []
    for distribution in metadata.distributions():
        package = distribution.metadata["Name"]
        if not package or package.lower() in _OWN or package in found:
            continue
        origin = _origin(distribution)
        if origin is None:
            found[package] = f"{package}=={distribution.version}"
        elif origin.startswith("file:"):
            left_out.append(package)
        else:
            found[package] = f"{package} @ {origin}"
    if left_out:
        print(f"Left out, since installed from a directory: {', '.join(sorted(left_out))}")
    environment = Environment(name)
    packages = CondaDependencies.create(
        pip_packages=sorted(found.values(), key=str.lower),
        python_version=f"{sys.version_info[0]}.{sys.version_info[1]}",
    )
    environment.python.conda_dependencies = packages
    environment._taken_from = (sys.executable, environment.fingerprint)
    return environment


def add_private_pip_wheel(workspace: Workspace, file: Path, exist_ok: bool) -> str:
    """Do what `Environment.add_private_pip_wheel` promises."""
    source = file.expanduser()
    if source.suffix != ".whl" or not source.is_file():
        raise UserErrorException(f"{str(file)!r} is no wheel: give an existing file *.whl.")
    directory = workspace.directory / "wheels"
    directory.mkdir(mode=0o700, exist_ok=True)
    target = directory / source.name
    if target.exists() and not exist_ok:
        raise UserErrorException(f"The wheel {source.name!r} is stored already: pass exist_ok=True to use that one.")
    if not target.exists():
        with draft_of(target) as draft:
            shutil.copyfile(source, draft)
    return target.as_uri()


def _requirements(file: Path, above: tuple[Path, ...]) -> list[str]:
    """Return the lines of a requirements file, those of files it refers to in their place."""
    file = file.absolute()
    if file in above:
        raise UserErrorException(f"The requirements file {str(file)!r} refers to itself.")
    lines: list[str] = []
    for line in conda_file.read_text(file, "requirements file").replace("\\\n", " ").splitlines():
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        match = _WITH_FILE.fullmatch(text)
        if match is not None and match["option"] in ("-r", "--requirement"):
            lines += _requirements(file.parent / match["path"].strip(), (*above, file))
        elif text:
            lines += _absolute([text], file.parent)
    return lines


def _absolute(lines: list[str], directory: Path) -> list[str]:
    """Return requirements whose paths mean the same wherever they are read."""
    return [_absolute_line(line, directory.absolute()) for line in lines]


def _absolute_line(line: str, directory: Path) -> str:
    match = _WITH_FILE.fullmatch(line)
    path = match["path"].strip() if match else line
    is_path = match is not None or line.startswith(("./", "../"))
    if not is_path or "://" in path or os.path.isabs(path):  # noqa: PTH117
        return line
    full = os.path.normpath(directory / path)
    return f"{match['option']} {full}" if match else full


def _origin(distribution: metadata.Distribution) -> str | None:
    """Return the URL that a package was installed from, None for one of an index."""
    text = distribution.read_text("direct_url.json")
    if not text:
        return None
    try:
        content = json.loads(text)
    except ValueError:
        return None
    url = str(content.get("url", ""))
    vcs = content.get("vcs_info")
    return f"{vcs['vcs']}+{url}@{vcs['commit_id']}" if isinstance(vcs, dict) and "commit_id" in vcs else url
