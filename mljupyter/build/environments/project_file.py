"""The dependencies of a project, from its ``pyproject.toml`` (PEP 621). Nothing is looked up on this machine."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mljupyter.build.environments.pip_lines import RequirementError
from mljupyter.build.environments.requirements import name_of

NAME = "pyproject.toml"


@dataclass(frozen=True)
class ProjectDependencies:
    """What a project needs to run.

    Parameters:
        lines: requirements for pip.
        python: suitable versions of Python as a specifier of PEP 440; None for any.
        left_out: lists of the file that are not installed, such as ``dependency group test``.

    """

    lines: tuple[str, ...]
    python: str | None = None
    left_out: tuple[str, ...] = ()


def project_dependencies(text: str, file: str) -> ProjectDependencies:
    """Return the dependencies that a project file lists; the project itself is not one of them.

    Parameters:
        text: the content of the file.
        file: its name for messages.

    Raises:
        RequirementError: it is not TOML, lists no dependencies, or says in another table where one comes from.

    Example:
        >>> project_dependencies('[project]\\nname = "x"\\ndependencies = ["six>=1"]', "pyproject.toml").lines
        ('six>=1',)

    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequirementError(f"{file} is not TOML: {error}.") from None
    project = _table(content, "project")
    if "dependencies" in _texts(project.get("dynamic", [])):
        raise RequirementError(
            f"{file}: the dependencies of the project are dynamic, so that only its build knows them.\n"
            "Give a requirements file instead; the line . in it installs the project with its dependencies."
        )
    if not project:
        raise RequirementError(
            f"{file} has no table [project], whose dependencies are read.\n"
            "Give a requirements file instead, such as that of: poetry export --output requirements.txt"
        )
    lines = project.get("dependencies", [])
    python = project.get("requires-python")
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise RequirementError(f"{file}: project.dependencies is {lines!r}. Rule: a list of texts.")
    if python is not None and not isinstance(python, str):
        raise RequirementError(f"{file}: requires-python is {python!r}. Rule: a text such as '>=3.10'.")
    uv = _table(_table(content, "tool"), "uv")
    elsewhere = {name_of(name) for name in _table(uv, "sources")}
    if found := next((line for line in lines if name_of(line) in elsewhere), None):
        raise RequirementError(
            f"{file}: [tool.uv.sources] says where {name_of(found)} comes from, which only uv reads.\n"
            f"Write it into the dependencies: '{name_of(found)} @ git+URL', or give a requirements file: "
            "uv export --output-file requirements.txt"
        )
    left_out = [
        *(f"optional dependencies {name}" for name in _table(project, "optional-dependencies")),
        *(f"dependency group {name}" for name in _table(content, "dependency-groups")),
        *(["indexes of [tool.uv]"] if uv.keys() & {"index", "index-url", "extra-index-url", "find-links"} else []),
    ]
    return ProjectDependencies(tuple(lines), python or None, tuple(left_out))


def _table(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = content.get(name, {})
    return found if isinstance(found, dict) else {}


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
