"""The factories of datasets: `Dataset.Tabular` and `Dataset.File`.

Azure: azureml.data.dataset_factory.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from mljupyter import core
from mljupyter.core.data.abstract_dataset import AbstractDataset
from mljupyter.core.data.data_reference import DataReference
from mljupyter.core.data.datapath import DataPath
from mljupyter.core.data.dataset_type_definitions import PromoteHeadersBehavior
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import DatasetValidationError, UserErrorException
from mljupyter.files import expanded
from mljupyter.tracking import data_files

if TYPE_CHECKING:
    import pandas as pd

    from mljupyter.core import Datastore, Workspace
    from mljupyter.core.data.file_dataset import FileDataset
    from mljupyter.core.data.tabular_dataset import TabularDataset

DataPaths: TypeAlias = "str | os.PathLike[str] | DataReference | DataPath | tuple[Datastore, str] | Sequence[Any]"


class DataType:
    """The type of a column, for `set_column_types`.

    Example:
        >>> types = {"Age": DataType.to_float(), "Born": DataType.to_datetime("%d.%m.%Y")}

    """

    def __init__(self, name: str, formats: Sequence[str] = ()) -> None:
        self.document = {"type": name, "formats": list(formats)}

    @staticmethod
    def to_string() -> DataType:
        """Return the type of texts."""
        return DataType("string")

    @staticmethod
    def to_long() -> DataType:
        """Return the type of whole numbers."""
        return DataType("long")

    @staticmethod
    def to_float(decimal_mark: str = ".") -> DataType:
        """Return the type of numbers."""
        if decimal_mark != ".":
            raise UserErrorException(f"decimal_mark is {decimal_mark!r}. Rule: '.'; convert the column with pandas.")
        return DataType("float")

    @staticmethod
    def to_bool() -> DataType:
        """Return the type of truth values: true, false, 1 and 0."""
        return DataType("boolean")

    @staticmethod
    def to_datetime(formats: str | Sequence[str] | None = None) -> DataType:
        """Return the type of times.

        Parameters:
            formats: the form of the times, such as ``%d.%m.%Y``; of a list only one is allowed.

        """
        given = [] if formats is None else [formats] if isinstance(formats, str) else list(formats)
        if len(given) > 1:
            raise UserErrorException(f"to_datetime has {len(given)} formats. Rule: one form for a column.")
        return DataType("datetime", given)


class TabularDatasetFactory:
    """Makes tabular datasets. Files are read when rows are asked for."""

    @staticmethod
    def from_delimited_files(
        path: DataPaths,
        validate: bool = True,
        include_path: bool = False,
        infer_column_types: bool = True,
        set_column_types: Mapping[str, DataType] | None = None,
        separator: str = ",",
        header: bool | PromoteHeadersBehavior = True,
        partition_format: str | None = None,
        support_multi_line: bool = False,
        empty_as_string: bool = False,
        encoding: str = "utf8",
    ) -> TabularDataset:
        """Return the dataset of files with one row in each line, such as CSV.

        Parameters:
            path: a file, a folder, a pattern or an http(s) URL; a path of a datastore; or a list of these.
            validate: check that the files exist.
            include_path: a first column ``Path`` has the path of each row's file.
            infer_column_types: read numbers, truth values and times as such; else all values are texts.
            set_column_types: the types of some columns.
            separator: between values. A line feed makes one text column of whole lines.
            header: whether and where the files have the names of the columns. Without names they are Column1, Column2
                and so on.
            partition_format: refused: folders are not read as columns.
            support_multi_line: without effect: values in quotes may always have several lines.
            empty_as_string: empty values are empty texts, not missing ones.
            encoding: of the files.

        Raises:
            DatasetValidationError: there is no such file.
            UserErrorException: a value breaks a rule.

        Example:
            >>> Dataset.Tabular.from_delimited_files((datastore, "weather/*.csv"), separator=";")     # doctest: +SKIP

        """
        options = {
            "format": "delimited",
            "separator": separator,
            "header": _header(header),
            "encoding": encoding,
            "inferTypes": bool(infer_column_types),
            "emptyAsString": bool(empty_as_string),
            "includePath": bool(include_path),
            "columnTypes": _types(set_column_types),
        }
        return _tabular(path, validate, partition_format, options)

    @staticmethod
    def from_parquet_files(
        path: DataPaths,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Mapping[str, DataType] | None = None,
        partition_format: str | None = None,
    ) -> TabularDataset:
        """Return the dataset of Parquet files. Parameters and errors are those of `from_delimited_files`."""
        options = {"format": "parquet", "includePath": bool(include_path), "columnTypes": _types(set_column_types)}
        return _tabular(path, validate, partition_format, options)

    @staticmethod
    def from_json_lines_files(
        path: DataPaths,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Mapping[str, DataType] | None = None,
        partition_format: str | None = None,
        invalid_lines: str = "error",
        encoding: str = "utf8",
    ) -> TabularDataset:
        """Return the dataset of files with one JSON object in each line.

        Parameters and errors are those of `from_delimited_files`; `invalid_lines` must be ``error``.
        """
        if invalid_lines != "error":
            raise UserErrorException(f"invalid_lines is {invalid_lines!r}. Rule: 'error': no line is left out.")
        options = {
            "format": "jsonLines",
            "encoding": encoding,
            "includePath": bool(include_path),
            "columnTypes": _types(set_column_types),
        }
        return _tabular(path, validate, partition_format, options)

    @staticmethod
    def from_sql_query(
        query: Any, validate: bool = True, set_column_types: Any = None, query_timeout: int = 30
    ) -> NoReturn:
        """Refuse: there are no datastores of databases.

        Raises:
            UserErrorException: always.

        """
        raise UserErrorException(
            "Dataset.Tabular.from_sql_query is not there: datastores here hold files.\nRead the rows with "
            "pandas.read_sql, and register them: Dataset.Tabular.register_pandas_dataframe(frame, datastore, 'name')"
        )

    @staticmethod
    def register_pandas_dataframe(
        dataframe: pd.DataFrame,
        target: Datastore | DataPath | tuple[Datastore, str],
        name: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        row_group_size: int | None = None,
        make_target_path_unique: bool = True,
        show_progress: bool = True,
    ) -> TabularDataset:
        """Store a table as a Parquet file in a datastore, and register it as the next version of a dataset.

        Parameters:
            dataframe: the table.
            target: the datastore, or a folder of it.
            name: the name of the dataset.
            description, tags: of this version.
            row_group_size: rows of a group in the file.
            make_target_path_unique: put the file into a new folder.
            show_progress: print a line for each file.

        """
        datastore, folder = _target(target)
        below = "/".join(filter(None, (folder.strip("/"), str(uuid.uuid4()) if make_target_path_unique else "")))
        with tempfile.TemporaryDirectory(prefix="mljupyter-") as place:
            file = Path(place, f"{name}.parquet")
            try:
                options: dict[str, Any] = {"row_group_size": row_group_size} if row_group_size else {}
                dataframe.to_parquet(path=file, index=False, **options)
            except ImportError as error:
                raise UserErrorException(f"Parquet files need a package: {str(error)[:200]}") from error
            datastore.upload_files([file], target_path=below, overwrite=True, show_progress=show_progress)
        path = f"{below}/{name}.parquet" if below else f"{name}.parquet"
        dataset = TabularDatasetFactory.from_parquet_files((datastore, path))
        return dataset.register(datastore.workspace, name, description, tags, create_new_version=True)


class FileDatasetFactory:
    """Makes file datasets."""

    @staticmethod
    def from_files(
        path: DataPaths, validate: bool = True, partition_format: str | None = None, is_file: bool = False
    ) -> FileDataset:
        """Return the dataset of files.

        Parameters:
            path: a file, a folder, a pattern or an http(s) URL; a path of a datastore; or a list of these.
            validate: check that the files exist.
            partition_format: refused: folders are not read as columns.
            is_file: without effect.

        Raises:
            DatasetValidationError: there is no such file.

        Example:
            >>> Dataset.File.from_files(path=["https://example.com/a.gz", "https://example.com/b.gz"])  # doctest: +SKIP

        """
        return _files(path, validate, partition_format, {})

    @staticmethod
    def upload_directory(
        src_dir: str | os.PathLike[str],
        target: Datastore | DataPath | tuple[Datastore, str],
        pattern: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> FileDataset:
        """Store the files of a local folder in a datastore, and return their dataset.

        Parameters:
            src_dir: the folder.
            target: the datastore, or a folder of it.
            pattern: only files whose names match, such as ``*.csv``.
            overwrite: replace files.
            show_progress: print a line for each file.

        Raises:
            UserErrorException: the folder does not exist, or no file matches.

        """
        datastore, below = _target(target)
        folder = expanded(src_dir)
        if not folder.is_dir():
            raise UserErrorException(f"{str(src_dir)!r} is not a folder: check the path.")
        files = sorted(path for path in folder.rglob(pattern or "*") if path.is_file())
        if not files:
            raise UserErrorException(f"No file in {str(src_dir)!r} matches {pattern or '*'!r}.")
        datastore.upload_files(
            files, relative_root=folder, target_path=below or None, overwrite=overwrite, show_progress=show_progress
        )
        return FileDatasetFactory.from_files((datastore, below))


def _tabular(path: DataPaths, validate: bool, partition_format: str | None, options: Any) -> TabularDataset:
    dataset: TabularDataset = _dataset("tabular", path, validate, partition_format, options)
    return dataset


def _files(path: DataPaths, validate: bool, partition_format: str | None, options: Any) -> FileDataset:
    dataset: FileDataset = _dataset("file", path, validate, partition_format, options)
    return dataset


def _dataset(
    kind: str, path: DataPaths, validate: bool, partition_format: str | None, options: Mapping[str, Any]
) -> Any:
    if partition_format is not None:
        raise UserErrorException(
            f"partition_format is {partition_format!r}: folders of paths are not read as columns here.\nLeave it out; "
            "include_path=True adds the path of each row."
        )
    sources, workspace = _sources(path)
    definition = {"kind": kind, "sources": sources, "options": dict(options), "steps": []}
    dataset = AbstractDataset.of(definition, workspace)
    if validate:
        try:
            data_files.find([source for source in sources if "url" not in source], dataset._store())
        except MLJupyterError as error:
            raise DatasetValidationError(error.message) from error
    return dataset


def _sources(path: Any) -> tuple[list[dict[str, Any]], Workspace | None]:
    """Return the documents of the sources, and the workspace of their datastores."""
    is_one = (
        not isinstance(path, Iterable)
        or isinstance(path, (str, os.PathLike, DataReference, DataPath, core.Datastore))
        or (isinstance(path, tuple) and len(path) == 2 and isinstance(path[0], core.Datastore))
    )
    found = [_source(one) for one in ([path] if is_one else path)]
    if not found:
        raise UserErrorException("path has no file: give a path, a URL, a path of a datastore, or a list of these.")
    return [source for source, _ in found], next((workspace for _, workspace in found if workspace is not None), None)


def _source(path: Any) -> tuple[dict[str, Any], Workspace | None]:
    if isinstance(path, core.Datastore):
        path = (path, "")
    if isinstance(path, tuple) and len(path) == 2 and isinstance(path[0], core.Datastore):
        path = DataPath(path[0], str(path[1] or ""))
    if isinstance(path, (DataReference, DataPath)):
        if path.datastore is None:
            raise UserErrorException("The DataPath has no datastore: DataPath(datastore, 'folder').")
        source = {"datastore": path.datastore.name, "path": path.path_on_datastore.replace("\\", "/").strip("/")}
        return source, path.datastore.workspace
    if not isinstance(path, (str, os.PathLike)):
        raise UserErrorException(
            f"path has a {type(path).__name__}. Rule: a path, a URL, or a path of a datastore such as "
            "(datastore, 'a.csv')."
        )
    text = os.fspath(path)
    if "://" in text and not text.startswith("file://"):
        return {"url": text}, None
    return {"path": str(expanded(text.removeprefix("file://")).absolute())}, None


def _target(target: Any) -> tuple[Datastore, str]:
    if isinstance(target, core.Datastore):
        return target, ""
    if isinstance(target, tuple) and len(target) == 2 and isinstance(target[0], core.Datastore):
        return target[0], str(target[1] or "")
    if isinstance(target, (DataPath, DataReference)) and target.datastore is not None:
        return target.datastore, target.path_on_datastore
    raise UserErrorException("target must be a datastore, or a folder of it such as (datastore, 'data').")


def _header(header: Any) -> int:
    if isinstance(header, bool):
        behavior = PromoteHeadersBehavior.ALL_FILES_HAVE_SAME_HEADERS if header else PromoteHeadersBehavior.NO_HEADERS
        return int(behavior.value)
    try:
        return int(PromoteHeadersBehavior(getattr(header, "value", header)).value)
    except ValueError:
        names = ", ".join(f"PromoteHeadersBehavior.{one.name}" for one in PromoteHeadersBehavior)
        raise UserErrorException(f"header is {header!r}. Rule: True, False, {names}.") from None


def _types(types: Mapping[str, DataType] | None) -> dict[str, Any]:
    if types is None:
        return {}
    if wrong := next((column for column, kind in types.items() if not isinstance(kind, DataType)), None):
        raise UserErrorException(f"set_column_types[{wrong!r}] is no DataType: use DataType.to_float() and others.")
    return {str(column): kind.document for column, kind in types.items()}
