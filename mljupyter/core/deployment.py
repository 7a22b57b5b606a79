"""Deployments from the arguments of the SDK: the common part of `Model.deploy`, `Webservice.deploy...` and updates.

The steps themselves are in `mljupyter.deploy`: prepare, plan, build, apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mljupyter import core
from mljupyter.deploy.access import openings
from mljupyter.deploy.apply import apply
from mljupyter.deploy.build import build
from mljupyter.deploy.images.registered_image import check_runs_images, content_of_image
from mljupyter.deploy.model_delivery import ARGUMENT, refuse_mount
from mljupyter.deploy.plan import find, plan_new, size_warning
from mljupyter.deploy.prepare import Prepared, ScriptSource, VersionRequest, prepare, ready
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import EndpointKind, EndpointSpec, ModelReference
from mljupyter.spec.names import SERVICE
from mljupyter.targets.catalog import default_name, image_target

if TYPE_CHECKING:
    from mljupyter.core import (
        ComputeTarget,
        Image,
        ImageConfig,
        InferenceConfig,
        LocalWebservice,
        Model,
        Webservice,
        WebserviceDeploymentConfiguration,
        Workspace,
    )
    from mljupyter.deploy.content import VersionContent
    from mljupyter.spec.version import ModelDelivery
    from mljupyter.targets.base import Target


def deploy(
    workspace: Workspace,
    name: str,
    models: Sequence[Model | str],
    inference_config: InferenceConfig | None,
    deployment_config: WebserviceDeploymentConfiguration | None,
    deployment_target: ComputeTarget | str | None,
    overwrite: bool,
    show_output: bool,
) -> Webservice:
    """Deploy models; see `Model.deploy`."""
    if inference_config is not None:
        inference_config = checked_inference_config(inference_config)
        if deployment_target is None and _wants_container(workspace, name, inference_config, deployment_config):
            deployment_target = image_target(workspace.context.targets).name
    if show_output:
        print_configuration(models, inference_config, deployment_config, deployment_target)
    configuration = configuration_of(deployment_config)
    target = target_of(workspace, deployment_target, configuration.given().get("compute_target_name"))
    with as_webservice_exception(), workspace.artifacts.hold():
        check_settings(workspace, name, configuration, target)
        prepared = prepare_version(
            workspace,
            models,
            inference_config,
            kind=configuration.kind,
            service=name,
            target=target,
            delivery=configuration.given().get(ARGUMENT),
        )
        return deploy_prepared(workspace, name, prepared, configuration, overwrite=overwrite, show_output=show_output)


def configuration_of(given: WebserviceDeploymentConfiguration | None) -> WebserviceDeploymentConfiguration:
    """Return a deployment configuration, by default that of an ACI web service.

    Raises:
        WebserviceException: the value is not a deployment configuration.

    """
    configuration = core.AciWebservice.deploy_configuration() if given is None else given
    if not isinstance(configuration, core.WebserviceDeploymentConfiguration):
        raise WebserviceException(
            f"deployment_config is a {type(configuration).__name__}: it must come from deploy_configuration() of "
            "LocalWebservice, AciWebservice, AksWebservice or AksEndpoint."
        )
    return configuration


def check_settings(
    workspace: Workspace, name: str, configuration: WebserviceDeploymentConfiguration, target: Target
) -> None:
    """Check name and configuration before anything is stored, and print the arguments that have no effect.

    Raises:
        SpecError, WebserviceException: a rule is broken.

    """
    SERVICE.check(name)
    configuration.validate_configuration()
    print_without_effect(configuration, target)
    if configuration.given().get("enable_app_insights"):
        workspace.telemetry.adopt_environment()


def deploy_prepared(
    workspace: Workspace,
    name: str,
    prepared: Prepared,
    configuration: WebserviceDeploymentConfiguration,
    *,
    overwrite: bool = False,
    show_output: bool = False,
) -> Webservice:
    """Build a prepared version, create an endpoint of it or replace the present one, and return that.

    Call it inside ``workspace.artifacts.hold()``, after `check_settings`.
    """
    context = workspace.context
    plan = plan_new(context, name, configuration, prepared)
    if overwrite and (present := find(context, name)) is not None:
        print_openings(present.spec, plan.wanted)
    if warning := size_warning(plan.wanted, workspace.artifacts):
        print(warning)
    record = apply(context, build(context, plan, show_output=show_output), overwrite=overwrite)
    return core.Webservice.from_record(workspace, record, replaced=record.generation > 1)


def prepare_version(
    workspace: Workspace,
    models: Sequence[Model | ModelReference | str] | None,
    inference_config: InferenceConfig | None,
    *,
    kind: EndpointKind,
    service: str,
    target: Target,
    delivery: ModelDelivery | None = None,
) -> Prepared:
    """Store the content of a version; nothing is built.

    Parameters:
        workspace: the workspace.
        models: models, ids ``name:version``, names for the newest version, or, for a local web service, paths.
        inference_config: scoring script and environment; None for a model that its framework serves.
        kind: the kind of web service.
        service: its name.
        target: the compute target.
        delivery: how the models reach replicas; None for the default, by size.

    """
    request = replace(version_request(models, inference_config, service), model_delivery=delivery)
    return prepare(workspace.context, request, service=service, target=target, paths=kind is EndpointKind.LOCAL)


def version_request(
    models: Sequence[Model | ModelReference | str] | None, inference_config: InferenceConfig | None, service: str
) -> VersionRequest:
    """Return the request for a version from the arguments of `Model.deploy`."""
    references = model_arguments(models)
    if inference_config is None:
        return VersionRequest(references)
    inference_config = checked_inference_config(inference_config)
    environment = inference_config.environment_for(service)
    return VersionRequest(
        references,
        script_source(inference_config),
        None if environment is None else environment.serving(),
        inference_config.description,
    )


def script_source(inference_config: InferenceConfig) -> ScriptSource:
    """Return the files of an inference config."""
    script = None if inference_config.source_directory is None else inference_config.script_in_source
    return ScriptSource(inference_config.source_path, script)


def model_arguments(models: Sequence[Model | ModelReference | str] | None) -> list[ModelReference | str | Path]:
    """Return models as a list in which each `Model` is a reference."""
    given = [models] if isinstance(models, (core.Model, str, Path)) else list(models or ())
    return [model.reference if isinstance(model, core.Model) else model for model in given]


def checked_inference_config(inference_config: InferenceConfig) -> InferenceConfig:
    """Return an inference config after a check against the present files.

    Raises:
        WebserviceException: a rule is broken.

    """
    if not isinstance(inference_config, core.InferenceConfig):
        raise WebserviceException(
            f"inference_config is a {type(inference_config).__name__}: it must be an InferenceConfig."
        )
    inference_config.validate_configuration()
    return inference_config


def print_without_effect(configuration: WebserviceDeploymentConfiguration, target: Target) -> None:
    """Print a line with the given arguments that the target ignores, and one for each that does less there."""
    given = configuration.given()
    if names := [name for name in given if name in target.ignored_arguments and given[name]]:
        print(f"Without effect on target {target.name!r}: {', '.join(names)}")
    for name in given:
        if given[name] and name in target.cautions:
            print(target.cautions[name])


def print_openings(present: EndpointSpec, wanted: EndpointSpec) -> None:
    """Print a warning for each protection that an endpoint loses."""
    for warning in openings(present, wanted):
        print(f"Warning: {warning}")


def print_configuration(
    models: Sequence[Model | str] | None,
    inference_config: InferenceConfig | None,
    deployment_config: WebserviceDeploymentConfiguration | None,
    deployment_target: ComputeTarget | str | None,
) -> None:
    """Print the arguments of a deployment, one line each, without keys."""
    given = [models] if isinstance(models, (core.Model, str)) else list(models or ())
    ids = [model.id if isinstance(model, core.Model) else str(model) for model in given]
    target = getattr(deployment_target, "name", deployment_target) or default_name()
    print(f"Models: {', '.join(ids) or 'none'}")
    print(f"Inference config: {inference_config!r}")
    print(f"Deployment config: {deployment_config!r}")
    print(f"Deployment target: {target}")


def target_of(workspace: Workspace, target: ComputeTarget | str | None, configured: str | None = None) -> Target:
    """Return the target that runs endpoints for a compute target: the one given, the configuration's, or the default.

    If another one runs what is deployed to the given one, a line says so.

    Raises:
        ComputeTargetException: `ComputeTargetNotFound`, or it runs no endpoints.
        WebserviceException: the value is not a compute target.

    """
    if target is None:
        target = configured or default_name()
    if not isinstance(target, (str, core.ComputeTarget)):
        raise WebserviceException(
            f"deployment_target is a {type(target).__name__}: it must be a compute target, such as "
            f"ws.compute_targets[{default_name()!r}], or None."
        )
    found = workspace.context.target(target if isinstance(target, str) else target.name)
    serving = found.serving()
    if found.stands_for:
        print(f"Compute target {found.name!r} is a mapping: the deployment runs on {serving.name!r}.")
    return serving


def _wants_container(
    workspace: Workspace,
    service: str,
    inference_config: InferenceConfig,
    configuration: WebserviceDeploymentConfiguration | None,
) -> bool:
    """Return whether a local web service is to run in a container: its environment has an image, and an engine answers.

    Azure: each `LocalWebservice` runs in a container.
    """
    if getattr(configuration, "kind", None) is not EndpointKind.LOCAL:
        return False
    environment = inference_config.environment_for(service)
    if environment is None or environment.docker.is_default:
        return False
    return image_target(workspace.context.targets).availability() is None


def deploy_image(
    workspace: Workspace,
    name: str,
    image: Image | str,
    deployment_config: WebserviceDeploymentConfiguration | None,
    deployment_target: ComputeTarget | str | None,
    *,
    overwrite: bool,
) -> Webservice:
    """Deploy a registered image; see `Webservice.deploy_from_image`."""
    if deployment_target is None:
        configured = getattr(deployment_config, "compute_target_name", None)
        deployment_target = configured or image_target(workspace.context.targets).name
    target = target_of(workspace, deployment_target)
    configuration = configuration_of(deployment_config)
    with as_webservice_exception(), workspace.artifacts.hold():
        check_settings(workspace, name, configuration, target)
        refuse_mount(configuration.given().get(ARGUMENT), target, "an image has its models. Leave it out.")
        prepared = ready(image_content(workspace, image, target), name, target)
        return deploy_prepared(workspace, name, prepared, configuration, overwrite=overwrite)


def deploy_local_image(
    workspace: Workspace,
    name: str,
    models: Sequence[Model | str],
    image_config: ImageConfig,
    deployment_config: WebserviceDeploymentConfiguration | None,
) -> LocalWebservice:
    """Build an image and deploy it as a local web service; see `Webservice.deploy_local_from_model`."""
    configuration = deployment_config or core.LocalWebservice.deploy_configuration()
    if getattr(configuration, "kind", None) is not EndpointKind.LOCAL:
        raise WebserviceException(
            f"deployment_config is a {type(configuration).__name__}: it must come from "
            "LocalWebservice.deploy_configuration()."
        )
    target = image_target(workspace.context.targets)
    with as_webservice_exception(), workspace.artifacts.hold():
        check_settings(workspace, name, configuration, target)
        prepared = ready(new_image_content(workspace, name, models, image_config, target), name, target)
        return cast("LocalWebservice", deploy_prepared(workspace, name, prepared, configuration))


def image_content(workspace: Workspace, image: Image | str, target: Target) -> VersionContent:
    """Return the content of a version that runs an image; wait until the image is ready.

    Parameters:
        workspace: the workspace.
        image: an image, its id ``name:version``, or its name for the newest version.
        target: the compute target.

    Raises:
        WebserviceException: the image could not be built, or the target does not run containers.

    """
    check_runs_images(workspace.context, target)
    if not isinstance(image, (core.Image, str)):
        raise WebserviceException(f"image is a {type(image).__name__}: it must be an Image, or an id like 'myimage:1'.")
    if isinstance(image, str):
        image = core.Image(workspace, id=image) if ":" in image else core.Image(workspace, image)
    image.wait_for_creation()
    return content_of_image(workspace.context, image.record, target)


def new_image_content(
    workspace: Workspace, name: str, models: Sequence[Model | str], image_config: ImageConfig, target: Target
) -> VersionContent:
    """Build an image, and return the content of a version that runs it.

    The content notes the source of the scoring script, so that a reload reads the script again.

    Raises:
        WebserviceException: the target does not run containers, a rule is broken, or the image cannot be built.

    """
    check_runs_images(workspace.context, target)
    image = core.Image.create(workspace, name, models, image_config)
    source = image_config.source_path
    return replace(image_content(workspace, image, target), source=None if source is None else str(source))


def check_name_is_free(workspace: Workspace, name: str, *, overwrite: bool) -> None:
    """Check that there is no web service of a name, unless it may be overwritten.

    Raises:
        WebserviceException: there is one.

    """
    if not overwrite and any(record.spec.name == name for record in workspace.endpoint_records()):
        raise WebserviceException(
            f"There is a web service {name!r} already: pass overwrite=True to replace it, or choose another name.",
            status_code=409,
        )


def check_new_name(workspace: Workspace, name: str, *, overwrite: bool) -> None:
    """Check that a name may be given to a new web service, before an image is built for it.

    Raises:
        WebserviceException: the name breaks a rule or is taken.

    """
    with as_webservice_exception():
        SERVICE.check(name)
    check_name_is_free(workspace, name, overwrite=overwrite)
