"""Environments of scoring scripts: Python packages, base image and environment variables.

Azure: azureml.core.environment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter import core, deploy
from mljupyter.build.environments.definition import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    DEFAULT_INTERPRETER,
    EnvironmentDefinition,
    fingerprint,
)
from mljupyter.core import conda_file
from mljupyter.core.conda_dependencies import DEFAULT_FILE as CONDA_FILE
from mljupyter.core.conda_dependencies import CondaDependencies
from mljupyter.core.container_registry import ContainerRegistry
from mljupyter.core.display import HtmlRepr, Rows
from mljupyter.core.docker_section import DockerBuildContext, DockerSection
from mljupyter.core.environment_build import DockerImageDetails, ImageBuildDetails, LocalBuildDetails
from mljupyter.core.python_section import PythonSection
from mljupyter.core.r_section import RSection
from mljupyter.core.spark_section import SparkPackage, SparkSection
from mljupyter.exceptions import UserErrorException, as_user_error
from mljupyter.files import expanded
from mljupyter.outside import json_value, whole
from mljupyter.spec.version import LARGEST_NUMBER

if TYPE_CHECKING:
    from mljupyter.core import Workspace
    from mljupyter.deploy.environments import ServingEnvironment
    from mljupyter.registry.catalog.environments import EnvironmentRecord

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "DEFAULT_INTERPRETER",
    "CondaDependencies",
    "ContainerRegistry",
    "DockerBuildContext",
    "DockerImageDetails",
    "DockerSection",
    "Environment",
    "EnvironmentReference",
    "ImageBuildDetails",
    "LocalBuildDetails",
    "PythonSection",
    "RSection",
    "SparkPackage",
    "SparkSection",
]

DOCUMENT = "azureml_environment.json"
DOCKERFILE = "BaseDockerfile"
_CURATED = "AzureML-"


class EnvironmentReference:
    """The name and version of a registered environment.

    Parameters:
        name: the name.
        version: the version; None for the newest one.

    Example:
        >>> EnvironmentReference("serving", "3")
        EnvironmentReference(name=serving, version=3)

    """

    def __init__(self, name: str, version: str | None = None) -> None:
        self.name = name
        self.version = version

    def get_environment(self, workspace: Workspace) -> Environment:
        """Return the environment.

        Raises:
            UserErrorException: it is not registered in the workspace.

        """
        return Environment.get(workspace, self.name, self.version)

    def __repr__(self) -> str:
        return f"EnvironmentReference(name={self.name}, version={self.version})"


class Environment(HtmlRepr):
    """A named environment: Python packages, base image and environment variables of a scoring script.

    Set its sections `python`, `docker` and `spark` and its attribute `environment_variables`. Environments with equal
    content share one build.

    Parameters:
        name: the name.

    Raises:
        UserErrorException: the name is empty.

    Azure: the sections and their attributes are the same.

    Example:
        >>> environment = Environment("serving")
        >>> environment.python.conda_dependencies.add_pip_package("humanize==4.9.0")
        >>> environment.environment_variables = {"OMP_NUM_THREADS": "1"}
        >>> environment
        Environment(name=serving, version=None)

    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        if not isinstance(name, str) or not name.strip():
            raise UserErrorException(f"name is {name!r}: it must be a non-empty string.")
        if kwargs:
            raise UserErrorException(f"Environment does not take {', '.join(sorted(kwargs))}: set attributes instead.")
        self.name = name
        self.version: str | None = None
        self.asset_id: str | None = None
        self.python = PythonSection()
        self.docker = DockerSection()
        self.spark = SparkSection()
        self.databricks: dict[str, Any] | None = None
        self.r: RSection | dict[str, Any] | None = None
        self._inferencing_stack_version: str | None = None
        self.environment_variables = {}
        self._taken_from: tuple[str, str] | None = None
        self._file: Path | None = None

    @property
    def inferencing_stack_version(self) -> str | None:
        """The version of Azure's serving stack that was asked for. It is kept, and has no effect."""
        return self._inferencing_stack_version

    @inferencing_stack_version.setter
    def inferencing_stack_version(self, value: str | None) -> None:
        if value is not None:
            _say_that_the_stack_has_no_effect()
        self._inferencing_stack_version = value

    @property
    def environment_variables(self) -> dict[str, str]:
        """The variables that a scoring script finds in ``os.environ``."""
        return self._environment_variables

    @environment_variables.setter
    def environment_variables(self, value: dict[str, str] | None) -> None:
        value = {} if value is None else value
        example = "it must be a dict from str to str, such as {'OMP_NUM_THREADS': '1'}."
        if not isinstance(value, dict):
            raise UserErrorException(f"environment_variables is a {type(value).__name__}: {example}")
        for key, item in value.items():
            if not (isinstance(key, str) and isinstance(item, str)):
                # Values may be secrets, so the message shows none.
                types = f"from {type(key).__name__} to {type(item).__name__}"
                raise UserErrorException(f"environment_variables has an item {types}, {key!r}: {example}")
        self._environment_variables = value

    def definition(self) -> EnvironmentDefinition:
        """Return the environment as a document.

        Raises:
            UserErrorException: a value breaks a rule, or a Dockerfile given by its path does not exist.

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
                    "r": self.r.definition() if isinstance(self.r, RSection) else self.r,
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
        environment._inferencing_stack_version = definition.inferencing_stack_version
        return environment

    @property
    def fingerprint(self) -> str:
        """A hash of the content without names, versions and environment variables; equal for equal environments."""
        return fingerprint(self.definition())

    def serving(self) -> ServingEnvironment:
        """Return the present environment, for a deployment.

        Raises:
            UserErrorException: a value breaks a rule.

        """
        definition = self.definition()
        deploy.environments.say_replaced_base_image(definition)
        deploy.environments.say_without_effect(definition)
        return deploy.environments.ServingEnvironment(
            definition, self._taken_from == (sys.executable, fingerprint(definition)), self._file
        )

    def clone(self, new_name: str) -> Environment:
        """Return a copy under another name, not registered."""
        copy = Environment.of(self.definition())
        copy._file = self._file
        copy.name = Environment(new_name).name
        copy.version = copy.asset_id = None
        copy._taken_from = self._taken_from
        return copy

    def register(self, workspace: Workspace) -> Environment:
        """Register the environment as the next version of its name, and return the registered one.

        If it equals the newest version, that version is returned.

        Raises:
            UserErrorException: the name breaks the rule, or begins with Microsoft or AzureML.

        """
        definition = self.definition()
        left_out = ("name", "version", "assetId")
        document = {key: value for key, value in definition.document().items() if key not in left_out}
        password = definition.docker.base_image_registry.password
        with as_user_error():
            record = workspace.registry.environments.register(
                self.name,
                document,
                fingerprint(definition),
                password=password.get_secret_value() if password is not None else None,
            )
        registered = _from_record(record)
        registered._taken_from = self._taken_from
        return registered

    @staticmethod
    def get(workspace: Workspace, name: str, version: str | int | None = None, label: str | None = None) -> Environment:
        """Return a registered environment: a version, the version with a label, or the newest version.

        Raises:
            UserErrorException: `EnvironmentNotFound`: there is no such environment; version and label are both given.

        """
        if version is not None and label is not None:
            raise UserErrorException(f"version {version!r} and label {label!r} cannot be combined: give one.")
        try:
            with as_user_error():
                return _from_record(workspace.registry.environments.get(name, _number(version), label=label))
        except UserErrorException as error:
            if not str(name).startswith(_CURATED):
                raise
            raise UserErrorException(
                f"{error.message}\nThe curated environments of Azure are not there: list the packages in one of your "
                "own, as in Environment.from_pip_requirements(NAME, FILE)."
            ) from error

    @staticmethod
    def list(workspace: Workspace) -> dict[str, Environment]:
        """Return the newest version of each registered environment, by name."""
        with as_user_error():
            return {record.name: _from_record(record) for record in workspace.registry.environments.list()}

    @staticmethod
    def label(workspace: Workspace, name: str, version: str | int, labels: Sequence[str]) -> None:
        """Put labels on a version; a label moves from the version that has it.

        Raises:
            UserErrorException: `EnvironmentNotFound`: there is no such version; a label is ``latest``.

        """
        number = _number(version)
        if number is None:
            raise UserErrorException("version is None: give the version to label.")
        with as_user_error():
            workspace.registry.environments.label(name, number, [labels] if isinstance(labels, str) else labels)

    @staticmethod
    def from_conda_specification(name: str, file_path: str | os.PathLike[str]) -> Environment:
        """Return an environment with the packages of a conda environment file."""
        environment = Environment(name)
        environment.python.conda_dependencies_file = file_path
        environment._file = expanded(file_path)
        packages = environment.python.conda_dependencies
        assert packages is not None  # noqa: S101 - narrows the type
        environment.environment_variables = dict(packages.definition().variables)
        return environment

    @staticmethod
    def from_pip_requirements(
        name: str, file_path: str | os.PathLike[str], pip_version: str | None = None
    ) -> Environment:
        """Return an environment with the packages of a requirements file and of the files that it includes.

        Parameters:
            name: the name.
            file_path: the file.
            pip_version: the version of pip in an image; without effect on this machine.

        """
        environment = Environment(name)
        packages = core.package_sources.read_pip_requirements(expanded(file_path), pip_version)
        environment.python.conda_dependencies = packages
        environment._file = expanded(file_path)
        return environment

    @staticmethod
    def from_dockerfile(
        name: str,
        dockerfile: Any,
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """Return an environment whose base image is built from a Dockerfile: its text, path or open file.

        Without a file of packages, the Python in the image is used as it is.
        """
        docker = DockerSection(base_dockerfile=dockerfile)
        return _on_image(name, docker, conda_specification, pip_requirements)

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: ContainerRegistry | None = None,
        conda_specification: str | os.PathLike[str] | None = None,
        pip_requirements: str | os.PathLike[str] | None = None,
    ) -> Environment:
        """Return an environment with a base image, from `container_registry` if that is given.

        Without a file of packages, the Python in the image is used as it is.
        """
        docker = DockerSection(base_image=image, base_image_registry=container_registry or ContainerRegistry())
        return _on_image(name, docker, conda_specification, pip_requirements)

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: DockerBuildContext) -> Environment:
        """Return an environment whose image is built from a build context."""
        return _on_image(name, DockerSection(build_context=docker_build_context), None, None)

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        """Return an environment with the packages of a conda environment of this machine.

        Raises:
            UserErrorException: conda is not installed, or there is no such environment.

        """
        environment = Environment(name)
        environment.python.conda_dependencies = core.package_sources.read_conda_environment(conda_environment_name)
        return environment

    @staticmethod
    def from_current(name: str = "notebook") -> Environment:
        """Return an environment with the packages of the running interpreter, in the same versions.

        On this machine the interpreter itself is used, as long as the environment is not changed; a container gets the
        same packages. Packages that were installed from a directory are left out, and their names are printed.

        Example:
            >>> Environment.from_current("serving").register(ws)     # doctest: +SKIP

        """
        environment = Environment(name)
        environment.python.conda_dependencies = core.package_sources.installed_packages()
        environment._taken_from = (sys.executable, environment.fingerprint)
        return environment

    @staticmethod
    def add_private_pip_wheel(workspace: Workspace, file_path: str | os.PathLike[str], exist_ok: bool = False) -> str:
        """Store a wheel in the workspace, and return its URL for ``add_pip_package``.

        Raises:
            UserErrorException: the file is not a wheel, or one of its name is stored and `exist_ok` is not set.

        """
        return core.package_sources.store_wheel(workspace.directory / "wheels", Path(file_path), exist_ok=exist_ok)

    def build_local(
        self, workspace: Workspace, platform: str | None = None, **kwargs: Any
    ) -> LocalBuildDetails | ImageBuildDetails:
        """Build the environment on this machine if it was not built before; return at once.

        Parameters:
            workspace: the workspace that an image belongs to. A Python environment is shared by all workspaces.
            platform: without effect: always the platform of this machine.
            **kwargs: ``useDocker=True`` builds an image on the Docker engine, ``pushImageToWorkspaceAcr=True`` one in
                the workspace's container registry.

        Returns:
            The build, with a method `wait_for_completion`.

        Raises:
            UserErrorException: a value breaks a rule, or nothing is available that can build the image.

        Example:
            >>> details = environment.build_local(ws)                            # doctest: +SKIP
            >>> details.wait_for_completion(show_output=True)                    # doctest: +SKIP

        """
        if kwargs.get("useDocker") or kwargs.get("pushImageToWorkspaceAcr"):
            return self._build_image(workspace, on_engine=not kwargs.get("pushImageToWorkspaceAcr"), rebuild=False)
        return LocalBuildDetails(self.serving())

    def build(self, workspace: Workspace, image_build_compute: str | None = None) -> ImageBuildDetails:
        """Build an image of the environment, even if it was built before; return at once.

        Images with a scoring script share its layers.

        Parameters:
            workspace: the workspace that the image belongs to.
            image_build_compute: without effect.

        Returns:
            The build, with a method `wait_for_completion`.

        Raises:
            UserErrorException: a value breaks a rule, or there is neither a Docker engine nor a container registry.

        Example:
            >>> environment.build(ws).wait_for_completion(show_output=True)      # doctest: +SKIP

        """
        return self._build_image(workspace)

    def get_image_details(self, workspace: Workspace) -> DockerImageDetails:
        """Return details of the environment's image: whether it exists, its name, its Dockerfile.

        Example:
            >>> environment.get_image_details(ws).image_exist                    # doctest: +SKIP
            True

        """
        with as_user_error():
            return DockerImageDetails(deploy.images.environment_image.details(workspace.context, self.definition()))

    def save_to_directory(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write the environment into a directory, without the password of its registry.

        Parameters:
            path: the directory; it is created if it does not exist.
            overwrite: replace the files of an environment in it.

        Raises:
            UserErrorException: the directory exists and `overwrite` is not set, or it cannot be written.

        """
        directory = expanded(path)
        definition = self.definition()
        if directory.exists() and not overwrite:
            raise UserErrorException(
                f"{str(directory)!r} exists already: choose another directory, or pass overwrite=True."
            )
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name in (DOCUMENT, CONDA_FILE, DOCKERFILE):
                (directory / name).unlink(missing_ok=True)
        except OSError as error:
            raise UserErrorException(f"{str(directory)!r} cannot be written: {error.strerror}.") from None
        document = definition.document()
        # Packages and Dockerfile are in their own files only, so that two copies cannot disagree.
        document["python"].pop("condaDependencies", None)
        dockerfile = document["docker"].pop("baseDockerfile", None)
        conda_file.write(directory / DOCUMENT, json.dumps(document, indent=4, sort_keys=True) + "\n")
        if self.python.conda_dependencies is not None:
            self.python.conda_dependencies.save_to_file(directory, CONDA_FILE)
        if dockerfile is not None:
            conda_file.write(directory / DOCKERFILE, dockerfile)

    @staticmethod
    def load_from_directory(path: str | os.PathLike[str]) -> Environment:
        """Return the environment in a directory that `save_to_directory` has written.

        Raises:
            UserErrorException: a file is missing or breaks a rule.

        Azure: directories that its SDK has written can be read as well.

        """
        directory = expanded(path)
        where = directory / DOCUMENT
        text = conda_file.read_text(where, "environment file")
        try:
            document = json_value(text)
        except ValueError as error:
            raise UserErrorException(f"{str(where)!r} is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise UserErrorException(
                f"{str(where)!r} is not an environment: it holds a {type(document).__name__}, and must hold a "
                "JSON object."
            )
        with as_user_error():
            environment = Environment.of(EnvironmentDefinition.parse(document))
        if (directory / CONDA_FILE).is_file():
            environment.python.conda_dependencies = CondaDependencies(directory / CONDA_FILE)
        if (directory / DOCKERFILE).is_file():
            environment.docker.base_dockerfile = conda_file.read_text(directory / DOCKERFILE, "Dockerfile")
        return environment

    def _build_image(self, workspace: Workspace, *, on_engine: bool = False, rebuild: bool = True) -> ImageBuildDetails:
        definition = self.definition()
        deploy.environments.say_replaced_base_image(definition)
        deploy.environments.say_without_effect(definition)
        with as_user_error():
            record = deploy.images.environment_image.begin(
                workspace.context, definition, on_engine=on_engine, rebuild=rebuild
            )
        return ImageBuildDetails(core.Image.from_record(workspace, record))

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


