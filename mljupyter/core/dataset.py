"""Dataset: the entry to tabular datasets and file datasets.

Azure: azureml.core.dataset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter.core.data.abstract_dataset import AbstractDataset
from mljupyter.core.data.dataset_factory import FileDatasetFactory, TabularDatasetFactory
from mljupyter.core.data.file_dataset import FileDataset
from mljupyter.core.data.tabular_dataset import TabularDataset

if TYPE_CHECKING:
    from mljupyter.core import Workspace

__all__ = ["Dataset", "FileDataset", "TabularDataset"]


class Dataset:
    """The entry to datasets: `Dataset.Tabular` and `Dataset.File` make them, `get_by_name` finds registered ones.

    Example:
        >>> dataset = Dataset.Tabular.from_delimited_files("titanic.csv")     # doctest: +SKIP
        >>> dataset = dataset.register(ws, "titanic")                         # doctest: +SKIP
        >>> Dataset.get_by_name(ws, "titanic").to_pandas_dataframe()          # doctest: +SKIP

    """

    Tabular = TabularDatasetFactory
    File = FileDatasetFactory

    class Scenario:
        """The use of a dataset by a model, for `Model.register` and `Model.add_dataset_references`."""

        TRAINING = "training"
        VALIDATION = "validation"
        INFERENCING = "inferencing"
        MONITORING = "monitoring"

    @staticmethod
    def get_by_name(workspace: Workspace, name: str, version: int | str = "latest") -> Any:
        """Return a registered dataset.

        Parameters:
            workspace: the workspace.
            name: the name.
            version: its number; by default the newest.

        Raises:
            UserErrorException: `DatasetNotFound`: there is none.

        """
        return AbstractDataset.get_by_name(workspace, name, version)

    @staticmethod
    def get_by_id(workspace: Workspace, id: str) -> Any:  # noqa: A002 - the name of the original
        """Return a registered dataset by its id.

        Raises:
            UserErrorException: `DatasetNotFound`: there is none.

        """
        return AbstractDataset.get_by_id(workspace, id)

    @staticmethod
    def get_all(workspace: Workspace) -> dict[str, Any]:
        """Return the newest version of each registered dataset, by name."""
        return AbstractDataset.get_all(workspace)
