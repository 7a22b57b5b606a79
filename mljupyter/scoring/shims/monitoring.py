"""`azureml.monitoring`: collect inputs and predictions of a model as CSV files (Azure ML v1: model data collection).

A failure to write never fails a request: the rows are dropped and counted.
"""

from __future__ import annotations

import csv
import os
import time
import warnings
from collections.abc import Sequence
from datetime import datetime, timezone
from io import StringIO
from typing import Any
from uuid import uuid4

from mljupyter.scoring.logs.log_context import request_id
from mljupyter.scoring.shims import collection_place
from mljupyter.scoring.shims.collection_files import CollectionFiles

__all__ = ["ModelDataCollector"]

CORRELATION_COLUMNS = (
    "$aml_dc_correlation_id",
    "$aml_dc_scoring_timestamp",
    "$aml_dc_boundary",
    "$aml_workspace",
    "$aml_service_name",
    "$aml_model_name",
    "$aml_model_version",
    "$aml_request_id",
)
_DESIGNATIONS = ("inputs", "predictions", "labels", "signals", "general")
_TIMESTAMP_FROM_END = CORRELATION_COLUMNS.index("$aml_dc_scoring_timestamp") - len(CORRELATION_COLUMNS)
_NO_REQUEST = "00000000-0000-0000-0000-000000000000"


