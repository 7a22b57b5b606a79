"""Sources of rows: tables in memory, CSV and Parquet files, and directories of them, read in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from packaging.version import Version

from mljupyter.engine.requests.encoder import EncodingError, is_table, json_value, row_count, rows_of, some_rows
from mljupyter.exceptions import UserErrorException
from mljupyter.files import expanded

SUFFIXES = (".csv", ".parquet")
_EXACT_PANDAS = Version("3.1")  # reads every digit of a number without being asked
_SCAN_ROWS = 50_000


class Source(Protocol):
    """Rows in order."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    def parts(self, size: int) -> Iterator[list[Any]]:
        """Yield the rows as JSON values, at most `size` at a time.

        Raises:
            EncodingError: a value has no exact form in JSON; the message names the row of the whole input.

        """

    def place(self, row: int) -> str:
        """Return where a row is: ``row 7``, or ``row 7 of b.csv``; both numbers begin at 0."""


class _File(Protocol):
    """A file with rows."""

    path: Path

    @property
    def rows(self) -> int:
        """The number of rows."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns; none for an empty file."""

    def tables(self, size: int) -> Iterator[Any]:
        """Yield the rows as tables, at most `size` rows at a time."""


def source_of(data: Any, *, by_name: bool = False) -> Source:
    """Return the source for data.

    Parameters:
        data: a table (`engine.requests.encoder.is_table`), a list of rows, or the path of a file or directory.
        by_name: write rows as objects with the names of columns; see `rows_of`.

    Raises:
        UserErrorException: it is none of these, or the path cannot be read.

    """
    if is_table(data):
        return _Table(data, by_name)
    if isinstance(data, list):
        return _List(data)
    if not isinstance(data, (str, PathLike)):
        raise UserErrorException(
            f"A {type(data).__name__} has no rows that can be sent in parts.\n"
            "Give a DataFrame, an array, a list of rows, or the path of a CSV or Parquet file, or a directory of them."
        )
    path = expanded(data)
    if not path.exists():
        raise UserErrorException(f"{str(path)!r} does not exist.")
    files = sorted(item for item in path.iterdir() if item.suffix in SUFFIXES) if path.is_dir() else [path]
    if not files or any(file.suffix not in SUFFIXES for file in files):
        raise UserErrorException(f"{str(path)!r} is no file that can be sent in parts. Rule: {' or '.join(SUFFIXES)}.")
    return _Files([_Csv(file) if file.suffix == ".csv" else _Parquet(file) for file in files], by_name)


@dataclass(frozen=True)
class _Table:
    table: Any
    by_name: bool

    @property
    def rows(self) -> int:
        return row_count(self.table)

    def parts(self, size: int) -> Iterator[list[Any]]:
        if self.rows <= size:
            yield _encoded(self.table, self.by_name, self.place, 0)
            return
        for start in range(0, self.rows, size):
            yield _encoded(some_rows(self.table, start, start + size), self.by_name, self.place, start)

    def place(self, row: int) -> str:
        return f"row {row}"


@dataclass(frozen=True)
class _List:
    items: list[Any]

    @property
    def rows(self) -> int:
        return len(self.items)

    def parts(self, size: int) -> Iterator[list[Any]]:
        for start in range(0, len(self.items), size):
            yield [self._value(row) for row in range(start, min(start + size, len(self.items)))]

    def place(self, row: int) -> str:
        return f"row {row}"

    def _value(self, row: int) -> Any:
        try:
            return json_value(self.items[row])
        except EncodingError as error:
            raise EncodingError(f"{self.place(row)}: {error.message}") from None
        except RecursionError:
            raise EncodingError(f"{self.place(row)}: it is circular, or nested too deep") from None


class _Files:
    """Files, one after the other. A column of CSV files has one type in all of them.

    Raises:
        UserErrorException: rows go without names, and the files have not the same columns in the same order.

    """

    def __init__(self, files: list[_File], by_name: bool) -> None:
        self._files = files
        self._by_name = by_name
        if not by_name:
            _check_columns(files)
        tables = [file for file in files if isinstance(file, _Csv)]
        for file in tables:
            file.beside = tables

    @cached_property
    def rows(self) -> int:
        return sum(file.rows for file in self._files)

    def parts(self, size: int) -> Iterator[list[Any]]:
        start = 0
        for file in self._files:
            for table in file.tables(size):
                yield _encoded(table, self._by_name, self.place, start)
                start += row_count(table)

    def place(self, row: int) -> str:
        for file in self._files:
            if row < file.rows:
                return f"row {row} of {file.path.name}"
            row -= file.rows
        return f"row {row} after the last file"


