"""`prepare`: the first step of a deployment. It checks a request and stores its files and models; nothing is built.

The result names all content by digest. Files that change afterwards change nothing: the prepared content is deployed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mljupyter.build.project.script import check_script
from mljupyter.build.project.snapshot import single_file, snapshot
from mljupyter.deploy import framework_serving
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.environments import ServingEnvironment, interpreter_of
from mljupyter.deploy.images.build_job import place_for
from mljupyter.deploy.images.served_image import expected_image, plan_for
from mljupyter.deploy.model_delivery import models_in_image, with_delivery
from mljupyter.exceptions import WebserviceException
from mljupyter.files import expanded
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import CodeReference, ModelReference
from mljupyter.spec.names import MODEL
from mljupyter.spec.version import ModelDelivery
from mljupyter.targets.base import Target
from mljupyter.workspace.context import WorkspaceContext

_LOCAL_MODEL_VERSION = 0
_LONGEST_LOCAL_MODEL_NAME = 30


@dataclass(frozen=True)
class ScriptSource:
    """The files of a scoring script.

    Parameters:
        path: the absolute path of the script, or of the directory that is deployed with it.
        script: the script's path in that directory; None when `path` is the script.

    """

    path: Path
    script: str | None = None


@dataclass(frozen=True)
class VersionRequest:
    """The request for one version of an endpoint.

    Parameters:
        models: references, ids ``name:version``, names (for the newest version), or paths.
        source: the scoring script; None if the model's framework serves it.
        environment: the script's environment; None for the interpreter that deploys.
        description: free text.
        model_delivery: ``mount`` or ``bake``; None for the default, by size.

    """

    models: Sequence[ModelReference | str | Path]
    source: ScriptSource | None = None
    environment: ServingEnvironment | None = None
    description: str | None = None
    model_delivery: ModelDelivery | None = None


@dataclass(frozen=True)
class Prepared:
    """One version whose content is stored.

    Parameters:
        content: its content; image or interpreter are missing if they must be built.
        environment: the environment to build.
        service: the name of its endpoint, under which an image is registered.
        target: the compute target.
        is_ready: whether nothing must be built.

    """

    content: VersionContent
    environment: ServingEnvironment | None
    service: str
    target: Target
    is_ready: bool = False

    def expected(self, context: WorkspaceContext) -> VersionContent:
        """Return the content with the image or interpreter that `build` will find or build.

        Raises:
            WebserviceException: a container needs an environment, and there is none.

        """
        if self.is_ready:
            return self.content
        if not self.target.runs_images:
            return replace(self.content, interpreter=interpreter_of(self.environment, build=False))
        if self.content.code is None:
            return self.content
        image = expected_image(
            context,
            self.service,
            plan_for(self.content.code, models_in_image(self.content), self.environment),
            place_for(context, self.target),
        )
        return replace(self.content, image=image.reference, image_id=image.id)


def prepare(
    context: WorkspaceContext, request: VersionRequest, *, service: str, target: Target, paths: bool = False
) -> Prepared:
    """Check a request, store its content, and return it.

    Call it inside ``context.artifacts.hold()``, and deploy before the hold ends or within an hour: garbage collection
    removes stored content that no endpoint uses.

    Parameters:
        context: the workspace.
        request: the version.
        service: the name of the endpoint.
        target: the compute target.
        paths: whether models may be given as paths to files and directories.

    Raises:
        WebserviceException: a model is not registered or given twice, the script cannot be read, or the model's
            framework needs a script.

    """
    models = model_references(context, request.models, paths=paths)
    if request.source is None:
        return _without_script(context, models, service, target, request.model_delivery)
    environment = request.environment
    content = VersionContent(
        code=code_reference(context.artifacts, request.source),
        models=models,
        environment_variables={} if environment is None else environment.variables,
        source=str(request.source.path),
        description=request.description,
    )
    return Prepared(with_delivery(context, content, target, request.model_delivery), environment, service, target)


def ready(content: VersionContent, service: str, target: Target) -> Prepared:
    """Return a prepared version for content that already has its image or interpreter."""
    return Prepared(content, None, service, target, is_ready=True)


def code_reference(artifacts: ArtifactStore, source: ScriptSource) -> CodeReference:
    """Store a source directory or a single script, and return the reference to it.

    Raises:
        WebserviceException: the script is not a Python file that can be read, or the directory has no name.

    """
    path, script = source.path, source.script
    if script is None:
        check_script(path)
        return CodeReference(digest=single_file(path, artifacts).digest, entry_script=path.name)
    if not path.name:
        raise WebserviceException(
            f"source_directory is {str(path)!r}: the root directory cannot be stored. Give the directory "
            "of your project."
        )
    check_script(path / script)
    artifact = snapshot(path, artifacts)
    return CodeReference(digest=artifact.digest, entry_script=f"{path.name}/{script}", source_directory=path.name)


def model_references(
    context: WorkspaceContext, models: Sequence[ModelReference | str | Path], *, paths: bool
) -> list[ModelReference]:
    """Return references to models, given in any form of a `VersionRequest`.

    Parameters:
        context: the workspace.
        models: the models.
        paths: whether a path to a file or directory is accepted; its content is stored.

    Raises:
        WebserviceException: `ModelNotFound` for a model that is not registered; a model is given twice.

    """
    references = [_reference(context, model, paths=paths) for model in models]
    seen: set[str] = set()
    for reference in references:
        if reference.id in seen:
            raise WebserviceException(f"Model {reference.id} is given twice: each model once.")
        seen.add(reference.id)
    return references


def _without_script(
    context: WorkspaceContext,
    models: list[ModelReference],
    service: str,
    target: Target,
    delivery: ModelDelivery | None,
) -> Prepared:
    model = framework_serving.only_model(models)
    flavour = framework_serving.flavour_of(context, model)
    content = VersionContent(
        models=models,
        code=framework_serving.script_for(context, flavour) if target.runs_images else None,
        no_code=flavour,
        resources=framework_serving.resources_of(context, model),
    )
    environment = framework_serving.environment_of(context, model, flavour, here=not target.runs_images)
    return Prepared(with_delivery(context, content, target, delivery), environment, service, target)


def _reference(context: WorkspaceContext, model: ModelReference | str | Path, *, paths: bool) -> ModelReference:
    if isinstance(model, ModelReference):
        return model
    if not isinstance(model, (str, Path)):
        raise WebserviceException(f"models: {model!r} is neither a Model nor an id such as 'diabetes-ridge:1'.")
    path = expanded(model)
    is_id = isinstance(model, str) and model.rpartition(":")[2].isdigit()
    if not is_id and path.exists():
        if not paths:
            raise WebserviceException(
                f"models: {str(model)!r} is a path, which only a local web service takes.\n"
                "Register it first: Model.register(ws, model_path=..., model_name=...)"
            )
        return _stored(context.artifacts, path.absolute())
    registered = context.registry.models
    record = registered.get_by_id(str(model)) if is_id else registered.get(str(model))
    return record.reference


def _stored(artifacts: ArtifactStore, path: Path) -> ModelReference:
    name = path.name[:_LONGEST_LOCAL_MODEL_NAME]
    MODEL.check(name)
    artifact = artifacts.put(path)
    return ModelReference(name=name, version=_LOCAL_MODEL_VERSION, digest=artifact.digest, entry=artifact.name)
