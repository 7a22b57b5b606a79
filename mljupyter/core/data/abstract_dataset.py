"""The common part of tabular datasets and file datasets: registration, versions, and steps.

Azure: azureml.data.abstract_dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from mljupyter import core
from mljupyter.core.data.dataset_consumption_config import DatasetConsumptionConfig
from mljupyter.core.display import HtmlRepr, Rows, pairs
from mljupyter.exceptions import UserErrorException, as_user_error
from mljupyter.outside import whole
from mljupyter.tracking import data_files, steps

if TYPE_CHECKING:
    from mljupyter.core import Workspace
    from mljupyter.tracking.data_files import DataFile
    from mljupyter.tracking.datasets import DatasetRecord
    from mljupyter.tracking.datastores import Datastores


class AbstractDataset(HtmlRepr):
    """A definition of data: where its files are, how they are read, and which rows or files remain.

    It is made by `Dataset.Tabular` or `Dataset.File`, and is never changed: `take` and others return a new one.
    """

    _kinds: ClassVar[dict[str, type[AbstractDataset]]] = {}
    kind: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register a class for the datasets of its kind."""
        super().__init_subclass__(**kwargs)
        AbstractDataset._kinds[cls.kind] = cls

    def __init__(self) -> None:
        raise UserErrorException(
            "A dataset is made by Dataset.Tabular or Dataset.File, such as "
            "Dataset.Tabular.from_delimited_files('iris.csv')."
        )

    @classmethod
    def of(
        cls, definition: Mapping[str, Any], workspace: Workspace | None = None, record: DatasetRecord | None = None
    ) -> Any:
        """Return the dataset of a definition.

        Parameters:
            definition: the document.
            workspace: the workspace of its datastores, if it has any.
            record: of the registered version.

        """
        if definition["kind"] not in AbstractDataset._kinds:
            core.Dataset  # noqa: B018 - its module brings all kinds
        dataset = object.__new__(AbstractDataset._kinds[definition["kind"]])
        dataset._definition = dict(definition)
        dataset._workspace = workspace
        dataset._record = record
        return dataset

    _definition: dict[str, Any]
    _workspace: Workspace | None
    _record: DatasetRecord | None

    @staticmethod
    def get_by_name(workspace: Workspace, name: str, version: int | str = "latest") -> Any:
        """Return a registered dataset.

        Parameters:
            workspace: the workspace.
            name: the name.
            version: its number; by default the newest.

        Raises:
            UserErrorException: `DatasetNotFound`: there is none.

        Example:
            >>> Dataset.get_by_name(ws, "titanic", version=2)     # doctest: +SKIP

        """
        number = None if version is None or version == "latest" else whole(str(version))
        if number is None and version not in (None, "latest"):
            raise UserErrorException(f"version is {version!r}. Rule: a number from 1, or 'latest'.")
        with as_user_error():
            record = workspace.context.tracking.datasets.get(name, number)
        return AbstractDataset.of(record.definition, workspace, record)

    @staticmethod
    def get_by_id(workspace: Workspace, id: str) -> Any:  # noqa: A002 - the name of the original
        """Return a registered dataset by its id.

        Raises:
            UserErrorException: `DatasetNotFound`: there is none.

        """
        with as_user_error():
            record = workspace.context.tracking.datasets.get_by_id(id)
        return AbstractDataset.of(record.definition, workspace, record)

    @staticmethod
    def get_all(workspace: Workspace) -> dict[str, Any]:
        """Return the newest version of each registered dataset, by name."""
        with as_user_error():
            records = workspace.context.tracking.datasets.list()
        return {record.name: AbstractDataset.of(record.definition, workspace, record) for record in records}

    def register(
        self,
        workspace: Workspace,
        name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        create_new_version: bool = False,
    ) -> Self:
        """Register the dataset under a name, and return the registered version. The data stays where it is.

        Parameters:
            workspace: the workspace.
            name: 1 to 255 letters, digits, '-', '_', '.' and spaces.
            description, tags: of this version.
            create_new_version: register the next version if the name exists. Data that is registered under the name
                already gets no further version.

        Raises:
            UserErrorException: the name breaks the rule, or exists for other data.

        Example:
            >>> dataset.register(ws, "titanic", create_new_version=True)     # doctest: +SKIP

        """
        with as_user_error():
            record = workspace.context.tracking.datasets.register(
                name, self._definition, description=description, tags=tags, create_new_version=create_new_version
            )
        registered: Self = AbstractDataset.of(record.definition, workspace, record)
        return registered

    def unregister_all_versions(self) -> None:
        """Forget all versions of the dataset's name; the data stays.

        Raises:
            UserErrorException: the dataset is not registered.

        """
        workspace, record = self._registered()
        with as_user_error():
            workspace.context.tracking.datasets.unregister(record.name)
        self._record = None

    def update(self, description: str | None = None, tags: Mapping[str, str] | None = None) -> Self:
        """Change description and tags of this version, and return the dataset. `tags` replaces all tags."""
        return self._changed(description=description, tags=tags)

    def add_tags(self, tags: Mapping[str, str] | None = None) -> Self:
        """Add tags, or change the values of those that exist, and return the dataset."""
        return self._changed(add_tags=tags)

    def remove_tags(self, tags: Sequence[str] | None = None) -> Self:
        """Remove tags by their keys, and return the dataset."""
        return self._changed(remove_tags=tags)

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """Return the dataset as a named input of a submitted script."""
        return DatasetConsumptionConfig(name, self)

    def take(self, count: int) -> Self:
        """Return the dataset of the first rows or files.

        Raises:
            UserErrorException: the count is not a whole number from 0.

        """
        with as_user_error():
            return self._with(steps.take(count))

    def skip(self, count: int) -> Self:
        """Return the dataset without the first rows or files."""
        with as_user_error():
            return self._with(steps.skip(count))

    def take_sample(self, probability: float, seed: int | None = None) -> Self:
        """Return the dataset of a random sample.

        Parameters:
            probability: of each row or file, between 0 and 1.
            seed: the same seed gives the same sample.

        """
        with as_user_error():
            return self._with(steps.sample(probability, seed))

    def random_split(self, percentage: float, seed: int | None = None) -> tuple[Self, Self]:
        """Return two datasets that have each row or file exactly once.

        Parameters:
            percentage: about this share, between 0 and 1, is in the first one.
            seed: the same seed gives the same split.

        Raises:
            UserErrorException: the percentage is not between 0 and 1.

        Example:
            >>> train, test = dataset.random_split(0.8, seed=1)     # doctest: +SKIP

        """
        with as_user_error():
            first, second = steps.split(percentage, seed)
        return self._with(first), self._with(second)

    @property
    def id(self) -> str | None:
        """The id of the registered version; None for a dataset that is not registered."""
        return self._record.id if self._record is not None else None

    @property
    def name(self) -> str | None:
        """The registered name."""
        return self._record.name if self._record is not None else None

    @property
    def version(self) -> int | None:
        """The registered version."""
        return self._record.version if self._record is not None else None

    @property
    def description(self) -> str | None:
        """The description."""
        return self._record.description if self._record is not None else None

    @property
    def tags(self) -> dict[str, str]:
        """The tags, a copy."""
        return dict(self._record.tags) if self._record is not None else {}

    @property
    def data_changed_time(self) -> datetime | None:
        """The time of the registration of this version: the files themselves are not watched."""
        return self._record.created_time if self._record is not None else None

    @property
    def partition_keys(self) -> list[str]:
        """An empty list: the folders of paths are not read as columns."""
        return []

    def document(self) -> dict[str, Any]:
        """Return the definition with the id of the registered version, as JSON types."""
        return {**self._definition, **({"id": self.id} if self.id is not None else {})}

    def local_path(self, folder: Path, *, copy: bool = False) -> str:
        """Return a local path of the data: its own place, or copies in a folder.

        Parameters:
            folder: the folder for copies.
            copy: make copies also of files on this machine.

        Raises:
            UserErrorException: the data cannot be read.

        """
        with as_user_error():
            place = data_files.local_folder(self._definition["sources"], self._store())
            if place is not None and not copy and not self._definition["steps"]:
                return str(place)
            data_files.bring(self._files(), folder)
        return str(folder)

    def _files(self) -> Sequence[DataFile]:
        return data_files.find(self._definition["sources"], self._store())

    def _store(self) -> Datastores:
        """Return the datastores of the workspace.

        Files at URLs and local files need none: then the datastores are those of no workspace, and never asked.
        """
        if self._workspace is not None:
            datastores: Datastores = self._workspace.context.tracking.datastores
            return datastores
        if any("datastore" in source for source in self._definition["sources"]):
            raise UserErrorException("The dataset has files of a datastore, but no workspace: take it by get_by_name.")
        return cast("Datastores", _NO_DATASTORES)

    def _with(self, step: Mapping[str, Any]) -> Self:
        definition = {**self._definition, "steps": [*self._definition["steps"], dict(step)]}
        changed: Self = AbstractDataset.of(definition, self._workspace)
        return changed

    def _registered(self) -> tuple[Workspace, DatasetRecord]:
        if self._record is None or self._workspace is None:
            raise UserErrorException("The dataset is not registered: dataset.register(ws, name) returns one that is.")
        return self._workspace, self._record

    def _changed(self, **changes: Any) -> Self:
        workspace, record = self._registered()
        with as_user_error():
            self._record = workspace.context.tracking.datasets.change(record.id, **changes)
        return self

    def _summary(self) -> Rows:
        return [
            ("Name", self.name),
            ("Version", str(self.version) if self.version is not None else None),
            ("Sources", ", ".join(_shown(source) for source in self._definition["sources"])),
            ("Description", self.description),
            ("Tags", pairs(self.tags)),
        ]

    def __repr__(self) -> str:
        sources = ", ".join(_shown(source) for source in self._definition["sources"])
        named = f"name={self.name}, version={self.version}, " if self.name is not None else ""
        return f"{type(self).__name__}({named}source=[{sources}])"


class _NoDatastores:
    """The datastores of a dataset without a workspace."""

    def files(self, name: str) -> Any:
        raise UserErrorException(f"There is no workspace with a datastore {name!r} here.")


_NO_DATASTORES = _NoDatastores()


def _shown(source: Mapping[str, Any]) -> str:
    if "url" in source:
        return str(source["url"]).partition("?")[0]  # the query may be a signature that grants access
    return f"({source['datastore']!r}, {source['path']!r})" if "datastore" in source else str(source["path"])