def _on_image(
    name: str,
    docker: DockerSection,
    conda_specification: str | os.PathLike[str] | None,
    pip_requirements: str | os.PathLike[str] | None,
) -> Environment:
    if conda_specification is not None and pip_requirements is not None:
        raise UserErrorException("conda_specification and pip_requirements cannot be combined: give one.")
    if conda_specification is not None:
        environment = Environment.from_conda_specification(name, conda_specification)
    elif pip_requirements is not None:
        environment = Environment.from_pip_requirements(name, pip_requirements)
    else:
        environment = Environment(name)
        environment.python.user_managed_dependencies = True
    environment.docker = docker
    return environment


def _from_record(record: EnvironmentRecord) -> Environment:
    definition = EnvironmentDefinition.parse(
        {**record.definition, "name": record.name, "version": str(record.version), "assetId": record.id}
    )
    environment = Environment.of(definition)
    if record.password is not None:
        environment.docker.base_image_registry.password = record.password
    return environment


def _number(version: str | int | None) -> int | None:
    if version is None:
        return None
    number = version if isinstance(version, int) and abs(version) < LARGEST_NUMBER else whole(str(version)[:100])
    if number is None or number < 0:
        raise UserErrorException(f"version is {str(version)[:100]!r}. Rule: a whole number from 1, such as '1'.")
    return number


@cache
def _say_that_the_stack_has_no_effect() -> None:
    print("inferencing_stack_version has no effect: replicas have the scoring server of this package. It is kept.")
