"""Models: registration, download, deployment and profiling of registered models.

Azure: azureml.core.model.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter import core, deploy
from mljupyter.core.display import HtmlRepr, Rows, date_text, pairs
from mljupyter.core.filters import Filters, items
from mljupyter.core.inference import InferenceConfig
from mljupyter.core.payloads import payload_text
from mljupyter.core.resource_configuration import ResourceConfiguration
from mljupyter.engine.scaling.recommender import LEAST, MOST_CPU, MOST_MEMORY_GB
from mljupyter.exceptions import (
    ModelNotFoundException,
    UserErrorException,
    WebserviceException,
    as_webservice_exception,
)
from mljupyter.files import expanded
from mljupyter.outside import whole
from mljupyter.registry.errors import ModelNotFoundError
from mljupyter.sizes import readable_size
from mljupyter.spec import EndpointKind, ModelReference
from mljupyter.spec.names import SERVICE
from mljupyter.visible import one_line

if TYPE_CHECKING:
    from mljupyter.core import (
        ComputeTarget,
        ModelPackage,
        ModelProfile,
        Run,
        Webservice,
        WebserviceDeploymentConfiguration,
        Workspace,
    )
    from mljupyter.registry.catalog.model_record import ModelRecord

__all__ = ["InferenceConfig", "Model", "ModelPackage"]

APP_ROOT_VARIABLE = "AML_APP_ROOT"
MODELS_FOLDER = "azureml-models"
_LONGEST_PROFILE_SECONDS = 20 * 60


class Model(HtmlRepr):
    """A registered model: a file or a directory with a name and a version.

    Parameters:
        workspace: the workspace.
        name: the name; with `version` that version, else the newest that passes the other filters.
        id: ``name:version``, in place of both.
        tags, properties: a list of keys and of pairs of key and value.
        run_id, model_framework: of its registration.
        expand: without effect.

    Raises:
        WebserviceException: `ModelNotFound`: there is no such model.

    Azure: `expand` asks for all attributes. Here a model always has all of them.

    """

    class Framework:
        """Names of machine learning frameworks."""

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
        self.workspace: Workspace = workspace
        filters = {"tags": items(tags), "properties": items(properties), "run_id": run_id, "framework": model_framework}
        with as_webservice_exception():
            self.record: ModelRecord = _find(workspace, name, id, version, filters)

    @classmethod
    def from_record(cls, workspace: Workspace, record: ModelRecord) -> Model:
        """Return the object for a record of the registry.

        Parameters:
            workspace: the workspace.
            record: the record, as it was just read.

        """
        model = object.__new__(cls)
        model.workspace = workspace
        model.record = record
        return model

    @classmethod
    def from_reference(cls, workspace: Workspace, reference: ModelReference) -> Model:
        """Return the model that an endpoint refers to.

        A model that was deployed from a local path is not registered: it has version 0.

        Parameters:
            workspace: the workspace.
            reference: the reference in the endpoint's document.

        """
        try:
            return cls.from_record(workspace, workspace.registry.models.get_by_id(reference.id))
        except ModelNotFoundError:
            return cls.from_record(workspace, _unregistered(workspace, reference))

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
            model_path: the file or directory; a scoring script finds it under the same file name.
            model_name: 1 to 255 letters, digits, '-', '.' and '_'.
            tags, properties: dicts of text to text; tags can be changed later, properties can only be added.
            description: free text.
            datasets: pairs of scenario and dataset id.
            model_framework, model_framework_version: one of `Model.Framework`, and its version.
            child_paths: of a directory, only these files.
            sample_input_dataset, sample_output_dataset: dataset ids.
            resource_configuration: the recommended size of a replica.

        Raises:
            FileNotFoundError: `model_path` does not exist.
            WebserviceException: a value breaks a rule, a child path does not exist, or the disk is full.

        Example:
            >>> Model.register(ws, "model.pkl", "diabetes-ridge", tags={"area": "demo"})     # doctest: +SKIP

        """
        path = expanded(model_path)
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
                    sample_input_dataset=dataset_id(sample_input_dataset),
                    sample_output_dataset=dataset_id(sample_output_dataset),
                    resource_configuration=resource_configuration.serialize() if resource_configuration else None,
                    datasets=dataset_ids(datasets),
                )
            except FileNotFoundError as error:
                if child_paths is None or not path.exists():
                    raise
                raise WebserviceException(str(error)) from error
        return Model.from_record(workspace, record)

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
            name, run_id, model_framework: of their registration.
            tags, properties: a list of keys and of pairs of key and value.
            latest: only the newest version of each name.
            dataset_id: a dataset that they refer to.
            expand: without effect.
            page_count: 20 to 255; without effect, all models are always returned.

        Raises:
            WebserviceException: `page_count` is out of range.

        Azure: `page_count` is the number of models that one request to the cloud returns.

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
            Model.from_record(workspace, record)
            for record in records
            if dataset_id is None or any(dataset == dataset_id for _, dataset in record.datasets)
        ]

    @staticmethod
    def get_model_path(model_name: str, version: int | None = None, _workspace: Workspace | None = None) -> str:
        """Return the path of a model's file or directory, for a scoring script to load.

        In a replica it is the only entry of ``$AML_APP_ROOT/azureml-models/<name>/<version>/``, by default of the
        highest version. Elsewhere it is a file or directory of that name in the current directory.

        Parameters:
            model_name: the model's name.
            version: its version; None for the newest.
            _workspace: download the model from this workspace instead.

        Raises:
            ModelNotFoundException: the model is in neither place.

        """
        if _workspace is not None:
            model = Model(_workspace, model_name, version=version)
            return model.download(Path("azureml-models", model.name, str(model.version)), exist_ok=True)
        return _find_model_path(model_name, version)

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
        """Deploy models as a web service; return at once, while its replicas start.

        `Webservice.wait_for_deployment` waits until it is Healthy.

        Parameters:
            workspace: the workspace.
            name: the web service's name: 3 to 32 lower-case letters, digits and '-'; a letter first, no '-' last.
            models: models, or ids ``name:version``; for a local web service also paths. May be empty.
            inference_config: scoring script and environment. Without it the only model is served without a script:
                it must have the framework ScikitLearn, Onnx, TensorFlow or Multi, or be an MLflow directory, and it
                gets the size of its `resource_configuration`.
            deployment_config: kind and settings; None for an ACI web service with its defaults.
            deployment_target: the compute target; None for this machine. On this machine a local web service runs in a
                container if its environment has an image of its own and a Docker engine answers.
            overwrite: replace the web service of that name, if there is one; it serves until the new one does.
            show_output: print the arguments, and the progress of builds.

        Raises:
            WebserviceException: the name is taken, or a rule is broken. Later problems are raised by
                `wait_for_deployment`.

        Example:
            >>> config = AksWebservice.deploy_configuration(num_replicas=2)                     # doctest: +SKIP
            >>> service = Model.deploy(ws, "diabetes", [model], inference_config, config)       # doctest: +SKIP
            >>> service.wait_for_deployment(show_output=True)                                   # doctest: +SKIP

        """
        return core.deployment.deploy(
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
        """Build an image of models and a scoring script, or the build context for one; return at once.

        `ModelPackage.wait_for_creation` waits until the image is built.

        Parameters:
            workspace: the workspace.
            models: models, ids ``name:version``, or paths, which are registered first.
            inference_config: scoring script and environment.
            generate_dockerfile: create a directory with a Dockerfile instead of an image; `ModelPackage.save` writes
                it.
            image_name: the image's name; by default ``package``.
            image_label: its tag; by default the current time.

        Raises:
            WebserviceException: a rule is broken, or there is neither a Docker engine nor a container registry.

        Example:
            >>> package = Model.package(ws, [model], inference_config, generate_dockerfile=True)  # doctest: +SKIP
            >>> package.save("context")                                                           # doctest: +SKIP

        """
        return core.ModelPackage.create(
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
        """Print the arguments of a deployment, without keys."""
        core.deployment.print_configuration(models, inference_config, deployment_config, deployment_target)

    def download(
        self, target_dir: str | os.PathLike[str] = ".", exist_ok: bool = False, exists_ok: bool | None = None
    ) -> str:
        """Copy the model's file or directory into a directory and return the path of the copy.

        Parameters:
            target_dir: the directory; it is created if it does not exist.
            exist_ok: replace a file or directory of the same name.
            exists_ok: the older name of `exist_ok`.

        Raises:
            WebserviceException: there is a file or directory of the same name, and it may not be replaced.

        """
        target = expanded(target_dir) / self.record.entry
        replace = exist_ok if exists_ok is None else exists_ok
        if os.path.lexists(target) and not replace:
            raise WebserviceException(f"{target} exists already: pass exist_ok=True to replace it.")
        with as_webservice_exception():
            # Copies files: nothing that a notebook without this call must wait for.
            from mljupyter.registry.artifacts.download import download

            download(self.workspace.artifacts, self.record.artifact.digest, target)
        return str(target)

    @staticmethod
    def profile(
        workspace: Workspace,
        profile_name: str,
        models: Sequence[Model | str],
        inference_config: InferenceConfig,
        input_dataset: Any = None,
        cpu: float | None = None,
        memory_in_gb: float | None = None,
        description: str | None = None,
        *,
        input_data: str | Sequence[str] | None = None,
        seconds: float = 20.0,
        deployment_target: ComputeTarget | str | None = None,
    ) -> ModelProfile:
        """Measure the CPU and memory that models use under load, and recommend a size; return at once.

        The rows are sent to a temporary endpoint with one replica, named ``profile-...``: first one at a time, each row
        at least once, then enough concurrently that the replica is never idle. The endpoint is deleted at the end in
        any case. The script is stored before this returns, so that later changes of the file have no effect.

        Parameters:
            workspace: the workspace.
            profile_name: the profile's name: 3 to 32 lower-case letters, digits and '-'; a letter first, no '-' last.
            models, inference_config: as in `Model.deploy`.
            input_dataset: a data frame or dataset with one column of text: a request body in each row.
            input_data: instead, one request body or a list of them.
            cpu: cores that the replica may use, 0.1 to 3.5; by default 3.5.
            memory_in_gb: GB that it may use, 0.1 to 15; by default 15.
            description: free text.
            seconds: time to send requests for, up to 1200.
            deployment_target: the compute target; None for this machine.

        Raises:
            WebserviceException: a value breaks a rule. Later problems are raised by
                `ModelProfile.wait_for_completion`.

        Example:
            >>> profile = Model.profile(ws, "diabetes", [model], inference_config,               # doctest: +SKIP
            ...                         input_data='{"data": [[1, 2, 3]]}')
            >>> profile.wait_for_completion(show_output=True)                                     # doctest: +SKIP
            >>> profile.get_details()["latencyPercentile99InMs"]                                  # doctest: +SKIP

        """
        from mljupyter.targets.base import Needs  # with HTTP clients, which the names of the SDK do not need

        with as_webservice_exception():
            SERVICE.check(profile_name)
        if not isinstance(inference_config, InferenceConfig):
            raise WebserviceException(
                f"inference_config is a {type(inference_config).__name__}: it must be an InferenceConfig."
            )
        rows = deploy.profiling.input.bodies(input_dataset, input_data)
        size = {
            "cpu": _within("cpu", cpu, LEAST, MOST_CPU, MOST_CPU),
            "memory_in_gb": _within("memory_in_gb", memory_in_gb, LEAST, MOST_MEMORY_GB, MOST_MEMORY_GB),
            "seconds": _within("seconds", seconds, 0.1, _LONGEST_PROFILE_SECONDS, 20.0),
        }

        run = deploy.profiling.run
        endpoint, target = run.temporary_name(), core.deployment.target_of(workspace, deployment_target)
        settings = core.AksWebservice.deploy_configuration(
            **run.endpoint_arguments(
                profile_name, size["cpu"], size["memory_in_gb"], here=target.needs is not Needs.REGISTRY_IMAGE
            )
        )
        with as_webservice_exception(), workspace.artifacts.hold():
            core.deployment.check_settings(workspace, endpoint, settings, target)
            prepared = core.deployment.prepare_version(
                workspace, models, inference_config, kind=EndpointKind.AKS, service=endpoint, target=target
            )
        request = run.ProfileRequest(profile_name, endpoint, prepared, settings, rows, **size)
        return core.ModelProfile.start(workspace, request, description)

    def update(
        self,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
    ) -> None:
        """Change the attributes that are given.

        Parameters:
            tags: replace all tags.
            description, sample_input_dataset, sample_output_dataset, resource_configuration: as in `register`.

        Raises:
            WebserviceException: a value breaks a rule.

        """
        self._change(
            tags=tags,
            description=description,
            sample_input_dataset=dataset_id(sample_input_dataset),
            sample_output_dataset=dataset_id(sample_output_dataset),
            resource_configuration=resource_configuration.serialize() if resource_configuration else None,
        )

    def update_tags_properties(
        self,
        add_tags: Mapping[str, str] | None = None,
        remove_tags: Sequence[str] | None = None,
        add_properties: Mapping[str, str] | None = None,
    ) -> None:
        """Add and remove tags, and add properties.

        Raises:
            WebserviceException: a property exists already: properties do not change.

        """
        removed = [remove_tags] if isinstance(remove_tags, str) else remove_tags
        self._change(add_tags=add_tags, remove_tags=removed, add_properties=add_properties)

    def add_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags, or change the values of those that exist."""
        self.update_tags_properties(add_tags=tags)

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Remove tags by their keys; keys that do not exist are ignored."""
        self.update_tags_properties(remove_tags=tags)

    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add properties.

        Raises:
            WebserviceException: one exists already: properties do not change.

        """
        self.update_tags_properties(add_properties=properties)

    def add_dataset_references(self, datasets: Sequence[tuple[str, Any]]) -> None:
        """Add pairs of scenario and dataset id."""
        self._change(add_datasets=dataset_ids(datasets))

    def delete(self) -> None:
        """Delete the model.

        Raises:
            WebserviceException: a web service or an image uses it; `ModelNotFound`: it was deleted before.

        """
        with as_webservice_exception():
            deploy.leftovers.delete_model(self.workspace.context, self.id)

    def _change(self, **changes: Any) -> None:
        with as_webservice_exception():
            self.record = self.workspace.registry.models.update(self.id, **changes)

    @property
    def id(self) -> str:
        """``name:version``."""
        return self.record.id

    @property
    def name(self) -> str:
        """The name."""
        return self.record.name

    @property
    def version(self) -> int:
        """The version; 0 for a local path that is not registered."""
        return self.record.version

    @property
    def reference(self) -> ModelReference:
        """The reference to the model in the documents of endpoints."""
        return self.record.reference

    @property
    def description(self) -> str | None:
        """The description."""
        return self.record.description

    @property
    def tags(self) -> dict[str, str]:
        """The tags, a copy."""
        return dict(self.record.tags)

    @property
    def properties(self) -> dict[str, str]:
        """The properties, a copy."""
        return dict(self.record.properties)

    @property
    def created_by(self) -> str:
        """The user who registered it."""
        return self.record.created_by

    @property
    def created_time(self) -> datetime:
        """The time of its registration, in UTC."""
        return self.record.created_time

    @property
    def model_framework(self) -> str | None:
        """The framework."""
        return self.record.framework

    @property
    def model_framework_version(self) -> str | None:
        """The framework's version."""
        return self.record.framework_version

    @property
    def resource_configuration(self) -> ResourceConfiguration | None:
        """The recommended size of a replica."""
        return ResourceConfiguration.deserialize(self.record.resource_configuration)

    @property
    def sample_input_dataset(self) -> str | None:
        """The id of a dataset with sample input."""
        return self.record.sample_input_dataset

    @property
    def sample_output_dataset(self) -> str | None:
        """The id of a dataset with sample output."""
        return self.record.sample_output_dataset

    @property
    def datasets(self) -> dict[str, builtins.list[str]]:
        """The ids of its datasets, by scenario."""
        found: dict[str, builtins.list[str]] = {}
        for scenario, dataset in self.record.datasets:
            found.setdefault(scenario, []).append(dataset)
        return found

    @property
    def run_id(self) -> str | None:
        """The id of the run that created it."""
        return self.record.run_id

    @property
    def experiment_name(self) -> str | None:
        """The name of the experiment of its run."""
        return self.record.experiment_name

    @property
    def url(self) -> str:
        """The digest of its content in the workspace's artifact store."""
        return self.record.artifact.digest

    @property
    def unpack(self) -> bool:
        """True if it is a directory."""
        return self.record.artifact.kind == "directory"

    @staticmethod
    def deserialize(workspace: Workspace, model_payload: Mapping[str, Any]) -> Model:
        """Return the model that `serialize` has described.

        Parameters:
            workspace: the workspace.
            model_payload: the JSON types of `serialize`.

        Raises:
            WebserviceException: `ModelNotFound`: there is no such model here; the payload has no id.

        Example:
            >>> Model.deserialize(ws, model.serialize())     # doctest: +SKIP

        """
        return Model(workspace, id=payload_text(model_payload, "id", "a model"))

    def get_sas_urls(self) -> dict[str, str]:
        """Return a URL for each file of the model, to read it without the SDK.

        For an object store the URLs are signed for an hour. For a directory they are files of this machine: read them,
        and never write to them.

        Raises:
            WebserviceException: the object store signs no URLs.

        Example:
            >>> model.get_sas_urls()     # doctest: +SKIP
            {'model.pkl': 'file:///home/ana/.mljupyter/workspaces/team/artifacts/blobs/d5/d583...'}

        """
        with as_webservice_exception():
            urls = self.workspace.artifacts.urls(self.url)
            return {f"{self.record.entry}/{path}" if path else self.record.entry: url for path, url in urls.items()}

    @property
    def run(self) -> Run | None:
        """The run that created it; None if no run of this workspace did."""
        if self.run_id is None:
            return None
        try:
            return core.Run.get(self.workspace, self.run_id)
        except UserErrorException:
            return None

    def serialize(self) -> dict[str, Any]:
        """Return all attributes as JSON types."""
        resources = self.resource_configuration
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "tags": self.tags,
            "properties": self.properties,
            "createdBy": self.created_by,
            "createdTime": self.created_time.isoformat(),
            "framework": self.model_framework,
            "frameworkVersion": self.model_framework_version,
            "resourceConfiguration": resources.serialize() if resources else None,
            "sampleInputDatasetId": self.sample_input_dataset,
            "sampleOutputDatasetId": self.sample_output_dataset,
            "datasets": self.datasets,
            "runId": self.run_id,
            "experimentName": self.experiment_name,
            "url": self.url,
            "unpack": self.unpack,
        }

    def _summary(self) -> Rows:
        return [
            ("Name", self.name),
            ("Version", str(self.version)),
            ("Framework", self.record.shown_framework),
            ("Description", self.description),
            ("Tags", pairs(self.tags)),
            ("Properties", pairs(self.properties)),
            ("Size", readable_size(self.record.artifact.size)),
            ("Created", date_text(self.created_time)),
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name}, id={self.id})"


