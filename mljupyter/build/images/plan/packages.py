"""The packages of an image's environment, and the tool that installs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from mljupyter.build.environments.definition import CondaDefinition, EnvironmentDefinition, without_credentials
from mljupyter.build.environments.relaxation import Policy
from mljupyter.build.environments.requirements import Change, WantedPackage, python_versions, wanted
from mljupyter.build.images.errors import ImageError

# The scoring server's front runs with the base image's Python, too.
OLDEST_PYTHON = 11
NEWEST_PYTHON = 14


@dataclass(frozen=True, slots=True)
class PackageSet:
    """The packages of an environment.

    `kind` is ``pip``: `requirements` are lines for pip; ``conda``: `conda` is the definition, made by the conda or
    micromamba of the base image; ``own``: nothing is installed, `interpreter` of the base image has what is needed.
    `python_version` is such as ``3.11``, None for that of the base image. `changes` says what is done otherwise than
    the definition has it. `asked` and `options` are the requirements one by one, where pins among them may be relaxed;
    `exact` is what is installed then. It does not enter the digest, which is that of what was asked for.
    """

    kind: Literal["pip", "conda", "own"]
    python_version: str | None = None
    requirements: tuple[str, ...] = field(default=(), repr=False)
    conda: CondaDefinition | None = field(default=None, repr=False)
    interpreter: str = "python"
    changes: tuple[Change, ...] = field(default=(), compare=False)
    pins: Policy = "compatible"
    asked: tuple[WantedPackage, ...] = field(default=(), repr=False, compare=False)
    options: tuple[str, ...] = field(default=(), repr=False, compare=False)
    exact: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def document(self) -> dict[str, Any]:
        """Return what enters the digest of a plan."""
        if self.kind == "own":
            return {"kind": "own", "interpreter": self.interpreter}
        if self.kind == "conda":
            return {"kind": "conda", "definition": without_credentials(self.conda.json_text() if self.conda else "")}
        lines = [without_credentials(line) for line in self.requirements]
        strict = {"pins": "strict"} if self.pins == "strict" else {}
        return {"kind": "pip", "python": self.python_version, "requirements": lines, **strict}

    @property
    def relaxations(self) -> tuple[Change, ...]:
        """What is installed in another version than was asked for, or left out."""
        return tuple(change for change in self.changes if change.kind == "relaxed")

    def requirements_text(self) -> str:
        """Return the requirements file."""
        return "".join(f"{line}\n" for line in ((*self.options, *self.exact) if self.exact else self.requirements))


def package_set(
    definition: EnvironmentDefinition,
    packages: Sequence[str] | None = None,
    python_version: str | None = None,
    pins: Policy = "compatible",
) -> PackageSet:
    """Return the packages of an environment; `packages` and `python_version` take the place of the definition's.

    A conda definition of nothing but Python and its packages needs no conda. `pins` is what may happen to pins that
    cannot be had: with ``strict`` not even to a version of Python that images do not have.
    """
    if definition.python.user_managed_dependencies and packages is None:
        return PackageSet("own", interpreter=definition.python.interpreter_path)
    found = wanted(definition)
    version, relaxed = _python(python_versions(python_version) if python_version else found.python)
    if relaxed and pins == "strict":
        raise ImageError(f"{relaxed[0].reason}. Python {found.python} is pinned, and the policy for pins is 'strict'.")
    changes = found.changes + relaxed
    if packages is not None:
        return PackageSet("pip", version, tuple(packages), changes=relaxed, pins=pins)
    if found.conda_only:
        return PackageSet("conda", version, conda=definition.python.conda_dependencies)
    lines = (*found.options, *(package.line for package in found.packages))
    return PackageSet("pip", version, lines, changes=changes, pins=pins, asked=found.packages, options=found.options)


def _python(versions: str | None) -> tuple[str | None, tuple[Change, ...]]:
    """Return the newest minor version that will do, and what had to change for one."""
    if not versions:
        return None, ()
    try:
        specifiers = SpecifierSet(versions)
    except InvalidSpecifier as error:
        raise ImageError(f"The version of Python is {versions!r}. Rule: numbers, such as 3.11 or >=3.11.") from error
    for minor in range(NEWEST_PYTHON, OLDEST_PYTHON - 1, -1):
        # A pin of a patch release means its minor version: an image has one release of each.
        exact = versions.removeprefix("==").split(".")[:2] == ["3", str(minor)]
        if exact or specifiers.contains(f"3.{minor}"):
            return f"3.{minor}", ()
    oldest = f"3.{OLDEST_PYTHON}"
    return oldest, (Change(f"python{versions}", f"python=={oldest}", f"images have Python {oldest} or later"),)
