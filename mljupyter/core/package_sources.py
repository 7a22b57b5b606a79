"""Package lists from requirements files, conda environments, the running interpreter and wheels."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from mljupyter.build.environments import project_file
from mljupyter.build.environments.definition import redacted
from mljupyter.build.environments.local_files import absolute_lines, lines_of_file, read_list
from mljupyter.build.environments.requirements import pin_of
from mljupyter.core import conda_file
from mljupyter.core.conda_dependencies import CondaDependencies
from mljupyter.exceptions import UserErrorException, as_user_error
from mljupyter.files import draft_of, expanded
from mljupyter.workspace_folders import make_folder

_CONDA_TIMEOUT_SECONDS = 120
_OWN = {"mljupyter", "pip"}


def read_pip_requirements(file: Path, pip_version: str | None) -> CondaDependencies:
    """Return the packages of a requirements file and of the files that it includes, or of a ``pyproject.toml``.

    Parameters:
        file: the file.
        pip_version: the version of pip to install; None for any.

    Raises:
        UserErrorException: a file cannot be read, or includes itself.

    """
    packages = CondaDependencies.create(pip_packages=[])
    with as_user_error():
        if file.name == project_file.NAME:
            project = project_file.project_dependencies(read_list(file, "project file"), str(file))
            lines = absolute_lines(project.lines, file.parent)
            if project.python is not None:
                packages.add_conda_package(f"python{project.python}")
            if project.left_out:
                print(f"Not installed, of {file.name}: {', '.join(project.left_out)}")
        else:
            lines = lines_of_file(file)
        packages.set_pip_requirements(lines)
    if pip_version is not None:
        packages.add_conda_package(f"pip={pip_version}")
    return packages


def read_conda_environment(conda_environment_name: str) -> CondaDependencies:
    """Return the packages of a conda environment of this machine.

    Raises:
        UserErrorException: conda is not installed, or there is no such environment.

    """
    tool = os.environ.get("CONDA_EXE") or next(filter(None, map(shutil.which, ("conda", "mamba", "micromamba"))), None)
    if tool is None:
        raise UserErrorException(
            f"The conda environment {conda_environment_name!r} cannot be read: there is no conda on PATH.\n"
            "Use Environment.from_current() for the notebook's own, or from_conda_specification() for a file."
        )
    command = [tool, "env", "export", "--name", conda_environment_name, "--no-builds"]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_CONDA_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserErrorException(f"{tool} does not answer: {error}") from None
    if answer.returncode:
        raise UserErrorException(
            f"conda cannot export the environment {conda_environment_name!r}: {redacted(answer.stderr.strip())[:1000]}"
        )
    content = conda_file.parse(answer.stdout, f"The output of {tool} for {conda_environment_name!r}")
    content.pop("prefix", None)
    return CondaDependencies(_underlying_structure=content)


def installed_packages() -> CondaDependencies:
    """Return the packages of the running interpreter; print those that cannot be installed elsewhere."""
    found: dict[str, str] = {}
    left_out = []
    for distribution in metadata.distributions():
        package = distribution.metadata["Name"]
        if not package or package.lower() in _OWN or package in found:
            continue
        origin = _origin(distribution)
        if origin is None:
            found[package] = pin_of(package, distribution.version)
        elif origin.startswith("file:"):
            left_out.append(package)
        else:
            found[package] = f"{package} @ {origin}"
    if left_out:
        print(f"Left out, because they were installed from a directory: {', '.join(sorted(left_out))}")
    return CondaDependencies.create(
        pip_packages=sorted(found.values(), key=str.lower),
        python_version=f"{sys.version_info[0]}.{sys.version_info[1]}",
    )


def store_wheel(directory: Path, file: Path, *, exist_ok: bool) -> str:
    """Copy a wheel into a directory, and return its URL.

    Parameters:
        directory: the directory; it is created if it does not exist.
        file: the wheel.
        exist_ok: use the wheel of that name that is stored already, if there is one.

    Raises:
        UserErrorException: the file is not a wheel, or one of its name is stored and `exist_ok` is not set.

    """
    source = expanded(file)
    if source.suffix != ".whl" or not source.is_file():
        raise UserErrorException(f"{str(file)!r} is not a wheel: give an existing file *.whl.")
    make_folder(directory.parent, directory.name)
    target = directory / source.name
    if target.exists() and not exist_ok:
        raise UserErrorException(f"The wheel {source.name!r} is stored already: pass exist_ok=True to use that one.")
    if not target.exists():
        with draft_of(target) as draft:
            shutil.copyfile(source, draft)
    return target.as_uri()


def _origin(distribution: metadata.Distribution) -> str | None:
    """Return the URL that a package was installed from; None for a package of an index."""
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
