"""Content of a version that runs a registered image, which contains models and scoring script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.images.ensure_pulled import make_present
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import CodeReference, ModelReference
from mljupyter.targets.catalog import image_target

if TYPE_CHECKING:
    from mljupyter.registry.catalog.image_record import ImageRecord
    from mljupyter.targets.base import Target
    from mljupyter.workspace.context import WorkspaceContext


def content_of_image(context: WorkspaceContext, record: ImageRecord) -> VersionContent:
    """Return the content of a version that runs an image; pull the image if it is missing.

    Parameters:
        context: the workspace.
        record: an image that was built.

    """
    code = record.recipe.get("code")
    return VersionContent(
        models=[ModelReference.parse(model) for model in record.recipe.get("models", [])],
        code=CodeReference.parse(code) if code else None,
        image=make_present(context, record),
        image_id=record.id,
    )


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
