"""Runs: metrics, files, tags and status of one training of a model.

Azure: azureml.core.run.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from mljupyter import core
from mljupyter.core.data.abstract_dataset import AbstractDataset
from mljupyter.core.display import HtmlRepr, Rows, pairs
from mljupyter.core.filters import Filters, items
from mljupyter.core.model import dataset_id, dataset_ids
from mljupyter.core.offline_run import OfflineRun as _OfflineRun
from mljupyter.exceptions import (
    ActivityFailedException,
    RunEnvironmentException,
    UserErrorException,
    as_user_error,
    as_webservice_exception,
)
from mljupyter.files import expanded
from mljupyter.tracking import metrics as values
from mljupyter.tracking import statuses
from mljupyter.tracking.metrics import Metric
from mljupyter.tracking.paths import checked_path, folder_path
from mljupyter.workspace import submission

if TYPE_CHECKING:
    from mljupyter.core import Experiment, Model, ResourceConfiguration, ScriptRun, ScriptRunConfig, Workspace
    from mljupyter.tracking.runs import RunRecord, Runs

_OUTPUTS = "outputs"
_RULER = "=" * 40


class Run(HtmlRepr):
    """One training of a model: its metrics, files, tags and status.

    `Experiment.start_logging` and `Experiment.submit` make runs; `Run.get_context` finds that of a submitted script. As
    a context manager a run completes at the end of the block, or fails with its exception.

    Parameters:
        experiment: its experiment.
        run_id: its id.
        outputs: a directory whose files are stored when the run ends; by default ``outputs``, False for none.

    Raises:
        UserErrorException: `RunNotFound`: there is no run of this id.

    Example:
        >>> run = experiment.start_logging()                              # doctest: +SKIP
        >>> run.log("alpha", 0.5)                                         # doctest: +SKIP
        >>> run.upload_file("outputs/model.pkl", "model.pkl")             # doctest: +SKIP
        >>> run.complete()                                                # doctest: +SKIP
        >>> run.register_model("diabetes", "outputs/model.pkl")           # doctest: +SKIP

    """

    def __init__(self, experiment: Experiment, run_id: str, outputs: Any = None, **kwargs: Any) -> None:
        if kwargs:
            raise TypeError(f"Run() got unexpected arguments: {', '.join(sorted(kwargs))}")
        self.experiment = experiment
        self._outputs = outputs
        with as_user_error():
            self._record = self._runs.get(run_id)

    @staticmethod
    def of(workspace: Workspace, record: RunRecord) -> Run:
        """Return the object for a record: a `ScriptRun` for the run of a submitted script."""
        tracking = workspace.context.tracking
        experiment = core.Experiment.from_record(workspace, tracking.experiments.get_by_id(record.experiment_id))
        kind = core.ScriptRun if record.submission is not None else Run
        return kind(experiment, record.id)

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """Return a run of a workspace.

        Raises:
            UserErrorException: `RunNotFound`: there is none of this id.

        """
        with as_user_error():
            return Run.of(workspace, workspace.context.tracking.runs.get(run_id))

    @classmethod
    def get_context(cls, allow_offline: bool = True, used_for_context_manager: bool = False, **kwargs: Any) -> Any:
        """Return the run of the submitted script that calls this; elsewhere one that only prints what is logged.

        Parameters:
            allow_offline: False to raise an error outside of a submitted script.
            used_for_context_manager: without effect.

        Raises:
            RunEnvironmentException: there is no submitted script, and `allow_offline` is False.

        Example:
            >>> run = Run.get_context()     # doctest: +SKIP
            >>> run.log("mse", 3424.9)      # doctest: +SKIP

        """
        run_id = os.environ.get(submission.RUN_VARIABLE)
        directory = os.environ.get(submission.WORKSPACE_VARIABLE)
        if run_id and directory:
            return Run.get(core.Workspace.at(Path(directory)), run_id)
        if not allow_offline:
            raise RunEnvironmentException(
                "There is no run here: this is not a script that Experiment.submit has started.\n"
                "Submit it, or let it run without one: Run.get_context(allow_offline=True)"
            )
        return _OfflineRun()

    @staticmethod
    def list(
        experiment: Experiment,
        type: str | None = None,  # noqa: A002 - the name of the original
        tags: Filters = None,
        properties: Filters = None,
        status: str | None = None,
        include_children: bool = False,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Run]:
        """Yield the runs of an experiment, the newest first.

        Parameters:
            experiment: the experiment.
            type, status: only runs with these.
            tags, properties: a key, a list of keys and of pairs of key and value, or a dict.
            include_children: child runs, too.

        """
        with as_user_error():
            records = experiment.workspace.context.tracking.runs.list(
                experiment.id,
                type=type,
                status=status,
                tags=items(tags),
                properties=items(properties),
                with_children=include_children,
            )
        for record in records:
            yield Run.of(experiment.workspace, record)

    @property
    def id(self) -> str:
        """The id."""
        return self._record.id

    @property
    def number(self) -> int:
        """The number in its experiment, from 1."""
        return self._record.number

    @property
    def name(self) -> str:
        """The name to show."""
        return self._record.display_name

    @property
    def display_name(self) -> str:
        """The name to show; it can be set."""
        return self._record.display_name

    @display_name.setter
    def display_name(self, name: str) -> None:
        self._change(display_name=str(name))

    @property
    def description(self) -> str | None:
        """The description; it can be set."""
        return self._record.description

    @description.setter
    def description(self, text: str) -> None:
        self._change(description=str(text))

    @property
    def type(self) -> str | None:
        """The type: ``azureml.scriptrun`` for a submitted script, else None."""
        return self._record.type

    @property
    def status(self) -> str:
        """The status now; see `get_status`."""
        return self.get_status()

    @property
    def tags(self) -> dict[str, str]:
        """The tags when the run was last read, a copy."""
        return dict(self._record.tags)

    @property
    def properties(self) -> dict[str, str]:
        """The properties when the run was last read, a copy."""
        return dict(self._record.properties)

    @property
    def parent(self) -> Run | None:
        """The parent run; None if there is none."""
        return Run.get(self._workspace, self._record.parent_id) if self._record.parent_id is not None else None

    @property
    def input_datasets(self) -> dict[str, Any]:
        """The inputs of a submitted script by name: a path for a mount or download, else the dataset."""
        found: dict[str, Any] = {}
        for name, document in ((self._record.submission or {}).get("inputs") or {}).items():
            found[name] = document.get("path")
            if found[name] is None:
                definition = {key: value for key, value in document["dataset"].items() if key != "id"}
                dataset_id = document["dataset"].get("id")
                found[name] = (
                    AbstractDataset.get_by_id(self._workspace, dataset_id)
                    if dataset_id is not None
                    else AbstractDataset.of(definition, self._workspace)
                )
        return found

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """Log a number or text. Logged again under the same name, the metric is a list.

        Parameters:
            name: the name of the metric.
            value: a number, a text or a truth value; scalars of NumPy, too.
            description: without effect.
            step: the number of the step that it belongs to.

        Raises:
            UserErrorException: the value is of another type.

        Example:
            >>> run.log("loss", 0.25)     # doctest: +SKIP

        """
        with as_user_error():
            self._log(Metric(str(name), "scalar", values.stored_scalar(name, value), _step(step)))

    def log_list(self, name: str, value: Sequence[Any], description: str = "") -> None:
        """Log a list of numbers or texts.

        Parameters:
            name: the name of the metric.
            value: a list, a tuple, an array or a series.
            description: without effect.

        Raises:
            UserErrorException: it is no list, or an item is of another type.

        """
        with as_user_error():
            self._log(Metric(str(name), "list", values.stored_list(name, value)))

    def log_row(self, name: str, description: str | None = None, **kwargs: Any) -> None:
        """Log a row of a table, such as ``run.log_row("points", x=1, y=2)``.

        Parameters:
            name: the name of the metric.
            description: without effect.
            kwargs: the values by column.

        """
        with as_user_error():
            self._log(Metric(str(name), "row", values.stored_table(name, kwargs)))

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Log a table: a dict from column to a list of values.

        Parameters:
            name: the name of the metric.
            value: the columns.
            description: without effect.

        """
        with as_user_error():
            self._log(Metric(str(name), "table", values.stored_table(name, value)))

    def log_image(
        self, name: str, path: str | os.PathLike[str] | None = None, plot: Any = None, description: str = ""
    ) -> None:
        """Store an image with the run; the metric is the name of its file.

        Parameters:
            name: the name of the metric.
            path: a file of an image.
            plot: a figure of Matplotlib, or ``matplotlib.pyplot`` for the current one.
            description: without effect.

        Raises:
            UserErrorException: both or neither of `path` and `plot` are given, or the file does not exist.

        Example:
            >>> run.log_image("residuals", plot=plt)     # doctest: +SKIP

        """
        if (path is None) == (plot is None):
            raise UserErrorException("log_image needs a path or a plot, and not both.")
        with tempfile.TemporaryDirectory(prefix="mljupyter-") as folder:
            if plot is not None:
                file = Path(folder, "plot.png")
                plot.savefig(file)
            else:
                file = expanded(os.fspath(path or ""))
            self._log_file(str(name), "image", file)

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        """Store a confusion matrix, a dict or JSON text, with the run; the metric is the name of its file."""
        self._log_document(name, "confusion_matrix", value)

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        """Store an accuracy table, a dict or JSON text, with the run; the metric is the name of its file."""
        self._log_document(name, "accuracy_table", value)

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        """Store binned predictions, a dict or JSON text, with the run; the metric is the name of its file."""
        self._log_document(name, "predictions", value)

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        """Store a histogram of residuals, a dict or JSON text, with the run; the metric is the name of its file."""
        self._log_document(name, "residuals", value)

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: str | None = None, populate: bool = False
    ) -> dict[str, Any]:
        """Return the metrics by name.

        A value that was logged once is that value, one that was logged more often is a list. Rows and tables are dicts
        from column to values.

        Parameters:
            name: only this metric.
            recursive: those of all runs below as well, as a dict from the id of each run to its metrics.
            run_type: with `recursive`, only of runs of this type.
            populate: without effect.

        """
        with as_user_error():
            if not recursive:
                return values.merged(self._runs.metrics(self.id, name))
            below = [self._record, *(child._record for child in self.get_children(recursive=True))]
            return {
                run.id: values.merged(self._runs.metrics(run.id, name))
                for run in below
                if run_type is None or run.type == run_type
            }

    def upload_file(
        self, name: str, path_or_stream: str | os.PathLike[str] | IO[Any], datastore_name: str | None = None
    ) -> dict[str, str]:
        """Store a file with the run.

        Parameters:
            name: its path in the run, such as ``outputs/model.pkl``.
            path_or_stream: the local file, or an open one.
            datastore_name: without effect: files of runs are in the artifact store.

        Returns:
            The name of the run, the path and the size of the file.

        Raises:
            UserErrorException: the file does not exist, or the run has a file of this path.

        Example:
            >>> run.upload_file("outputs/model.pkl", "model.pkl")     # doctest: +SKIP

        """
        with _as_file(path_or_stream) as file, as_user_error():
            (path,) = self._runs.put_files(self.id, {name: file})
            return {"runId": self.id, "path": path, "size": str(file.stat().st_size)}

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[str | os.PathLike[str]],
        return_artifacts: bool = False,
        timeout_seconds: float | None = None,
        datastore_name: str | None = None,
    ) -> None:
        """Store several files with the run.

        Parameters:
            names: their paths in the run.
            paths: the local files, in the same order.
            return_artifacts, timeout_seconds, datastore_name: without effect.

        Raises:
            UserErrorException: the lists differ in length, a file does not exist, or the run has one of a path.

        """
        if isinstance(names, str) or isinstance(paths, str) or len(names) != len(paths):
            raise UserErrorException("upload_files needs two lists of the same length: names in the run, local paths.")
        files = {name: _existing(path) for name, path in zip(names, paths, strict=True)}
        with as_user_error():
            self._runs.put_files(self.id, files)

    def upload_folder(
        self, name: str, path: str | os.PathLike[str], datastore_name: str | None = None
    ) -> builtins.list[str]:
        """Store all files below a local folder with the run, and return their paths in the run.

        Parameters:
            name: the path of the folder in the run, such as ``outputs``.
            path: the local folder.
            datastore_name: without effect.

        Raises:
            UserErrorException: there is no such folder, or the run has a file of a path.

        """
        folder = expanded(path)
        if not folder.is_dir():
            raise UserErrorException(f"{str(path)!r} is not a folder: check the path.")
        with as_user_error():
            return self._runs.put_folder(self.id, folder, folder_path(name))

    def get_file_names(self) -> builtins.list[str]:
        """Return the paths of the files of the run."""
        with as_user_error():
            return [file.path for file in self._runs.files(self.id)]

    def download_file(
        self, name: str, output_file_path: str | os.PathLike[str] | None = None, _validate_checksum: bool = False
    ) -> None:
        """Copy a file of the run.

        Parameters:
            name: its path in the run.
            output_file_path: the target, or a folder for it; by default its name in the current directory.

        Raises:
            UserErrorException: `ArtifactNotFound`: the run has no such file.

        """
        with as_user_error():
            file = self._runs.file(self.id, name)
            given = os.fspath(output_file_path) if output_file_path is not None else ""
            target = expanded(given or ".")
            if not given or given.endswith("/") or target.is_dir():
                target /= PurePosixPath(file.path).name
            self._fetch(file.digest, target)

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: Sequence[str] | None = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: float | None = None,
    ) -> None:
        """Copy files of the run.

        Parameters:
            prefix: only files whose paths begin with it; by default all.
            output_directory: the folder for them; by default the current one.
            output_paths: the targets, one for each file, in the order of `get_file_names`.
            append_prefix: keep the prefix in the paths of the copies.
            batch_size, timeout_seconds: without effect.

        Raises:
            UserErrorException: the number of `output_paths` is another one.

        """
        with as_user_error():
            files = self._runs.files(self.id, (prefix or "").lstrip("/"))
        if output_paths is not None and len(output_paths) != len(files):
            raise UserErrorException(f"output_paths has {len(output_paths)} paths for {len(files)} files.")
        base = expanded(output_directory or ".")
        cut = f"{(prefix or '').strip('/')}/"
        for place, file in enumerate(files):
            relative = file.path if append_prefix or len(cut) == 1 else file.path.removeprefix(cut)
            with as_user_error():
                self._fetch(file.digest, Path(output_paths[place]) if output_paths else base / relative)

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> builtins.list[str]:
        """Copy the logs of the run into a folder, by default one with the id of the run, and return their paths."""
        base = expanded(destination or self.id)
        found = [name for name in self.get_file_names() if name.split("/")[0] in ("azureml-logs", "logs")]
        for name in found:
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            self.download_file(name, base / name)
        return [str(base / name) for name in found]

    def tag(self, key: str, value: str | None = None) -> None:
        """Add a tag, or change its value."""
        self.set_tags({key: "" if value is None else value})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags, or change the values of those that exist."""
        self._change(add_tags=tags)

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Remove tags by their keys."""
        self._change(remove_tags=[tags] if isinstance(tags, str) else tags)

    def get_tags(self) -> dict[str, str]:
        """Return the tags now."""
        return dict(self._read().tags)

    def add_properties(self, properties: Mapping[str, str]) -> None:
        """Add properties.

        Raises:
            UserErrorException: one exists already: properties do not change.

        """
        self._change(add_properties=properties)

    def get_properties(self) -> dict[str, str]:
        """Return the properties now."""
        return dict(self._read().properties)

    def get_status(self) -> str:
        """Return the status now.

        It is Starting, Preparing, Running, Finalizing, CancelRequested, or at the end Completed, Failed or Canceled.
        """
        return self._read().status

    def get_detailed_status(self) -> dict[str, str]:
        """Return the status now, and a sentence for it."""
        record = self._read()
        return {"status": record.status, "details": str((record.error or {}).get("message") or record.status)}

    def get_details(self) -> dict[str, Any]:
        """Return status, times, tags, properties, script and error, with camelCase keys."""
        record = self._read()
        submitted = record.submission or {}
        details: dict[str, Any] = {
            "runId": record.id,
            "target": submitted.get("target", "local"),
            "status": record.status,
            "startTimeUtc": _text(record.start_time),
            "endTimeUtc": _text(record.end_time),
            "services": {},
            "properties": dict(record.properties),
            "tags": dict(record.tags),
            "inputDatasets": [],
            "outputDatasets": [],
            "logFiles": {name: f"{self.get_portal_url()}/{name}" for name in self._log_names()},
            "submittedBy": record.created_by,
        }
        if record.submission is not None:
            inputs = submitted.get("inputs") or {}
            details["inputDatasets"] = [
                {"consumptionDetails": {"inputName": name, "mechanism": "Mount" if "path" in item else "Direct"}}
                for name, item in inputs.items()
            ]
            details["runDefinition"] = {
                "script": submitted.get("script"),
                "command": " ".join(submitted.get("command", [])),
                "arguments": submitted.get("arguments", []),
                "target": submitted.get("target"),
                "environment": {"name": submitted.get("environment")},
                "maxRunDurationSeconds": submitted.get("maxSeconds"),
            }
        if record.error is not None:
            details["error"] = {"error": dict(record.error)}
        return details

    def get_details_with_logs(self) -> dict[str, Any]:
        """Return `get_details`, with the text of each log under ``logFiles``."""
        details = self.get_details()
        with tempfile.TemporaryDirectory(prefix="mljupyter-") as folder:
            for name in details["logFiles"]:
                self.download_file(name, target := Path(folder, "log"))
                details["logFiles"][name] = target.read_text(encoding="utf-8", errors="replace")
        return details

    def get_environment(self) -> Any:
        """Return the environment that a submitted script asked for, if it is registered under its name.

        Raises:
            UserErrorException: it is not registered, or the run has no environment.

        """
        name = (self._record.submission or {}).get("environment")
        if name is None:
            raise UserErrorException("The run was not submitted: it has no environment of its own.")
        return core.Environment.get(self._workspace, name)

    def get_snapshot_id(self) -> str | None:
        """Return the digest of the stored source directory; None if there is none."""
        return self._read().snapshot_digest

    def restore_snapshot(self, snapshot_id: str | None = None, path: str | os.PathLike[str] | None = None) -> str:
        """Copy the stored source directory, and return the path of the copy.

        Parameters:
            snapshot_id: by default that of the run.
            path: the folder for the copy; by default the current one.

        Raises:
            UserErrorException: there is none, or the copy exists already.

        """
        digest = snapshot_id or self.get_snapshot_id()
        if digest is None:
            raise UserErrorException("The run has no stored source directory.")
        with as_user_error():
            target = expanded(path or ".") / f"snapshot-{digest.removeprefix('sha256:')[:12]}"
            return str(self._workspace.artifacts.fetch(digest, target, writable=True))

    def get_secret(self, name: str) -> str | None:
        """Return a secret of the workspace's keyvault; None if there is none of this name."""
        return self._workspace.get_default_keyvault().get_secret(name)

    def get_secrets(self, secrets: Sequence[str]) -> dict[str, str | None]:
        """Return several secrets of the workspace's keyvault by their names."""
        return self._workspace.get_default_keyvault().get_secrets(secrets)

    def get_portal_url(self) -> str:
        """Return the URL of the run's folder in the workspace: there is no portal."""
        return submission.folder_of(self._workspace.context, self.id).as_uri()

    def start(self) -> None:
        """Set the status Running."""
        self._set_status(statuses.RUNNING)

    def complete(self, _set_status: bool = True) -> None:
        """End the run with the status Completed; files in its outputs directory are stored.

        Azure: the same, but a run that has ended stays as it is without an error here, too.
        """
        self._collect()
        if _set_status:
            self._set_status(statuses.COMPLETED)

    def fail(self, error_details: Any = None, error_code: str | None = None, _set_status: bool = True) -> None:
        """End the run with the status Failed; files in its outputs directory are stored.

        Parameters:
            error_details: a text or an exception.
            error_code: the kind of the error.

        """
        self._collect()
        if _set_status:
            message = str(error_details) if error_details is not None else "The run failed."
            self._set_status(statuses.FAILED, error={"code": error_code or "UserError", "message": message})

    def cancel(self) -> None:
        """Ask the run to end with the status Canceled. A script gets SIGTERM, and SIGKILL ten seconds later."""
        with as_user_error():
            self._record = submission.cancel(self._workspace.context, self._read())

    def clean(self) -> None:
        """Remove the working copy of a submitted script that has ended; its stored files stay.

        That of a completed run is removed already.
        """
        if self.get_status() in statuses.FINAL:
            submission.remove_copies(self._workspace.context, self.id)

    def flush(self, timeout_seconds: float = 300) -> None:
        """Do nothing: metrics are stored when they are logged."""

    def wait_for_completion(
        self, show_output: bool = False, wait_post_processing: bool = False, raise_on_error: bool = True
    ) -> dict[str, Any]:
        """Wait until the run has ended, and return its details.

        Parameters:
            show_output: print the output of the script as it appears.
            wait_post_processing: without effect: files are stored before the run ends.
            raise_on_error: raise an error if the run failed.

        Raises:
            ActivityFailedException: the run failed, and `raise_on_error` is set.

        """
        context = self._workspace.context
        if self._record.submission is None:
            if self.get_status() not in statuses.FINAL:
                print(f"Run {self.id} was not submitted: it ends with run.complete(), and nothing is waited for.")
            return self.get_details()
        if show_output:
            print(f"RunId: {self.id}\n\nStreaming {submission.LOG_NAME}\n{_RULER}\n")
        with as_user_error():
            self._record = submission.follow(context, self.id, _show if show_output else None)
        if show_output:
            print(f"\nExecution Summary\n{_RULER}\nRunId: {self.id}\nStatus: {self._record.status}\n")
        details = self.get_details()
        if raise_on_error and self._record.status == statuses.FAILED:
            message = (self._record.error or {}).get("message", "The run failed.")
            raise ActivityFailedException(f"Run {self.id} failed. {message}")
        return details

    def child_run(self, name: str | None = None, run_id: str | None = None, outputs: Any = None) -> Run:
        """Start a run below this one, and return it.

        Parameters:
            name: the name to show.
            run_id: its id; by default a new one.
            outputs: a directory whose files are stored when it ends; by default none.

        Example:
            >>> with run.child_run("fold 1") as child:     # doctest: +SKIP
            ...     child.log("mse", 3000)                 # doctest: +SKIP

        """
        with as_user_error():
            record = self._runs.create(
                self.experiment.id, run_id or str(uuid.uuid4()), parent_id=self.id, display_name=name
            )
        return Run(self.experiment, record.id, outputs=outputs if outputs is not None else False)

    def create_children(
        self, count: int | None = None, tag_key: str | None = None, tag_values: Sequence[str] | None = None
    ) -> builtins.list[Run]:
        """Start several runs below this one, and return them.

        Parameters:
            count: their number; by default one for each of `tag_values`.
            tag_key, tag_values: a tag, with one value for each run.

        Raises:
            UserErrorException: neither a count nor values are given, or they do not agree.

        """
        number = count if count is not None else len(tag_values or ())
        if number < 1 or (tag_values is not None and (tag_key is None or len(tag_values) != number)):
            raise UserErrorException("create_children needs a count, or a tag_key with one of tag_values for each run.")
        children = [self.child_run() for _ in range(number)]
        for child, value in zip(children, tag_values or (), strict=False):
            child.tag(str(tag_key), value)
        return children

    def get_children(
        self,
        recursive: bool = False,
        tags: Filters = None,
        properties: Filters = None,
        type: str | None = None,  # noqa: A002 - the name of the original
        status: str | None = None,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Run]:
        """Yield the runs below this one, the newest first.

        Parameters:
            recursive: the runs below those, too.
            tags, properties: a key, a list of keys and of pairs of key and value, or a dict.
            type, status: only runs with these.

        """
        filters: dict[str, Any] = {"tags": items(tags), "properties": items(properties), "type": type, "status": status}
        with as_user_error():
            wanted = self._runs.list(parent_id=self.id, **filters)
            below = self._runs.list(parent_id=self.id) if recursive else []
        for record in wanted:
            yield Run.of(self._workspace, record)
        for record in below:
            yield from Run.of(self._workspace, record).get_children(True, tags, properties, type, status)

    def submit_child(self, config: ScriptRunConfig, tags: Mapping[str, str] | None = None, **kwargs: Any) -> ScriptRun:
        """Start a script as a run below this one; see `Experiment.submit`."""
        return self.experiment._submit(config, tags=tags, parent_id=self.id, **kwargs)

    def register_model(
        self,
        model_name: str,
        model_path: str | None = None,
        tags: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: Sequence[tuple[str, Any]] | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
        **kwargs: Any,
    ) -> Model:
        """Register a file or folder of the run as the next version of a model, and return the model.

        Parameters:
            model_name: the name of the model.
            model_path: the path in the run, such as ``outputs/model.pkl``; by default the name of the model. A file of
                ``outputs`` that is not stored yet is stored.
            tags, properties, model_framework, model_framework_version, description, datasets, sample_input_dataset,
                sample_output_dataset, resource_configuration: as for `Model.register`.

        Raises:
            UserErrorException: `ArtifactNotFound`: the run has no such file.
            WebserviceException: another value breaks a rule.

        Example:
            >>> model = run.register_model("diabetes", model_path="outputs/model.pkl")     # doctest: +SKIP

        """
        if kwargs:
            raise TypeError(f"register_model() got unexpected arguments: {', '.join(sorted(kwargs))}")
        with tempfile.TemporaryDirectory(prefix="mljupyter-") as folder:
            with as_user_error():
                path = self._model_path(folder_path(model_path) if model_path is not None else checked_path(model_name))
                content = self._model_content(path, Path(folder))
            with as_webservice_exception():
                record = self._workspace.registry.models.register(
                    model_name,
                    content,
                    description=description,
                    tags=tags,
                    properties=properties,
                    framework=model_framework,
                    framework_version=model_framework_version,
                    sample_input_dataset=dataset_id(sample_input_dataset),
                    sample_output_dataset=dataset_id(sample_output_dataset),
                    resource_configuration=resource_configuration.serialize() if resource_configuration else None,
                    datasets=dataset_ids(datasets),
                    run_id=self.id,
                    experiment_name=self.experiment.name,
                )
        return core.Model.from_record(self._workspace, record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: builtins.type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.complete()
        else:
            self.fail(f"{type(error).__name__}: {error}", type(error).__name__)

    @property
    def _workspace(self) -> Workspace:
        return self.experiment.workspace

    @property
    def _runs(self) -> Runs:
        return self._workspace.context.tracking.runs

    def _read(self) -> RunRecord:
        """Read the run again; the run of a script whose supervisor has gone is ended."""
        with as_user_error():
            self._record = submission.looked_at(self._workspace.context, self._runs.get(self.id))
        return self._record

    def _change(self, **changes: Any) -> None:
        with as_user_error():
            self._record = self._runs.change(self.id, **changes)

    def _set_status(self, status: str, **changes: Any) -> None:
        with as_user_error():
            self._record = self._runs.set_status(self.id, status, **changes)

    def _log(self, *calls: Metric) -> None:
        self._runs.log(self.id, calls)

    def _log_file(self, name: str, kind: str, file: Path) -> None:
        """Store a file under the name of a metric; further ones get a number."""
        with as_user_error():
            checked_path(name)
            present = set(self.get_file_names())
            stem, suffix = name.removesuffix(file.suffix), file.suffix
            names = (f"{stem}{'' if number == 1 else f'_{number}'}{suffix}" for number in range(1, len(present) + 2))
            path = next(candidate for candidate in names if candidate not in present)
            self._runs.put_files(self.id, {path: _existing(file)})
            self._log(Metric(name, kind, path))

    def _log_document(self, name: str, kind: str, value: Any) -> None:
        try:
            document = json.loads(value) if isinstance(value, str) else value
            text = json.dumps(document, indent=1)
        except (TypeError, ValueError) as error:
            raise UserErrorException(f"The metric {name!r} must be a dict or JSON text: {error}") from None
        with tempfile.TemporaryDirectory(prefix="mljupyter-") as folder:
            file = Path(folder, f"{kind}.json")
            file.write_text(text, encoding="utf-8")
            self._log_file(str(name), kind, file)

    def _collect(self) -> None:
        """Store the files of the outputs directory that the run does not have yet."""
        if self._record.submission is not None or self._outputs is False:
            return
        folder = Path(self._outputs or _OUTPUTS)
        if not folder.is_dir():
            return
        with as_user_error():
            present = set(self.get_file_names())
            below = _OUTPUTS if self._outputs is None else folder.name
            found = {f"{below}/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*")}
            wanted = {name: path for name, path in found.items() if path.is_file() and name not in present}
            self._runs.put_files(self.id, wanted)

    def _log_names(self) -> builtins.list[str]:
        return [name for name in self.get_file_names() if name.split("/")[0] in ("azureml-logs", "logs")]

    def _fetch(self, digest: str, target: Path) -> None:
        """Copy a stored file; one that is there is replaced."""
        target.unlink(missing_ok=True)
        self._workspace.artifacts.fetch(digest, target, writable=True)

    def _model_path(self, path: str) -> str:
        """Return a path in the run; a local file of this run's outputs is stored there first."""
        names = self.get_file_names()
        if not path or path in names or any(name.startswith(f"{path}/") for name in names):
            return path
        here = Path(path)
        is_ours = self._record.submission is None or os.environ.get(submission.RUN_VARIABLE) == self.id
        if is_ours and self._record.status not in statuses.FINAL and here.exists():
            if here.is_dir():
                self._runs.put_folder(self.id, here, path)
            else:
                self._runs.put_files(self.id, {path: here})
        return path

    def _model_content(self, path: str, folder: Path) -> Path:
        """Copy a file or folder of the run, and return the copy, which has its last name."""
        files = self._runs.files(self.id, f"{path}/" if path else "")
        if not files:
            file = self._runs.file(self.id, path)
            return self._workspace.artifacts.fetch(file.digest, folder / PurePosixPath(file.path).name)
        base = folder / (PurePosixPath(path).name or self.experiment.name)
        for file in files:
            self._workspace.artifacts.fetch(file.digest, base / PurePosixPath(file.path).relative_to(path or "."))
        return base

    def _summary(self) -> Rows:
        return [
            ("Experiment", self.experiment.name),
            ("Type", self.type),
            ("Status", self._record.status),
            ("Tags", pairs(self.tags)),
        ]

    def __repr__(self) -> str:
        return (
            f"Run(Experiment: {self.experiment.name},\nId: {self.id},\nType: {self.type},\n"
            f"Status: {self._record.status})"
        )


