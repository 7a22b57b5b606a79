"""Image configurations: the settings of an image without its models, and the plan to build it.

Azure: ImageConfig of azureml.core.image.image, ContainerImageConfig of azureml.core.image.container.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter import core
from mljupyter.build.project.snapshot import single_file, snapshot
from mljupyter.core.container_registry import ContainerRegistry
from mljupyter.core.deployment import model_arguments
from mljupyter.deploy.environments import policy_of
from mljupyter.deploy.images.build_job import default_base_image
from mljupyter.deploy.prepare import ScriptSource, code_reference, model_references
from mljupyter.exceptions import WebserviceException
from mljupyter.files import expanded

if TYPE_CHECKING:
    from mljupyter.build.images import ImagePlan, PlannedFile, RegistryCredentials
    from mljupyter.core import InferenceConfig, Model, Workspace
    from mljupyter.spec import ModelReference

_LONGEST_MODEL_NAME = 30


class ImageConfig(ABC):
    """Base class: everything in an image except its models."""

    description: str | None
    tags: Mapping[str, str] | None
    properties: Mapping[str, str] | None

    @abstractmethod
    def validate_configuration(self) -> None:
        """Check all rules against the present files.

        Raises:
            WebserviceException: a rule is broken.

        """

    @abstractmethod
    def plan(self, workspace: Workspace, name: str, models: Sequence[Model | str]) -> ImagePlan:
        """Store the content of the image and return the plan to build it."""

    @property
    def source_path(self) -> Path | None:
        """The absolute path of the scoring script; None without one."""
        return None


class ContainerImageConfig(ImageConfig):
    """The configuration of a `ContainerImage`; see `ContainerImage.image_configuration`.

    Parameters:
        allow_absolute_path: the script may lie outside of the current directory.

    """

    def __init__(
        self,
        execution_script: str,
        runtime: str,
        conda_file: str | None = None,
        docker_file: str | None = None,
        schema_file: str | None = None,
        dependencies: Sequence[str] | None = None,
        enable_gpu: bool | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
        base_image: str | None = None,
        base_image_registry: ContainerRegistry | None = None,
        allow_absolute_path: bool = False,
        cuda_version: str | None = None,
    ) -> None:
        self.execution_script = str(execution_script)
        self.runtime = runtime
        self.conda_file = conda_file
        self.docker_file = docker_file
        self.schema_file = schema_file
        self.dependencies = [dependencies] if isinstance(dependencies, str) else list(dependencies or ())
        self.enable_gpu = enable_gpu
        self.tags = tags
        self.properties = properties
        self.description = description
        self.base_image = base_image
        self.base_image_registry = base_image_registry
        self.allow_absolute_path = allow_absolute_path
        self.cuda_version = cuda_version
        self.validate_configuration()

    @property
    def source_path(self) -> Path:
        """The absolute path of the scoring script."""
        return self._inference_config().source_path

    def validate_configuration(self) -> None:
        """Check all rules against the present files.

        Raises:
            WebserviceException: a rule is broken.

        """
        if not self.allow_absolute_path and Path(self.execution_script).name != self.execution_script:
            raise WebserviceException(
                f"execution_script is {self.execution_script!r}: it must be the name of a file in the current "
                "directory, such as 'score.py'. Change the directory, or give files beside it as dependencies."
            )
        if self.runtime is None:
            raise WebserviceException("runtime is None: it must be 'python' or 'spark-py'.")
        if self.cuda_version is not None and not self.enable_gpu:
            raise WebserviceException(f"cuda_version is {self.cuda_version!r} without enable_gpu=True: give both.")
        for name in ("tags", "properties"):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), Mapping):
                raise WebserviceException(f"{name} is a {type(getattr(self, name)).__name__}: it must be a dict.")
        self._check_base_image()
        self._inference_config()
        self._beside()

    def plan(self, workspace: Workspace, name: str, models: Sequence[Model | str]) -> ImagePlan:
        """Store script, dependencies and models given by paths, and return the plan to build the image.

        Raises:
            WebserviceException: a rule is broken; `ModelNotFound`: a model is not registered.

        """
        from mljupyter.build.images import plan_image  # parts of builds, which few calls need

        inference = self._inference_config()
        environment = inference.environment_for(name) or core.Environment(f"{name}-env")
        definition = environment.serving().definition
        return plan_image(
            definition,
            code=code_reference(workspace.artifacts, ScriptSource(inference.source_path)),
            models=registered_references(workspace, models),
            files=[self._stored(workspace, place, path) for place, path in self._beside().items()],
            default_base_image=default_base_image(),
            pins=policy_of(definition),
        )

    def _inference_config(self) -> InferenceConfig:
        """Return the same configuration as an `InferenceConfig`, which has the same rules."""
        return core.InferenceConfig(
            self.execution_script,
            runtime=self.runtime,
            conda_file=self.conda_file,
            extra_docker_file_steps=self.docker_file,
            enable_gpu=self.enable_gpu,
            base_image=self.base_image,
            base_image_registry=self.base_image_registry,
            cuda_version=self.cuda_version,
        )

    def _check_base_image(self) -> None:
        if self.base_image is not None and self.runtime == "spark-py":
            raise WebserviceException(
                "base_image and runtime 'spark-py' cannot be combined: use runtime 'python', or leave base_image out."
            )
        registry = self.base_image_registry
        if registry is None:
            return
        if self.base_image is None:
            raise WebserviceException("base_image_registry is given without base_image: give both.")
        if isinstance(registry, ContainerRegistry):
            missing = [part for part in ("address", "username", "password") if not getattr(registry, part)]
            if missing:
                raise WebserviceException(
                    f"base_image_registry lacks {' and '.join(missing)}: address, username and password are given "
                    "together."
                )

    def _beside(self) -> dict[str, Path]:
        """Return the files beside the script, as paths in the image to paths on this machine."""
        found: dict[str, Path] = {}
        given = [("dependencies", item) for item in self.dependencies]
        given += [("schema_file", self.schema_file)] if self.schema_file is not None else []
        for argument, item in given:
            path = expanded(item).absolute()
            if not path.exists():
                raise WebserviceException(f"{argument}: {str(item)!r} does not exist.")
            if argument == "schema_file" and not path.is_file():
                raise WebserviceException(f"schema_file {str(item)!r} is not a file.")
            if found.get(path.name, path) != path or path.name == Path(self.execution_script).name:
                raise WebserviceException(
                    f"{argument}: {str(item)!r} has the same name as another file of the image, {path.name!r}: "
                    "rename one of them."
                )
            found[path.name] = path
        return found

    @staticmethod
    def _stored(workspace: Workspace, place: str, path: Path) -> PlannedFile:
        from mljupyter.build.images import PlannedFile  # parts of builds, which few calls need

        artifact = snapshot(path, workspace.artifacts) if path.is_dir() else single_file(path, workspace.artifacts)
        return PlannedFile(place, artifact.digest)

    def __repr__(self) -> str:
        return f"ContainerImageConfig(execution_script={self.execution_script}, runtime={self.runtime})"


def registered_references(workspace: Workspace, models: Sequence[Model | str]) -> list[ModelReference]:
    """Return references to models for an image; those given by their paths are registered first.

    Parameters:
        workspace: the workspace.
        models: models, ids ``name:version``, names for the newest version, or paths.

    """
    given = [models] if isinstance(models, (core.Model, str, Path)) else list(models or ())
    registered = [_registered(workspace, model) if _is_path(model) else model for model in given]
    return model_references(workspace.context, model_arguments(registered), paths=False)


def credentials_of(registry: ContainerRegistry | None, image: str) -> tuple[RegistryCredentials, ...]:
    """Return the credentials in a container registry; without an address they are for the registry of the image."""
    from mljupyter.build.images import Reference, RegistryCredentials  # parts of builds, which few calls need

    if registry is None or not (registry.username or registry.password):
        return ()
    address = registry.address or Reference.parse(image).host
    return (RegistryCredentials(address, registry.username or "", registry.password or ""),)


def _is_path(model: object) -> bool:
    if isinstance(model, Path):
        return True
    return isinstance(model, str) and not model.rpartition(":")[2].isdigit() and expanded(model).exists()


def _registered(workspace: Workspace, model: Model | str) -> Model:
    return core.Model.register(workspace, str(model), Path(str(model)).name[:_LONGEST_MODEL_NAME])
