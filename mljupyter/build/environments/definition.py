"""The definition of an environment as a document, and its fingerprint: equal definitions have equal fingerprints.

The keys are those of ``azureml_environment.json`` (Azure ML v1: Environment).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from mljupyter.build.environments.local_files import LocalFile, local_files
from mljupyter.build.environments.redaction import redacted as redacted
from mljupyter.build.environments.redaction import without_credentials as without_credentials
from mljupyter.spec import Document

DEFAULT_CPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
DEFAULT_GPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"
DEFAULT_INTERPRETER = "python"
"""The interpreter path that means the interpreter that deploys."""

_AZURE_IMAGE = re.compile(r"(?:https?://)?mcr\.microsoft\.com/azureml/", re.IGNORECASE)
_FINGERPRINT_FORMAT = 1
_REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class CondaDefinition(Document):
    """The content of a conda environment file: channels and packages, those of pip as ``{"pip": [...]}``."""

    name: str | None = None
    channels: list[str] = []
    dependencies: list[str | dict[str, list[str]]] = []
    prefix: str | None = None
    variables: dict[str, str] = {}

    @field_validator("channels", "dependencies", mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: Any) -> Any:
        return [] if value is None else value

    @field_validator("dependencies", mode="before")
    @classmethod
    def _pip_without_packages(cls, value: Any) -> Any:
        # An edited file may have ``- pip:`` with nothing below it.
        if not isinstance(value, list):
            return value
        return [{"pip": []} if isinstance(item, dict) and item == {"pip": None} else item for item in value]

    @field_validator("dependencies")
    @classmethod
    def _only_pip_is_nested(cls, value: list[str | dict[str, list[str]]]) -> list[str | dict[str, list[str]]]:
        for item in value:
            if isinstance(item, dict) and set(item) != {"pip"}:
                raise ValueError(f"{', '.join(item)}: only 'pip' may have its own list of packages")
        return value

    @property
    def conda_packages(self) -> list[str]:
        """The packages that conda would install, Python included."""
        return [item for item in self.dependencies if isinstance(item, str)]

    @property
    def pip_lines(self) -> list[str]:
        """The lines for pip: requirements and options."""
        return [line for item in self.dependencies if isinstance(item, dict) for line in item.get("pip", [])]


class PythonDefinition(Document):
    """The Python of an environment, and whether its packages are installed for the user or managed by the user."""

    interpreter_path: str = DEFAULT_INTERPRETER
    user_managed_dependencies: bool = False
    conda_dependencies: CondaDefinition | None = None
    conda_dependencies_file: str | None = None
    base_conda_environment: str | None = None
    pins: Annotated[
        Literal["strict", "exact", "compatible"] | None,
        Field(description="policy for missing pins; not hashed"),
    ] = None


class RegistryDefinition(Document):
    """A container registry. The password is never part of `document()` or `json_text()`."""

    address: str | None = None
    username: str | None = None
    password: Annotated[SecretStr | None, Field(exclude=True)] = None
    registry_identity: dict[str, Any] | None = None


class Platform(Document):
    """The platform that an image is built for."""

    os: str = "Linux"
    architecture: str = "amd64"


class BuildContextDefinition(Document):
    """The directory that an image is built from: `location` is a digest in the artifact store, or a git URL."""

    location_type: str | None = None
    location: str | None = None
    dockerfile_path: str = "Dockerfile"


class DockerDefinition(Document):
    """The base of an image, and the settings of its containers.

    One of `base_image`, `base_dockerfile` (its text) and `build_context` is given, or none: then a builder chooses a
    base image that has Python.
    """

    enabled: bool | None = None
    base_image: str | None = None
    base_dockerfile: str | None = None
    build_context: BuildContextDefinition | None = None
    base_image_registry: RegistryDefinition = RegistryDefinition()
    extra_dockerfile_steps: str | None = None
    platform: Platform = Platform()
    arguments: list[str] = []
    shm_size: str | None = None
    shared_volumes: bool | None = None
    gpu_support: bool | None = None

    @field_validator("base_image_registry", "platform", "arguments", mode="before")
    @classmethod
    def _nothing_is_the_default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default() if value is None else value

    @model_validator(mode="after")
    def _one_base(self) -> DockerDefinition:
        given = [name for name in ("base_image", "base_dockerfile", "build_context") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} cannot be combined: give one")
        return self


class SparkPackage(Document):
    """A package of a Spark session."""

    group: str | None = None
    artifact: str | None = None
    version: str | None = None


class SparkDefinition(Document):
    """The packages of a Spark session. They are stored and enter the fingerprint, but nothing installs them."""

    repositories: list[str] = []
    packages: list[SparkPackage] = []
    precache_packages: bool = True


class EnvironmentDefinition(Document):
    """An environment: Python, its packages, the base image, and environment variables."""

    name: str | None = None
    version: str | None = None
    asset_id: str | None = None
    python: PythonDefinition = PythonDefinition()
    docker: DockerDefinition = DockerDefinition()
    spark: SparkDefinition | None = None
    databricks: dict[str, Any] | None = None
    r: dict[str, Any] | None = None
    environment_variables: Annotated[dict[str, str], Field(repr=False)] = {}
    inferencing_stack_version: str | None = None

    @property
    def base_image(self) -> str | None:
        """The base image to build on; None for the default one, which takes the place of Azure's images."""
        image = self.docker.base_image
        return None if image == DEFAULT_CPU_IMAGE or self.replaced_base_image is not None else image

    @property
    def replaced_base_image(self) -> str | None:
        """An image of Azure that the default base image takes the place of; None for every other base image.

        An image whose own Python has the packages is not replaced, since they are nowhere else.
        """
        image, address = self.docker.base_image, self.docker.base_image_registry.address
        if image in (None, DEFAULT_CPU_IMAGE) or self.python.user_managed_dependencies:
            return None
        full = f"{address}/{image}" if address and image.startswith("azureml/") else image
        return image if _AZURE_IMAGE.match(full) else None

    @property
    def is_of_azure(self) -> bool:
        """Whether it comes from Azure ML: it names one of Azure's packages or one of its base images."""
        conda = self.python.conda_dependencies or CondaDefinition()
        lines = (*conda.conda_packages, *conda.pip_lines)
        return self.replaced_base_image is not None or any(line.strip().startswith("azureml-") for line in lines)

    @field_validator("version", mode="before")
    @classmethod
    def _version_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @field_validator("python", "docker", "environment_variables", mode="before")
    @classmethod
    def _nothing_is_the_default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].get_default() if value is None else value