#: The class of runs in scripts that were submitted, under the name of the original.
_SubmittedRun = Run


def get_run(experiment: Experiment, run_id: str, rehydrate: bool = True, clean_up: bool = True) -> Run:
    """Return a run of an experiment.

    Parameters:
        experiment: the experiment.
        run_id: the id of the run.
        rehydrate, clean_up: without effect.

    Raises:
        UserErrorException: `RunNotFound`: there is none of this id.

    Example:
        >>> get_run(experiment, run.id).get_metrics()     # doctest: +SKIP

    """
    return Run.get(experiment.workspace, run_id)


def _step(step: Any) -> int | None:
    if step is None:
        return None
    if isinstance(step, bool) or int(step) != step:
        raise UserErrorException(f"step is {step!r}. Rule: a whole number.")
    return int(step)


def _existing(path: Any) -> Path:
    file = expanded(os.fspath(path))
    if not file.is_file():
        raise UserErrorException(f"{str(path)!r} is not a file: check the path.")
    return file


@contextmanager
def _as_file(path_or_stream: Any) -> Iterator[Path]:
    """Yield a local file: the given one, or a temporary copy of a stream."""
    if not hasattr(path_or_stream, "read"):
        yield _existing(path_or_stream)
        return
    with tempfile.TemporaryDirectory(prefix="mljupyter-") as folder:
        file = Path(folder, "content")
        with file.open("wb") as sink:
            while chunk := path_or_stream.read(1 << 20):
                sink.write(chunk.encode("utf-8") if isinstance(chunk, str) else chunk)
        yield file


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _text(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time is not None else None
