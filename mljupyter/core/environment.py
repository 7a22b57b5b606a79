"""The Python environment that a scoring script runs in (Azure ML v1: Environment).

This release serves with interpreters that exist on this machine; it does not build environments.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from mljupyter.core.exceptions import UserErrorException, WebserviceException

DEFAULT_INTERPRETER = "python"

WHAT_IS_POSSIBLE = (
    "This release serves with a Python that exists on this machine: give no environment to use the one that deploys, "
    "or an Environment with python.user_managed_dependencies = True, and python.interpreter_path to use another."
)


class PythonSection:
    """Which Python, and who looks after its packages.

    `user_managed_dependencies` True means that the interpreter has all packages already. `interpreter_path` is a path
    or a command; ``python``, its default, stands for the interpreter that deploys.
    """

    __slots__ = ("interpreter_path", "user_managed_dependencies")

    def __init__(self, user_managed_dependencies: bool = False, interpreter_path: str = DEFAULT_INTERPRETER) -> None:
        self.user_managed_dependencies = user_managed_dependencies
        self.interpreter_path = interpreter_path

    def __repr__(self) -> str:
        return (
            f"PythonSection(user_managed_dependencies={self.user_managed_dependencies}, "
            f"interpreter_path={self.interpreter_path!r})"
        )


class Environment:
    """A named environment: Python and environment variables.

    Example:
        >>> environment = Environment("serving")
        >>> environment.python.user_managed_dependencies = True
        >>> environment.environment_variables = {"OMP_NUM_THREADS": "1"}
        >>> environment
        Environment(name=serving)

    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        if not isinstance(name, str) or not name.strip():
            raise UserErrorException(f"{name!r} cannot name an environment: it must be a text that is not empty.")
        if kwargs:
            raise UserErrorException(f"Environment does not take {', '.join(sorted(kwargs))}: set attributes instead.")
        self.name = name
        self.python = PythonSection()
        self.environment_variables = {}

    @property
    def environment_variables(self) -> dict[str, str]:
        """The variables that the scoring script finds in ``os.environ``."""
        return self._environment_variables

    @environment_variables.setter
    def environment_variables(self, value: dict[str, str] | None) -> None:
        value = {} if value is None else value
        if not isinstance(value, dict) or not all(isinstance(item, str) for pair in value.items() for item in pair):
            # The values may be secrets: the message shows none of them.
            raise UserErrorException("environment_variables must be a dict of texts: {'OMP_NUM_THREADS': '1'}")
        self._environment_variables = value

    def clone(self, new_name: str) -> Environment:
        """Return a copy under another name."""
        copy = Environment(new_name)
        copy.python = PythonSection(self.python.user_managed_dependencies, self.python.interpreter_path)
        copy.environment_variables = dict(self.environment_variables)
        return copy

    def __repr__(self) -> str:
        return f"Environment(name={self.name})"


def interpreter_of(environment: Environment | None) -> str:
    """Return the absolute path of the interpreter that serves.

    Parameters:
        environment: None for the interpreter that runs this very code.

    Raises:
        WebserviceException: when the environment has to be built first, or its interpreter is not there.

    """
    if environment is None:
        return sys.executable
    python = environment.python
    if not python.user_managed_dependencies:
        raise WebserviceException(f"Environment {environment.name!r} has to be built first.\n{WHAT_IS_POSSIBLE}")
    if python.interpreter_path in (None, "", DEFAULT_INTERPRETER):
        return sys.executable
    # A link is not followed: what a virtual environment's `python` leads to is another interpreter.
    found = shutil.which(Path(python.interpreter_path).expanduser())
    if found is None:
        raise WebserviceException(
            f"Environment {environment.name!r}: python.interpreter_path is {python.interpreter_path!r}, "
            "which is no command and no executable file on this machine."
        )
    return os.path.abspath(found)  # noqa: PTH100 - Path.absolute() keeps '..'
