"""The packages of an image's environment, and the tool that installs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from mljupyter.build.environments.definition import CondaDefinition, EnvironmentDefinition, without_credentials
from mljupyter.build.environments.local_files import LocalFile
from mljupyter.build.environments.pip_lines import copied, line_source, logical_lines
from mljupyter.build.environments.relaxation import Policy
from mljupyter.build.environments.requirements import Change, WantedPackage, as_copy, python_versions, wanted
from mljupyter.build.images.errors import ImageError

# The scoring server also runs with the base image's Python.
OLDEST_PYTHON = 11
NEWEST_PYTHON = 14


@dataclass(frozen=True, slots=True)
class PackageSet:
    """The packages of an environment.

    With the `kind` ``pip``, `requirements` are lines for pip. With ``conda``, `conda` is the definition, installed by
    the conda or micromamba of the base image. With ``own``, nothing is installed, and `interpreter` of the base image
    has the packages. `python_version` is, for example, ``3.11``; None for that of the base image. `changes` are the
    differences from the definition. `asked` and `options` are the single requirements, given where pins may be
    relaxed; `exact` are the versions installed then. They do not enter the digest, which covers the request. `files`
    are the files of this machine that lines name; the fingerprint of the environment covers their content.
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
    files: tuple[LocalFile, ...] = field(default=(), compare=False)

    def document(self) -> dict[str, Any]:
        """Return the part of the digest of a plan."""
        if self.kind == "own":
            return {"kind": "own", "interpreter": self.interpreter}
        if self.kind == "conda":
            return {"kind": "conda", "definition": without_credentials(self.conda.json_text() if self.conda else "")}
        lines = [without_credentials(line) for line in self.requirements]
        strict = {"pins": self.pins} if self.pins != "compatible" else {}
        return {"kind": "pip", "python": self.python_version, "requirements": lines, **strict}

    @property
    def relaxations(self) -> tuple[Change, ...]:
        """The packages that are installed in another version than requested, or left out."""
        return tuple(change for change in self.changes if change.kind == "relaxed")

    def lines(self) -> tuple[str, ...]:
        """Return the lines for pip, as the definition has them or with the versions that pins were relaxed to."""
        if self.kind == "conda":
            return tuple(logical_lines("\n".join(self.conda.pip_lines if self.conda else ())))
        return (*self.options, *self.exact) if self.exact else self.requirements

    @property
    def has_sources(self) -> bool:
        """Whether lines name files of this machine or git repositories, which are placed beside the lines."""
        sources = (line_source(line) for line in self.lines())
        return bool(self.files) or any(source is not None and source.place.startswith("git+") for source in sources)


def package_set(
    definition: EnvironmentDefinition,
    packages: Sequence[str] | None = None,
    python_version: str | None = None,
    pins: Policy = "compatible",
    files: Sequence[LocalFile] = (),
) -> PackageSet:
    """Return the packages of an environment. `packages` and `python_version` replace those of the definition.

    A conda definition with only Python and Python packages needs no conda. `pins` is the policy for pins that cannot
    be satisfied. With ``strict``, even a version of Python that images do
    not have is an error. `files` are the files of this machine that the lines name.
    """
    if definition.python.user_managed_dependencies and packages is None:
        return PackageSet("own", interpreter=definition.python.interpreter_path)
    found = wanted(definition)
    version, relaxed = _python(python_versions(python_version) if python_version else found.python)
    if relaxed and pins == "strict":
        raise ImageError(f"{relaxed[0].reason}. Python {found.python} is pinned, and the policy for pins is 'strict'.")
    files = tuple(files)
    if packages is not None:
        return PackageSet("pip", version, tuple(packages), changes=relaxed, pins=pins, files=files)
    if found.conda_only:
        return PackageSet("conda", version, conda=definition.python.conda_dependencies, files=files)
    wanted_lines = [package.line for package in found.packages]
    copies = tuple(as_copy(line) for line in wanted_lines if copied(line) != line)
    # A hash is that of one version: nothing is relaxed then.
    asked = () if any("--hash=" in line for line in wanted_lines) else found.packages
    return PackageSet(
        "pip",
        version,
        (*found.options, *wanted_lines),
        changes=found.changes + relaxed + copies,
        pins=pins,
        asked=asked,
        options=found.options,
        files=files,
    )


def _python(versions: str | None) -> tuple[str | None, tuple[Change, ...]]:
    """Return the newest suitable minor version of Python, and the changes that were necessary."""
    if not versions:
        return None, ()
    try:
        specifiers = SpecifierSet(versions)
    except InvalidSpecifier as error:
        raise ImageError(f"The version of Python is {versions!r}. Rule: numbers, such as 3.11 or >=3.11.") from error
    for minor in range(NEWEST_PYTHON, OLDEST_PYTHON - 1, -1):
        # A pin to a patch release counts as its minor version: an image has one release of each.
        exact = versions.removeprefix("==").split(".")[:2] == ["3", str(minor)]
        if exact or specifiers.contains(f"3.{minor}"):
            return f"3.{minor}", ()
    oldest = f"3.{OLDEST_PYTHON}"
    return oldest, (Change(f"python{versions}", f"python=={oldest}", f"images have Python {oldest} or later"),)
