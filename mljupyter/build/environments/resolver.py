"""Ask uv which versions satisfy requirements; nothing is installed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mljupyter.build.environments.interpreters import Python
from mljupyter.build.environments.local_files import constraints
from mljupyter.build.environments.pip_lines import (
    PipLine,
    Source,
    copied,
    expanded,
    line_source,
    pip_line,
    variables_in,
)
from mljupyter.build.environments.requirements import Change, name_of
from mljupyter.build.environments.uv import Finished, Uv, failed
from mljupyter.build.failures import cannot_be_satisfied, caused_outside

_STEP = "Looking for versions of the packages"
# A shorter value, such as a version, is none, and would hide parts of words.
_SHORTEST_SECRET = 4
_SOURCE_STEP = "Reading the source of a package"
# Options that uv reads in a requirements file.
_KEPT_OPTIONS = (
    "--constraint",
    "--extra-index-url",
    "--find-links",
    "--index-url",
    "--no-binary",
    "--no-index",
    "--only-binary",
)


@dataclass(frozen=True)
class Resolution:
    """The answer of uv: exact requirements, or none and the reason.

    `wheels_only` says whether building from source was forbidden.
    """

    lines: list[str] | None
    wheels_only: bool
    finished: Finished

    @property
    def succeeded(self) -> bool:
        """Whether versions were found that satisfy all requirements."""
        return self.lines is not None


@dataclass(frozen=True)
class SourceBuilds:
    """Another place than this machine where packages that exist as source alone would be built.

    Parameters:
        place: the end of the sentence "the source cannot be built ...", such as ``without a Docker engine``.
        key: differs between places that may give different answers.
        builds: says whether the package of a requirement can be built there. It may be called from several threads.

    """

    place: str
    key: str
    builds: Callable[[str], bool]


@dataclass
class Resolver:
    """Resolves requirements for one Python.

    Parameters:
        uv: runs uv.
        python: the Python they are for.
        options: lines with options of pip. Index URLs may hold secrets, so files with them are private.
        scratch: a private directory for files.
        platform: uv's name of another platform than this machine's. Then only the version of `python` counts.
        sources: the place where sources are built; None for this machine, by `python`.

    """

    uv: Uv
    python: Python
    options: Sequence[str]
    scratch: Path
    changes: list[Change] = field(default_factory=list)
    platform: str | None = None
    sources: SourceBuilds | None = None
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        options = [option for line in self.options for option in pip_line(line).options]
        self.uv = uv_for(self.uv, self.options)
        self._kept: list[str] = []
        self.arguments: list[str] = []
        self._prefers_wheels = False
        self._requires_hashes = False
        self._projects: dict[str, str] = {}
        for name, value in options:
            text = PipLine(options=((name, value),)).texts()[0]
            if name == "--pre":
                self.arguments += ["--prerelease", "allow"]
            elif name == "--trusted-host":
                self.arguments += ["--allow-insecure-host", str(value)]
            elif name == "--prefer-binary":
                self._prefers_wheels = True
            elif name == "--require-hashes":
                self._requires_hashes = True
            elif name == "--constraint" and Path(str(value)).is_absolute():
                self._kept.append(f"--constraint {self._flat(Path(str(value)))}")
            elif name in _KEPT_OPTIONS:
                self._kept.append(text)
            else:
                self.changes.append(Change(text, None, "an option of pip itself, which uv does not have", "replaced"))
        if any(name == "--extra-index-url" for name, _ in options):
            # Like pip: take the best version of all indexes, not the first index that has the package.
            self.arguments += ["--index-strategy", "unsafe-best-match"]
        self._builds_all = ("--no-binary", ":all:") in options

    def resolve(
        self, lines: Sequence[str], *, wheels_only: bool, shown: bool = False, for_python: str | None = None
    ) -> Resolution:
        """Return exact versions that satisfy all lines together, or the reason why there are none.

        Parameters:
            lines: requirements.
            wheels_only: skip versions that would have to be built from source.
            shown: whether uv's output is shown.
            for_python: another minor version of Python than the chosen one, to learn which versions it has.

        Raises:
            EnvironmentBuildError: when there is no answer: no network, an invalid line.

        """
        if self._prefers_wheels and not wheels_only:
            of_wheels = self.resolve(lines, wheels_only=True, shown=shown, for_python=for_python)
            if of_wheels.succeeded:
                return of_wheels
        permissions = self.build_arguments(lines, wheels_only=wheels_only)
        number = next(self._numbers)
        asked, answer = self.write(f"{number}.in", lines), self.scratch / f"{number}.out"
        arguments = [*("pip", "compile", "--quiet", "--no-header", "--no-annotate"), *self.arguments]
        arguments += ["--python", self.python.path]
        if self.platform is not None:
            arguments += ["--python-platform", self.platform]
        if for_python or self.platform is not None:
            arguments += ["--python-version", for_python or self.python.minor]
        arguments += permissions
        finished = self.uv.run(*arguments, asked, shown=shown, output=answer)
        if finished.status == 0:
            found = [line for line in answer.read_text(encoding="utf-8").splitlines() if line.strip()]
            exact = with_hashes(found, {self._name(line): pip_line(line).hashes for line in lines if "--hash=" in line})
            return Resolution(exact, wheels_only, finished)
        if not cannot_be_satisfied(finished.lines):
            raise failed(_STEP, finished)
        return Resolution(None, wheels_only, finished)

    def builds(self, line: str) -> bool:
        """Return whether a package that is there as source can be built where it is going to be installed.

        A package that is built on this machine stays in uv's cache, so that its installation takes no longer.

        Parameters:
            line: its requirement.

        Raises:
            EnvironmentBuildError: when there is no answer: no network, a full disk.

        """
        if self.sources is not None:
            return self.sources.builds(line)
        number = next(self._numbers)
        asked = self.write(f"{number}.in", [line])
        arguments = [*("pip", "install", "--no-deps", "--python", self.python.path), *self.arguments]
        target = self.scratch / f"{number}.built"
        finished = self.uv.run(*arguments, "--target", target, "--requirement", asked)
        if finished.status and caused_outside(finished.lines):
            raise failed(_STEP, finished)
        return finished.status == 0

    @property
    def place_of_builds(self) -> str:
        """The end of the sentence "the source cannot be built ..."."""
        return f"on Python {self.python.minor}" if self.sources is None else self.sources.place

    def write(self, name: str, lines: Sequence[str]) -> Path:
        """Write a requirements file that begins with the options of pip."""
        path = self.scratch / name
        path.touch(mode=0o600)
        path.write_text("\n".join([*self._kept, *(self._for_uv(line) for line in lines), ""]), encoding="utf-8")
        return path

    def build_arguments(self, lines: Sequence[str], *, wheels_only: bool) -> list[str]:
        """Return the arguments of uv that say which of some requirements may be built.

        A package is built where its line names its source, even if the others have to be wheels.

        Parameters:
            lines: the requirements.
            wheels_only: whether all other packages have to be wheels.

        Raises:
            EnvironmentBuildError: a source cannot be fetched, or is not a package.

        """
        sources = [source for line in lines if (source := line_source(line)) is not None]
        # uv looks only at the project file of a directory, and would install a copy of its old code.
        arguments = [f"--refresh-package={self._project(source)}" for source in sources if source.is_path]
        if wheels_only and not self._builds_all:
            arguments += ["--only-binary", ":all:"]
            arguments += [f"--no-binary={self._project(source)}" for source in sources if not source.is_wheel]
        return arguments

    def hash_arguments(self, lines: Sequence[str]) -> list[str]:
        """Return the arguments of uv's installation: one hash makes all packages need one, as with pip."""
        return ["--require-hashes"] if self._requires_hashes or any("--hash=" in line for line in lines) else []

    def _name(self, line: str) -> str | None:
        """Return the normalised name of the package of a requirement."""
        source = line_source(line)
        return name_of(line if source is None else self._project(source))

    def _project(self, source: Source) -> str:
        """Return the name of a package; its source is asked where its line does not have it."""
        if source.project is not None:
            return source.project
        text = source.url_text()
        if text not in self._projects:
            number = next(self._numbers)
            asked, answer = self.write(f"{number}.in", [text]), self.scratch / f"{number}.out"
            arguments = ("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-deps", *self.arguments)
            finished = self.uv.run(*arguments, "--python", self.python.path, asked, shown=False, output=answer)
            named = next((one for one in answer.read_text(encoding="utf-8").splitlines() if name_of(one)), None)
            if finished.status or named is None:
                raise failed(_SOURCE_STEP, finished)
            self._projects[text] = str(name_of(named))
        return self._projects[text]

    def _for_uv(self, line: str) -> str:
        """Return a requirement as a copy, with a URL in place of a path, and with a name if it is known."""
        line = copied(line)
        parsed = pip_line(line)
        source = line_source(line)
        if source is None:
            return expanded(line, os.environ)  # uv expands variables in URLs only
        named = replace(source, name=source.name or self._projects.get(source.url_text()))
        return replace(parsed, requirement=named.url_text()).texts()[0]

    def _flat(self, file: Path) -> Path:
        """Return a copy of a list of constraints, with those that it includes, in UTF-8."""
        path = self.scratch / f"constraints-{next(self._numbers)}.txt"
        path.touch(mode=0o600)
        path.write_text(constraints(file), encoding="utf-8")
        return path

    def refusal(self, resolution: Resolution) -> Exception:
        """Return the error for required versions that do not exist."""
        return failed(_STEP, resolution.finished)