def _find(
    workspace: Workspace, name: str | None, model_id: str | None, version: int | None, filters: dict[str, Any]
) -> ModelRecord:
    """Return the newest record that has this name, id and version and passes the filters.

    Raises:
        ModelNotFoundError: there is no model of this name, id or version.
        WebserviceException: `ModelNotFound`: no model passes the filters; nothing is given.

    """
    models = workspace.registry.models
    if model_id is not None:
        record = models.get_by_id(model_id)
        name, version = record.name, record.version
    elif name is not None and not any(filters.values()):
        return models.get(name, version)
    if name is None and not any(filters.values()):
        raise WebserviceException("Model() needs a name, an id or another filter.")
    found = [record for record in models.list(name, **filters) if version in (None, record.version)]
    if not found:
        raise WebserviceException(f"ModelNotFound: no model {name or model_id or ''!r} passes the filters.")
    return found[0] if name is not None else max(found, key=lambda record: record.created_time)


def _unregistered(workspace: Workspace, reference: ModelReference) -> ModelRecord:
    """Return a record for a model that was deployed from a local path and is not registered; its version is 0."""
    # The registry, which is open already where there is a workspace.
    from mljupyter.registry.artifacts.store import Artifact
    from mljupyter.registry.catalog.model_record import ModelRecord

    return ModelRecord(
        id=reference.id,
        name=reference.name,
        version=reference.version,
        artifact=Artifact(reference.digest, "file", workspace.artifacts.size(reference.digest), reference.entry),
        description=None,
        tags={},
        properties={},
        framework=None,
        framework_version=None,
        sample_input_dataset=None,
        sample_output_dataset=None,
        resource_configuration=None,
        created_by="",
        created_time=datetime.now(UTC),
        run_id=None,
        experiment_name=None,
        datasets=[],
    )


