"""Who uses an image, and deleting one that nobody does."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mljupyter.build.images import Builder
    from mljupyter.controller.offline import NeededVersion
    from mljupyter.core.workspace import Workspace
    from mljupyter.registry.catalog.image_record import ImageRecord


def users_of_image(
    workspace: Workspace, record: ImageRecord, needed: Iterable[NeededVersion] | None = None
) -> list[str]:
    """Return who uses an image: those that hold it, and the web services that are started from where it is.

    Parameters:
        workspace: the workspace.
        record: the image.
        needed: what its endpoints need, where that was read before.

    """
    from mljupyter.controller.offline import needed_versions

    images = workspace.registry.images
    users = set(images.references(record.id))
    found = [one for one in images.list(record.name) if one.location == record.location]
    # A web service names the location. Where several versions share one, the newest stands for it.
    if record.location is not None and found and found[0].id == record.id:
        for version in needed_versions(workspace.directory) if needed is None else needed:
            if version.spec.image == record.location:
                users.add(f"web service {version.endpoint}")
    return sorted(users)


def delete_unused_image(workspace: Workspace, image_id: str, *, keep: bool = False) -> ImageRecord:
    """Delete an image from the workspace and from where it is; return what was known of it.

    Parameters:
        workspace: the workspace.
        image_id: its id, ``name:version``.
        keep: leave it on its engine, or in its container registry.

    Raises:
        ImageInUseError: while something uses it.
        ImageNotFoundError: for an unknown id.
        ImageError: when it cannot be removed where it is; then it is not forgotten either.

    """
    from mljupyter.build.images import delete_image
    from mljupyter.core.image import files
    from mljupyter.core.usage import release_by_the_gone
    from mljupyter.registry.image_errors import ImageInUseError

    record = workspace.registry.images.get_by_id(image_id)
    if users := users_of_image(workspace, record):
        release_by_the_gone(workspace, users)
        users = users_of_image(workspace, record)
    if users:
        raise ImageInUseError(
            f"Image {record.id} is in use by {', '.join(users)}: it cannot be deleted.\nDelete or update them first.",
            users,
        )
    delete_image(workspace.registry, record.id, None if keep else partial(_remover, workspace, record))
    files.remove(workspace, record)
    return record


def _remover(workspace: Workspace, record: ImageRecord) -> Builder:
    """Return what removes an image from where it is."""
    from mljupyter.build.images import BuilderUnavailableError, builder_for

    kind, _, rest = record.place.partition("/")
    try:
        if kind == "docker":
            return builder_for(kind, workspace.artifacts, engine_url=rest or None)
        return builder_for(record.place, workspace.artifacts)
    except BuilderUnavailableError as error:
        raise BuilderUnavailableError(
            f"{record.location} cannot be removed from where it is. {error.message}\n"
            f"To forget it all the same: mljupyter image delete {record.id} --keep"
        ) from error
