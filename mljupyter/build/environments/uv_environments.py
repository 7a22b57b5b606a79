"""Environments on this machine, created with uv: once for each fingerprint, atomically."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from mljupyter.build.environments.definition import EnvironmentDefinition, fingerprint
from mljupyter.build.environments.interpreters import Python, choose
from mljupyter.build.environments.pip_lines import copied
from mljupyter.build.environments.record import (
    RECORD,
    BuiltEnvironment,
    ChangeRecord,
    EnvironmentRecord,
    Place,
    VersionsRecord,
    places,
    write_record,
)
from mljupyter.build.environments.relaxation import ExactVersions, Policy, check_policy, exact_versions
from mljupyter.build.environments.requirements import Change, Wanted, WantedPackage, as_copy, wanted
from mljupyter.build.environments.resolver import Resolver, uv_for
from mljupyter.build.environments.unused import mark_used
from mljupyter.build.environments.uv import Uv, cache_beside
from mljupyter.build.failures import BuildCancelledError, EnvironmentBuildError, hint_for
from mljupyter.errors import MLJupyterError
from mljupyter.files import make_private_directory
from mljupyter.registry.locking import try_lock

_INTERPRETER = "bin/python"
_WAITING_SECONDS = 0.05
_CONDA_TOOLS = {"micromamba": ("create", "--yes"), "mamba": ("env", "create", "--yes"), "conda": ("env", "create")}


def find_environment(
    definition: EnvironmentDefinition, roots: Sequence[Path], *, policy: Policy = "compatible"
) -> BuiltEnvironment | None:
    """Return the environment that was built from an equal definition. The directories are searched in their order."""
    check_policy(policy)
    mark = fingerprint(definition)
    every = (place for root in roots for place in places(root, mark, policy))
    return next((built for place in every if (built := place.built()) is not None), None)


def ensure_environment(
    definition: EnvironmentDefinition,
    root: Path,
    on_line: Callable[[str], None] | None = None,
    *,
    policy: Policy = "compatible",
    shared: Path | None = None,
    cancel: Event | None = None,
) -> BuiltEnvironment:
    """Return the environment of a definition. Build it if it does not exist yet.

    Any number of processes may call this at the same time: one builds, the others wait and get the same environment.

    Parameters:
        definition: the definition to build. Its packages must not be managed by the user.
        root: the directory of environments. It is created if necessary.
        on_line: gets each line of the log as it is written.
        policy: ``compatible`` relaxes pins that do not exist for this Python, ``strict`` fails.
        shared: a directory of environments built by others. It is only read.
        cancel: an event that another thread sets to cancel the build.

    Raises:
        EnvironmentBuildError: with step, last lines and a hint when it cannot be built.
        BuildCancelledError: when `cancel` is set.
        RequirementError: when a line of the definition is not a requirement.

    Example:
        >>> definition = EnvironmentDefinition.parse(document)                              # doctest: +SKIP
        >>> ensure_environment(definition, Path("environments"), print).interpreter         # doctest: +SKIP

    """
    if definition.python.user_managed_dependencies:
        raise EnvironmentBuildError("There is nothing to build: the user manages the packages of this environment.")
    found = find_environment(definition, [root, *([shared] if shared else [])], policy=policy)
    if found is not None:
        mark_used(Place(found.directory.parent, found.directory.name))
        return found
    asked = wanted(definition)
    make_private_directory(root)
    *_, place = places(root.resolve(), fingerprint(definition), policy)
    with _locked(place, on_line, cancel) as lock:
        # The process that held the lock has built it, unless its build failed.
        return place.built() or _build(definition, asked, place, lock, on_line, policy, cancel)


def first_versions(definition: EnvironmentDefinition, root: Path, policy: Policy = "compatible") -> list[str] | None:
    """Return the exact versions that the first build of a definition installed, None before the first build."""
    *_, place = places(root, fingerprint(definition), policy)
    record = place.first_versions()
    return None if record is None else record.lines


@contextlib.contextmanager
def _locked(place: Place, on_line: Callable[[str], None] | None, cancel: Event | None) -> Iterator[int]:
    """Hold the lock of an environment; yield its descriptor.

    uv inherits it. So the lock stays held while a uv still writes, even if its parent was killed.
    """
    descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        shown = False
        while not try_lock(descriptor, fcntl.LOCK_EX):
            if not shown and on_line is not None:
                on_line("Another process is building this environment: waiting for it.")
            shown = True
            if cancel is not None and cancel.is_set():
                raise BuildCancelledError("Waiting for another build was cancelled.")
            time.sleep(_WAITING_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def _build(
    definition: EnvironmentDefinition,
    asked: Wanted,
    place: Place,
    lock: int,
    on_line: Callable[[str], None] | None,
    policy: Policy,
    cancel: Event | None,
) -> BuiltEnvironment:
    _remove(place.directory)  # the remains of a killed build
    descriptor = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", buffering=1) as log:

        def write(line: str) -> None:
            log.write(line + "\n")
            if on_line is not None:
                on_line(line)

        try:
            with tempfile.TemporaryDirectory(prefix=".build-", dir=place.root) as scratch:
                uv = Uv(Path(scratch), write, cancel, keep_open=(lock,), cache=cache_beside(place.root))
                _Build(definition, asked, place, uv, Path(scratch), policy).run()
        except BaseException as error:
            _remove(place.directory)
            if isinstance(error, OSError):
                error = EnvironmentBuildError(
                    f"Building the environment failed: {error}", step="building", hint=hint_for([str(error)])
                )
            if isinstance(error, MLJupyterError):
                log.write(f"{error.message}\n")
            if isinstance(error, EnvironmentBuildError) and not isinstance(error, BuildCancelledError):
                raise error.with_log(place.log) from error.__cause__
            raise
    built = place.built()
    assert built is not None  # noqa: S101 (for the type checker: its record was just written)
    return built


class _Build:
    """One build, step by step."""

    def __init__(
        self, definition: EnvironmentDefinition, asked: Wanted, place: Place, uv: Uv, scratch: Path, policy: Policy
    ) -> None:
        self._definition = definition
        self._asked = asked
        self._place = place
        self._uv = uv
        self._scratch = scratch
        self._policy: Policy = policy
        self._changes = list(asked.changes)

    def run(self) -> None:
        started = time.monotonic()
        if self._definition.python.base_conda_environment:
            raise EnvironmentBuildError(
                f"The base conda environment {self._definition.python.base_conda_environment!r} cannot be extended.\n"
                "List its packages in conda_dependencies: Environment.from_existing_conda_environment does this."
            )
        if self._asked.conda_only:
            self._install_conda()
            python, packages = self._python_inside(), self._asked.pip_packages
        else:
            python, packages = self._make_directory(), self._asked.packages
        if packages:
            self._install(python, packages)
        for change in self._changes:
            self._uv.on_line(f"{change.kind.capitalize()}: {self._uv.hidden(str(change))}")
        installed = self._freeze()
        record = EnvironmentRecord(
            fingerprint=fingerprint(self._definition),
            interpreter=_INTERPRETER,
            python=str(python.version),
            policy=self._policy,
            changes=[ChangeRecord.of(change) for change in self._redacted_changes()],
            packages=installed,
            built_time=datetime.now(UTC),
        )
        self._uv.check()
        write_record(self._place.directory / RECORD, record)
        self._uv.on_line(f"Built with {len(installed)} packages in {time.monotonic() - started:.1f} s.")

    def _make_directory(self) -> Python:
        python, change = choose(self._asked.python, self._uv, strict=self._policy == "strict")
        self._changes += [change] if change is not None else []
        self._uv.on_line(f"Python {python.version}: {python.path}")
        self._uv.checked(
            "Making the environment", "venv", "--quiet", "--no-project", "--python", python.path, self._place.directory
        )
        return python

    def _install(self, python: Python, packages: Sequence[WantedPackage]) -> None:
        lines = [package.line for package in packages]
        resolver = Resolver(uv_for(self._uv, lines), python, self._asked.options, self._scratch)
        self._uv = resolver.uv
        self._changes += resolver.changes
        self._changes += [as_copy(line) for line in lines if copied(line) != line]
        first = self._place.first_versions()
        if first is not None and first.python == python.minor:
            exact = ExactVersions(first.lines, first.wheels_only, [change.change() for change in first.changes])
            try:
                self._install_exactly(exact, resolver)
            except BuildCancelledError:
                raise
            except EnvironmentBuildError:
                self._uv.on_line("The versions of the first build cannot be installed any more: new ones are chosen.")
            else:
                self._changes += exact.changes
                return
        # A hash is that of one version, so that another one would not be what was asked for.
        policy: Policy = (
            "exact" if self._policy == "compatible" and any("--hash=" in line for line in lines) else self._policy
        )
        exact = exact_versions(packages, resolver, policy)
        self._install_exactly(exact, resolver)
        self._changes += exact.changes
        # A URL with a secret is not stored, and without it the same versions could not be installed again.
        if all(self._uv.hidden(line) == line for line in exact.lines):
            changes = [ChangeRecord.of(change) for change in exact.changes]
            write_record(
                self._place.versions,
                VersionsRecord(python=python.minor, wheels_only=exact.wheels_only, lines=exact.lines, changes=changes),
            )

    def _install_exactly(self, exact: ExactVersions, resolver: Resolver) -> None:
        file = resolver.write("exact.txt", exact.lines)
        resolver.uv.checked(
            "Installing the packages",
            *("pip", "install", "--no-deps", "--python", self._place.directory / _INTERPRETER),
            *resolver.arguments,
            *resolver.build_arguments(exact.lines, wheels_only=exact.wheels_only),
            *resolver.hash_arguments(exact.lines),
            *("--requirement", file),
        )

    def _install_conda(self) -> None:
        tool = next((path for name in _CONDA_TOOLS if (path := shutil.which(name))), None)
        if tool is None:
            raise EnvironmentBuildError(
                f"These conda packages are not Python packages: {', '.join(self._asked.conda_only)}.\n"
                "They need micromamba or conda, and neither is on PATH. Install micromamba, leave them out, or deploy "
                "to a target that runs containers."
            )
        conda = self._definition.python.conda_dependencies
        assert conda is not None  # noqa: S101 (for the type checker: its packages are why we are here)
        packages = conda.conda_packages
        if self._asked.python is None:
            packages = ["python", *packages]
        file = self._scratch / "conda.yml"
        file.touch(mode=0o600)
        # JSON is valid YAML.
        file.write_text(
            json.dumps({"channels": conda.channels or ["conda-forge"], "dependencies": packages}), encoding="utf-8"
        )
        self._uv.checked(
            "Installing the conda packages",
            *_CONDA_TOOLS[Path(tool).name],
            *("--prefix", self._place.directory, "--file", file),
            program=tool,
        )

    def _python_inside(self) -> Python:
        from packaging.version import Version

        path = self._place.directory / _INTERPRETER
        answer = self._uv.checked(
            "Looking at the Python", "-c", "import platform; print(platform.python_version())", program=str(path)
        )
        return Python(str(path), Version(answer.lines[-1]))

    def _freeze(self) -> list[str]:
        listing = self._scratch / "freeze.txt"
        path = self._place.directory / _INTERPRETER
        self._uv.run("pip", "freeze", "--quiet", "--python", path, shown=False, output=listing)
        return [self._uv.hidden(line) for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]

    def _redacted_changes(self) -> list[Change]:
        return [
            replace(
                change,
                requirement=self._uv.hidden(change.requirement),
                became=change.became and self._uv.hidden(change.became),
            )
            for change in self._changes
        ]


def _remove(directory: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)
