"""Conda environment files: read and write them, with bounds and checks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mljupyter.build.environments.definition import CondaDefinition
from mljupyter.build.environments.local_files import read_list
from mljupyter.build.environments.pip_lines import RequirementError
from mljupyter.exceptions import UserErrorException
from mljupyter.files import expanded, write_whole
from mljupyter.outside import yaml_value
from mljupyter.spec import SpecError

KEYS = ("name", "channels", "dependencies", "prefix", "variables")


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """Return the text of a file that lists packages.

    Raises:
        UserErrorException: the file is missing, too large or not text.

    """
    try:
        return read_list(expanded(path), what)
    except RequirementError as error:
        raise UserErrorException(error.message) from None


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the checked content of a conda environment file.

    Raises:
        UserErrorException: it is not YAML or too large, has keys that conda does not know, or lists other values than
            packages.

    """
    import yaml  # slow to import; few calls need it

    try:
        content = yaml_value(text)
    except yaml.YAMLError as error:
        # Not the error's own text: it quotes the line, which may hold an index's password.
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark is not None else ""
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or "it has an unknown form"
        raise UserErrorException(f"{where} cannot be read as YAML:{line} {said}") from None
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise UserErrorException(f"{where} is not a conda environment: it begins with a {type(content).__name__}.")
    if unknown := sorted(str(key) for key in content.keys() - set(KEYS)):
        raise UserErrorException(f"{where} has the keys {', '.join(unknown)}. A conda file has: {', '.join(KEYS)}.")
    try:
        # Numbers are refused: they are versions without quotes, and YAML has read 3.10 as 3.1.
        return CondaDefinition.parse(content).document()
    except SpecError as error:
        raise UserErrorException(f"{where}: {error.message}") from None


def write(path: Path, text: str) -> None:
    """Write a file atomically, readable by its owner only: it may have index URLs with passwords."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise UserErrorException(f"{str(path)!r} cannot be written: {error.strerror}.") from None
