"""The series of an endpoint as a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mljupyter.errors import MLJupyterError

if TYPE_CHECKING:
    import pandas as pd

_COUNTS = (
    "requests", "client_errors", "server_errors", "refused", "timeouts", "resets", "retries", "mirrored",
    "streamed", "replicas_wanted", "replicas_ready", "bytes_in", "bytes_out",
)  # fmt: skip
_TEXTS = ("version", "replica")


class MissingPackageError(MLJupyterError):
    """A package is missing that is not part of the base installation."""


def data_frame(document: Mapping[str, Any], by: str) -> pd.DataFrame:
    """Return a report of `mljupyter.telemetry.metrics.report` as a tidy frame: one row for each interval and series.

    Parameters:
        document: the report.
        by: 'version', 'endpoint' (where the report merges the versions) or 'replica'.

    Raises:
        MissingPackageError: when pandas is not installed.

    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingPackageError("metrics() needs pandas: pip install 'mljupyter[lab]'") from None
    columns = dict(document["replicas" if by == "replica" else "versions"])
    if by == "endpoint":
        columns.pop("version")
    frame = pd.DataFrame(columns)
    frame["time"] = pd.to_datetime(frame["time"].astype("int64"), unit="s", utc=True)
    kinds = {name: _kind(name) for name in frame.columns if name != "time"}
    return frame.astype(kinds)


def _kind(name: str) -> str:
    if name in _TEXTS:
        return "object"
    return "int64" if name in _COUNTS else "float64"
