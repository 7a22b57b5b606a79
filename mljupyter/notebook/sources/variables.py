"""``--env`` and ``--env-from``: environment variables for a scoring script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mljupyter.core.variables import variables_in
from mljupyter.exceptions import UserErrorException
from mljupyter.notebook.options.option_values import WrongInputError

_SECRET = re.compile(r"PASS|SECRET|TOKEN|CREDENTIAL|KEY", re.IGNORECASE)


def variables_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables in the options of a deployment; those of the line override those of the file.

    Raises:
        WrongInputError: the file cannot be used.

    """
    found: dict[str, str] = {}
    if values["env_from"] is not None:
        try:
            found |= variables_in(values["env_from"])
        except UserErrorException as error:
            raise WrongInputError(f"--env-from: {error.message}") from None
    return found | _given(values)


def variables_code(values: Mapping[str, Any]) -> list[str]:
    """Return the code that adds them to ``environment``; it reads the file and does not contain its values."""
    lines = []
    if values["env_from"] is not None:
        lines.append(f"environment.environment_variables |= variables_in({values['env_from']!r})")
    if given := _given(values):
        lines.append(f"environment.environment_variables |= {given!r}")
    return lines


def secret_looking(values: Mapping[str, Any]) -> list[str]:
    """Return the names of variables on the line whose values are probably secret."""
    return sorted(name for name in _given(values) if _SECRET.search(name))


def _given(values: Mapping[str, Any]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in values["env"])
