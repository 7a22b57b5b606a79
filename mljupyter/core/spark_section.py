"""Spark settings of an environment; they are stored, and nothing uses them.

Azure: SparkSection of azureml.core.environment.
"""

from __future__ import annotations

from mljupyter.build.environments.definition import SparkDefinition
from mljupyter.core.sections import Section


class SparkPackage(Section):
    """A package of a Spark session."""

    __slots__ = ("artifact", "group", "version")
    _defaults = {"group": None, "artifact": None, "version": None}

    group: str | None
    artifact: str | None
    version: str | None

    def __init__(self, group: str | None = None, artifact: str | None = None, version: str | None = None) -> None:
        super().__init__(group=group, artifact=artifact, version=version)


class SparkSection(Section):
    """Repositories and packages of a Spark session."""

    __slots__ = ("packages", "precache_packages", "repositories")
    _defaults = {"repositories": list, "packages": list, "precache_packages": True}

    repositories: list[str]
    packages: list[SparkPackage]
    precache_packages: bool

    def definition(self) -> SparkDefinition:
        """Return the section as a document."""
        packages = [{"group": p.group, "artifact": p.artifact, "version": p.version} for p in self.packages]
        return SparkDefinition.parse(
            {
                "repositories": list(self.repositories),
                "packages": packages,
                "precachePackages": self.precache_packages,
            }
        )

    @classmethod
    def of(cls, definition: SparkDefinition | None) -> SparkSection:
        """Return the section in a document."""
        definition = definition or SparkDefinition()
        return cls(
            repositories=list(definition.repositories),
            packages=[SparkPackage(p.group, p.artifact, p.version) for p in definition.packages],
            precache_packages=definition.precache_packages,
        )
