"""Data for notebooks: datasets, their columns and filters, and references to paths of datastores.

Azure: azureml.data; names and rules are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mljupyter.lazy import lazy_names

if TYPE_CHECKING:
    from mljupyter.core.data.data_reference import DataReference
    from mljupyter.core.data.datapath import DataPath
    from mljupyter.core.data.dataset_consumption_config import DatasetConsumptionConfig
    from mljupyter.core.data.dataset_factory import DataType, FileDatasetFactory, TabularDatasetFactory
    from mljupyter.core.data.file_dataset import FileDataset
    from mljupyter.core.data.tabular_dataset import TabularDataset

_HOME_OF = {
    "DataPath": "datapath",
    "DataReference": "data_reference",
    "DataType": "dataset_factory",
    "DatasetConsumptionConfig": "dataset_consumption_config",
    "FileDataset": "file_dataset",
    "FileDatasetFactory": "dataset_factory",
    "TabularDataset": "tabular_dataset",
    "TabularDatasetFactory": "dataset_factory",
}

__all__ = [
    "DataPath",
    "DataReference",
    "DataType",
    "DatasetConsumptionConfig",
    "FileDataset",
    "FileDatasetFactory",
    "TabularDataset",
    "TabularDatasetFactory",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME_OF)