def dataset_id(dataset: Any) -> str | None:
    """Return the id of a dataset given as an object or as an id."""
    return None if dataset is None else str(getattr(dataset, "id", dataset))


def dataset_ids(datasets: Sequence[tuple[str, Any]] | None) -> list[tuple[str, str]] | None:
    """Return pairs of scenario and dataset id."""
    if datasets is None:
        return None
    return [(str(scenario), str(dataset_id(dataset))) for scenario, dataset in datasets]


def _find_model_path(model_name: str, version: int | None = None) -> str:
    """Return the path of a model's file or directory; see `Model.get_model_path`."""
    root = os.environ.get(APP_ROOT_VARIABLE)
    base = Path(root or ".") / MODELS_FOLDER / model_name
    if base.is_dir():
        return str(_only_entry(base / str(_newest_version(base) if version is None else version)))
    here = Path(model_name)
    if here.exists():
        return str(here)
    looked = f"{base} nor in {Path.cwd()}" if root else f"{Path.cwd()}"
    raise ModelNotFoundException(
        f"ModelNotFound: there is no model {model_name!r} in {looked}.\n"
        "In a notebook, fetch a registered model: Model(ws, name).download()"
    )


def _newest_version(base: Path) -> int:
    versions = [number for entry in base.iterdir() if (number := whole(entry.name)) is not None]
    if not versions:
        raise ModelNotFoundException(f"ModelNotFound: {base} holds no version of the model.")
    return max(versions)


def _only_entry(directory: Path) -> Path:
    entries = sorted(directory.iterdir()) if directory.is_dir() else []
    if len(entries) != 1:
        found = ", ".join(entry.name for entry in entries) or "nothing"
        raise ModelNotFoundException(f"ModelNotFound: {directory} must hold one file or directory; it holds {found}.")
    return entries[0]


def _within(name: str, value: float | None, low: float, high: float, default: float) -> float:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise WebserviceException(f"{name} is {value!r}: it must be a number from {low:g} to {high:g}.")
    return float(value)


def __getattr__(name: str) -> Any:
    """Return `ModelPackage`, which notebooks for Azure ML import from this module."""
    if name != "ModelPackage":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return core.ModelPackage
