"""Leftovers of a deployment that did not come about: models and images that nobody else has asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mljupyter.deploy.images.users import delete_unused_image
from mljupyter.deploy.references import release_by_the_gone
from mljupyter.errors import MLJupyterError
from mljupyter.registry.errors import ImageNotFoundError, ModelInUseError, ModelNotFoundError
from mljupyter.spec import EndpointSpec
from mljupyter.workspace.context import WorkspaceContext


@dataclass(frozen=True)
class Leftovers:
    """The items that a deployment will register, by id.

    Parameters:
        models: ids of models.
        images: ids of images.

    """

    models: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


def expected_leftovers(context: WorkspaceContext, spec: EndpointSpec, models: Iterable[str]) -> Leftovers:
    """Return the items that a deployment will register; those that exist already are not its own.

    Parameters:
        context: the workspace.
        spec: the endpoint after the deployment.
        models: ids of the models that it registers.

    """
    images = {version.image_id for version in spec.versions.values() if version.image_id is not None}
    return Leftovers(
        tuple(one for one in sorted(set(models)) if not _model_exists(context, one)),
        tuple(one for one in sorted(images) if not _image_exists(context, one)),
    )


def discard(context: WorkspaceContext, leftovers: Leftovers) -> tuple[list[str], list[str]]:
    """Delete the items that exist by now and that nothing uses.

    Parameters:
        context: the workspace.
        leftovers: the items.

    Returns:
        What was deleted, and what stays, in words such as ``model diabetes-ridge:1``.

    """
    deleted, kept = [], []
    for image in leftovers.images:  # before models, which they may use
        if _image_exists(context, image):
            try:
                delete_unused_image(context, image)
                deleted.append(f"image {image}")
            except MLJupyterError:
                kept.append(f"image {image}")
    for model in leftovers.models:
        if _model_exists(context, model):
            try:
                delete_model(context, model)
                deleted.append(f"model {model}")
            except MLJupyterError:
                kept.append(f"model {model}")
    return deleted, kept


def delete_model(context: WorkspaceContext, model: str) -> None:
    """Delete a model that nothing uses; references of deleted web services do not count.

    Parameters:
        context: the workspace.
        model: its id.

    Raises:
        ModelInUseError: a web service or an image uses it.
        ModelNotFoundError: there is no such model.

    """
    try:
        context.registry.models.delete(model)
    except ModelInUseError as error:
        release_by_the_gone(context, error.holders)
        context.registry.models.delete(model)


def _model_exists(context: WorkspaceContext, model: str) -> bool:
    try:
        context.registry.models.get_by_id(model)
    except ModelNotFoundError:
        return False
    return True


def _image_exists(context: WorkspaceContext, image: str) -> bool:
    try:
        context.registry.images.get_by_id(image)
    except ImageNotFoundError:
        return False
    return True
