"""The data that the scripts of a web service have collected, as a DataFrame and as files on this machine."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.client.base import EndpointClient
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import WebserviceException
from mljupyter.files import draft_of
from mljupyter.spec.collected import CollectedFile, parts_of
from mljupyter.telemetry.metrics.frame import MissingPackageError

if TYPE_CHECKING:
    import pandas as pd

MOST_MB = 256
_MB = 1 << 20
_TIME = "$aml_dc_scoring_timestamp"


def data_frame(client: EndpointClient, name: str, files: Sequence[CollectedFile], most_mb: float) -> pd.DataFrame:
    """Return the rows of files, in the order in which they were scored.

    Parameters:
        client: the endpoints.
        name: the name of the endpoint.
        files: the files.
        most_mb: the largest size of all files together, in MiB.

    Raises:
        WebserviceException: the files are larger, or one of them is no CSV file.
        MissingPackageError: pandas is not installed.

    """
    try:
        import pandas as pd  # optional, and slow to import
    except ImportError:
        raise MissingPackageError("collected_data() needs pandas: pip install 'mljupyter[lab]'") from None
    size = sum(file.size for file in files)
    if size > most_mb * _MB:
        raise WebserviceException(
            f"the collected data of {name!r} has {size / _MB:,.1f} MB in {len(files)} files: more than the "
            f"{most_mb:g} MB that are read at once.\nAsk for less with designation, model_name or since, raise "
            "most_mb, or use download_collected_data()."
        )
    frames = []
    for file in files:
        content = b"".join(client.read_collected(name, file))
        whole = content[: content.rfind(b"\n") + 1]  # a row may be being written
        if not whole:
            continue
        try:
            frames.append(pd.read_csv(io.BytesIO(whole)))
        except ValueError as error:  # the errors of pandas and of text that is not UTF-8
            raise WebserviceException(
                f"{file.path!r} is not a CSV file: {error}.\nSomething else has written it. Use "
                "download_collected_data() to look at it."
            ) from None
    if not frames:
        return pd.DataFrame()
    frame = pd.concat(frames, ignore_index=True)
    if _TIME not in frame:
        return frame
    times = pd.to_datetime(frame[_TIME], utc=True, errors="coerce", format="ISO8601")
    return frame.iloc[times.argsort(kind="stable")].reset_index(drop=True)


def download(client: EndpointClient, name: str, files: Sequence[CollectedFile], directory: Path) -> list[Path]:
    """Write files below a directory, each under its path; return where they are.

    Existing files are replaced, each at once.

    Parameters:
        client: the endpoints.
        name: the name of the endpoint.
        files: the files.
        directory: it is created if it does not exist.

    Raises:
        MLJupyterError: a file cannot be read or written.

    """
    found = []
    for file in files:
        path = directory.joinpath(*parts_of(file.path))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft_of(path) as draft, draft.open("wb") as written:
                for piece in client.read_collected(name, file):
                    written.write(piece)
        except OSError as error:
            raise MLJupyterError(f"{str(path)!r} cannot be written: {error.strerror or error}.") from None
        found.append(path)
    return found
