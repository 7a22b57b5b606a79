"""What a scoring script runs in: Python, packages, image, environment variables (Azure ML v1: Environment)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.build.environments.definition import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    EnvironmentDefinition,
    fingerprint,
)
from mljupyter.core.conda_dependencies import CondaDependencies
from mljupyter.core.container_registry import ContainerRegistry
from mljupyter.core.docker_section import DockerBuildContext, DockerSection
from mljupyter.core.python_section import PythonSection
from mljupyter.core.rich import Rich, Rows
from mljupyter.core.spark_section import SparkPackage, SparkSection
from mljupyter.deploy.environments import DEFAULT_INTERPRETER, ServingEnvironment
from mljupyter.exceptions import UserErrorException, as_user_error

if TYPE_CHECKING:
    from mljupyter.core.environment_image import DockerImageDetails, ImageBuildDetails
    from mljupyter.core.local_build import LocalBuildDetails
    from mljupyter.core.workspace import Workspace

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "DEFAULT_INTERPRETER",
    "CondaDependencies",
    "ContainerRegistry",
    "DockerBuildContext",
    "DockerSection",
    "Environment",
    "PythonSection",
    "SparkPackage",
    "SparkSection",
]


class Environment(Rich):
    """A named environment.

    Its sections `python`, `docker` and `spark` and its attribute `environment_variables` are set as they are in
    Azure ML. Two environments with equal content are one: what is built for one serves the other.

    Parameters:
        name: its name.

    Raises:
        UserErrorException: when the name is empty.

    Example:
        >>> environment = Environment("serving")
        >>> environment.python.conda_dependencies.add_pip_package("humanize==4.9.0")
        >>> environment.environment_variables = {"OMP_NUM_THREADS": "1"}
        >>> environment
        Environment(name=serving, version=None)

    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        if not isinstance(name, str) or not name.strip():
            raise UserErrorException(f"{name!r} cannot name an environment: it must be a text that is not empty.")
        if kwargs:
            raise UserErrorException(f"Environment does not take {', '.join(sorted(kwargs))}: set attributes instead.")
        self.name = name
        self.version: str | None = None
        self.asset_id: str | None = None
        self.python = PythonSection()
        self.docker = DockerSection()
        self.spark = SparkSection()
        self.databricks: dict[str, Any] | None = None
        self.r: dict[str, Any] | None = None
        self.inferencing_stack_version: str | None = None
        self.environment_variables = {}
        self._taken_from: tuple[str, str] | None = None

    @property
    def environment_variables(self) -> dict[str, str]:
        """The variables that the scoring script finds in ``os.environ``."""
        return self._environment_variables

    @environment_variables.setter
    def environment_variables(self, value: dict[str, str] | None) -> None:
        value = {} if value is None else value
        if not isinstance(value, dict) or not all(isinstance(item, str) for pair in value.items() for item in pair):
            # The values may be secrets: the message shows none of them.
            raise UserErrorException("environment_variables must be a dict of texts: {'OMP_NUM_THREADS': '1'}")
        self._environment_variables = value

    def definition(self) -> EnvironmentDefinition:
        """Return the environment as a document.

        Raises:
            UserErrorException: when a value breaks a rule, or a Dockerfile given by its path does not exist.

        """
        with as_user_error():
            return EnvironmentDefinition.parse(
                {
                    "name": self.name,
                    "version": self.version,
                    "assetId": self.asset_id,
                    "python": self.python.definition(),
                    "docker": self.docker.definition(),
                    "spark": self.spark.definition(),
                    "databricks": self.databricks,
                    "r": self.r,
                    "environmentVariables": self.environment_variables,
                    "inferencingStackVersion": self.inferencing_stack_version,
                }
            )

    @classmethod
    def of(cls, definition: EnvironmentDefinition) -> Environment:
        """Return the environment that a document describes."""
        environment = cls(definition.name or "environment")
        environment.version = definition.version
        environment.asset_id = definition.asset_id
        environment.python = PythonSection.of(definition.python)
        environment.docker = DockerSection.of(definition.docker)
        environment.spark = SparkSection.of(definition.spark)
        environment.databricks = definition.databricks
        environment.r = definition.r
        environment.environment_variables = dict(definition.environment_variables)
        environment.inferencing_stack_version = definition.inferencing_stack_version
        return environment

    @property
    def fingerprint(self) -> str:
        """What is equal for equal environments: names, versions and environment variables do not enter."""
        return fingerprint(self.definition())

    def serving(self) -> ServingEnvironment:
        """Return the environment as it is now, as the parts that deploy take it.

        Raises:
            UserErrorException: a value breaks a rule.

        """
        definition = self.definition()
        return ServingEnvironment(definition, self._taken_from == (sys.executable, fingerprint(definition)))

    def clone(self, new_name: str) -> Environment:
        """Return a copy under another name, not registered."""
        copy = Environment.of(self.definition())
        copy.name = Environment(new_name).name
        copy.version = copy.asset_id = None
        copy._taken_from = self._taken_from
        return copy

    def register(self, workspace: Workspace) -> Environment:
        """Register it as the next version of its name, and return what is registered.

        One that equals the newest version keeps that version.

        Raises:
            UserErrorException: for a name that begins with Microsoft or AzureML, or against the rule.

        """
        from mljupyter.core import environment_registry

        return environment_registry.register(workspace, self)

    @staticmethod
    def get(workspace: Workspace, name: str, version: str | int | None = None, label: str | None = None) -> Environment:
        """Return a registered environment: a version, the one with a label, or the newest.

        Raises:
            UserErrorException: `EnvironmentNotFound` when there is none; when version and label are both given.

        """
        from mljupyter.core import environment_registry

        return environment_registry.get(workspace, name, version, label)

    @staticmethod
    def list(workspace: Workspace) -> dict[str, Environment]:
        """Return the newest version of each registered environment, by name."""
        from mljupyter.core import environment_registry

        return environment_registry.every(workspace)

    @staticmethod
    def label(workspace: Workspace, name: str, version: str | int, labels: Sequence[str]) -> None:
        """Put labels on a version; each label of a name is on one version at a time.

        Raises:
            UserErrorException: `EnvironmentNotFound` when there is no such version; for the label ``latest``.

        """
        from mljupyter.core import environment_registry

        environment_registry.label(workspace, name, version, labels)

    @staticmethod
    def from_conda_specification(name: str, file_path: str | os.PathLike[str]) -> Environment:
        """Return an environment of the packages in a conda environment file."""
        from mljupyter.core import environment_sources

        return environment_sources.from_conda_specification(name, file_path)

    @staticmethod
    def from_pip_requirements(
        name: str, file_path: str | os.PathLike[str], pip_version: str | None = None
    ) -> Environment:
        """Return an environment of the packages in a requirements file; files it refers to with ``-r`` are read, too.

        Parameters:
            name: its name.
            file_path: the file.
            pip_version: as in Azure ML; an image gets this version of pip, this machine needs none.

        """
        from mljupyter.core import environment_sources

        return environment_sources.from_pip_requirements(name, file_path, pip_version)

    @staticmethod
    def from_dockerfile(
        name: str,
        dockerfile: Any,
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """Return an environment that begins with a Dockerfile: its text, path or open file.

        Without packages of its own, the Python in the image serves as it is.
        """
        from mljupyter.core import environment_sources

        docker = DockerSection(base_dockerfile=dockerfile)
        return environment_sources.on_image(name, docker, conda_specification, pip_requirements)

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: ContainerRegistry | None = None,
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """Return an environment that begins with an image, in a registry of its own if one is given.

        Without packages of its own, the Python in the image serves as it is.
        """
        from mljupyter.core import environment_sources

        docker = DockerSection(base_image=image, base_image_registry=container_registry or ContainerRegistry())
        return environment_sources.on_image(name, docker, conda_specification, pip_requirements)

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: DockerBuildContext) -> Environment:
        """Return an environment that is the image of a build context."""
        from mljupyter.core import environment_sources

        return environment_sources.on_image(name, DockerSection(build_context=docker_build_context), None, None)

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        """Return an environment of what a conda environment of this machine holds.

        Raises:
            UserErrorException: when there is no conda, or no such environment.

        """
        from mljupyter.core import environment_sources

        return environment_sources.from_existing_conda_environment(name, conda_environment_name)

    @staticmethod
    def from_current(name: str = "notebook") -> Environment:
        """Return an environment of what the notebook has installed, in the same versions.

        Deployed to this machine it is the notebook's own, as long as it is not changed; a container gets the same
        packages. What was installed from a directory cannot be had elsewhere: it is left out and named.

        Example:
            >>> Environment.from_current("serving").register(ws)     # doctest: +SKIP

        """
        from mljupyter.core import environment_sources

        return environment_sources.from_current(name)

    @staticmethod
    def add_private_pip_wheel(workspace: Workspace, file_path: str | os.PathLike[str], exist_ok: bool = False) -> str:
        """Store a wheel in the workspace, and return the URL to give to ``add_pip_package``.

        Raises:
            UserErrorException: when it is no wheel, or one of its name is stored and `exist_ok` is not set.

        """
        from mljupyter.core import environment_sources

        return environment_sources.add_private_pip_wheel(workspace, Path(file_path), exist_ok)

    def build_local(
        self, workspace: Workspace, platform: str | None = None, **kwargs: Any
    ) -> LocalBuildDetails | ImageBuildDetails:
        """Build the environment on this machine, where it is not there yet; returns at once.

        Parameters:
            workspace: whose image it becomes, with ``useDocker``; environments without serve all workspaces.
            platform: as in Azure ML; this machine's.
            **kwargs: ``useDocker=True`` builds an image on the Docker engine, ``pushImageToWorkspaceAcr=True`` one in
                the workspace's container registry.

        Returns:
            What `wait_for_completion(show_output=True)` is called on.

        Raises:
            UserErrorException: when a value breaks a rule, or nothing here can build the image that is asked for.

        Example:
            >>> details = environment.build_local(ws)                            # doctest: +SKIP
            >>> details.wait_for_completion(show_output=True)                    # doctest: +SKIP

        """
        if kwargs.get("useDocker") or kwargs.get("pushImageToWorkspaceAcr"):
            from mljupyter.core import environment_image

            pushed = bool(kwargs.get("pushImageToWorkspaceAcr"))
            return environment_image.build(workspace, self, on_engine=not pushed, rebuild=False)
        from mljupyter.core.local_build import LocalBuildDetails

        return LocalBuildDetails(self)

    def build(self, workspace: Workspace, image_build_compute: str | None = None) -> ImageBuildDetails:
        """Build an image of the environment, whether or not there is one; returns at once.

        Images with a scoring script are then built on its layers.

        Parameters:
            workspace: whose image it becomes.
            image_build_compute: as in Azure ML; it is built where all images of the workspace are.

        Returns:
            What `wait_for_completion(show_output=True)` is called on.

        Raises:
            UserErrorException: when a value breaks a rule, or nothing here can build images.

        Example:
            >>> environment.build(ws).wait_for_completion(show_output=True)      # doctest: +SKIP

        """
        from mljupyter.core import environment_image

        return environment_image.build(workspace, self)

    def get_image_details(self, workspace: Workspace) -> DockerImageDetails:
        """Return what is known of the environment's image: whether it exists, its name, its Dockerfile.

        Example:
            >>> environment.get_image_details(ws).image_exist                    # doctest: +SKIP
            True

        """
        from mljupyter.core import environment_image

        return environment_image.details(workspace, self)

    def save_to_directory(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the environment into a directory, the password of its registry left out.

        Parameters:
            path: the directory, made when absent.
            overwrite: replace what is there.

        Raises:
            UserErrorException: when it exists and `overwrite` is not set, or cannot be written.

        """
        from mljupyter.core import environment_files

        environment_files.save(self, Path(path).expanduser(), overwrite=overwrite)

    @staticmethod
    def load_from_directory(path: str | os.PathLike[str]) -> Environment:
        """Return the environment that `save_to_directory` wrote, here or in Azure ML.

        Raises:
            UserErrorException: when a file is missing or breaks a rule.

        """
        from mljupyter.core import environment_files

        return environment_files.load(Path(path).expanduser())

    def _summary(self) -> Rows:
        packages = self.python.conda_dependencies
        return [
            ("Name", self.name),
            ("Version", self.version),
            ("Python", packages.get_python_version() if packages is not None else None),
            ("Packages", str(len(packages.conda_packages) + len(packages.pip_packages)) if packages else None),
        ]

    def __repr__(self) -> str:
        return f"Environment(name={self.name}, version={self.version})"
