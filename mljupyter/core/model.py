"""Registered models (Azure ML v1: Model)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.core.changed_model import ChangedModel
from mljupyter.core.filters import Filters, items
from mljupyter.core.inference import InferenceConfig
from mljupyter.core.model_lookup import dataset_id as id_of_dataset
from mljupyter.core.model_lookup import dataset_ids, find, unregistered
from mljupyter.core.model_path import find_model_path
from mljupyter.core.profiled_model import ProfiledModel
from mljupyter.core.resource_configuration import ResourceConfiguration
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.registry.artifacts.download import download
from mljupyter.spec import ModelReference
from mljupyter.visible import one_line

if TYPE_CHECKING:
    from mljupyter.core.compute import ComputeTarget
    from mljupyter.core.model_package import ModelPackage
    from mljupyter.core.webservice import Webservice
    from mljupyter.core.webservice.configuration import WebserviceDeploymentConfiguration
    from mljupyter.core.workspace import Workspace
    from mljupyter.registry.catalog.model_record import ModelRecord

__all__ = ["InferenceConfig", "Model", "ModelPackage"]


class Model(ProfiledModel, ChangedModel):
    """A registered model: a file or a directory with a name and a version.

    Parameters:
        workspace: the workspace.
        name: the name; with `version` that version, else the newest that passes the other filters.
        id: ``name:version``, in place of both.
        tags, properties: a list of keys and of pairs of key and value.
        run_id, model_framework: what it was registered with.
        expand: as in Azure ML; a model is always shown in full.

    Raises:
        WebserviceException: `ModelNotFound` when there is none.

    """

    class Framework:
        """Names of frameworks."""

        CUSTOM = "Custom"
        TENSORFLOW = "TensorFlow"
        SCIKITLEARN = "ScikitLearn"
        ONNX = "Onnx"
        TFKERAS = "TfKeras"
        PYTORCH = "PyTorch"
        MULTI = "Multi"

    def __init__(
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - the name of the original
        tags: Filters = None,
        properties: Filters = None,
        version: int | None = None,
        run_id: str | None = None,
        model_framework: str | None = None,
        expand: bool = True,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(f"Model() got unexpected arguments: {', '.join(sorted(kwargs))}")
        self.workspace = workspace
        filters = {"tags": items(tags), "properties": items(properties), "run_id": run_id, "framework": model_framework}
        with as_webservice_exception():
            self._record = find(workspace, name, id, version, filters)

    @classmethod
    def _of(cls, workspace: Workspace, record: ModelRecord) -> Model:
        """Return the object for a record that was just read."""
        model = object.__new__(cls)
        model.workspace = workspace
        model._record = record
        return model

    @classmethod
    def _referenced(cls, workspace: Workspace, reference: ModelReference) -> Model:
        """Return the model that an endpoint refers to; one from a local path is not registered and has version 0."""
        from mljupyter.registry.errors import ModelNotFoundError

        try:
            return cls._of(workspace, workspace.registry.models.get_by_id(reference.id))
        except ModelNotFoundError:
            return cls._of(workspace, unregistered(workspace, reference))

    @staticmethod
    def register(
        workspace: Workspace,
        model_path: str | os.PathLike[str],
        model_name: str,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        description: str | None = None,
        datasets: Sequence[tuple[str, Any]] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        child_paths: Sequence[str | os.PathLike[str]] | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
    ) -> Model:
        """Register a file or a directory as the next version of a model, and return it.

        Parameters:
            workspace: the workspace.
            model_path: the file or directory; a scoring script finds it under its own name.
            model_name: 1 to 255 letters, digits, '-', '.' and '_'.
            tags, properties: text to text; tags can be changed later, properties only added.
            description: free text.
            datasets: pairs of scenario and dataset id.
            model_framework, model_framework_version: one of `Model.Framework`, and its version.
            child_paths: of a directory, only these files.
            sample_input_dataset, sample_output_dataset: dataset ids.
            resource_configuration: the size that a replica of it wants.

        Raises:
            FileNotFoundError: when `model_path` does not exist.
            WebserviceException: when a value breaks a rule, a child path does not exist, or there is no room.

        Example:
            >>> Model.register(ws, "model.pkl", "diabetes-ridge", tags={"area": "demo"})     # doctest: +SKIP

        """
        path = Path(model_path).expanduser()
        print(f"Registering model {one_line(str(model_name))}")
        with as_webservice_exception():
            try:
                record = workspace.registry.models.register(
                    model_name,
                    path,
                    child_paths=[Path(child) for child in child_paths] if child_paths is not None else None,
                    description=description,
                    tags=tags,
                    properties=properties,
                    framework=model_framework,
                    framework_version=model_framework_version,
                    sample_input_dataset=id_of_dataset(sample_input_dataset),
                    sample_output_dataset=id_of_dataset(sample_output_dataset),
                    resource_configuration=resource_configuration.serialize() if resource_configuration else None,
                    datasets=dataset_ids(datasets),
                )
            except FileNotFoundError as error:
                if child_paths is None or not path.exists():
                    raise
                raise WebserviceException(str(error)) from error
        return Model._of(workspace, record)

    @staticmethod
    def list(
        workspace: Workspace,
        name: str | None = None,
        tags: Filters = None,
        properties: Filters = None,
        run_id: str | None = None,
        latest: bool = False,
        dataset_id: str | None = None,
        expand: bool = True,
        page_count: int = 255,
        model_framework: str | None = None,
    ) -> Sequence[Model]:
        """Return the registered models that pass all filters, by name, newest version first.

        Parameters:
            workspace: the workspace.
            name, run_id, model_framework: what they were registered with.
            tags, properties: a list of keys and of pairs of key and value.
            latest: only the newest version of each name.
            dataset_id: a dataset that they refer to.
            expand: as in Azure ML; models are always shown in full.
            page_count: 20 to 255, as in Azure ML; all are returned in any case.

        Raises:
            WebserviceException: when `page_count` is out of range.

        """
        if not 20 <= page_count <= 255:
            raise WebserviceException(f"page_count is {page_count!r}: it must be from 20 to 255.")
        with as_webservice_exception():
            records = workspace.registry.models.list(
                name,
                tags=items(tags),
                properties=items(properties),
                run_id=run_id,
                framework=model_framework,
                latest=latest,
            )
        return [
            Model._of(workspace, record)
            for record in records
            if dataset_id is None or any(dataset == dataset_id for _, dataset in record.datasets)
        ]

    @staticmethod
    def get_model_path(model_name: str, version: int | None = None, _workspace: Workspace | None = None) -> str:
        """Return the path of a model's file or directory: what a scoring script loads.

        In a replica it is the only entry of ``$AML_APP_ROOT/azureml-models/<name>/<version>/``, by default of the
        highest version; elsewhere a file or directory of that name in the current directory.

        Parameters:
            model_name: the model's name.
            version: its version; None for the newest.
            _workspace: download the model from here instead.

        Raises:
            ModelNotFoundException: when it is in neither place.

        """
        if _workspace is not None:
            model = Model(_workspace, model_name, version=version)
            return model.download(Path("azureml-models", model.name, str(model.version)), exist_ok=True)
        return find_model_path(model_name, version)

    @staticmethod
    def deploy(
        workspace: Workspace,
        name: str,
        models: Sequence[Model | str],
        inference_config: InferenceConfig | None = None,
        deployment_config: WebserviceDeploymentConfiguration | None = None,
        deployment_target: ComputeTarget | str | None = None,
        overwrite: bool = False,
        show_output: bool = False,
    ) -> Webservice:
        """Deploy models as a web service; returns at once, `wait_for_deployment` waits.

        Parameters:
            workspace: the workspace.
            name: the web service's name: 3 to 32 lower-case letters, digits and '-'; a letter first, no '-' last.
            models: models, or ids ``name:version``; for a local web service also paths. May be empty.
            inference_config: scoring script and environment. None serves the only model without a script, if it was
                registered with the framework ScikitLearn, Onnx, TensorFlow or Multi, or is an MLflow directory; it
                gets the size that it was registered with.
            deployment_config: kind and settings; None for an ACI web service with its defaults.
            deployment_target: where to; None for this machine. There a local web service whose environment has an
                image of its own runs in a container, if a Docker engine answers.
            overwrite: take the place of a web service of that name, which serves until the new one does.
            show_output: print what is deployed.

        Raises:
            WebserviceException: when the name is taken or a rule is broken; what happens later is told by
                `wait_for_deployment`.

        Example:
            >>> config = AksWebservice.deploy_configuration(num_replicas=2)                     # doctest: +SKIP
            >>> service = Model.deploy(ws, "diabetes", [model], inference_config, config)       # doctest: +SKIP
            >>> service.wait_for_deployment(show_output=True)                                   # doctest: +SKIP

        """
        from mljupyter.core import deployment

        return deployment.deploy(
            workspace,
            name,
            models,
            inference_config,
            deployment_config,
            deployment_target,
            overwrite=overwrite,
            show_output=show_output,
        )

    @staticmethod
    def package(
        workspace: Workspace,
        models: Sequence[Model | str],
        inference_config: InferenceConfig | None = None,
        generate_dockerfile: bool = False,
        image_name: str | None = None,
        image_label: str | None = None,
    ) -> ModelPackage:
        """Make an image of models and a scoring script, or the directory that one is built of.

        Returns at once; `ModelPackage.wait_for_creation` waits.

        Parameters:
            workspace: the workspace.
            models: models, ids ``name:version``, or paths, which are registered first.
            inference_config: scoring script and environment.
            generate_dockerfile: no image but a directory with a Dockerfile, which `ModelPackage.save` writes.
            image_name: the image's name; by default ``package``.
            image_label: its tag; by default the present time.

        Raises:
            WebserviceException: when a rule is broken, or nothing here can build images.

        Example:
            >>> package = Model.package(ws, [model], inference_config, generate_dockerfile=True)  # doctest: +SKIP
            >>> package.save("context")                                                           # doctest: +SKIP

        """
        from mljupyter.core import model_package

        return model_package.package(
            workspace,
            models,
            inference_config,
            generate_dockerfile=generate_dockerfile,
            image_name=image_name,
            image_label=image_label,
        )

    @staticmethod
    def print_configuration(
        models: Sequence[Model | str],
        inference_config: InferenceConfig | None,
        deployment_config: WebserviceDeploymentConfiguration | None,
        deployment_target: ComputeTarget | str | None,
    ) -> None:
        """Print what would be deployed, keys left out."""
        from mljupyter.core import deployment

        deployment.print_configuration(models, inference_config, deployment_config, deployment_target)

    def download(
        self, target_dir: str | os.PathLike[str] = ".", exist_ok: bool = False, exists_ok: bool | None = None
    ) -> str:
        """Copy the model's file or directory into a directory and return the path of the copy.

        Parameters:
            target_dir: the directory; it is made if need be.
            exist_ok: replace what is there under that name.
            exists_ok: the older name of `exist_ok`.

        Raises:
            WebserviceException: when there is something of that name, unless it may be replaced.

        """
        target = Path(target_dir).expanduser() / self._record.entry
        replace = exist_ok if exists_ok is None else exists_ok
        if os.path.lexists(target) and not replace:
            raise WebserviceException(f"{target} exists already: pass exist_ok=True to replace it.")
        with as_webservice_exception():
            download(self.workspace.artifacts, self._record.artifact.digest, target)
        return str(target)


def __getattr__(name: str) -> Any:
    """Import what old notebooks import from here and is seldom needed."""
    if name != "ModelPackage":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mljupyter.core.model_package import ModelPackage

    return ModelPackage
