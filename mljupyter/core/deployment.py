"""How a model becomes a web service: check everything, store the code, hand the spec to the controller."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.build.project.snapshot import single_file, snapshot
from mljupyter.core.compute import ComputeTarget
from mljupyter.core.container_image import image_for
from mljupyter.core.environment import Environment
from mljupyter.core.environment_build import interpreter_of
from mljupyter.core.inference import InferenceConfig
from mljupyter.core.model import Model
from mljupyter.core.usage import in_use
from mljupyter.core.webservice.aci import AciWebservice
from mljupyter.core.webservice.base import Webservice
from mljupyter.core.webservice.configuration import WebserviceDeploymentConfiguration
from mljupyter.core.webservice.model_size import size_warning
from mljupyter.core.webservice.translate import (
    Served,
    new_endpoint,
)
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import Authentication, CodeReference, EndpointKind, ModelReference
from mljupyter.spec.names import MODEL, SERVICE
from mljupyter.targets.catalog import default_name, image_target

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace
    from mljupyter.targets.base import Target

_LOCAL_MODEL_VERSION = 0
_LONGEST_LOCAL_MODEL_NAME = 30


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
    """Do what `Model.deploy` promises."""
    if inference_config is not None:
        inference_config = checked_inference_config(inference_config)
        if deployment_target is None and _wants_container(workspace, name, inference_config, deployment_config):
            deployment_target = image_target(workspace.context.targets).name
    if show_output:
        print_configuration(models, inference_config, deployment_config, deployment_target)
    configured = None if deployment_config is None else getattr(deployment_config, "compute_target_name", None)
    return deploy_served(
        workspace,
        name,
        lambda kind: what_is_served(
            workspace,
            models,
            inference_config,
            kind=kind,
            service=name,
            target=target_of(workspace, deployment_target, configured),
            show_output=show_output,
        ),
        deployment_config,
        deployment_target,
        overwrite=overwrite,
    )


def deploy_served(
    workspace: Workspace,
    name: str,
    served_for: Callable[[EndpointKind], Served],
    deployment_config: WebserviceDeploymentConfiguration | None,
    deployment_target: ComputeTarget | str | None,
    *,
    overwrite: bool = False,
) -> Webservice:
    """Deploy what `served_for` returns for the kind of web service that the configuration calls for."""
    configuration = AciWebservice.deploy_configuration() if deployment_config is None else deployment_config
    if not isinstance(configuration, WebserviceDeploymentConfiguration):
        raise WebserviceException(
            f"deployment_config is a {type(configuration).__name__}: it must come from deploy_configuration() of "
            "LocalWebservice, AciWebservice, AksWebservice or AksEndpoint."
        )
    target = target_of(workspace, deployment_target, configuration.given().get("compute_target_name"))
    with as_webservice_exception():
        SERVICE.check(name)
        configuration.validate_configuration()
        print_without_effect(configuration, target)
        if configuration.given().get("enable_app_insights"):
            workspace.telemetry.adopt_environment()
        # What is stored counts as unused until the controller has taken the spec: it must not be collected before.
        with workspace.artifacts.hold():
            spec = new_endpoint(
                name, configuration, served_for(configuration.kind), target=target.name, created_by=_user()
            )
            if warning := size_warning(spec, workspace.artifacts):
                print(warning)
            keys = spec.authentication is Authentication.KEY
            with in_use(workspace, name, spec):
                record = workspace.endpoints.create(
                    spec,
                    overwrite=overwrite,
                    primary_key=configuration.primary_key if keys else None,
                    secondary_key=configuration.secondary_key if keys else None,
                )
    return Webservice._of(workspace, record)


def what_is_served(
    workspace: Workspace,
    models: Sequence[Model | ModelReference | str] | None,
    inference_config: InferenceConfig | None,
    *,
    kind: EndpointKind,
    service: str = "service",
    target: Target,
    build: bool = True,
    show_output: bool = False,
) -> Served:
    """Check models and inference config, build the environment where needed, store the code.

    Returns what a version of them serves.

    Parameters:
        workspace: the workspace.
        models: models, ids ``name:version``, names for the newest version, or, for a local web service, paths.
        inference_config: scoring script and environment; None for a model that is served without.
        kind: the kind of web service.
        service: its name.
        target: the compute target: a process needs its environment built, a container an image.
        build: False to say what would be served, without building anything.
        show_output: print the log of the build.

    """
    content, environment = content_of(workspace, models, inference_config, kind=kind, service=service, target=target)
    return built(workspace, content, environment, service=service, target=target, build=build, show_output=show_output)


def built(
    workspace: Workspace,
    content: Served,
    environment: Environment | None,
    *,
    service: str,
    target: Target,
    build: bool = True,
    show_output: bool = False,
) -> Served:
    """Return content with what it runs in, made where needed; for the rest see `what_is_served`."""
    if not target.runs_images:
        _print_image_without_effect(environment, target)
        return replace(content, interpreter=interpreter_of(environment, build=build, show_output=show_output))
    if content.code is None:
        return content
    image = image_for(
        workspace,
        service,
        code=content.code,
        models=content.models,
        environment=environment,
        build=build,
        show_output=show_output,
    )
    return content if image is None else replace(content, image=image.reference, image_id=image.id)


def content_of(
    workspace: Workspace,
    models: Sequence[Model | ModelReference | str] | None,
    inference_config: InferenceConfig | None,
    *,
    kind: EndpointKind,
    service: str,
    target: Target,
) -> tuple[Served, Environment | None]:
    """Return what is served without anything built, and the environment it needs; see `what_is_served`."""
    references = model_references(workspace, models, paths=kind is EndpointKind.LOCAL)
    if inference_config is None:
        return _without_script(workspace, references, target)
    return _with_script(workspace, references, inference_config, service)


def _with_script(
    workspace: Workspace, references: list[ModelReference], inference_config: InferenceConfig, service: str
) -> tuple[Served, Environment | None]:
    inference_config = checked_inference_config(inference_config)
    environment = inference_config.environment_for(service)
    script = None if inference_config.source_directory is None else inference_config.script_in_source
    served = Served(
        models=references,
        code=code_reference(workspace, inference_config.source_path, script),
        environment_variables={} if environment is None else environment.environment_variables,
        source=str(inference_config.source_path),
        description=inference_config.description,
    )
    return served, environment


def _without_script(
    workspace: Workspace, references: list[ModelReference], target: Target
) -> tuple[Served, Environment | None]:
    from mljupyter.core import no_code

    model = no_code.only_model(references)
    flavour = no_code.flavour_of(workspace, model)
    served = Served(
        models=references,
        code=no_code.script_for(workspace, flavour) if target.runs_images else None,
        no_code=flavour,
        resources=no_code.resources_of(workspace, model),
    )
    return served, no_code.environment_of(workspace, model, flavour, here=not target.runs_images)


def checked_inference_config(inference_config: InferenceConfig | None) -> InferenceConfig:
    """Return an inference config whose rules hold with the files as they are now.

    Raises:
        WebserviceException: when one does not; when there is no inference config.

    """
    if inference_config is None:
        raise WebserviceException(
            "inference_config is None: deploying a model without a scoring script is not available in this release.\n"
            "Give one: InferenceConfig('score.py'), where score.py defines init() and run(data)."
        )
    if not isinstance(inference_config, InferenceConfig):
        raise WebserviceException(
            f"inference_config is a {type(inference_config).__name__}: it must be an InferenceConfig."
        )
    inference_config.validate_configuration()
    return inference_config


def code_reference(workspace: Workspace, source: Path, script: str | None) -> CodeReference:
    """Store a source directory, or a script alone, and return the reference to it.

    Parameters:
        workspace: the workspace.
        source: absolute path of the directory, or of the script.
        script: the script's path in the directory; None when `source` is the script.

    """
    from mljupyter.build.project.script import check_script

    if script is None:
        check_script(source)
        return CodeReference(digest=single_file(source, workspace.artifacts).digest, entry_script=source.name)
    if not source.name:
        raise WebserviceException(f"source_directory is {str(source)!r}: give a directory below it.")
    check_script(source / script)
    artifact = snapshot(source, workspace.artifacts)
    return CodeReference(digest=artifact.digest, entry_script=f"{source.name}/{script}", source_directory=source.name)


def model_references(
    workspace: Workspace, models: Sequence[Model | ModelReference | str] | None, *, paths: bool
) -> list[ModelReference]:
    """Return references to models given in any of the ways that `Model.deploy` takes.

    Parameters:
        workspace: the workspace.
        models: see `what_is_served`.
        paths: whether a path to a file or directory will do, too.

    Raises:
        WebserviceException: `ModelNotFound` for what is not registered; when two would lie in the same place.

    """
    if isinstance(models, (Model, str)):
        models = [models]
    references = [_reference(workspace, model, paths=paths) for model in models or ()]
    seen: set[str] = set()
    for reference in references:
        if reference.id in seen:
            raise WebserviceException(f"Model {reference.id} is given twice: each model once.")
        seen.add(reference.id)
    return references


def print_without_effect(configuration: WebserviceDeploymentConfiguration, target: Target) -> None:
    """Print one line about arguments that mean nothing on this machine, if there are any."""
    given = configuration.given()
    if names := [name for name in given if name in target.ignored_arguments and given[name]]:
        print(f"Without effect on target {target.name!r}: {', '.join(names)}")


def print_configuration(
    models: Sequence[Model | str] | None,
    inference_config: InferenceConfig | None,
    deployment_config: WebserviceDeploymentConfiguration | None,
    deployment_target: ComputeTarget | str | None,
) -> None:
    """Print what is to be deployed, one line each, keys left out."""
    given = [models] if isinstance(models, (Model, str)) else list(models or ())
    ids = [model.id if isinstance(model, Model) else str(model) for model in given]
    target = getattr(deployment_target, "name", deployment_target) or default_name()
    print(f"Models: {', '.join(ids) or 'none'}")
    print(f"Inference config: {inference_config!r}")
    print(f"Deployment config: {deployment_config!r}")
    print(f"Deployment target: {target}")


def _wants_container(
    workspace: Workspace,
    service: str,
    inference_config: InferenceConfig,
    configuration: WebserviceDeploymentConfiguration | None,
) -> bool:
    """Whether a local web service is asked to run in a container: its environment has an image, and there is an engine.

    (Azure ML v1: LocalWebservice, which is a container always.)
    """
    if getattr(configuration, "kind", None) is not EndpointKind.LOCAL:
        return False
    environment = inference_config.environment_for(service)
    if environment is None or environment.docker.is_default:
        return False
    return image_target(workspace.context.targets).availability() is None


def _print_image_without_effect(environment: Environment | None, target: Target) -> None:
    if environment is not None and not (environment.python.user_managed_dependencies or environment.docker.is_default):
        print(f"Without effect on target {target.name!r}: the image of environment {environment.name!r}")


def _reference(workspace: Workspace, model: Model | ModelReference | str, *, paths: bool) -> ModelReference:
    if isinstance(model, ModelReference):
        return model
    if isinstance(model, Model):
        return model.reference
    if not isinstance(model, (str, Path)):
        raise WebserviceException(f"models: {model!r} is neither a Model nor an id such as 'diabetes-ridge:1'.")
    path = Path(model).expanduser()
    is_id = isinstance(model, str) and model.rpartition(":")[2].isdigit()
    if not is_id and path.exists():
        if not paths:
            raise WebserviceException(
                f"models: {str(model)!r} is a path, which only a local web service takes.\n"
                "Register it first: Model.register(ws, model_path=..., model_name=...)"
            )
        return _from_path(workspace, path.absolute())
    return Model(workspace, id=model).reference if is_id else Model(workspace, name=str(model)).reference


def _from_path(workspace: Workspace, path: Path) -> ModelReference:
    name = path.name[:_LONGEST_LOCAL_MODEL_NAME]
    MODEL.check(name)
    artifact = workspace.artifacts.put(path)
    return ModelReference(name=name, version=_LOCAL_MODEL_VERSION, digest=artifact.digest, entry=artifact.name)


def target_of(workspace: Workspace, target: ComputeTarget | str | None, configured: str | None = None) -> Target:
    """Return a compute target: the one given, the configuration's, or this machine."""
    if target is None:
        target = configured or default_name()
    if isinstance(target, str):
        return workspace.context.target(target)
    if not isinstance(target, ComputeTarget):
        raise WebserviceException(
            f"deployment_target is a {type(target).__name__}: it must be a compute target, such as "
            f"ws.compute_targets[{default_name()!r}], or None."
        )
    return workspace.context.target(target.name)


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return None
