"""References to images: registry, repository, tag or digest."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mljupyter.build.images.errors import ImageError, RegistryError
from mljupyter.build.images.registry.descriptors import checked_digest
from mljupyter.build.images.registry.registry_address import checked_host

DOCKER_HUB = "registry-1.docker.io"
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_NOT_IN_REPOSITORY = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Reference:
    """``registry/repository:tag`` or ``registry/repository@digest``. Without registry, Docker Hub is meant."""

    registry: str | None
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Return the parts of a reference, or raise `ImageError` when the text is not a reference."""
        rest, at, digest = text.partition("@")
        first, slash, after = rest.partition("/")
        # Same rule as in Docker: the first part is a registry only when it looks like a host.
        is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
        registry, path = (first, after) if is_host else (None, rest)
        repository, _, tag = path.partition(":")
        try:
            if registry is not None:
                checked_host(registry)
            checked_path(repository)
            if tag:
                checked_version(tag)
            if at:
                checked_digest(digest)
        except RegistryError as error:
            raise ImageError(
                f"{text!r} is not a reference to an image.\n"
                "Rule: [registry/]repository[:tag] or [registry/]repository@sha256:..., in lower case, "
                "such as 'registry.example.com:5000/team/python:3.11'."
            ) from error
        return cls(registry, repository, tag or None, digest or None)

    @property
    def host(self) -> str:
        """The host of the registry's HTTP interface."""
        return self.registry if self.registry and self.registry != "docker.io" else DOCKER_HUB

    @property
    def path(self) -> str:
        """The repository's name in the registry: Docker Hub's official images are in ``library/``."""
        if self.host == DOCKER_HUB and "/" not in self.repository:
            return f"library/{self.repository}"
        return self.repository

    @property
    def version(self) -> str:
        """The version part: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> Reference:
        """Return a reference to the same repository with this digest."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        prefix = f"{self.registry}/" if self.registry else ""
        return f"{prefix}{self.repository}" + (f"@{self.digest}" if self.digest else f":{self.tag or 'latest'}")


def checked_path(repository: str) -> str:
    """Return a repository's name, or raise `RegistryError` if it could mean something else in a URL or a command."""
    if _REPOSITORY.fullmatch(repository) and len(repository) <= 255:
        return repository
    raise RegistryError(
        f"{repository!r:.100} is not the name of a repository. Rule: lower-case words, such as 'team/python'."
    )


def checked_version(version: str) -> str:
    """Return a tag or digest, or raise `RegistryError`."""
    return version if _TAG.fullmatch(version) else checked_digest(version)


def reference_for(name: str, version: int, plan_digest: str, registry: str | None = None) -> str:
    """Return the reference for the image `name`:`version`, such as ``mljupyter/myimage:1-37b4e05a0f6f``.

    The start of the plan's digest separates workspaces that share an engine or a registry and use the same name.
    """
    repository = f"mljupyter/{_NOT_IN_REPOSITORY.sub('-', name.lower()).strip('-')}"
    tagged = f"{repository}:{version}-{plan_digest.removeprefix('sha256:')[:12]}"
    return str(Reference.parse(f"{registry}/{tagged}" if registry else tagged))
