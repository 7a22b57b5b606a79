"""From an image, or what one is made of, to a web service (Azure ML v1: Webservice.deploy_from_image and its like)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mljupyter.core import deployment
from mljupyter.core.compute import ComputeTarget
from mljupyter.core.image.configuration import ContainerImageConfig
from mljupyter.core.image.image import Image
from mljupyter.core.webservice.configuration import (
    LocalWebserviceDeploymentConfiguration,
    WebserviceDeploymentConfiguration,
)
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.images.ensure_pulled import make_present
from mljupyter.deploy.prepare import ready
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import CodeReference, ModelReference
from mljupyter.spec.names import SERVICE
from mljupyter.targets.catalog import image_target

if TYPE_CHECKING:
    from mljupyter.core.image.configuration import ImageConfig
    from mljupyter.core.model import Model
    from mljupyter.core.webservice import LocalWebservice, Webservice
    from mljupyter.core.workspace import Workspace
    from mljupyter.targets.base import Target


def deploy(
    workspace: Workspace,
    name: str,
    image: Image | str,
    deployment_config: WebserviceDeploymentConfiguration | None,
    deployment_target: ComputeTarget | str | None,
    *,
    overwrite: bool,
) -> Webservice:
    """Do what `Webservice.deploy_from_image` promises."""
    target = deployment.target_of(workspace, _container_target(workspace, deployment_config, deployment_target))
    configuration = deployment.configuration_of(deployment_config)
    with as_webservice_exception(), workspace.artifacts.hold():
        deployment.check_settings(workspace, name, configuration, target)
        prepared = ready(content_of(workspace, image, target), name, target)
        return deployment.deploy_prepared(workspace, name, prepared, configuration, overwrite=overwrite)


def deploy_models(
    workspace: Workspace,
    name: str,
    models: Sequence[Model | str],
    image_config: ImageConfig,
    deployment_config: WebserviceDeploymentConfiguration | None,
    deployment_target: ComputeTarget | str | None,
    *,
    overwrite: bool,
) -> Webservice:
    """Do what `Webservice.deploy_from_model` promises: make an image of the service's name, and deploy that."""
    with as_webservice_exception():
        SERVICE.check(name)
    check_name_is_free(workspace, name, overwrite=overwrite)
    image = Image.create(workspace, name, models, image_config)
    return deploy(workspace, name, image, deployment_config, deployment_target, overwrite=overwrite)


def deploy_local(
    workspace: Workspace,
    name: str,
    models: Sequence[Model | str],
    image_config: ImageConfig,
    deployment_config: LocalWebserviceDeploymentConfiguration | None,
) -> LocalWebservice:
    """Do what `Webservice.deploy_local_from_model` promises."""
    from mljupyter.core.webservice.local import LocalWebservice

    configuration = deployment_config or LocalWebserviceDeploymentConfiguration()
    if not isinstance(configuration, LocalWebserviceDeploymentConfiguration):
        raise WebserviceException(
            f"deployment_config is a {type(configuration).__name__}: it must come from "
            "LocalWebservice.deploy_configuration()."
        )
    target = image_target(workspace.context.targets)
    with as_webservice_exception(), workspace.artifacts.hold():
        deployment.check_settings(workspace, name, configuration, target)
        prepared = ready(content_made_of(workspace, name, models, image_config, target), name, target)
        service = deployment.deploy_prepared(workspace, name, prepared, configuration)
    assert isinstance(service, LocalWebservice)  # noqa: S101 (for the type checker: the configuration says so)
    return service


def content_of(workspace: Workspace, image: Image | str, target: Target) -> VersionContent:
    """Return the content of a version that serves from an image; wait until the image is ready.

    Parameters:
        workspace: the workspace.
        image: an image, its id ``name:version``, or its name for the newest version.
        target: the compute target.

    Raises:
        WebserviceException: when it was not made; on a target that runs no containers.

    """
    _check_target(workspace, target)
    found = _image(workspace, image)
    found.wait_for_creation()
    record = found._record
    code = record.recipe.get("code")
    return VersionContent(
        models=[ModelReference.parse(model) for model in record.recipe.get("models", [])],
        code=CodeReference.parse(code) if code else None,
        image=make_present(workspace.context, record),
        image_id=record.id,
    )


def content_made_of(
    workspace: Workspace,
    name: str,
    models: Sequence[Model | str],
    image_config: ImageConfig,
    target: Target,
) -> VersionContent:
    """Make an image and return the content of a version that serves from it; a reload reads the script again.

    Raises as `content_of` does, before anything is built on a target that runs no containers.
    """
    _check_target(workspace, target)
    image = Image.create(workspace, name, models, image_config)
    source = image_config.source_path if isinstance(image_config, ContainerImageConfig) else None
    return replace(content_of(workspace, image, target), source=None if source is None else str(source))


def check_name_is_free(workspace: Workspace, name: str, *, overwrite: bool) -> None:
    """Raise `WebserviceException` when there is a web service of a name that is not to be overwritten."""
    if not overwrite and any(record.spec.name == name for record in workspace.endpoint_records()):
        raise WebserviceException(
            f"There is a web service {name!r} already: pass overwrite=True to take its place, or choose another name.",
            status_code=409,
        )


def _check_target(workspace: Workspace, target: Target) -> None:
    if not target.runs_images:
        other = image_target(workspace.context.targets).name
        raise WebserviceException(
            f"The target {target.name!r} cannot serve an image: it runs processes, not containers.\n"
            f"Deploy the image to ws.compute_targets[{other!r}], its target when no deployment_target is given."
        )


def _image(workspace: Workspace, image: Image | str) -> Image:
    if isinstance(image, Image):
        return image
    if not isinstance(image, str):
        raise WebserviceException(f"image is a {type(image).__name__}: it must be an Image, or an id like 'myimage:1'.")
    return Image(workspace, id=image) if ":" in image else Image(workspace, image)


def _container_target(
    workspace: Workspace, configuration: WebserviceDeploymentConfiguration | None, target: ComputeTarget | str | None
) -> ComputeTarget | str:
    configured = getattr(configuration, "compute_target_name", None)
    return target if target is not None else configured or image_target(workspace.context.targets).name
