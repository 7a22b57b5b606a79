"""TabularDataset: rows and columns of files.

Azure: azureml.data.tabular_dataset.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mljupyter.core.data.abstract_dataset import AbstractDataset
from mljupyter.core.data.expression import Expression
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import AzureMLException, DatasetExecutionError, UserErrorException
from mljupyter.tracking import tables_of_files

if TYPE_CHECKING:
    import pandas as pd

    from mljupyter.core.data.file_dataset import FileDataset


class TabularDataset(AbstractDataset):
    """Rows and columns of files, read with pandas when they are asked for.

    Example:
        >>> dataset = Dataset.Tabular.from_delimited_files("titanic.csv")     # doctest: +SKIP
        >>> dataset.keep_columns(["Age", "Fare"]).take(10).to_pandas_dataframe()     # doctest: +SKIP

    """

    kind = "tabular"

    def to_pandas_dataframe(self, on_error: str = "null", out_of_range_datetime: str = "null") -> pd.DataFrame:
        """Return all rows.

        Parameters:
            on_error, out_of_range_datetime: without effect: pandas decides.

        Raises:
            DatasetExecutionError: a file is missing or cannot be read, a column does not exist, or pandas is not
                installed.

        """
        try:
            return tables_of_files.read(self._files(), self._definition["options"], self._definition["steps"])
        except AzureMLException:
            raise
        except MLJupyterError as error:
            raise DatasetExecutionError(error.message) from error

    def keep_columns(self, columns: str | Sequence[str], validate: bool = False) -> Self:
        """Return the dataset with only these columns, in this order.

        Parameters:
            columns: one or more names.
            validate: check now that they exist.

        Raises:
            DatasetExecutionError: with `validate`, one does not exist.

        """
        return self._with_columns("keep", columns, validate)

    def drop_columns(self, columns: str | Sequence[str]) -> Self:
        """Return the dataset without these columns."""
        return self._with_columns("drop", columns, False)

    def filter(self, expression: Expression) -> Self:
        """Return the dataset of the rows for which a condition holds.

        Parameters:
            expression: a condition on columns, such as ``(dataset["Age"] > 30) & (dataset["Sex"] == "female")``.

        Raises:
            UserErrorException: it is no condition.

        """
        if not isinstance(expression, Expression):
            raise UserErrorException("filter() needs a condition on columns, such as dataset['Age'] > 30.")
        return self._with({"step": "filter", "condition": expression.document})

    def __getitem__(self, column: str) -> Expression:
        """Return a column for `filter`."""
        return Expression.column(column)

    def to_csv_files(self, separator: str = ",") -> FileDataset:
        """Return a file dataset of one file with all rows, as text with separators.

        Parameters:
            separator: between the values.

        """
        folder = Path(tempfile.mkdtemp(prefix="mljupyter-dataset-"))
        self.to_pandas_dataframe().to_csv(folder / "part-00000.csv", sep=separator, index=False)
        return _files_in(folder)

    def to_parquet_files(self) -> FileDataset:
        """Return a file dataset of one Parquet file with all rows."""
        folder = Path(tempfile.mkdtemp(prefix="mljupyter-dataset-"))
        self.to_pandas_dataframe().to_parquet(folder / "part-00000.parquet", index=False)
        return _files_in(folder)

    def local_path(self, folder: Path, *, copy: bool = False) -> str:
        """Refuse: rows have no path.

        Raises:
            UserErrorException: always.

        """
        raise UserErrorException(
            "A tabular dataset has no path: as_mount() and as_download() are for Dataset.File.\nIn the script, read "
            "Run.get_context().input_datasets[NAME].to_pandas_dataframe()."
        )

    def _with_columns(self, step: str, columns: str | Sequence[str], validate: bool) -> Self:
        names = [columns] if isinstance(columns, str) else list(columns)
        changed = self._with({"step": step, "columns": [str(name) for name in names]})
        if validate:
            changed.take(1).to_pandas_dataframe()
        return changed


def _files_in(folder: Path) -> FileDataset:
    definition = {"kind": "file", "sources": [{"path": str(folder)}], "options": {}, "steps": []}
    dataset: FileDataset = AbstractDataset.of(definition)
    return dataset
