"""Read and write conda environment files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mljupyter.build.environments.definition import CondaDefinition
from mljupyter.exceptions import UserErrorException
from mljupyter.files import write_whole
from mljupyter.outside import yaml_value
from mljupyter.spec import SpecError

LARGEST_BYTES = 1 << 20
KEYS = ("name", "channels", "dependencies", "prefix", "variables")


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """Return the text of a file that lists packages.

    Raises:
        UserErrorException: when it is missing, too large or no text.

    """
    file = Path(path).expanduser()
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise UserErrorException(f"The {what} {str(file)!r} is larger than {LARGEST_BYTES:,} bytes.")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserErrorException(f"The {what} {str(file)!r} is no UTF-8 text.") from None
    except OSError as error:
        raise UserErrorException(f"The {what} {str(file)!r} cannot be read: {error.strerror}.") from None


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the content of a conda file, checked.

    Raises:
        UserErrorException: when it is no YAML or beyond its bounds, has other keys than conda's, or lists something
            else than packages.

    """
    import yaml

    try:
        content = yaml_value(text)
    except yaml.YAMLError as error:
        # Not the error's own text: it quotes the line, which may hold an index's password.
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}:" if mark is not None else ""
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or "it has another form"
        raise UserErrorException(f"{where} cannot be read as YAML:{line} {said}") from None
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise UserErrorException(f"{where} holds no conda environment: it begins with a {type(content).__name__}.")
    if unknown := sorted(str(key) for key in content.keys() - set(KEYS)):
        raise UserErrorException(f"{where} has the keys {', '.join(unknown)}. A conda file has: {', '.join(KEYS)}.")
    try:
        # Numbers are versions that lost their quotes; YAML has read 3.10 as 3.1 then, so they are refused.
        return CondaDefinition.parse(content).document()
    except SpecError as error:
        raise UserErrorException(f"{where}: {error.message}") from None


def write(path: Path, text: str) -> None:
    """Write a file that appears whole; it may hold index URLs with passwords, so that it is its owner's alone."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise UserErrorException(f"{str(path)!r} cannot be written: {error.strerror}.") from None
