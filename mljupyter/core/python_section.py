"""Python interpreter and packages of an environment.

Azure: PythonSection of azureml.core.environment.
"""

from __future__ import annotations

import os
from typing import Any

from mljupyter.build.environments.definition import DEFAULT_INTERPRETER, CondaDefinition, PythonDefinition
from mljupyter.core.conda_dependencies import CondaDependencies
from mljupyter.core.sections import Section
from mljupyter.exceptions import UserErrorException

POLICIES = ("strict", "exact", "compatible")


class PythonSection(Section):
    """The Python interpreter and its packages.

    Parameters:
        user_managed_dependencies: True if the interpreter has all packages; then nothing is built.
        interpreter_path: a path or a command; ``python``, the default, is the interpreter that deploys.
        conda_dependencies: the packages, unless they are managed by the user.
        base_conda_environment: stored, without effect.
        pins: ``exact`` fails for version pins that are not available, ``strict`` also for a version of Python, and
            ``compatible`` relaxes them. None for the value of the environment variable MLJUPYTER_PINS, or else
            ``exact``; for an environment with packages or images of Azure ML ``compatible``.

    """

    __slots__ = (
        "_conda_dependencies_file",
        "_pins",
        "base_conda_environment",
        "conda_dependencies",
        "interpreter_path",
        "user_managed_dependencies",
    )
    _defaults = {
        "user_managed_dependencies": False,
        "interpreter_path": DEFAULT_INTERPRETER,
        "conda_dependencies": CondaDependencies,
        "base_conda_environment": None,
        "pins": None,
    }
    _hidden = frozenset({"conda_dependencies"})

    user_managed_dependencies: bool
    interpreter_path: str
    conda_dependencies: CondaDependencies | None
    base_conda_environment: str | None

    def __init__(self, **kwargs: Any) -> None:
        self._conda_dependencies_file: str | None = None
        file = kwargs.pop("conda_dependencies_file", None)
        super().__init__(**kwargs)
        if file is not None:
            self.conda_dependencies_file = file

    @property
    def conda_dependencies_file(self) -> str | None:
        """The conda file of the packages; setting it reads them."""
        return self._conda_dependencies_file

    @conda_dependencies_file.setter
    def conda_dependencies_file(self, path: str | os.PathLike[str] | None) -> None:
        if path is not None:
            self.conda_dependencies = CondaDependencies(os.fspath(path))
        self._conda_dependencies_file = None if path is None else os.fspath(path)

    @property
    def pins(self) -> str | None:
        """The policy for pins that are not available: ``exact``, ``strict``, ``compatible``; None for the default."""
        return self._pins

    @pins.setter
    def pins(self, value: str | None) -> None:
        if value is not None and value not in POLICIES:
            raise UserErrorException(f"python.pins is {value!r}. Use {', '.join(POLICIES)}.")
        self._pins = value

    def definition(self) -> PythonDefinition:
        """Return the section as a document."""
        conda = CondaDependencies() if self.conda_dependencies is None else self.conda_dependencies
        return PythonDefinition.parse(
            {
                "interpreterPath": str(self.interpreter_path or DEFAULT_INTERPRETER),
                "userManagedDependencies": bool(self.user_managed_dependencies),
                "condaDependencies": conda.definition(),
                "baseCondaEnvironment": self.base_conda_environment,
                "pins": self.pins,
            }
        )

    @classmethod
    def of(cls, definition: PythonDefinition) -> PythonSection:
        """Return the section in a document."""
        conda: CondaDefinition | None = definition.conda_dependencies
        section = cls(
            user_managed_dependencies=definition.user_managed_dependencies,
            interpreter_path=definition.interpreter_path,
            conda_dependencies=None,
            base_conda_environment=definition.base_conda_environment,
            pins=definition.pins,
        )
        section.conda_dependencies = CondaDependencies() if conda is None else CondaDependencies.of(conda)
        return section