class ModelDataCollector:
    """Collects rows of one model and designation.

    Parameters:
        model_name: the model's name, a part of the path.
        designation: inputs, predictions, labels, signals or general; `default` means general. With any other value
            the log has a message, and nothing is collected. `identifier` is its old name.
        feature_names: the header of the CSV file; a data frame brings its own.
        workspace: ``subscription/resource group/workspace``; by default that of the replica.
        webservice_name: by default the variable SERVICE_NAME.
        model_version: by default the newest one in the replica.
        collection_name: the name of the file, for signals and general only.

    The variables AML_MODEL_DC_STORAGE_ENABLED (``true``) and AML_MODEL_DC_STORAGE (a directory) turn collection on.
    AML_MODEL_DC_DEBUG prints the rows. AML_MODEL_DC_BOUNDARY=hour uses one directory for each hour.
    MLJUPYTER_COLLECTION_WRITER is the name of a replica whose files are its own, on a volume that several nodes share.
    """

    def __init__(
        self,
        model_name: str,
        designation: str = "default",
        feature_names: Sequence[str] | None = None,
        workspace: str = collection_place.NO_WORKSPACE,
        webservice_name: str = "default",
        model_version: str | int = "default",
        collection_name: str = "default",
        identifier: str | None = None,
    ) -> None:
        designation = designation if identifier is None else identifier
        self._debug = _is_true("AML_MODEL_DC_DEBUG")
        self._files: CollectionFiles | None = None
        self._correlated = False
        self._features = [str(name) for name in feature_names] if feature_names is not None else None
        self._designation = "general" if designation == "default" else designation
        self._by_hour = os.environ.get("AML_MODEL_DC_BOUNDARY") == "hour"
        if self._designation not in _DESIGNATIONS:
            print(f"Model data collection: {designation!r} is not a designation; use one of {', '.join(_DESIGNATIONS)}")
            self._debug = False
            return
        if not _is_true("AML_MODEL_DC_STORAGE_ENABLED"):
            print("Model data collection is off; set AML_MODEL_DC_STORAGE_ENABLED to true to turn it on")
            return
        self._place = collection_place.find(model_name, str(model_version), workspace, webservice_name)
        storage = os.environ.get("AML_MODEL_DC_STORAGE", "")
        if not os.path.isabs(storage):  # noqa: PTH117 (pathlib takes 3 ms to import)
            print("Model data collection is off: AML_MODEL_DC_STORAGE must be the absolute path of a directory")
            return
        named = self._designation in ("signals", "general") and collection_name != "default"
        writer = os.environ.get("MLJUPYTER_COLLECTION_WRITER", "")
        self._files = CollectionFiles(storage, collection_name if named else "data", writer)

    def collect(self, input_data: Any, user_correlation_id: str = "") -> dict[str, Any] | None:
        """Write rows; for inputs, return the values that `add_correlations` needs, otherwise None.

        Parameters:
            input_data: a list (one row, or one for each inner list), NumPy array, pandas or Spark data frame.
            user_correlation_id: the caller's own id, put before the generated one.

        """
        if self._files is None and not self._debug:
            return None
        correlations = None
        try:
            if self._designation == "inputs":
                correlations = self._correlations(user_correlation_id)
                input_data = self.add_correlations(input_data, correlations)
            header, rows = self._table(input_data)
        except Exception as error:  # noqa: BLE001 (the data may be anything, and must not fail a request)
            warnings.warn(f"model data collection: the data cannot be written as rows: {error}", stacklevel=2)
            return correlations
        if self._debug:
            print(_csv([*([header] if header else []), *rows]), end="")
        if self._files is not None and rows:
            parts = self._place.parts(self._designation, self._date_of(rows[0]), self._by_hour)
            self._files.append(parts, _csv([header]).encode() if header else b"", _csv(rows).encode("utf-8", "replace"))
        return correlations

    def add_correlations(self, input_data: Any, correlations: dict[str, Any] | None) -> Any:
        """Return the data with the columns of `correlations`, the return value of `collect` for the inputs."""
        if correlations is None:
            return input_data
        self._correlated = True
        values = [correlations[name] for name in CORRELATION_COLUMNS]
        if isinstance(input_data, list):
            if _is_nested(input_data):
                return [[*row, *values] for row in input_data]
            return [*input_data, *values]
        input_data = _pandas_of(input_data)
        if hasattr(input_data, "columns"):
            return input_data.assign(**dict(zip(CORRELATION_COLUMNS, values)))  # noqa: B905 (Python 3.9 has no strict)
        if hasattr(input_data, "tolist"):
            import numpy

            return numpy.array([[*row, *values] for row in _array_rows(input_data)], dtype=object)
        raise TypeError(_unknown(input_data))

    def _correlations(self, user_correlation_id: str) -> dict[str, Any]:
        place = getattr(self, "_place", collection_place.Place.unknown())
        generated = str(uuid4())
        values = (
            f"{user_correlation_id}-{generated}" if user_correlation_id else generated,
            datetime.now(timezone.utc).replace(tzinfo=None).isoformat(),  # noqa: UP017
            60 if self._by_hour else 60 * 24,
            place.workspace,
            place.service,
            place.model,
            place.version,
            request_id.get() or _NO_REQUEST,
        )
        return dict(zip(CORRELATION_COLUMNS, values))  # noqa: B905 (Python 3.9 has no strict)

    def _table(self, data: Any) -> tuple[list[str] | None, list[list[Any]]]:
        data = _pandas_of(data)
        if hasattr(data, "columns"):
            return [str(name) for name in data.columns], data.values.tolist()
        if isinstance(data, list):
            rows = [list(row) for row in data] if _is_nested(data) else [data]
        elif hasattr(data, "tolist"):
            rows = _array_rows(data)
        else:
            raise TypeError(_unknown(data))
        if self._features is None:
            return None, rows
        return [*self._features, *(CORRELATION_COLUMNS if self._correlated else ())], rows

    def _date_of(self, row: list[Any]) -> time.struct_time:
        """Return the time a row was scored, so that predictions and labels go beside their inputs."""
        if self._correlated and len(row) >= len(CORRELATION_COLUMNS):
            try:
                return datetime.fromisoformat(str(row[_TIMESTAMP_FROM_END])).timetuple()
            except ValueError:
                pass
        return time.gmtime()


def _is_true(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() == "true"


def _is_nested(data: list[Any]) -> bool:
    return bool(data) and all(isinstance(row, list | tuple) or getattr(row, "ndim", 0) for row in data)


def _array_rows(array: Any) -> list[list[Any]]:
    if array.ndim < 2:
        return [array.reshape(-1).tolist()]
    rows: list[list[Any]] = array.reshape(array.shape[0], -1).tolist()
    return rows


def _pandas_of(data: Any) -> Any:
    return data.toPandas() if hasattr(data, "toPandas") else data


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _unknown(data: Any) -> str:
    return f"collect() takes a list, a NumPy array, or a pandas or Spark data frame, not a {type(data).__name__}"