def _check_columns(files: list[_File]) -> None:
    """Refuse files whose columns differ: rows without names would be taken for those of other columns."""
    known = [file for file in files if file.columns]
    for file in known[1:]:
        first = known[0]
        for place, (name, expected) in enumerate(zip_longest(file.columns, first.columns)):
            if name != expected:
                raise UserErrorException(
                    f"Column {place} of {str(file.path)!r} is {_column(name)}, and that of {first.path.name!r} is "
                    f"{_column(expected)}.\n"
                    "The endpoint takes rows without names, so all files must have the same columns in the same order."
                )


def _column(name: str | None) -> str:
    return "missing" if name is None else repr(name[:60])


def _encoded(table: Any, by_name: bool, place: Callable[[int], str], start: int) -> list[Any]:
    """Return the rows of a table, whose first one has the number `start`; an error names the place of the row."""
    try:
        return rows_of(table, by_name=by_name)
    except EncodingError as error:
        found, message = 0, error.message
        rows = row_count(table)
        while rows > 1:  # the half with the first row that has no form, until it is a single one
            half = rows // 2
            part = some_rows(table, 0, half)
            try:
                rows_of(part, by_name=by_name)
            except EncodingError as inner:
                table, rows, message = part, half, inner.message
            else:
                table, rows, found = some_rows(table, half, rows), rows - half, found + half
        try:
            rows_of(table, by_name=by_name)
        except EncodingError as inner:
            message = inner.message
        raise EncodingError(f"{place(start + found)}: {message.replace('row 0: ', '', 1)}") from None


class _Parquet:
    """A Parquet file; only one part of it is in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            import pyarrow.parquet  # type: ignore[import-untyped]
        except ImportError:
            raise UserErrorException(
                f"{str(path)!r}: Parquet needs the package pyarrow: %pip install pyarrow"
            ) from None
        try:
            self._file = pyarrow.parquet.ParquetFile(path)
        except (OSError, ValueError) as error:
            raise UserErrorException(f"{str(path)!r} cannot be read: {error}") from None

    @property
    def rows(self) -> int:
        return int(self._file.metadata.num_rows)

    @property
    def columns(self) -> list[str]:
        return [str(name) for name in self._file.schema_arrow.names]

    def tables(self, size: int) -> Iterator[Any]:
        try:
            yield from self._file.iter_batches(batch_size=size)
        except (OSError, ValueError) as error:
            raise UserErrorException(f"{str(self.path)!r} cannot be read: {error}") from None


class _Csv:
    """A CSV file with a header. Each column has one type, that of all its values, so that parts do not differ.

    Whole numbers stay whole beside empty cells, and floating-point numbers keep every digit. A column that is numeric
    in some parts only is text in all of them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.beside = [self]  # the files whose columns have the same types

    @property
    def rows(self) -> int:
        return self.scanned[0]

    @cached_property
    def columns(self) -> list[str]:
        return next((list(chunk.columns) for chunk in self._read(1, None)), [])

    def tables(self, size: int) -> Iterator[Any]:
        kinds: dict[str, set[str]] = {}
        for file in self.beside:
            for name, found in file.scanned[1].items():
                kinds.setdefault(name, set()).update(found)
        own = self.scanned[1]
        return self._read(size, {name: _common(found) for name, found in kinds.items() if name in own})

    @cached_property
    def scanned(self) -> tuple[int, dict[str, set[str]]]:
        """The number of rows, and the types of each column in the parts of the file."""
        rows = 0
        kinds: dict[str, set[str]] = {}
        for chunk in self._read(_SCAN_ROWS, None):
            rows += len(chunk)
            for name in chunk.columns:
                if not chunk[name].isna().all():
                    kinds.setdefault(name, set()).add(str(chunk[name].dtype))
        return rows, kinds

    def _read(self, size: int, kinds: dict[str, Any] | None) -> Iterator[Any]:
        try:
            import pandas as pd
        except ImportError:
            raise UserErrorException(f"{str(self.path)!r}: CSV needs the package pandas: %pip install pandas") from None
        exact: Any = {"float_precision": "round_trip"} if Version(pd.__version__) < _EXACT_PANDAS else {}
        try:
            yield from pd.read_csv(
                self.path,
                chunksize=size,
                dtype=kinds,
                dtype_backend="numpy_nullable",
                low_memory=False,
                **exact,
            )
        except pd.errors.EmptyDataError:
            return
        except (OSError, ValueError) as error:
            raise UserErrorException(f"{str(self.path)!r} cannot be read: {error}") from None


def _common(kinds: set[str]) -> str:
    """Return the type of a column whose parts have these types.

    Example:
        >>> _common({"Int64"}), _common({"Int64", "Float64"}), _common({"Int64", "string"})
        ('Int64', 'Float64', 'string')

    """
    if len(kinds) == 1:
        return next(iter(kinds))
    return "Float64" if kinds == {"Int64", "Float64"} else "string"
