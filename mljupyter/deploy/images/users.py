"""The users of an image, and the deletion of an image without users."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from mljupyter.build.images import Builder, BuilderUnavailableError, builder_for, delete_image
from mljupyter.controller.offline import NeededVersion, needed_versions
from mljupyter.deploy.images import files
from mljupyter.deploy.references import release_by_the_gone
from mljupyter.errors import MLJupyterError
from mljupyter.registry.catalog.image_record import ImageRecord
from mljupyter.registry.errors import ImageInUseError
from mljupyter.workspace import index
from mljupyter.workspace.context import WorkspaceContext


def users_of_image(
    context: WorkspaceContext, record: ImageRecord, needed: Iterable[NeededVersion] | None = None
) -> list[str]:
    """Return the users of an image: holders of references, and web services that run it.

    Parameters:
        context: the workspace.
        record: the image.
        needed: the needs of its endpoints, if they were already read.

    """
    images = context.registry.images
    users = set(images.references(record.id))
    found = [one for one in images.list(record.name) if one.location == record.location]
    # A web service names the location. If several versions share a location, the newest one counts.
    if record.location is not None and found and found[0].id == record.id:
        for version in needed_versions(context.directory) if needed is None else needed:
            if version.spec.image == record.location:
                users.add(f"web service {version.endpoint}")
    return sorted(users)


def present_users_of_image(context: WorkspaceContext, record: ImageRecord) -> list[str]:
    """Return the users of an image; the references of web services that are gone are released first."""
    if users := users_of_image(context, record):
        release_by_the_gone(context, users)
        users = users_of_image(context, record)
    return users


def delete_unused_image(context: WorkspaceContext, image_id: str, *, keep: bool = False) -> ImageRecord:
    """Delete an image from the workspace and from its engine or registry; return its record.

    Parameters:
        context: the workspace.
        image_id: its id, ``name:version``.
        keep: keep it on its engine or in its container registry.

    Raises:
        ImageInUseError: the image is in use.
        ImageNotFoundError: there is no such image.
        ImageError: it cannot be removed from its engine or registry; then its record stays, too.

    """
    record = context.registry.images.get_by_id(image_id)
    if users := present_users_of_image(context, record):
        raise ImageInUseError(
            f"Image {record.id} is in use by {', '.join(users)}: it cannot be deleted.\nDelete or update them first.",
            users,
        )
    delete_image(context.registry, record.id, None if keep else partial(_remover, context, record))
    files.remove(context, record)
    return record


def delete_images_of_engine(context: WorkspaceContext) -> list[str]:
    """Remove the images of a workspace that is about to be deleted from their Docker engines.

    Images in container registries stay, since others may pull them. So do images that another workspace runs.

    Returns:
        Why an image stays that should not, one sentence for each.

    """
    images = [one for one in context.registry.images.list() if one.place.partition("/")[0] == "docker"]
    problems = []
    shared = _run_by_other_workspaces(context) if images else set()
    for record in images:
        if record.location in shared:
            continue
        try:
            delete_unused_image(context, record.id)
        except MLJupyterError as error:
            problems.append(f"Image {record.id} stays: {error.message.splitlines()[0]}")
    return problems


def _run_by_other_workspaces(context: WorkspaceContext) -> set[str | None]:
    """Return the locations of the images that endpoints of other workspaces of this user run."""
    others = index.directories() - {context.directory.resolve()}
    return {version.spec.image for directory in others for version in needed_versions(directory)}


def _remover(context: WorkspaceContext, record: ImageRecord) -> Builder:
    """Return the function that removes an image from its engine or registry."""
    kind, _, rest = record.place.partition("/")
    try:
        if kind == "docker":
            return builder_for(kind, context.artifacts, engine_url=rest or None)
        return builder_for(record.place, context.artifacts)
    except BuilderUnavailableError as error:
        raise BuilderUnavailableError(
            f"{record.location} cannot be deleted: {error.message}\n"
            f"To delete only its entry in the workspace: mljupyter image delete {record.id} --keep"
        ) from error
