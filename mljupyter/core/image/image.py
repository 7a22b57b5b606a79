"""Registered images (Azure ML v1: Image)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

from mljupyter.core.filters import Filters, items
from mljupyter.core.image.configuration import ImageConfig
from mljupyter.core.image.described import DescribedImage
from mljupyter.deploy.images import build_job, files
from mljupyter.deploy.images.users import delete_unused_image
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.visible import visible

if TYPE_CHECKING:
    from mljupyter.build.environments.requirements import Change
    from mljupyter.core.container_registry import ContainerRegistry
    from mljupyter.core.model import Model
    from mljupyter.core.workspace import Workspace
    from mljupyter.registry.catalog.image_record import ImageRecord

_LOOK_EVERY_SECONDS = 0.2


class Image(DescribedImage):
    """A registered image: scoring script, models and environment, ready for containers.

    `Image(workspace, name)` returns a `ContainerImage`.

    Parameters:
        workspace: the workspace.
        name: the name; with `version` that version, else the newest that passes the other filters.
        id: ``name:version``, in place of both.
        tags, properties: a list of keys and of pairs of key and value.
        version: the version.

    Raises:
        WebserviceException: `ImageNotFound` when there is none.

    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make an object of the class that holds images for containers."""
        from mljupyter.core.image.container import ContainerImage

        return cast(Self, object.__new__(ContainerImage if cls is Image else cls))

    def __init__(
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - the name of the original
        tags: Filters = None,
        properties: Filters = None,
        version: int | None = None,
    ) -> None:
        self.workspace = workspace
        with as_webservice_exception():
            self._record = _find(workspace, name, id, tags, properties, version)

    @classmethod
    def _of(cls, workspace: Workspace, record: ImageRecord) -> Image:
        """Return the object for a record that was just read."""
        image = cls.__new__(cls)
        image.workspace = workspace
        image._record = record
        return image

    @staticmethod
    def create(workspace: Workspace, name: str, models: Sequence[Model | str], image_config: ImageConfig) -> Image:
        """Create the next version of an image; returns at once, `wait_for_creation` waits.

        What was built of the same content before is taken again: then the image is ready at once.

        Parameters:
            workspace: the workspace. Its images are on the Docker engine or in its container registry.
            name: 3 to 32 lower-case letters, digits, '-' and '.'.
            models: models, ids ``name:version``, names for the newest version, or paths, which are registered first.
            image_config: what else is in it, from `ContainerImage.image_configuration`.

        Raises:
            WebserviceException: when a rule is broken, or nothing here can build images.

        Example:
            >>> config = ContainerImage.image_configuration("score.py", "python", "env.yml")# doctest: +SKIP
            >>> image = ContainerImage.create(ws, "myimage", [model], config)  # doctest: +SKIP
            >>> image.wait_for_creation(show_output=True)  # doctest: +SKIP

        """
        from mljupyter.spec.names import IMAGE

        if not isinstance(image_config, ImageConfig):
            raise WebserviceException(
                f"image_config is a {type(image_config).__name__}: it must come from "
                "ContainerImage.image_configuration()."
            )
        with as_webservice_exception():
            IMAGE.check(name)
            image_config.validate_configuration()
            # What is stored counts as unused until an image refers to it: it must not be collected before.
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
        return Image._of(workspace, record)

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
        """Register an image that was built elsewhere and has all it needs: nothing is added to it.

        Its container is to listen on port 5001, to answer ``GET /`` with 200 and to score at ``POST /score``.

        Parameters:
            workspace: the workspace.
            name: as in `create`.
            image: its reference, such as ``registry.example.com/team/model:3``; one that the Docker engine lacks is
                pulled.
            container_registry: address, user name and password of its registry; by default what ``docker login`` knows.
            tags, properties, description: what is said of it.

        Raises:
            WebserviceException: when a rule is broken or no Docker engine answers. `wait_for_creation` tells when it
                cannot be pulled.

        """
        from mljupyter.build.environments.definition import EnvironmentDefinition
        from mljupyter.build.images import plan_image
        from mljupyter.core.image.configuration import credentials_of
        from mljupyter.spec.names import IMAGE

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
        return Image._of(workspace, record)

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
            return [Image._of(workspace, record) for record in records]

    def update_creation_state(self) -> None:
        """Bring what this object shows up to date.

        Raises:
            WebserviceException: `ImageNotFound` when the image is gone.

        """
        with as_webservice_exception():
            self._record = self.workspace.registry.images.get_by_id(self.id)

    def wait_for_creation(self, show_output: bool = False) -> None:
        """Wait until the image is ready, whichever process builds it.

        An interrupt ends the waiting, not the build; `cancel` stops that.

        Parameters:
            show_output: print the log of the build as it grows, from its beginning.

        Raises:
            WebserviceException: when it failed or was cancelled, with the step, the last lines of the log and a hint.

        """
        try:
            for line in self._lines_until_made():
                if show_output:
                    print(visible(line))
        except KeyboardInterrupt:
            print(f"Interrupted; the build of {self.id} goes on. To stop it: image.cancel()")
            raise
        if self.creation_state != "Succeeded":
            raise build_job.failure(self._record)
        for change in self.relaxations if not show_output else ():
            print(f"Image {self.id}: {change}")
        if show_output:
            print(f"Succeeded: image {self.id} is {self.image_location}")

    @property
    def relaxations(self) -> Sequence[Change]:
        """The pins that its Python could not have, what they became, and why."""
        from mljupyter.build.images import relaxations

        return relaxations(self._record)

    def cancel(self) -> None:
        """Stop the build; what it has made is removed. Nothing happens when it has ended already.

        Raises:
            WebserviceException: when another process builds it.

        """
        self.update_creation_state()
        build = build_job.build_of(self.workspace.context, self.id)
        if build is not None:
            build.cancel()
        elif self.creation_state == "Running":
            raise WebserviceException(
                f"Image {self.id} is built by another process ({self._record.builder}): stop that."
            )

    def update(self, tags: Mapping[str, str]) -> None:
        """Replace all tags."""
        self._change(tags=tags)

    def add_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags, or change the values of those that exist."""
        self._change(add_tags=tags)

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Remove tags by their keys; those that do not exist are passed over."""
        self._change(remove_tags=[tags] if isinstance(tags, str) else tags)

    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add properties.

        Raises:
            WebserviceException: when one exists already: properties do not change.

        """
        self._change(add_properties=properties)

    def delete(self) -> None:
        """Delete the image, here and where it is, unless another version is the same one; its models are free again.

        A build that is under way is stopped first.

        Raises:
            WebserviceException: while something uses it, and when it cannot be removed where it is; `ImageNotFound`
                when it is gone already.

        """
        if self.creation_state == "Running":
            self.cancel()
            if (build := build_job.build_of(self.workspace.context, self.id)) is not None:
                build.has_ended(within=None)
            self.update_creation_state()
        with as_webservice_exception():
            delete_unused_image(self.workspace.context, self.id)

    def _lines_until_made(self) -> Iterator[str]:
        """Yield the lines of the log until the image is ready or has failed."""
        import time

        self.update_creation_state()
        build = build_job.build_of(self.workspace.context, self.id)
        for line in files.BuildLogFile.of(self.workspace.context, self._record).follow():
            if line:
                yield line
                continue
            if self.creation_state != "Running":
                return
            # What is written before the state changes must be read after it has changed: hence one more round.
            if build is None:
                time.sleep(_LOOK_EVERY_SECONDS)
            elif build.has_ended(within=_LOOK_EVERY_SECONDS) and build.error is not None:
                self.update_creation_state()
                if self.creation_state == "Running":
                    raise WebserviceException(f"Image {self.id} was not made: {build.error}") from build.error
            self.update_creation_state()

    def _change(self, **changes: Any) -> None:
        with as_webservice_exception():
            self._record = self.workspace.registry.images.update(self.id, **changes)


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
        newest = workspace.registry.images.get(name)  # raises, and offers what there is, unless a filter left it out
        raise WebserviceException(f"ImageNotFound: no version of the image {newest.name!r} passes the filters.")
    return found[0]


def _records(
    workspace: Workspace, name: str | None, *, tags: Filters = None, properties: Filters = None, **filters: Any
) -> Sequence[ImageRecord]:
    from mljupyter.registry.catalog.image_record import ENVIRONMENT_FLAVOR

    found = workspace.registry.images.list(name, tags=items(tags), properties=items(properties), **filters)
    return [record for record in found if record.image_flavor != ENVIRONMENT_FLAVOR]
