"""Ask uv which versions satisfy requirements; nothing is installed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mljupyter.build.environments.interpreters import Python
from mljupyter.build.environments.requirements import Change
from mljupyter.build.environments.uv import Finished, Uv, failed
from mljupyter.build.failures import cannot_be_satisfied, caused_outside

_STEP = "Looking for versions of the packages"
_KEPT_OPTIONS = (
    "-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--no-index", "--no-binary", "--only-binary",
    "-c", "--constraint",
)  # fmt: skip
_PRE = re.compile(r"--pre\b")
_TRUSTED_HOST = re.compile(r"--trusted-host[\s=]+(\S+)")


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
        self._kept: list[str] = []
        self.arguments: list[str] = []
        for line in self.options:
            if _PRE.match(line):
                self.arguments += ["--prerelease", "allow"]
            elif match := _TRUSTED_HOST.match(line):
                self.arguments += ["--allow-insecure-host", match[1]]
            elif re.split(r"[\s=]", line)[0] in _KEPT_OPTIONS:
                self._kept.append(line)
            else:
                self.changes.append(Change(line, None, "an option that uv does not know", "replaced"))
        if any(line.startswith("--extra-index-url") for line in self._kept):
            # Like pip: take the best version of all indexes, not the first index that has the package.
            self.arguments += ["--index-strategy", "unsafe-best-match"]

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
        number = next(self._numbers)
        asked, answer = self.write(f"{number}.in", lines), self.scratch / f"{number}.out"
        arguments = [*("pip", "compile", "--quiet", "--no-header", "--no-annotate"), *self.arguments]
        arguments += ["--python", self.python.path]
        if self.platform is not None:
            arguments += ["--python-platform", self.platform]
        if for_python or self.platform is not None:
            arguments += ["--python-version", for_python or self.python.minor]
        arguments += ["--only-binary", ":all:"] if wheels_only else []
        finished = self.uv.run(*arguments, asked, shown=shown, output=answer)
        if finished.status == 0:
            exact = [line for line in answer.read_text(encoding="utf-8").splitlines() if line.strip()]
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
        path.write_text("\n".join([*self._kept, *lines, ""]), encoding="utf-8")
        return path

    def refusal(self, resolution: Resolution) -> Exception:
        """Return the error for required versions that do not exist."""
        return failed(_STEP, resolution.finished)
