"""Base image of an environment: an image, a Dockerfile or a build context.

Azure: DockerSection and DockerBuildContext of azureml.core.environment.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mljupyter.build.environments.definition import DEFAULT_CPU_IMAGE, BuildContextDefinition, DockerDefinition
from mljupyter.build.project.snapshot import snapshot
from mljupyter.core.container_registry import ContainerRegistry
from mljupyter.core.sections import Section
from mljupyter.exceptions import UserErrorException, as_user_error
from mljupyter.files import expanded

if TYPE_CHECKING:
    from mljupyter.core import Workspace

_LARGEST_DOCKERFILE = 1 << 20


class DockerBuildContext(Section):
    """A directory with a Dockerfile: a snapshot in the workspace's store, or a git repository.

    Parameters:
        location_type: one of `LocationType`.
        location: the snapshot's digest, or the repository's URL.
        dockerfile_path: the Dockerfile's path in it.

    """

    class LocationType:
        """Places of a build context."""

        Git = "git"
        StorageAccount = "storageAccount"

    __slots__ = ("dockerfile_path", "location", "location_type")
    _defaults = {"location_type": None, "location": None, "dockerfile_path": "Dockerfile"}

    location_type: str | None
    location: str | None
    dockerfile_path: str

    def __init__(
        self, location_type: str | None = None, location: str | None = None, dockerfile_path: str = "Dockerfile"
    ) -> None:
        super().__init__(location_type=location_type, location=location, dockerfile_path=dockerfile_path)

    @staticmethod
    def from_local_directory(
        workspace: Workspace, path: str | os.PathLike[str], dockerfile_path: str = "Dockerfile"
    ) -> DockerBuildContext:
        """Store a snapshot of a directory, and return it as a build context.

        Parameters:
            workspace: the workspace that stores the snapshot.
            path: the directory.
            dockerfile_path: the Dockerfile's path in it.

        Raises:
            UserErrorException: there is no such directory or Dockerfile, or it is too large.

        """
        directory = expanded(path).absolute()
        if not (directory / dockerfile_path).is_file():
            raise UserErrorException(f"There is no {dockerfile_path} in the build context {directory}.")
        with as_user_error():
            artifact = snapshot(directory, workspace.artifacts)
        return DockerBuildContext(DockerBuildContext.LocationType.StorageAccount, artifact.digest, dockerfile_path)


class DockerSection(Section):
    """The base image, and settings of its containers.

    `base_image`, `base_dockerfile` and `build_context` exclude each other: setting one clears the others. A base
    Dockerfile is its text, a path or an open file.
    """

    __slots__ = (
        "_base_dockerfile",
        "_base_image",
        "_build_context",
        "arguments",
        "base_image_registry",
        "enabled",
        "extra_dockerfile_steps",
        "gpu_support",
        "platform",
        "shared_volumes",
        "shm_size",
    )
    _defaults = {
        "enabled": False,
        "base_image": DEFAULT_CPU_IMAGE,
        "base_dockerfile": None,
        "build_context": None,
        "base_image_registry": ContainerRegistry,
        "extra_dockerfile_steps": None,
        "platform": lambda: {"os": "Linux", "architecture": "amd64"},
        "arguments": list,
        "shm_size": "2g",
        "shared_volumes": True,
        "gpu_support": False,
    }

    enabled: bool
    base_image_registry: ContainerRegistry
    extra_dockerfile_steps: str | None
    platform: dict[str, str]
    arguments: list[str]
    shm_size: str | None
    shared_volumes: bool
    gpu_support: bool

    def __init__(self, **kwargs: Any) -> None:
        names = ("base_image", "base_dockerfile", "build_context")
        bases = {name: kwargs.pop(name) for name in names if kwargs.get(name) is not None}
        if len(bases) > 1:
            raise UserErrorException(f"{' and '.join(bases)} cannot be combined: give one.")
        self._base_image: str | None = None
        self._base_dockerfile: str | None = None
        self._build_context: DockerBuildContext | None = None
        super().__init__(**kwargs)
        for name, value in bases.items():
            setattr(self, name, value)

    @property
    def base_image(self) -> str | None:
        """The reference of the base image."""
        return self._base_image

    @base_image.setter
    def base_image(self, value: str | None) -> None:
        self._base_image = value
        if value is not None:
            self._base_dockerfile = self._build_context = None

    @property
    def base_dockerfile(self) -> str | None:
        """The text or the path of a Dockerfile for the base image."""
        return self._base_dockerfile

    @base_dockerfile.setter
    def base_dockerfile(self, value: Any) -> None:
        text = value.read() if hasattr(value, "read") else os.fspath(value) if value is not None else None
        self._base_dockerfile = text.decode() if isinstance(text, bytes) else text
        if value is not None:
            self._base_image = self._build_context = None

    @property
    def build_context(self) -> DockerBuildContext | None:
        """The build context of the base image."""
        return self._build_context

    @build_context.setter
    def build_context(self, value: DockerBuildContext | None) -> None:
        self._build_context = value
        if value is not None:
            self._base_image = self._base_dockerfile = None

    @property
    def is_default(self) -> bool:
        """True if the builder chooses the base image, and no Dockerfile instructions are added."""
        return (
            self._base_image in (None, DEFAULT_CPU_IMAGE)
            and self._base_dockerfile is None
            and self._build_context is None
            and not self.extra_dockerfile_steps
        )

    def definition(self) -> DockerDefinition:
        """Return the section as a document, with the text of Dockerfiles that are given by path."""
        context = self._build_context
        return DockerDefinition.parse(
            {
                "enabled": self.enabled,
                "baseImage": None if self._base_image == DEFAULT_CPU_IMAGE else self._base_image,
                "baseDockerfile": dockerfile_text(self._base_dockerfile),
                "buildContext": None
                if context is None
                else {
                    "locationType": context.location_type,
                    "location": context.location,
                    "dockerfilePath": context.dockerfile_path,
                },
                "baseImageRegistry": self.base_image_registry.definition(),
                "extraDockerfileSteps": dockerfile_text(self.extra_dockerfile_steps),
                "platform": self.platform,
                "arguments": [str(argument) for argument in self.arguments or ()],
                "shmSize": self.shm_size,
                "sharedVolumes": self.shared_volumes,
                "gpuSupport": self.gpu_support,
            }
        )

    @classmethod
    def of(cls, definition: DockerDefinition) -> DockerSection:
        """Return the section in a document."""
        section = cls(
            enabled=bool(definition.enabled),
            base_image_registry=ContainerRegistry.of(definition.base_image_registry),
            extra_dockerfile_steps=definition.extra_dockerfile_steps,
            platform=definition.platform.document(),
            arguments=list(definition.arguments),
            shm_size=definition.shm_size,
            shared_volumes=definition.shared_volumes is not False,
            gpu_support=bool(definition.gpu_support),
        )
        context: BuildContextDefinition | None = definition.build_context
        if definition.base_image is not None:
            section.base_image = definition.base_image
        elif definition.base_dockerfile is not None:
            section.base_dockerfile = definition.base_dockerfile
        elif context is not None:
            section.build_context = DockerBuildContext(context.location_type, context.location, context.dockerfile_path)
        return section


def dockerfile_text(value: str | None) -> str | None:
    """Return the text of a Dockerfile given as text or as a path.

    Raises:
        UserErrorException: it is a path, and there is no such file.

    """
    if value is None or "\n" in value or not value.strip():
        return value
    path = expanded(value)
    if path.is_file():
        if path.stat().st_size > _LARGEST_DOCKERFILE:
            raise UserErrorException(f"The Dockerfile {value!r} is larger than {_LARGEST_DOCKERFILE:,} bytes.")
        return path.read_text(encoding="utf-8")
    if " " in value.strip():
        return value  # a Dockerfile with one instruction: FROM python:3.11
    raise UserErrorException(f"The Dockerfile {value!r} does not exist. Give its path or its text.")
