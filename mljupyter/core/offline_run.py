"""The run of a script that was not submitted.

Azure: _OfflineRun of azureml.core.run.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from mljupyter.exceptions import RunEnvironmentException, as_user_error
from mljupyter.tracking import metrics as values
from mljupyter.tracking import statuses
from mljupyter.tracking.metrics import Metric

OFFLINE = "OfflineRun"


class OfflineRun:
    """The run of a script that was not submitted: it prints what is logged, and keeps it in memory.

    It has neither experiment nor workspace; other calls do nothing.
    """

    def __init__(self) -> None:
        self.id = self.run_id = f"{OFFLINE}_{uuid.uuid4()}"
        self.tags: dict[str, str] = {}
        self.properties: dict[str, str] = {}
        self.input_datasets: dict[str, Any] = {}
        self.parent = None
        self.number = 0
        self.type = None
        self.created_time = datetime.now(UTC)
        self._calls: list[Metric] = []
        self._files: list[str] = []
        self._status = statuses.RUNNING

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """Print a value, and keep it."""
        with as_user_error():
            self._keep(Metric(name, "scalar", values.stored_scalar(name, value), step), value)

    def log_list(self, name: str, value: Sequence[Any], description: str = "") -> None:
        """Print a list, and keep it."""
        with as_user_error():
            self._keep(Metric(name, "list", values.stored_list(name, value)), value)

    def log_row(self, name: str, description: str | None = None, **kwargs: Any) -> None:
        """Print a row, and keep it."""
        with as_user_error():
            self._keep(Metric(name, "row", values.stored_table(name, kwargs)), kwargs)

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Print a table, and keep it."""
        with as_user_error():
            self._keep(Metric(name, "table", values.stored_table(name, value)), value)

    def log_image(self, name: str, path: Any = None, plot: Any = None, description: str = "") -> None:
        """Print that there is an image."""
        print(f"{name}: an image, not stored without a run")

    log_confusion_matrix = log_accuracy_table = log_predictions = log_residuals = log_image

    def get_metrics(self, name: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Return the metrics that were logged in this process."""
        return values.merged(call for call in self._calls if name in (None, call.name))

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: str | None = None) -> None:
        """Print that there is a file."""
        self._files.append(name)
        print(f"{name}: not stored without a run")

    def upload_files(self, names: Sequence[str], paths: Sequence[Any], **kwargs: Any) -> None:
        """Print that there are files."""
        for name in names:
            self.upload_file(name, None)

    def upload_folder(self, name: str, path: Any, datastore_name: str | None = None) -> None:
        """Print that there is a folder."""
        self.upload_file(name, None)

    def get_file_names(self) -> list[str]:
        """Return an empty list: nothing is stored."""
        return []

    def tag(self, key: str, value: str | None = None) -> None:
        """Keep a tag in memory."""
        self.tags[key] = "" if value is None else str(value)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Keep tags in memory."""
        self.tags.update(tags)

    def get_tags(self) -> dict[str, str]:
        """Return the tags that were set in this process."""
        return dict(self.tags)

    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Keep properties in memory."""
        self.properties.update(properties)

    def get_properties(self) -> dict[str, str]:
        """Return the properties that were set in this process."""
        return dict(self.properties)

    @property
    def status(self) -> str:
        """The status."""
        return self._status

    def get_status(self) -> str:
        """Return the status."""
        return self._status

    def get_details(self) -> dict[str, Any]:
        """Return id, status, tags and properties."""
        return {"runId": self.id, "status": self._status, "tags": self.get_tags(), "properties": self.get_properties()}

    def get_portal_url(self) -> str:
        """Return a text that says that there is no run."""
        return "No run: the script was not submitted"

    def child_run(self, name: str | None = None, run_id: str | None = None, outputs: Any = None) -> OfflineRun:
        """Return another run that prints what is logged."""
        return OfflineRun()

    def get_children(self, **kwargs: Any) -> Iterator[Any]:
        """Yield nothing."""
        return iter(())

    def start(self) -> None:
        """Set the status Running."""
        self._status = statuses.RUNNING

    def complete(self, _set_status: bool = True) -> None:
        """Set the status Completed."""
        self._status = statuses.COMPLETED

    def fail(self, error_details: Any = None, error_code: str | None = None, _set_status: bool = True) -> None:
        """Set the status Failed."""
        self._status = statuses.FAILED

    def cancel(self) -> None:
        """Set the status Canceled."""
        self._status = statuses.CANCELED

    def flush(self, timeout_seconds: float = 300) -> None:
        """Do nothing."""

    def wait_for_completion(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the details at once."""
        return self.get_details()

    def get_secret(self, name: str) -> str | None:
        """Return the secret from the environment variable of its name, else None."""
        return os.environ.get(name)

    def get_secrets(self, secrets: Sequence[str]) -> dict[str, str | None]:
        """Return secrets from the environment variables of their names."""
        return {name: self.get_secret(name) for name in secrets}

    def register_model(self, model_name: str, model_path: str | None = None, **kwargs: Any) -> None:
        """Refuse: there is no workspace to register a model in.

        Raises:
            RunEnvironmentException: always.

        """
        raise RunEnvironmentException(
            "There is no run here, so no workspace to register the model in.\n"
            "Use Model.register(workspace, model_path, model_name), or submit the script."
        )

    def _keep(self, call: Metric, value: Any) -> None:
        self._calls.append(call)
        print(f"{call.name}: {value}")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}: the script was not submitted, so there is no "
            "experiment and no workspace. Use Workspace.from_config()."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status = statuses.COMPLETED if error is None else statuses.FAILED

    def __repr__(self) -> str:
        return f"OfflineRun(Id: {self.id})"
