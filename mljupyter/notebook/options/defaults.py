"""Defaults of a project: the tables ``[tool.mljupyter.NAME]`` of its ``pyproject.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mljupyter import ownership
from mljupyter.notebook.options.cell_body import option_name, value_of_yaml
from mljupyter.notebook.options.option import Option
from mljupyter.notebook.options.option_values import WrongInputError, near

FILE = "pyproject.toml"
_NOT_DEFAULTS = ("output", "json", "dry-run", "code")


def project_defaults(magic: str, options: Iterable[Option], directory: Path | None = None) -> dict[str, Any]:
    """Return the defaults of a project for the options of a magic.

    Parameters:
        magic: its name, such as ``deploy``.
        options: all options of the magic.
        directory: the directory at which the upward search starts; None for the current one. The nearest file of this
            user or of root is used.

    Raises:
        WrongInputError: the file is not TOML, or a name or value in the table is invalid.

    """
    path = _nearest(directory or Path.cwd())
    if path is None:
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise WrongInputError(f"{path} cannot be read: {error}") from None
    table: Any = document
    for key in ("tool", "mljupyter", magic):
        table = table.get(key, {}) if isinstance(table, dict) else None
    where = f"{path}, [tool.mljupyter.{magic}]"
    if not isinstance(table, dict):
        raise WrongInputError(f"{where}: this is to be a table of options.")
    known = {option.name: option for option in options if not option.positional and option.name not in _NOT_DEFAULTS}
    values = {}
    for key, value in table.items():
        option = known.get(option_name(key))
        if option is None:
            raise WrongInputError(f"{where}: {key} is not an option with a default.{near(option_name(key), known)}")
        try:
            values[option.key] = value_of_yaml(option, value)
        except ValueError as error:
            raise WrongInputError(f"{where}: {key}: {error}.") from None
    return values


def _nearest(directory: Path) -> Path | None:
    """Return the nearest file of this user or of root. A file of another user could choose the script to run."""
    for place in (directory, *directory.parents):
        path = place / FILE
        try:
            if path.is_file() and not ownership.passed_over(path):
                return path
        except OSError:  # this user may not read the directory
            continue
    return None
