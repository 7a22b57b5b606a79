"""Change a registered model, or delete it (Azure ML v1: Model)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.core.described_model import DescribedModel
from mljupyter.core.model_lookup import dataset_id as id_of_dataset
from mljupyter.core.model_lookup import dataset_ids
from mljupyter.core.resource_configuration import ResourceConfiguration
from mljupyter.deploy.references import release_by_the_gone
from mljupyter.exceptions import as_webservice_exception

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace


class ChangedModel(DescribedModel):
    """What of a model changes what is registered."""

    workspace: Workspace

    def update(
        self,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
    ) -> None:
        """Change what is given.

        Parameters:
            tags: in place of all tags.
            description, sample_input_dataset, sample_output_dataset, resource_configuration: as in `register`.

        Raises:
            WebserviceException: when a value breaks a rule.

        """
        self._change(
            tags=tags,
            description=description,
            sample_input_dataset=id_of_dataset(sample_input_dataset),
            sample_output_dataset=id_of_dataset(sample_output_dataset),
            resource_configuration=resource_configuration.serialize() if resource_configuration else None,
        )

    def update_tags_properties(
        self,
        add_tags: Mapping[str, str] | None = None,
        remove_tags: Sequence[str] | None = None,
        add_properties: Mapping[str, str] | None = None,
    ) -> None:
        """Add and remove tags, add properties.

        Raises:
            WebserviceException: when a property exists already: properties do not change.

        """
        removed = [remove_tags] if isinstance(remove_tags, str) else remove_tags
        self._change(add_tags=add_tags, remove_tags=removed, add_properties=add_properties)

    def add_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags, or change the values of those that exist."""
        self.update_tags_properties(add_tags=tags)

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Remove tags by their keys; those that do not exist are passed over."""
        self.update_tags_properties(remove_tags=tags)

    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add properties.

        Raises:
            WebserviceException: when one exists already: properties do not change.

        """
        self.update_tags_properties(add_properties=properties)

    def add_dataset_references(self, datasets: Sequence[tuple[str, Any]]) -> None:
        """Add pairs of scenario and dataset id."""
        self._change(add_datasets=dataset_ids(datasets))

    def delete(self) -> None:
        """Delete the model.

        Raises:
            WebserviceException: while a web service uses it; `ModelNotFound` when it is gone already.

        """
        from mljupyter.registry.errors import ModelInUseError

        models = self.workspace.registry.models
        with as_webservice_exception():
            try:
                models.delete(self.id)
            except ModelInUseError as error:
                release_by_the_gone(self.workspace.context, error.holders)
                models.delete(self.id)

    def _change(self, **changes: Any) -> None:
        with as_webservice_exception():
            self._record = self.workspace.registry.models.update(self.id, **changes)
