"""The users of an image, and the deletion of an image without users."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from mljupyter.build.images import Builder, BuilderUnavailableError, builder_for, delete_image
from mljupyter.controller.offline import NeededVersion, needed_versions
from mljupyter.deploy.images import files
from mljupyter.deploy.references import release_by_the_gone
from mljupyter.registry.catalog.image_record import ImageRecord
from mljupyter.registry.errors import ImageInUseError
from mljupyter.workspace.context import WorkspaceContext


def users_of_image(
    context: WorkspaceContext, record: ImageRecord, needed: Iterable[NeededVersion] | None = None
) -> list[str]:
    """Return the users of an image: everything that holds it, and the web services that are started from its reference.

    Parameters:
        context: the workspace.
        record: the image.
        needed: what its endpoints need, where that was read before.

    """
    images = context.registry.images
    users = set(images.references(record.id))
    found = [one for one in images.list(record.name) if one.location == record.location]
    # A web service names the location. Where several versions share one, the newest stands for it.
    if record.location is not None and found and found[0].id == record.id:
        for version in needed_versions(context.directory) if needed is None else needed:
            if version.spec.image == record.location:
                users.add(f"web service {version.endpoint}")
    return sorted(users)


def delete_unused_image(context: WorkspaceContext, image_id: str, *, keep: bool = False) -> ImageRecord:
    """Delete an image from the workspace and from where it is; return what was known of it.

    Parameters:
        context: the workspace.
        image_id: its id, ``name:version``.
        keep: leave it on its engine, or in its container registry.

    Raises:
        ImageInUseError: while something uses it.
        ImageNotFoundError: for an unknown id.
        ImageError: when it cannot be removed where it is; then it is not forgotten either.

    """
    record = context.registry.images.get_by_id(image_id)
    if users := users_of_image(context, record):
        release_by_the_gone(context, users)
        users = users_of_image(context, record)
    if users:
        raise ImageInUseError(
            f"Image {record.id} is in use by {', '.join(users)}: it cannot be deleted.\nDelete or update them first.",
            users,
        )
    delete_image(context.registry, record.id, None if keep else partial(_remover, context, record))
    files.remove(context, record)
    return record


def _remover(context: WorkspaceContext, record: ImageRecord) -> Builder:
    """Return what removes an image from where it is."""
    kind, _, rest = record.place.partition("/")
    try:
        if kind == "docker":
            return builder_for(kind, context.artifacts, engine_url=rest or None)
        return builder_for(record.place, context.artifacts)
    except BuilderUnavailableError as error:
        raise BuilderUnavailableError(
            f"{record.location} cannot be removed from where it is. {error.message}\n"
            f"To forget it all the same: mljupyter image delete {record.id} --keep"
        ) from error
