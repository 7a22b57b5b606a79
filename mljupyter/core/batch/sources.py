"""Sources of rows: tables in memory, CSV and Parquet files, and directories of them, read in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from packaging.version import Version

from mljupyter.engine.requests.encoder import is_table, row_count, rows_of, some_rows
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
        """Yield the rows as JSON values, at most `size` at a time."""


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
    return _Files([_Csv(file, by_name) if file.suffix == ".csv" else _Parquet(file, by_name) for file in files])


@dataclass(frozen=True)
class _Table:
    table: Any
    by_name: bool

    @property
    def rows(self) -> int:
        return row_count(self.table)

    def parts(self, size: int) -> Iterator[list[Any]]:
        if self.rows <= size:
            yield rows_of(self.table, by_name=self.by_name)
            return
        for start in range(0, self.rows, size):
            yield rows_of(some_rows(self.table, start, start + size), by_name=self.by_name)


@dataclass(frozen=True)
class _List:
    items: list[Any]

    @property
    def rows(self) -> int:
        return len(self.items)

    def parts(self, size: int) -> Iterator[list[Any]]:
        for start in range(0, len(self.items), size):
            yield self.items[start : start + size]


@dataclass(frozen=True)
class _Files:
    files: list[Source]

    @cached_property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def parts(self, size: int) -> Iterator[list[Any]]:
        for file in self.files:
            yield from file.parts(size)


class _Parquet:
    """A Parquet file; only one part of it is in memory."""

    def __init__(self, path: Path, by_name: bool) -> None:
        self._by_name = by_name
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

    def parts(self, size: int) -> Iterator[list[Any]]:
        for batch in self._file.iter_batches(batch_size=size):
            yield rows_of(batch, by_name=self._by_name)


class _Csv:
    """A CSV file with a header. Each column has one type, that of all its values, so that parts do not differ.

    Whole numbers stay whole beside empty cells, and floating-point numbers keep every digit. A column that is numeric
    in some parts only is text in all of them.
    """

    def __init__(self, path: Path, by_name: bool) -> None:
        self._path = path
        self._by_name = by_name

    @property
    def rows(self) -> int:
        return self._scanned[0]

    def parts(self, size: int) -> Iterator[list[Any]]:
        for chunk in self._read(size, self._scanned[1]):
            yield rows_of(chunk, by_name=self._by_name)

    @cached_property
    def _scanned(self) -> tuple[int, dict[str, Any]]:
        """The number of rows, and the type of each column."""
        rows = 0
        kinds: dict[str, set[str]] = {}
        for chunk in self._read(_SCAN_ROWS, None):
            rows += len(chunk)
            for name in chunk.columns:
                if not chunk[name].isna().all():
                    kinds.setdefault(name, set()).add(str(chunk[name].dtype))
        return rows, {name: _common(found) for name, found in kinds.items()}

    def _read(self, size: int, kinds: dict[str, Any] | None) -> Iterator[Any]:
        try:
            import pandas as pd
        except ImportError:
            raise UserErrorException(
                f"{str(self._path)!r}: CSV needs the package pandas: %pip install pandas"
            ) from None
        exact: Any = {"float_precision": "round_trip"} if Version(pd.__version__) < _EXACT_PANDAS else {}
        try:
            yield from pd.read_csv(
                self._path,
                chunksize=size,
                dtype=kinds,
                dtype_backend="numpy_nullable",
                low_memory=False,
                **exact,
            )
        except pd.errors.EmptyDataError:
            return
        except (OSError, ValueError) as error:
            raise UserErrorException(f"{str(self._path)!r} cannot be read: {error}") from None


def _common(kinds: set[str]) -> str:
    """Return the type of a column whose parts have these types.

    Example:
        >>> _common({"Int64"}), _common({"Int64", "Float64"}), _common({"Int64", "string"})
        ('Int64', 'Float64', 'string')

    """
    if len(kinds) == 1:
        return next(iter(kinds))
    return "Float64" if kinds == {"Int64", "Float64"} else "string"
