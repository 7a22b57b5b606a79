"""Model packages: an image of models and a scoring script, or the build context for one, to use elsewhere.

Azure: ModelPackage of azureml.core.model.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from mljupyter import core
from mljupyter.build.images import ImagePlan, Reference, pins_for_saving, plan_image, save_context
from mljupyter.build.images.create import store_local_files
from mljupyter.build.images.events import BuildLog
from mljupyter.build.images.registry.credentials import find_credentials
from mljupyter.core import Environment, Image, InferenceConfig, Model, Workspace, deployment
from mljupyter.core.container_registry import ContainerRegistry
from mljupyter.core.image.configuration import registered_references
from mljupyter.deploy.environments import policy_of
from mljupyter.deploy.images import build_job, files
from mljupyter.deploy.images.registered_image import make_present
from mljupyter.deploy.images.tag import tag_image
from mljupyter.deploy.prepare import code_reference
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.files import expanded

DEFAULT_NAME = "package"


class ModelPackage:
    """A package of models, from `Model.package`; `wait_for_creation` waits until it is ready.

    Parameters:
        workspace: the workspace.
        plan: the content of the image.
        environment: the environment of the scoring script.
        image: the image; None for a package that is a directory.
        location: an additional reference for the image, beside the one that the workspace gives it.

    """

    def __init__(
        self,
        workspace: Workspace,
        plan: ImagePlan,
        environment: Environment | None,
        image: Image | None = None,
        location: str | None = None,
    ) -> None:
        self.workspace = workspace
        self.environment = environment
        self._plan = plan
        self._image = image
        self._wanted_location = location
        self._location: str | None = None

    @classmethod
    def create(
        cls,
        workspace: Workspace,
        models: Sequence[Model | str],
        inference_config: InferenceConfig | None,
        *,
        generate_dockerfile: bool = False,
        image_name: str | None = None,
        image_label: str | None = None,
    ) -> ModelPackage:
        """Create a package; see `Model.package`."""
        if inference_config is None:
            raise WebserviceException(
                "inference_config is None: a package needs a scoring script.\n"
                "Give one: InferenceConfig('score.py'), where score.py defines init() and run(data)."
            )
        config = deployment.checked_inference_config(inference_config)
        name = image_name or DEFAULT_NAME
        with as_webservice_exception(), workspace.artifacts.hold():
            environment = config.environment_for(name) or core.Environment(f"{name}-env")
            definition = environment.serving().definition
            plan = plan_image(
                definition,
                code=code_reference(workspace.artifacts, deployment.script_source(config)),
                models=registered_references(workspace, models),
                default_base_image=build_job.default_base_image(),
                pins=policy_of(definition),
            )
            if generate_dockerfile:
                store_local_files(workspace.registry, plan)
                return cls(workspace, plan, environment)
            host = build_job.place_of(workspace.context).partition("registry/")[2]
            label = image_label or time.strftime("%Y%m%d%H%M%S")
            location = str(Reference.parse(f"{host}/{name}:{label}" if host else f"{name}:{label}"))
            record = build_job.begin(workspace.context, plan, name.replace("/", "-"))
        package = cls(workspace, plan, environment, core.Image.from_record(workspace, record), location)
        package._name_image()
        return package

    @property
    def state(self) -> str:
        """Running, Succeeded, Failed or Canceled; as of the last operation."""
        return "Succeeded" if self._image is None else self._image.creation_state

    @property
    def error(self) -> str | None:
        """The reason why its build failed; None without failure."""
        return None if self._image is None else self._image.creation_error

    @property
    def location(self) -> str | None:
        """The reference of the image, once it is ready; None for a package that is a directory."""
        return self._location

    @property
    def package_build_log_uri(self) -> str | None:
        """The URI of the log of the build; None for a package that is a directory."""
        return None if self._image is None else self._image.image_build_log_uri

    @property
    def package_creation_logs(self) -> str:
        """The log of the build so far."""
        return str(self.get_logs())

    def get_logs(self, decode: bool = True, offset: int = 0) -> Any:
        """Return the log so far; bytes when `decode` is False.

        Parameters:
            decode: return text.
            offset: bytes to leave out at the beginning.

        """
        log = "" if self._image is None else files.BuildLogFile.of(self.workspace.context, self._image.record).read()
        content = log.encode()[offset:]
        return content.decode(errors="replace") if decode else content

    def update_creation_state(self) -> None:
        """Read the attributes of this object again."""
        if self._image is not None:
            self._image.update_creation_state()
            self._name_image()

    def wait_for_creation(self, show_output: bool = False) -> None:
        """Wait until the package is ready.

        Parameters:
            show_output: print the log of the build as it grows, and the location of the package.

        Raises:
            WebserviceException: the build failed, with the step, the last lines of the log and a hint.

        """
        if self._image is not None:
            self._image.wait_for_creation(show_output)
            self._name_image()
        if show_output:
            print(f"Package: {self.location or 'ready to be saved'}")

    def pull(self) -> None:
        """Pull the image onto the Docker engine if it is missing there, and print its reference.

        Raises:
            WebserviceException: the package is a directory, the image cannot be pulled, or no engine answers.

        """
        if self._image is None:
            raise WebserviceException("This package is a directory: save('DIRECTORY') writes it. It has no image.")
        self.wait_for_creation()
        with as_webservice_exception():
            make_present(self.workspace.context, self._image.record, location=self.location)
        print(f"Package image pulled: {self.location}")

    def save(self, output_directory: str | os.PathLike[str]) -> None:
        """Write the build context of the image: ``docker build`` in that directory builds the image.

        It has a Dockerfile, ``azureml-app/``, ``azureml-models/`` and ``model_config_map.json``.

        Parameters:
            output_directory: a directory, new or empty.

        Raises:
            WebserviceException: the package is an image, or the directory is not empty.

        """
        if self._image is not None:
            raise WebserviceException(
                "This package is an image: pull() gets it.\n"
                "Model.package(..., generate_dockerfile=True) makes a directory."
            )
        target = expanded(output_directory)
        with as_webservice_exception():
            log = BuildLog(lambda event: print(event.text) if event.state is None else None)
            save_context(pins_for_saving(self._plan, print), self.workspace.artifacts, target, log=log)
        print(f"Package saved to {target}")

    def get_container_registry(self) -> ContainerRegistry:
        """Return the registry of the image: its address, and the credentials of ``docker login``.

        All of its attributes are None for an image on the Docker engine.
        """
        place = build_job.place_of(self.workspace.context) if self._image is None else self._image.record.place
        host = place.partition("registry/")[2]
        if not host:
            return ContainerRegistry()
        found = find_credentials(host)
        return ContainerRegistry(
            address=host,
            username=found.username if found is not None else None,
            password=found.password if found is not None else None,
        )

    def serialize(self) -> dict[str, Any]:
        """Return all attributes as JSON types."""
        return {
            "packageId": None if self._image is None else self._image.id,
            "state": self.state,
            "location": self.location,
            "packageBuildLogUri": self.package_build_log_uri,
            "environment": None if self.environment is None else self.environment.definition().document(),
            "error": self.error,
        }

    def __repr__(self) -> str:
        return f"ModelPackage(state={self.state}, location={self.location})"

    def _name_image(self) -> None:
        """Tag the image with the requested reference."""
        if self._image is None or self._image.creation_state != "Succeeded" or self._location is not None:
            return
        present = self._image.image_location
        with as_webservice_exception():
            if self._wanted_location is not None and present is not None:
                tag_image(self._image.record.place, present, self._wanted_location)
        self._location = self._wanted_location or present
