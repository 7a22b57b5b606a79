"""Images of environments, without models and scoring script.

Azure: ImageBuildDetails and DockerImageDetails of azureml.core.environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter import core
from mljupyter.deploy.environments import policy_of
from mljupyter.deploy.images import build_job, files
from mljupyter.exceptions import UserErrorException, WebserviceException, as_user_error

if TYPE_CHECKING:
    from mljupyter.build.environments.definition import EnvironmentDefinition
    from mljupyter.build.images import ImagePlan
    from mljupyter.core import Image, Workspace
    from mljupyter.registry.catalog.image_record import ImageRecord

_DIGITS = 12


class ImageBuildDetails:
    """A build of an environment's image in the background."""

    def __init__(self, image: Image) -> None:
        self._image = image

    @property
    def status(self) -> str:
        """Running, Succeeded, Failed or Canceled."""
        self._image.update_creation_state()
        return self._image.creation_state

    @property
    def image_location(self) -> str | None:
        """The reference of the image; None until it is built."""
        self._image.update_creation_state()
        return self._image.image_location

    def get_log(self) -> str:
        """Return the log of the build so far."""
        return files.BuildLogFile.of(self._image.workspace.context, self._image.record).read()

    def wait_for_completion(self, show_output: bool = True) -> ImageBuildDetails:
        """Wait until the build has ended.

        Parameters:
            show_output: print the log as it grows, from its beginning.

        Raises:
            UserErrorException: it failed or was cancelled, with the last lines of the log and a hint.

        """
        try:
            self._image.wait_for_creation(show_output)
        except WebserviceException as error:
            raise UserErrorException(error.message) from error
        return self

    def cancel(self) -> None:
        """Stop the build and remove its results."""
        self._image.cancel()

    def __repr__(self) -> str:
        return f"ImageBuildDetails(status={self._image.creation_state})"


class DockerImageDetails(dict[str, Any]):
    """Details of an environment's image.

    Azure: the keys of the dict are the same.
    """

    @property
    def image_exist(self) -> bool:
        """Whether the image was built."""
        return bool(self["imageExistsInRegistry"])

    @property
    def image(self) -> str | None:
        """The reference of the image; None until it is built."""
        found: str | None = self["dockerImage"]["image"]
        return found

    @property
    def repository(self) -> str:
        """The name of the image without registry and tag."""
        return str(self["dockerImage"]["name"])

    @property
    def registry(self) -> str | None:
        """The host of its registry; None for an image on the Docker engine."""
        found: str | None = self["dockerImage"]["registry"]["address"]
        return found

    @property
    def interpreter_path(self) -> str:
        """The path of its Python interpreter."""
        return str(self["pythonEnvironment"]["interpreterPath"])

    @property
    def environment_path(self) -> str:
        """The path of its Python environment."""
        return str(self["pythonEnvironment"]["condaEnvironmentPath"])

    @property
    def dockerfile(self) -> str:
        """The Dockerfile."""
        return str(self["ingredients"]["dockerfile"])


def build(
    workspace: Workspace, definition: EnvironmentDefinition, *, on_engine: bool = False, rebuild: bool = True
) -> ImageBuildDetails:
    """Start to build the image of an environment; return at once.

    Parameters:
        workspace: the workspace that the image belongs to.
        definition: the environment.
        on_engine: build it on the Docker engine even if the workspace has a container registry.
        rebuild: build it even if it was built before.

    """
    from mljupyter.registry.catalog.image_record import ENVIRONMENT_FLAVOR  # imports SQLAlchemy, which is slow

    with as_user_error():
        plan = _plan(definition)
        record = build_job.begin(
            workspace.context,
            plan,
            _name(plan),
            place=build_job.ENGINE if on_engine else None,
            rebuild=rebuild,
            image_flavor=ENVIRONMENT_FLAVOR,
        )
    return ImageBuildDetails(core.Image.from_record(workspace, record))


def details(workspace: Workspace, definition: EnvironmentDefinition) -> DockerImageDetails:
    """Return the details of an environment's image, built or not."""
    from mljupyter.build.images import (  # imports every builder, which few calls need
        Reference,
        dockerfile,
        reference_for,
    )
    from mljupyter.build.images.plan import layout  # as above

    with as_user_error():
        plan = _plan(definition)
        place = build_job.place_of(workspace.context)
        found = _built(workspace, plan, place)
        host = place.partition("registry/")[2] or None
        reference = Reference.parse(
            found.location if found is not None and found.location else reference_for(_name(plan), 1, plan.digest, host)
        )
        return DockerImageDetails(
            {
                "imageExistsInRegistry": found is not None,
                "dockerImage": {
                    "name": reference.repository,
                    "registry": {"address": reference.registry},
                    "image": None if found is None else found.location,
                },
                "pythonEnvironment": {
                    "interpreterPath": f"{layout.ENVIRONMENT}/bin/python",
                    "condaEnvironmentPath": layout.ENVIRONMENT,
                },
                "ingredients": {"dockerfile": dockerfile(plan)},
            }
        )


def _plan(definition: EnvironmentDefinition) -> ImagePlan:
    from mljupyter.build.images import plan_image  # imports every builder, which few calls need

    return plan_image(
        definition,
        code=None,
        environment_only=True,
        default_base_image=build_job.default_base_image(),
        pins=policy_of(definition),
    )


def _built(workspace: Workspace, plan: ImagePlan, place: str) -> ImageRecord | None:
    images = workspace.registry.images
    return images.find_built(plan.digest, place) or images.find_built(plan.digest, build_job.ENGINE)


def _name(plan: ImagePlan) -> str:
    return f"environment-{plan.environment[:_DIGITS]}"