def fingerprint(definition: EnvironmentDefinition, files: Iterable[LocalFile] | None = None) -> str:
    """Return 64 hexadecimal digits that are equal for definitions of the same environment.

    The fingerprint covers the base image with the address of its registry, the base Dockerfile, the build context,
    extra Docker steps, platform, inferencing stack and Spark packages. For Python, it covers the conda and pip
    packages with the content of the files and directories of this machine that they name, or the interpreter's path
    when the user manages the packages. It covers the order of channels and of
    pip's index options, since that decides where a package comes from, but not the order of packages. It does not
    cover names, version, environment variables, credentials, the arguments of containers, and the spelling of a
    package's name.

    Parameters:
        definition: the definition.
        files: the files of this machine with their digests; None reads those that are there.

    Example:
        >>> python = {"condaDependencies": {"dependencies": ["numpy"]}}
        >>> one = EnvironmentDefinition.parse({"name": "a", "python": python})
        >>> fingerprint(one) == fingerprint(one.model_copy(update={"name": "b"}))
        True

    """
    parts = {
        "format": _FINGERPRINT_FORMAT,
        "docker": _docker_parts(definition),
        "python": _python_parts(definition.python),
        "spark": _spark_parts(definition.spark),
        "stack": definition.inferencing_stack_version,
    }
    named = files_of(definition) if files is None else files
    if content := [[str(file.path), file.digest] for file in named]:
        parts["files"] = content
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def files_of(definition: EnvironmentDefinition) -> tuple[LocalFile, ...]:
    """Return the files and directories of this machine that the pip packages of a definition name, with digests."""
    if definition.python.user_managed_dependencies or definition.python.conda_dependencies is None:
        return ()
    return local_files(definition.python.conda_dependencies.pip_lines)


def _docker_parts(definition: EnvironmentDefinition) -> dict[str, Any]:
    docker, image = definition.docker, definition.base_image
    context = docker.build_context
    return {
        "image": image.strip() if image else None,
        "registry": (docker.base_image_registry.address or "").strip().rstrip("/") or None,
        "dockerfile": _text(docker.base_dockerfile),
        "steps": _text(docker.extra_dockerfile_steps),
        "context": None
        if context is None
        else [context.location_type, without_credentials(context.location or ""), context.dockerfile_path],
        "platform": [docker.platform.os.lower(), docker.platform.architecture.lower()],
    }


def _python_parts(python: PythonDefinition) -> dict[str, Any]:
    if python.user_managed_dependencies:
        return {"interpreter": python.interpreter_path}
    conda = python.conda_dependencies or CondaDefinition()
    lines = [without_credentials(line) for line in conda.pip_lines]
    options = [" ".join(line.replace("=", " ", 1).split()) for line in lines if line.lstrip().startswith("-")]
    return {
        "base": python.base_conda_environment,
        "channels": [without_credentials(channel).rstrip("/") for channel in conda.channels],
        "conda": _each_once(_spelt(package) for package in conda.conda_packages),
        "pip": _each_once(_spelt(line) for line in lines if line.strip() and line.lstrip()[0] not in "-#"),
        "options": list(dict.fromkeys(options)),
    }


def _spark_parts(spark: SparkDefinition | None) -> list[Any]:
    if spark is None:
        return []
    packages = sorted(f"{package.group}:{package.artifact}:{package.version}" for package in spark.packages)
    return [packages, list(spark.repositories)] if packages or spark.repositories else []


def _each_once(items: Iterable[str]) -> list[str]:
    return sorted(set(items))


def _spelt(requirement: str) -> str:
    """Return the canonical spelling of a requirement: without comment and spaces, the name as indexes compare it."""
    requirement = re.sub(r"(^|\s)#.*$", "", requirement).strip()
    wanted, semicolon, marker = requirement.partition(";")
    match = _REQUIREMENT_NAME.match(wanted)
    if match is None or "/" in wanted or "@" in wanted or "::" in wanted:
        return requirement  # a path, a URL or a channel: every character may matter
    name = re.sub(r"[-_.]+", "-", match[0]).lower()
    # conda also separates a version from the name by a space, so that space has a meaning.
    rest = re.sub(r"\s*([,<>=!~\[\]|])\s*", r"\1", wanted[match.end() :].strip())
    separator = " " if rest[:1].isalnum() or rest[:1] == "*" else ""
    return f"{name}{separator}{' '.join(rest.split())}" + (f";{' '.join(marker.split())}" if semicolon else "")


def _text(value: str | None) -> str | None:
    """Return a Dockerfile's text with plain line ends, without trailing spaces and without empty lines at the end."""
    if value is None or not value.strip():
        return None
    return "\n".join(line.rstrip() for line in value.strip().splitlines())
