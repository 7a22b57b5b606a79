"""Leftovers of a deployment that did not come about: models and images that nobody else has asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mljupyter.deploy.images.served_image import MADE_FOR
from mljupyter.deploy.images.users import delete_unused_image
from mljupyter.deploy.references import release_by_the_gone
from mljupyter.errors import MLJupyterError
from mljupyter.registry.errors import ModelInUseError, ModelNotFoundError
from mljupyter.spec import EndpointSpec
from mljupyter.workspace.context import WorkspaceContext


@dataclass(frozen=True)
class Leftovers:
    """The items that a deployment will register.

    Parameters:
        models: ids of models.
        images: locations of images.

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
    new = {version.image for version in spec.versions.values() if version.image and version.image_id is None}
    return Leftovers(
        tuple(one for one in sorted(set(models)) if not _model_exists(context, one)),
        tuple(sorted(new - {record.location for record in context.registry.images.list()})) if new else (),
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
    made = [record for record in context.registry.images.list() if MADE_FOR in record.properties]
    for image in [record.id for record in made if record.location in leftovers.images]:  # before the models in them
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


def users_of_model(context: WorkspaceContext, model: str) -> list[str]:
    """Return the web services and images that use a model, without web services that are gone.

    Parameters:
        context: the workspace.
        model: its id.

    """
    if users := context.registry.models.references(model):
        release_by_the_gone(context, users)
        users = context.registry.models.references(model)
    return users


def _model_exists(context: WorkspaceContext, model: str) -> bool:
    try:
        context.registry.models.get_by_id(model)
    except ModelNotFoundError:
        return False
    return True
