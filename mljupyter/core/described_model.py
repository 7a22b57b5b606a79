"""What a registered model shows of itself: its attributes (Azure ML v1: Model)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from mljupyter.core.resource_configuration import ResourceConfiguration
from mljupyter.core.rich import Rich, Rows, pairs
from mljupyter.spec import ModelReference

if TYPE_CHECKING:
    from mljupyter.registry.catalog.model_record import ModelRecord


class DescribedModel(Rich):
    """The attributes of a registered model."""

    _record: ModelRecord

    @property
    def id(self) -> str:
        """``name:version``."""
        return self._record.id

    @property
    def name(self) -> str:
        """The name."""
        return self._record.name

    @property
    def version(self) -> int:
        """The version; 0 for a local path that is not registered."""
        return self._record.version

    @property
    def reference(self) -> ModelReference:
        """The model as specs refer to it."""
        return self._record.reference

    @property
    def description(self) -> str | None:
        """The description."""
        return self._record.description

    @property
    def tags(self) -> dict[str, str]:
        """Tags, a copy."""
        return dict(self._record.tags)

    @property
    def properties(self) -> dict[str, str]:
        """Properties, a copy."""
        return dict(self._record.properties)

    @property
    def created_by(self) -> str:
        """The user who registered it."""
        return self._record.created_by

    @property
    def created_time(self) -> datetime:
        """When it was registered, in UTC."""
        return self._record.created_time

    @property
    def model_framework(self) -> str | None:
        """The framework."""
        return self._record.framework

    @property
    def model_framework_version(self) -> str | None:
        """The framework's version."""
        return self._record.framework_version

    @property
    def resource_configuration(self) -> ResourceConfiguration | None:
        """The size that a replica of it wants."""
        return ResourceConfiguration.deserialize(self._record.resource_configuration)

    @property
    def sample_input_dataset(self) -> str | None:
        """Id of a dataset with sample input."""
        return self._record.sample_input_dataset

    @property
    def sample_output_dataset(self) -> str | None:
        """Id of a dataset with sample output."""
        return self._record.sample_output_dataset

    @property
    def datasets(self) -> dict[str, list[str]]:
        """Ids of datasets, by scenario."""
        found: dict[str, list[str]] = {}
        for scenario, dataset in self._record.datasets:
            found.setdefault(scenario, []).append(dataset)
        return found

    @property
    def run_id(self) -> str | None:
        """The run that made it."""
        return self._record.run_id

    @property
    def experiment_name(self) -> str | None:
        """The experiment that its run belongs to."""
        return self._record.experiment_name

    @property
    def url(self) -> str:
        """Where its content is: the digest in the workspace's artifact store."""
        return self._record.artifact.digest

    @property
    def unpack(self) -> bool:
        """Whether it is a directory."""
        return self._record.artifact.kind == "directory"

    def serialize(self) -> dict[str, Any]:
        """Return all that is known as JSON types."""
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
        framework = " ".join(filter(None, (self.model_framework, self.model_framework_version)))
        return [
            ("Name", self.name),
            ("Version", str(self.version)),
            ("Framework", framework),
            ("Description", self.description),
            ("Tags", pairs(self.tags)),
            ("Properties", pairs(self.properties)),
        ]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name}, id={self.id})"
