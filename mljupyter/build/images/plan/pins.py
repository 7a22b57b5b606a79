"""Relax pins that do not exist for the image's Python, by the same policy as for environments on this machine."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.version import Version

from mljupyter.build.environments.definition import redacted, without_credentials
from mljupyter.build.environments.interpreters import Python
from mljupyter.build.environments.record import ChangeRecord
from mljupyter.build.environments.relaxation import exact_versions
from mljupyter.build.environments.requirements import Change
from mljupyter.build.environments.resolver import Resolver, SourceBuilds
from mljupyter.build.environments.uv import Uv, uv_platform
from mljupyter.build.failures import BuildCancelledError, EnvironmentBuildError, MissingPinError
from mljupyter.build.images.errors import BuildCancelledError as ImageBuildCancelledError
from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.events import BuildLog
from mljupyter.build.images.plan.packages import PackageSet
from mljupyter.build.images.plan.plan import ImagePlan
from mljupyter.build.images.registry.base_image import cache_directory, read_note, write_note

_NOTE_FORMAT = 1
_UNCHANGED_FOR_SECONDS = 86_400.0


def with_pins_that_exist(
    plan: ImagePlan, *, minor: int, platform: str, sources: SourceBuilds, scratch: Path, cache: Path, log: BuildLog
) -> ImagePlan:
    """Return the plan with the requirements to install. Each change is logged as a line.

    The same definition gets the same versions again. If the versions cannot be looked up from here, for example without
    a network, the requirements stay as they are, and the installation reports the problem.

    Parameters:
        plan: the plan. Its digest does not change, since it covers the request.
        minor: the minor version of the image's Python 3.
        platform: uv's name of the platform.
        sources: the place where packages that exist as source alone are built.
        scratch: a private directory for files.
        cache: a directory for earlier answers.
        log: the log of the build.

    Raises:
        BuildCancelledError: when the build is cancelled during the search.

    """
    packages = plan.packages
    if packages.asked and packages.pins == "exact":
        _check(packages, _resolver(packages, minor, platform, sources, scratch, log))
    elif packages.asked and packages.pins == "compatible":
        note = cache / f"pins-{_key(packages, minor, platform, sources)}.json"
        found = _noted(note)
        if found is None:
            found = _found(packages, _resolver(packages, minor, platform, sources, scratch, log))
            if found is not None:
                changes = [ChangeRecord.of(change).document() for change in found[1]]
                write_note(note, {"lines": found[0], "changes": changes, "time": time.time()})
        if found is not None and found[1]:
            exact, changed = found
            packages = replace(packages, exact=tuple(exact), changes=(*packages.changes, *changed))
            plan = replace(plan, packages=packages)
    for change in packages.changes:
        log.line(f"{change.kind.capitalize()}: {redacted(str(change))}")
    return plan


def pins_for_saving(plan: ImagePlan, on_line: Callable[[str], None]) -> ImagePlan:
    """Return the plan with the requirements for a saved build directory, if the version of its Python is known.

    Pins of packages that exist as source alone stay: the engine that is going to build the directory is not known.

    Parameters:
        plan: the plan to save.
        on_line: gets a line for each change.

    """
    version = plan.packages.python_version
    if version is None:
        return plan
    log = BuildLog(lambda event: on_line(event.text) if event.state is None else None, [])
    with log.stage("environment"), tempfile.TemporaryDirectory(prefix="mljupyter-pins-") as scratch:
        return with_pins_that_exist(
            plan,
            minor=int(version.partition(".")[2]),
            platform=uv_platform(plan.platform.partition("/")[2], musl=False),
            sources=SourceBuilds("by an engine", "saved", lambda line: True),
            scratch=Path(scratch),
            cache=cache_directory(),
            log=log,
        )


def _key(packages: PackageSet, minor: int, platform: str, sources: SourceBuilds) -> str:
    document = [_NOTE_FORMAT, packages.document(), minor, platform, sources.key]
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _noted(path: Path) -> tuple[list[str], list[Change]] | None:
    """Return the earlier answer. The answer that all pins exist is valid for a day; relaxed pins stay as they were."""
    note: dict[str, Any] | None = read_note(path)
    if note is None:
        return None
    try:
        changes = [ChangeRecord.parse(document).change() for document in note["changes"]]
        fresh = bool(changes) or 0 <= time.time() - note["time"] < _UNCHANGED_FOR_SECONDS
        return ([str(line) for line in note["lines"]], changes) if fresh else None
    except (KeyError, TypeError, ValueError):
        return None


def _resolver(
    packages: PackageSet, minor: int, platform: str, sources: SourceBuilds, scratch: Path, log: BuildLog
) -> Resolver:
    scratch.mkdir(mode=0o700, exist_ok=True)
    uv = Uv(scratch, log.line, log.cancel)
    python = Python(sys.executable, Version(f"3.{minor}"))
    return Resolver(uv, python, packages.options, scratch, platform=platform, sources=sources)


def _check(packages: PackageSet, resolver: Resolver) -> None:
    """Refuse requirements that no version satisfies, before the build."""
    try:
        exact_versions(packages.asked, resolver, "exact")
    except BuildCancelledError as error:
        raise ImageBuildCancelledError(error.message) from error
    except MissingPinError as error:
        raise ImageError(error.message) from error
    except EnvironmentBuildError:  # the installer in the image reports it better, and it may reach another index
        return


def _found(packages: PackageSet, resolver: Resolver) -> tuple[list[str], list[Change]] | None:
    try:
        result = exact_versions(packages.asked, resolver, "compatible")
    except BuildCancelledError as error:
        raise ImageBuildCancelledError(error.message) from error
    except EnvironmentBuildError:  # the installer in the image reports it better, and it may reach another index
        return None
    # A stored answer must not contain the credentials of a URL: such lines are installed as requested.
    if any(without_credentials(line) != line for line in result.lines):
        return None
    return (result.lines if result.changes else []), result.changes
