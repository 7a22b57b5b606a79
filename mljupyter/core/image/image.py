"""Images: content, build state and location of registered images, and their operations.

Azure: azureml.core.image.image.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, cast

from mljupyter import core
from mljupyter.build.environments.definition import EnvironmentDefinition
from mljupyter.core.display import HtmlRepr, Rows, pairs
from mljupyter.core.filters import Filters, items
from mljupyter.core.image.configuration import ImageConfig, credentials_of
from mljupyter.core.payloads import payload_text
from mljupyter.deploy.images import build_job, files
from mljupyter.deploy.images.users import delete_unused_image
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import ModelReference
from mljupyter.spec.names import IMAGE
from mljupyter.visible import printable

if TYPE_CHECKING:
    from mljupyter.build.environments.requirements import Change
    from mljupyter.core import ContainerRegistry, Environment, Model, Workspace
    from mljupyter.registry.catalog.image_record import ImageRecord

_LOOK_EVERY_SECONDS = 0.2


class Image(HtmlRepr):
    """A registered image: scoring script, models and environment, ready for containers.

    `Image(workspace, name)` returns a `ContainerImage`. The attributes are as of the object's last operation.

    Parameters:
        workspace: the workspace.
        name: the name; with `version` that version, else the newest that passes the other filters.
        id: ``name:version``, in place of both.
        tags, properties: a list of keys and of pairs of key and value.
        version: the version.

    Raises:
        WebserviceException: `ImageNotFound`: there is no such image.

    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make a `ContainerImage`: there are no images of another kind."""
        return cast(Self, object.__new__(core.ContainerImage if cls is Image else cls))

    def __init__(
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - the name of the original
        tags: Filters = None,
        properties: Filters = None,
        version: int | None = None,
    ) -> None:
        self.workspace: Workspace = workspace
        with as_webservice_exception():
            self.record: ImageRecord = _find(workspace, name, id, tags, properties, version)

    @classmethod
    def from_record(cls, workspace: Workspace, record: ImageRecord) -> Image:
        """Return the object for a record of the registry.

        Parameters:
            workspace: the workspace.
            record: the record, as it was just read.

        """
        image = cls.__new__(cls)
        image.workspace = workspace
        image.record = record
        return image

    @staticmethod
    def create(workspace: Workspace, name: str, models: Sequence[Model | str], image_config: ImageConfig) -> Image:
        """Create the next version of an image; return at once, while it is built. `wait_for_creation` waits.

        If an image with the same content exists, it is reused; then the image is ready at once.

        Parameters:
            workspace: the workspace. Its images are on the Docker engine or in its container registry.
            name: 3 to 32 lower-case letters, digits, '-' and '.'.
            models: models, ids ``name:version``, names for the newest version, or paths, which are registered first.
            image_config: the other content of the image, from `ContainerImage.image_configuration`.

        Raises:
            WebserviceException: a rule is broken, or there is neither a Docker engine nor a container registry.

        Example:
            >>> config = ContainerImage.image_configuration("score.py", "python", "env.yml")     # doctest: +SKIP
            >>> image = ContainerImage.create(ws, "myimage", [model], config)                         # doctest: +SKIP
            >>> image.wait_for_creation(show_output=True)                                 # doctest: +SKIP

        """
        if not isinstance(image_config, ImageConfig):
            raise WebserviceException(
                f"image_config is a {type(image_config).__name__}: it must come from "
                "ContainerImage.image_configuration()."
            )
        with as_webservice_exception():
            IMAGE.check(name)
            image_config.validate_configuration()
            # Content that no image refers to yet counts as unused: hold it, so that it is not collected now.
            with workspace.artifacts.hold():
                plan = image_config.plan(workspace, name, models)
                record = build_job.begin(
                    workspace.context,
                    plan,
                    name,
                    description=image_config.description,
                    tags=image_config.tags,
                    properties=image_config.properties,
                )
        return Image.from_record(workspace, record)

    @staticmethod
    def register(
        workspace: Workspace,
        name: str,
        image: str,
        container_registry: ContainerRegistry | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> Image:
        """Register an image that was built elsewhere; nothing is added to it.

        Its container must listen on port 5001, answer ``GET /`` with 200, and score at ``POST /score``.

        Parameters:
            workspace: the workspace.
            name: as in `create`.
            image: its reference, such as ``registry.example.com/team/model:3``; it is pulled if the Docker engine does
                not have it.
            container_registry: address, user name and password of its registry; by default those of ``docker login``.
            tags, properties, description: of the image.

        Raises:
            WebserviceException: a rule is broken, or no Docker engine answers. `wait_for_creation` raises when the
                image cannot be pulled.

        """
        from mljupyter.build.images import plan_image  # parts of builds, which few calls need

        with as_webservice_exception():
            IMAGE.check(name)
            definition = EnvironmentDefinition.parse({"python": {"userManagedDependencies": True}})
            plan = plan_image(
                definition, code=None, own_image=image, credentials=credentials_of(container_registry, image)
            )
            record = build_job.begin(
                workspace.context,
                plan,
                name,
                place=build_job.ENGINE,
                description=description,
                tags=tags,
                properties=properties,
            )
        return Image.from_record(workspace, record)

    @staticmethod
    def list(
        workspace: Workspace,
        image_name: str | None = None,
        model_name: str | None = None,
        model_id: str | None = None,
        tags: Filters = None,
        properties: Filters = None,
    ) -> Sequence[Image]:
        """Return the images that pass all filters, by name, newest version first.

        Parameters:
            workspace: the workspace.
            image_name: the name.
            model_name, model_id: name, or ``name:version``, of a model in it.
            tags, properties: a list of keys and of pairs of key and value.

        """
        with as_webservice_exception():
            records = _records(
                workspace, image_name, model_name=model_name, model_id=model_id, tags=tags, properties=properties
            )
            return [Image.from_record(workspace, record) for record in records]

    def update_creation_state(self) -> None:
        """Read the attributes of this object again.

        Raises:
            WebserviceException: `ImageNotFound`: the image was deleted.

        """
        with as_webservice_exception():
            self.record = self.workspace.registry.images.get_by_id(self.id)

    def wait_for_creation(self, show_output: bool = False) -> None:
        """Wait until the image is built, by this process or another one.

        An interrupt ends the waiting, not the build; `cancel` stops the build.

        Parameters:
            show_output: print the log of the build as it grows, from its beginning.

        Raises:
            WebserviceException: it failed or was cancelled, with the step, the last lines of the log and a hint.

        """
        try:
            for line in self.log_lines():
                if show_output:
                    print(printable(line))
        except KeyboardInterrupt:
            print(f"Interrupted; the build of {self.id} goes on. To stop it: image.cancel()")
            raise
        if self.creation_state != "Succeeded":
            raise build_job.failure(self.record)
        for change in self.relaxations if not show_output else ():
            print(f"Warning: image {self.id}: {change}")
        if show_output:
            print(f"Succeeded: image {self.id} is {self.image_location}")

    @property
    def relaxations(self) -> Sequence[Change]:
        """The version pins that were relaxed because its Python has no such package, each with the reason."""
        from mljupyter.build.images import relaxations  # parts of builds, which few calls need

        return relaxations(self.record)

    def cancel(self) -> None:
        """Stop the build and remove its results; do nothing when it has ended before.

        Raises:
            WebserviceException: another process builds it.

        """
        self.update_creation_state()
        build = build_job.build_of(self.workspace.context, self.id)
        if build is not None:
            build.cancel()
        elif self.creation_state == "Running":
            raise WebserviceException(
                f"Image {self.id} is being built by another process ({self.record.builder}): cancel the build there, "
                "or end that process."
            )

    def update(self, tags: Mapping[str, str]) -> None:
        """Replace all tags."""
        self._change(tags=tags)

    def add_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags, or change the values of those that exist."""
        self._change(add_tags=tags)

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Remove tags by their keys; keys that do not exist are ignored."""
        self._change(remove_tags=[tags] if isinstance(tags, str) else tags)

    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add properties.

        Raises:
            WebserviceException: one exists already: properties do not change.

        """
        self._change(add_properties=properties)

    def delete(self) -> None:
        """Delete the image, and remove it from the Docker engine or registry unless another version is the same image.

        A running build is stopped first. The models of the image are released when this returns.

        Raises:
            WebserviceException: a web service uses it, or it cannot be removed from the Docker engine or registry;
                `ImageNotFound`: it was deleted before.

        """
        if self.creation_state == "Running":
            self.cancel()
            if (build := build_job.build_of(self.workspace.context, self.id)) is not None:
                build.has_ended(within=None)
            self.update_creation_state()
        with as_webservice_exception():
            delete_unused_image(self.workspace.context, self.id)

    def log_lines(self) -> Iterator[str]:
        """Yield the lines of the build's log, from its beginning until the image is ready or has failed."""
        self.update_creation_state()
        build = build_job.build_of(self.workspace.context, self.id)
        for line in files.BuildLogFile.of(self.workspace.context, self.record).follow():
            if line:
                yield line
                continue
            if self.creation_state != "Running":
                return
            # Lines that were written before the state changed must be read after the change: read once more.
            if build is None:
                time.sleep(_LOOK_EVERY_SECONDS)
            elif build.has_ended(within=_LOOK_EVERY_SECONDS) and build.error is not None:
                self.update_creation_state()
                if self.creation_state == "Running":
                    raise WebserviceException(f"The build of image {self.id} failed: {build.error}") from build.error
            self.update_creation_state()

    def _change(self, **changes: Any) -> None:
        with as_webservice_exception():
            self.record = self.workspace.registry.images.update(self.id, **changes)

    @property
    def id(self) -> str:
        """``name:version``."""
        return self.record.id

    @property
    def name(self) -> str:
        """The name."""
        return self.record.name

    @property
    def version(self) -> int:
        """The version, from 1."""
        return self.record.version

    @property
    def creation_state(self) -> str:
        """Running, Succeeded, Failed or Canceled."""
        return self.record.creation_state

    @property
    def creation_error(self) -> str | None:
        """The reason why its build failed: step, reason, last lines of the log and a hint; None without failure."""
        return build_job.failure_text(self.record) or None

    @property
    def created_time(self) -> datetime:
        """The time of its registration, in UTC."""
        return self.record.created_time

    @property
    def created_by(self) -> str:
        """The user who created it."""
        return self.record.created_by

    @property
    def image_location(self) -> str | None:
        """Its reference on the Docker engine or in a container registry."""
        return self.record.location

    @property
    def image_digest(self) -> str | None:
        """Its digest: that of the manifest in a registry, else the id on the Docker engine."""
        return self.record.digest

    @property
    def image_type(self) -> str:
        """Docker."""
        return self.record.image_type

    @property
    def image_flavor(self) -> str:
        """WebApiContainer, AccelContainer or IoTContainer."""
        return self.record.image_flavor

    @property
    def image_build_log_uri(self) -> str:
        """The URI of the log of its build, a file that grows during the build."""
        return files.BuildLogFile.of(self.workspace.context, self.record).path.as_uri()

    @property
    def generated_dockerfile_uri(self) -> str | None:
        """The URI of its Dockerfile; None for an image that was registered, not built."""
        path = files.dockerfile_of(self.workspace.context, self.record)
        return path.as_uri() if path is not None else None

    @property
    def build_stages(self) -> dict[str, float]:
        """The duration of each stage of the build, in seconds."""
        return dict(self.record.stages)

    @property
    def bill_of_materials(self) -> dict[str, Any]:
        """Its software bill of materials in the CycloneDX format; empty until it is ready."""
        from mljupyter.build.images import stored_text  # parts of builds, which few calls need

        found: dict[str, Any] = json.loads(stored_text(self.workspace.registry, self.record.sbom_digest) or "{}")
        return found

    @property
    def model_ids(self) -> Sequence[str]:
        """The ids of the registered models in it."""
        return list(self.record.model_ids)

    @property
    def models(self) -> Sequence[Model]:
        """The models in it."""
        references = [ModelReference.parse(model) for model in self.record.recipe.get("models", [])]
        return [core.Model.from_reference(self.workspace, reference) for reference in references]

    @property
    def model_details(self) -> Sequence[dict[str, Any]]:
        """The models in it, as JSON types."""
        return [model.serialize() for model in self.models]

    @property
    def environment(self) -> Environment:
        """The environment in it, without the password of its registry."""
        return core.Environment.of(EnvironmentDefinition.parse(self.record.recipe["definition"]))

    @property
    def tags(self) -> dict[str, str]:
        """The tags, a copy."""
        return dict(self.record.tags)

    @property
    def properties(self) -> dict[str, str]:
        """The properties, a copy."""
        return dict(self.record.properties)

    @property
    def description(self) -> str | None:
        """The description."""
        return self.record.description

    @property
    def operation_id(self) -> str:
        """The identifier of the build, equal for images of the same content."""
        return self.record.plan_digest

    @staticmethod
    def deserialize(workspace: Workspace, image_payload: Mapping[str, Any]) -> Image:
        """Return the image that `serialize` has described.

        Parameters:
            workspace: the workspace.
            image_payload: the JSON types of `serialize`.

        Raises:
            WebserviceException: `ImageNotFound`: there is no such image here; the payload has no id.

        Example:
            >>> Image.deserialize(ws, image.serialize())     # doctest: +SKIP

        """
        return core.Image(workspace, id=payload_text(image_payload, "id", "an image"))

    @staticmethod
    def image_configuration() -> ImageConfig:
        """Refuse: each kind of image has its own configuration.

        Raises:
            NotImplementedError: always; use `ContainerImage.image_configuration`.

        """
        raise NotImplementedError(
            "Image.image_configuration is that of a kind: use ContainerImage.image_configuration(...)"
        )

    def serialize(self) -> dict[str, Any]:
        """Return all attributes as JSON types."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "tags": self.tags,
            "properties": self.properties,
            "createdTime": self.created_time.isoformat(),
            "createdBy": self.created_by,
            "creationState": self.creation_state,
            "creationError": self.creation_error,
            "imageType": self.image_type,
            "imageFlavor": self.image_flavor,
            "imageLocation": self.image_location,
            "imageDigest": self.image_digest,
            "imageBuildLogUri": self.image_build_log_uri,
            "generatedDockerfileUri": self.generated_dockerfile_uri,
            "operationId": self.operation_id,
            "modelIds": list(self.model_ids),
            "modelDetails": list(self.model_details),
            "buildStages": self.build_stages,
        }

    def _summary(self) -> Rows:
        return [
            ("Name", self.name),
            ("Version", str(self.version)),
            ("State", self.creation_state),
            ("Tags", pairs(self.tags)),
        ]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(workspace={self.workspace.name}, name={self.name}, id={self.id}, "
            f"creation_state={self.creation_state})"
        )


def _find(
    workspace: Workspace,
    name: str | None,
    id: str | None,  # noqa: A002
    tags: Filters,
    properties: Filters,
    version: int | None,
) -> ImageRecord:
    if id is not None:
        return workspace.registry.images.get_by_id(id)
    if name is None:
        raise WebserviceException("Image() needs a name or an id, such as Image(ws, id='myimage:1').")
    if version is not None:
        return workspace.registry.images.get(name, version)
    found = _records(workspace, name, tags=tags, properties=properties)
    if not found:
        newest = workspace.registry.images.get(name)  # raises if there is no image of this name
        raise WebserviceException(f"ImageNotFound: no version of the image {newest.name!r} passes the filters.")
    return found[0]


def _records(
    workspace: Workspace, name: str | None, *, tags: Filters = None, properties: Filters = None, **filters: Any
) -> Sequence[ImageRecord]:
    from mljupyter.registry.catalog.image_record import ENVIRONMENT_FLAVOR  # part of the catalog, which few calls need

    found = workspace.registry.images.list(name, tags=items(tags), properties=items(properties), **filters)
    return [record for record in found if record.image_flavor != ENVIRONMENT_FLAVOR]
