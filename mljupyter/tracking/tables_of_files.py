"""Read the files of a tabular dataset into a pandas DataFrame, and apply its steps."""

from __future__ import annotations

import operator
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.tracking import data_files
from mljupyter.tracking.data_files import DataFile
from mljupyter.tracking.errors import DataError
from mljupyter.tracking.steps import Step, kept

if TYPE_CHECKING:
    import pandas as pd

DELIMITED, PARQUET, JSON_LINES = "delimited", "parquet", "jsonLines"
NO_HEADERS, FIRST_FILE, COMBINED, SAME_HEADERS = range(4)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "&": operator.and_,
    "|": operator.or_,
}


def read(files: Sequence[DataFile], options: Mapping[str, Any], steps: Sequence[Step]) -> pd.DataFrame:
    """Return all rows of the files after the steps.

    Parameters:
        files: the files, in their order.
        options: their format, and how they are read.
        steps: the steps of the dataset.

    Raises:
        DataError: a file cannot be read, a column does not exist, or pandas is not installed.

    """
    pandas = _pandas()
    frames = []
    with tempfile.TemporaryDirectory(prefix="mljupyter-") as folder:
        for number, file in enumerate(files):
            path = data_files.readable(file, Path(folder))
            frame = _frame(pandas, path, file, number, options)
            if options.get("includePath"):
                frame.insert(0, "Path", f"/{file.relative}")
            frames.append(frame)
    frame = frames[0] if len(frames) == 1 else pandas.concat(frames, ignore_index=True)
    _set_types(pandas, frame, options)
    return applied(frame, steps)


def applied(frame: pd.DataFrame, steps: Sequence[Step]) -> pd.DataFrame:
    """Return a table after the steps, with rows numbered from 0.

    Raises:
        DataError: a column does not exist.

    """
    for step in steps:
        if step["step"] in ("keep", "drop"):
            names = _known(frame, step["columns"])
            frame = frame[names] if step["step"] == "keep" else frame.drop(columns=names)
        elif step["step"] == "filter":
            frame = frame[_value(frame, step["condition"])].reset_index(drop=True)
        else:
            frame = frame.iloc[kept(len(frame), [step])].reset_index(drop=True)
    return frame


def _frame(pandas: Any, path: Path, file: DataFile, number: int, options: Mapping[str, Any]) -> Any:
    try:
        if options["format"] == PARQUET:
            return pandas.read_parquet(path)
        if options["format"] == JSON_LINES:
            return pandas.read_json(path, lines=True, encoding=options.get("encoding", "utf-8"))
        return _delimited(pandas, path, number, options)
    except ImportError as error:
        raise DataError(f"{file.relative} needs a package that is not installed: {error}") from error
    except (ValueError, OSError, LookupError) as error:
        raise DataError(f"{file.relative} cannot be read as {options['format']}: {str(error)[:300]}") from error


def _delimited(pandas: Any, path: Path, number: int, options: Mapping[str, Any]) -> Any:
    headers, encoding = options["header"], options["encoding"]
    with_header = headers in (COMBINED, SAME_HEADERS) or (headers == FIRST_FILE and number == 0)
    if options["separator"] == "\n":  # each line is one text, as request bodies for profiling are kept
        lines = path.read_text(encoding=encoding).splitlines()
        return pandas.DataFrame({lines[0] if with_header else "Column1": lines[1:] if with_header else lines})
    try:
        frame = pandas.read_csv(
            path,
            sep=options["separator"],
            header=0 if with_header else None,
            encoding=encoding,
            dtype=None if options["inferTypes"] else str,
            keep_default_na=not options["emptyAsString"],
            engine="python" if len(options["separator"]) > 1 else "c",
        )
    except pandas.errors.EmptyDataError:
        return pandas.DataFrame()
    if not with_header:
        frame.columns = [f"Column{place + 1}" for place in range(frame.shape[1])]
    if options["inferTypes"]:
        for column in frame.columns:
            if _holds_times(frame[column]):
                frame[column] = pandas.to_datetime(frame[column], format="ISO8601")
    return frame


def _holds_times(column: Any) -> bool:
    """Return whether all texts of a column are times as ISO 8601 writes them."""
    if column.dtype.kind in "biufcmM":
        return False
    texts = column.dropna()
    return bool(len(texts)) and all(isinstance(text, str) and _TIME.fullmatch(text) for text in texts)


def _set_types(pandas: Any, frame: pd.DataFrame, options: Mapping[str, Any]) -> None:
    for column, kind in (options.get("columnTypes") or {}).items():
        _known(frame, [column])
        try:
            frame[column] = _converted(pandas, frame[column], kind)
        except (ValueError, TypeError) as error:
            raise DataError(f"The column {column!r} cannot be read as {kind['type']}: {str(error)[:200]}") from error


def _converted(pandas: Any, column: Any, kind: Mapping[str, Any]) -> Any:
    match kind["type"]:
        case "string":
            return column.astype("string").astype(object)
        case "long":
            return column.astype("Int64") if column.isna().any() else column.astype("int64")
        case "float":
            return column.astype("float64")
        case "boolean":
            texts = {"true": True, "1": True, "false": False, "0": False}
            return column.map(lambda value: texts.get(str(value).lower(), value)).astype(bool)
        case _:
            formats = kind.get("formats") or [None]
            return pandas.to_datetime(column, format=formats[0])


def _value(frame: pd.DataFrame, condition: Any) -> Any:
    """Return the value of a condition for each row."""
    if not isinstance(condition, dict):
        return condition
    if "column" in condition:
        return frame[_known(frame, [condition["column"]])[0]]
    if condition["operator"] == "~":
        return ~_value(frame, condition["left"])
    if condition["operator"] == "isNull":
        return _value(frame, condition["left"]).isna()
    left, right = _value(frame, condition["left"]), _value(frame, condition["right"])
    try:
        return _OPERATORS[condition["operator"]](left, right)
    except TypeError as error:
        raise DataError(f"The filter compares values that do not compare: {error}") from error


def _known(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    if unknown := [column for column in columns if column not in frame.columns]:
        raise DataError(f"There is no column {unknown[0]!r}. There are: {', '.join(map(str, frame.columns))}.")
    return list(columns)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise DataError(
            "Tables are read with pandas, which is not installed.\nInstall it: pip install pandas"
        ) from error
    return pandas
