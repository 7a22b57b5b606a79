"""Ensure that a Docker engine has an image: pull it from its registry, or build it again after it was removed."""

from __future__ import annotations

from mljupyter.build.images import Reference, RegistryNotFoundError, builder_for, plan_of
from mljupyter.build.images.docker.engine import connect, pull, told
from mljupyter.build.images.events import OnEvent
from mljupyter.deploy.images.build_job import ENGINE
from mljupyter.exceptions import WebserviceException
from mljupyter.registry.catalog.image_record import ImageRecord
from mljupyter.workspace.context import WorkspaceContext


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
            with told():
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
