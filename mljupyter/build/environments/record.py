"""On-disk layout of environments: for each a directory, a lock, a log, and its resolved versions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from mljupyter.build.environments.relaxation import Policy
from mljupyter.build.environments.requirements import Change
from mljupyter.files import write_whole
from mljupyter.spec import Document, SpecError

RECORD = "mljupyter-environment.json"


class ChangeRecord(Document):
    """The stored form of a `Change`."""

    requirement: str
    became: str | None = None
    reason: str
    kind: Literal["relaxed", "replaced"]

    @classmethod
    def of(cls, change: Change) -> Self:
        """Return the record of a change."""
        return cls(requirement=change.requirement, became=change.became, reason=change.reason, kind=change.kind)

    def change(self) -> Change:
        """Return the change."""
        return Change(self.requirement, self.became, self.reason, self.kind)


class EnvironmentRecord(Document):
    """The record of a built environment. It is written last: a directory without it is not an environment."""

    fingerprint: str
    interpreter: str
    python: str
    policy: str
    changes: list[ChangeRecord] = []
    packages: list[str] = []
    built_time: datetime


class VersionsRecord(Document):
    """The exact versions of the first build. Later builds of the same definition install them again."""

    python: str
    wheels_only: bool
    lines: list[str]
    changes: list[ChangeRecord] = []


@dataclass(frozen=True)
class BuiltEnvironment:
    """An existing environment.

    Parameters:
        directory: its directory.
        interpreter: its Python's absolute path.
        fingerprint: the fingerprint of its definition.
        python: its Python's version.
        changes: the relaxed and replaced requirements of its build.
        packages: its installed packages, as ``name==version``.
        log: the log of its build.

    """

    directory: Path
    interpreter: str
    fingerprint: str
    python: str
    changes: tuple[Change, ...]
    packages: tuple[str, ...]
    log: Path

    @property
    def relaxations(self) -> tuple[Change, ...]:
        """The packages that are installed in another version than requested."""
        return tuple(change for change in self.changes if change.kind == "relaxed")


@dataclass(frozen=True)
class Place:
    """The paths of one environment below a directory of environments."""

    root: Path
    name: str

    @property
    def directory(self) -> Path:
        """The directory of the environment itself."""
        return self.root / self.name

    @property
    def lock(self) -> Path:
        """The file whose lock a builder holds."""
        return self.root / f"{self.name}.lock"

    @property
    def log(self) -> Path:
        """The log of the newest build."""
        return self.root / f"{self.name}.log"

    @property
    def versions(self) -> Path:
        """The exact versions of the first build."""
        return self.root / f"{self.name}.versions.json"

    def built(self) -> BuiltEnvironment | None:
        """Return the environment when it is whole and its interpreter is there, else None."""
        try:
            record = EnvironmentRecord.parse((self.directory / RECORD).read_bytes())
        except (OSError, SpecError):
            return None
        # If its base Python was removed since, the interpreter is a broken link.
        if not os.access(self.directory / record.interpreter, os.X_OK):
            return None
        return BuiltEnvironment(
            directory=self.directory,
            interpreter=str(self.directory / record.interpreter),
            fingerprint=record.fingerprint,
            python=record.python,
            changes=tuple(change.change() for change in record.changes),
            packages=tuple(record.packages),
            log=self.log,
        )

    def first_versions(self) -> VersionsRecord | None:
        """Return the versions that the first build installed, None before the first build."""
        try:
            return VersionsRecord.parse(self.versions.read_bytes())
        except (OSError, SpecError):
            return None


def places(root: Path, fingerprint: str, policy: Policy) -> Iterator[Place]:
    """Yield the places where an environment may be. A new one is built in the last.

    A strictly built environment serves all policies, one with exact packages those that allow another Python. One with
    relaxed pins serves only the policy ``compatible``.
    """
    yield Place(root, f"{fingerprint}-strict")
    if policy != "strict":
        yield Place(root, f"{fingerprint}-exact")
    if policy == "compatible":
        yield Place(root, fingerprint)


def write_record(path: Path, document: Document) -> None:
    """Write a record atomically, readable by its owner alone."""
    write_whole(path, document.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n", durable=True)
