"""Registered images: ensure that a Docker engine has one, and the content of a version that runs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mljupyter.build.images import Reference, RegistryNotFoundError, builder_for, plan_of, reference_for
from mljupyter.build.images.docker.engine import connect, pull, translated
from mljupyter.build.images.events import OnEvent
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.images.build_job import ENGINE, place_for
from mljupyter.exceptions import WebserviceException
from mljupyter.registry.catalog.image_record import ImageRecord
from mljupyter.spec import CodeReference, ModelReference
from mljupyter.targets.base import Needs
from mljupyter.targets.catalog import image_target
from mljupyter.workspace.context import WorkspaceContext

if TYPE_CHECKING:
    from mljupyter.targets.base import Target


def make_present(
    context: WorkspaceContext, record: ImageRecord, on_event: OnEvent | None = None, *, location: str | None = None
) -> str:
    """Return the reference under which the Docker engine has an image.

    Parameters:
        context: the workspace.
        record: the image; if the engine has lost it, it is built again from the same content.
        on_event: called with the events of that build.
        location: another reference of the image; the default is the one of its build.

    Raises:
        WebserviceException: the image is not built.
        MLJupyterError: no engine answers, or the image can neither be pulled nor built.

    """
    location = location or record.location
    if location is None:
        raise WebserviceException(f"Image {record.id} has no location: it is {record.creation_state}.")
    client = connect()
    try:
        try:
            with translated():
                client.images.get(location)
        except RegistryNotFoundError:
            if record.place != ENGINE or record.recipe.get("ownImage"):
                pull(client, Reference.parse(location), ())
            else:
                plan = plan_of(record.recipe)
                builder_for(ENGINE, context.artifacts, plan=plan).build(plan, tag=location, on_event=on_event)
    finally:
        client.close()
    return location


def content_of_image(context: WorkspaceContext, record: ImageRecord, target: Target) -> VersionContent:
    """Return the content of a version that runs an image; pull the image where it is missing.

    Parameters:
        context: the workspace.
        record: an image that was built.
        target: the compute target.

    Raises:
        MLJupyterError: the target would not get the image.

    """
    code = record.recipe.get("code")
    return VersionContent(
        models=[ModelReference.parse(model) for model in record.recipe.get("models", [])],
        code=CodeReference.parse(code) if code else None,
        image=_present_for(context, record, target),
        image_id=record.id,
    )


def _present_for(context: WorkspaceContext, record: ImageRecord, target: Target) -> str:
    """Return the reference under which a compute target gets an image."""
    place = place_for(context, target)
    if target.needs is Needs.ENGINE_IMAGE or record.location is None:
        return make_present(context, record)  # which also refuses an image without a location
    location = record.location
    if place not in (ENGINE, record.place) and record.place == ENGINE and not record.recipe.get("ownImage"):
        plan = plan_of(record.recipe)
        built = builder_for(place, context.artifacts, plan=plan)
        location = reference_for(record.name, record.version, plan.digest, place.partition("/")[2])
        location = built.build(plan, tag=location).reference
    target.check_image(location)
    return location


def check_runs_images(context: WorkspaceContext, target: Target) -> None:
    """Check that a compute target runs containers.

    Raises:
        WebserviceException: it runs processes.

    """
    if not target.runs_images:
        other = image_target(context.targets).name
        raise WebserviceException(
            f"The target {target.name!r} cannot serve an image: it runs processes, not containers.\n"
            f"Deploy the image to ws.compute_targets[{other!r}], its target when no deployment_target is given."
        )