def uv_for(uv: Uv, lines: Iterable[str]) -> Uv:
    """Return uv with the index that lines for pip name, and without the values of their variables in its output.

    Parameters:
        uv: runs uv.
        lines: requirements and options.

    Raises:
        RequirementError: an environment variable is not set.

    """
    lines = list(lines)
    named = [value for line in lines for name, value in pip_line(line).options if name == "--index-url" and value]
    index = expanded(named[-1], os.environ) if named else uv.index
    for line in lines:
        expanded(line, os.environ)  # a variable without a value would be part of a URL
    return replace(uv, index=index, secrets=tuple(dict.fromkeys([*uv.secrets, *secret_values(lines)])))


def secret_values(lines: Iterable[str]) -> list[str]:
    """Return the values of the environment variables in lines for pip, which no output may show."""
    values = [os.environ.get(name, "") for name in variables_in(lines)]
    return [value for value in values if len(value) >= _SHORTEST_SECRET]


def with_hashes(exact: Sequence[str], hashes: Mapping[str | None, Sequence[str]]) -> list[str]:
    """Return exact requirements with the hashes of their packages, by name.

    >>> with_hashes(["six==1.16.0", "toolz==1"], {"six": ["sha256:8a"]})
    ['six==1.16.0 --hash=sha256:8a', 'toolz==1']
    """
    return [" ".join([line, *(f"--hash={one}" for one in hashes.get(name_of(line), ()))]) for line in exact]
