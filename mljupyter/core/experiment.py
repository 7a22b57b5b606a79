"""Experiments: named groups of runs.

Azure: azureml.core.experiment.
"""

from __future__ import annotations

import builtins
import secrets
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter import core
from mljupyter.build.project.snapshot import snapshot
from mljupyter.core.data.abstract_dataset import AbstractDataset
from mljupyter.core.data.data_reference import DataReference
from mljupyter.core.data.dataset_consumption_config import DatasetConsumptionConfig
from mljupyter.core.display import HtmlRepr, Rows, pairs
from mljupyter.core.filters import Filters, matches
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import SnapshotException, UserErrorException, as_user_error
from mljupyter.files import expanded
from mljupyter.tracking import statuses
from mljupyter.workspace import submission

if TYPE_CHECKING:
    from mljupyter.core import Run, ScriptRun, ScriptRunConfig, Workspace
    from mljupyter.tracking.experiments import ExperimentRecord

SCRIPT_RUN = "azureml.scriptrun"
_OWN_FOLDERS = ("outputs/", "logs/", "azureml-logs/")


class Experiment(HtmlRepr):
    """A named group of runs in a workspace. It is created when it is first used.

    Parameters:
        workspace: the workspace.
        name: 1 to 255 letters, digits, '-' and '_'.

    Raises:
        UserErrorException: the name breaks the rule.

    Example:
        >>> with Experiment(ws, "diabetes").start_logging() as run:     # doctest: +SKIP
        ...     run.log("mse", 3424.9)                                  # doctest: +SKIP

    """

    def __init__(
        self,
        workspace: Workspace,
        name: str,
        _skip_name_validation: bool = False,
        _id: str | None = None,
        _archived_time: datetime | None = None,
        _create_in_cloud: bool = True,
        _experiment_dto: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(f"Experiment() got unexpected arguments: {', '.join(sorted(kwargs))}")
        self.workspace: Workspace = workspace
        with as_user_error():
            self.record: ExperimentRecord = workspace.context.tracking.experiments.open(name)

    @classmethod
    def from_record(cls, workspace: Workspace, record: ExperimentRecord) -> Experiment:
        """Return the object for a record."""
        experiment = object.__new__(cls)
        experiment.workspace = workspace
        experiment.record = record
        return experiment

    @property
    def name(self) -> str:
        """The name."""
        return self.record.name

    @property
    def id(self) -> str:
        """The id."""
        return self.record.id

    @property
    def tags(self) -> dict[str, str]:
        """The tags, a copy."""
        return dict(self.record.tags)

    @property
    def archived_time(self) -> datetime | None:
        """The time when it was archived; None if it was not."""
        return self.record.archived_time

    @property
    def workspace_object(self) -> Workspace:
        """The workspace."""
        return self.workspace

    def start_logging(self, *args: Any, **kwargs: Any) -> Run:
        """Start a run in this notebook or script, and return it.

        Parameters:
            outputs: a directory whose files are stored when the run ends; by default ``outputs``, False for none.
            snapshot_directory: a directory to store with the run; by default none.
            display_name: another name to show.

        Raises:
            UserErrorException: another argument is given.

        Azure: by default the current directory is stored with the run.

        Example:
            >>> run = experiment.start_logging(outputs=None, snapshot_directory=".")     # doctest: +SKIP

        """
        known = ("outputs", "snapshot_directory", "display_name")
        if args or (unknown := sorted(kwargs.keys() - {*known})):
            given = ", ".join(map(repr, args)) or ", ".join(unknown)
            raise UserErrorException(f"start_logging does not take {given}. It takes: {', '.join(known)}.")
        source = kwargs.get("snapshot_directory")
        record = self._create(
            str(uuid.uuid4()),
            display_name=kwargs.get("display_name"),
            snapshot_digest=self._snapshot(source) if source is not None else None,
        )
        return core.Run(self, record.id, outputs=kwargs.get("outputs"))

    def submit(self, config: ScriptRunConfig, tags: Mapping[str, str] | None = None, **kwargs: Any) -> ScriptRun:
        """Start a script as a process on this machine, and return its run at once.

        The process goes on when the kernel ends. Its output is the log of the run; the files in ``outputs`` and
        ``logs`` are stored when it ends.

        Parameters:
            config: the script.
            tags: of the run.
            display_name: another name to show.

        Raises:
            ExperimentExecutionException: the target is not this machine, or more than one process is asked for.
            SnapshotException: the source directory is too large or cannot be stored.
            UserErrorException: the script does not exist, or an input cannot be read.

        Example:
            >>> run = experiment.submit(ScriptRunConfig(".", "train.py"))     # doctest: +SKIP

        """
        return self._submit(config, tags=tags, **kwargs)

    def _submit(
        self,
        config: ScriptRunConfig,
        *,
        tags: Mapping[str, str] | None = None,
        parent_id: str | None = None,
        display_name: str | None = None,
        **kwargs: Any,
    ) -> ScriptRun:
        if not isinstance(config, core.ScriptRunConfig):
            raise UserErrorException(
                f"submit() takes a ScriptRunConfig, not {type(config).__name__}: pipelines, AutoML, HyperDrive and "
                "estimators are not there.\nScriptRunConfig('.', 'train.py') runs a script."
            )
        if kwargs:
            raise UserErrorException(f"submit() does not take {', '.join(sorted(kwargs))}.")
        targets = self.workspace.context.targets
        config.check([name for name, target in targets.items() if target.runs_scripts])
        for note in config.notes():
            print(note)
        context = self.workspace.context
        run_id = f"{self.name}_{int(time.time())}_{secrets.token_hex(4)}"
        inputs: dict[str, Any] = {}
        given = config.arguments if config.script is not None else _words(config.command)
        with as_user_error():
            folder = submission.folder_of(context, run_id) / "inputs"
            arguments = [_argument(argument, folder, inputs) for argument in given]
            for name, value in {**config.run_config.data, **config.run_config.data_references}.items():
                _argument(value, folder, inputs, name)
        digest = self._snapshot(config.source_directory)
        record = self._create(
            run_id,
            type=SCRIPT_RUN,
            status=statuses.STARTING,
            parent_id=parent_id,
            display_name=display_name,
            tags=tags,
            snapshot_digest=digest,
            submission={
                "command": config.command_line(arguments),
                "script": config.script,
                "arguments": arguments,
                "target": config.compute_target,
                "environment": config.environment.name,
                "environmentVariables": dict(config.environment.environment_variables),
                "inputVariables": {
                    f"AZUREML_DATAREFERENCE_{name}": item["path"] for name, item in inputs.items() if "path" in item
                },
                "inputs": inputs,
                "maxSeconds": config.run_config.max_run_duration_seconds,
            },
        )
        submission.start(context, record.id)
        return core.ScriptRun(self, record.id, directory=config.source_directory, _run_config=config.run_config)

    def get_runs(
        self,
        type: str | None = None,  # noqa: A002 - the name of the original
        tags: Filters = None,
        properties: Filters = None,
        include_children: bool = False,
    ) -> Iterator[Run]:
        """Yield the runs, the newest first.

        Parameters:
            type: only runs of this type, such as ``azureml.scriptrun``.
            tags, properties: a key, a list of keys and of pairs of key and value, or a dict.
            include_children: child runs, too.

        """
        return core.Run.list(self, type, tags, properties, include_children=include_children)

    @staticmethod
    def list(
        workspace: Workspace, experiment_name: str | None = None, view_type: str = "ActiveOnly", tags: Filters = None
    ) -> builtins.list[Experiment]:
        """Return the experiments of a workspace, by name.

        Parameters:
            workspace: the workspace.
            experiment_name: only this one.
            view_type: ActiveOnly, ArchivedOnly or All.
            tags: a list of keys and of pairs of key and value.

        Raises:
            UserErrorException: `view_type` is another one.

        """
        views = {"activeonly": (False,), "archivedonly": (True,), "all": (False, True)}
        wanted = views.get(str(view_type).replace("_", "").lower())
        if wanted is None:
            raise UserErrorException(f"view_type is {view_type!r}. Rule: ActiveOnly, ArchivedOnly or All.")
        with as_user_error():
            records = workspace.context.tracking.experiments.list(experiment_name)
        return [
            Experiment.from_record(workspace, record)
            for record in records
            if (record.archived_time is not None) in wanted and matches(record.tags, tags)
        ]

    @staticmethod
    def delete(workspace: Workspace, experiment_id: str) -> None:
        """Delete an experiment without runs.

        Raises:
            UserErrorException: `ExperimentNotFound`, or it has runs.

        """
        with as_user_error():
            workspace.context.tracking.experiments.delete(experiment_id)

    def archive(self) -> None:
        """Hide the experiment from `list`; its runs stay."""
        self.record = self.workspace.context.tracking.experiments.archive(self.id)

    def reactivate(self, new_name: str | None = None) -> None:
        """Take an archived experiment back.

        Parameters:
            new_name: another name.

        Raises:
            UserErrorException: the name is taken or breaks the rule.

        """
        with as_user_error():
            self.record = self.workspace.context.tracking.experiments.archive(
                self.id, archived=False, new_name=new_name
            )

    def refresh(self) -> None:
        """Read the experiment again."""
        with as_user_error():
            self.record = self.workspace.context.tracking.experiments.get_by_id(self.id)

    def tag(self, key: str, value: str | None = None) -> None:
        """Add a tag, or change its value."""
        self.set_tags({key: "" if value is None else value})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags, or change the values of those that exist."""
        with as_user_error():
            self.record = self.workspace.context.tracking.experiments.change(self.id, add_tags=tags)

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Remove tags by their keys."""
        with as_user_error():
            self.record = self.workspace.context.tracking.experiments.change(self.id, remove_tags=tags)

    def get_portal_url(self) -> str:
        """Return the URL of the workspace's folder of runs: there is no portal."""
        return (self.workspace.directory / "runs").as_uri()

    def _create(self, run_id: str, **values: Any) -> Any:
        with as_user_error():
            return self.workspace.context.tracking.runs.create(self.id, run_id, **values)

    def _snapshot(self, directory: str) -> str:
        try:
            return snapshot(expanded(directory), self.workspace.artifacts, without=_OWN_FOLDERS).digest
        except MLJupyterError as error:
            raise SnapshotException(error.message) from error

    def _summary(self) -> Rows:
        return [("Name", self.name), ("Workspace", self.workspace.name), ("Tags", pairs(self.tags))]

    def __repr__(self) -> str:
        return f"Experiment(Name: {self.name},\nWorkspace: {self.workspace.name})"


def _words(command: Any) -> Sequence[Any]:
    return [command] if isinstance(command, str) else list(command)


def _argument(argument: Any, folder: Path, inputs: dict[str, Any], name: str | None = None) -> str:
    """Return an argument as text, and note it as input of the script if it is data."""
    if isinstance(argument, AbstractDataset):
        argument = DatasetConsumptionConfig(name or f"input_{len(inputs) + 1}", argument)
    if isinstance(argument, DatasetConsumptionConfig):
        text, inputs[argument.name] = argument.submitted(folder)
        return text
    if isinstance(argument, DataReference):
        text = argument.local_path(folder)
        inputs[argument.data_reference_name] = {"path": text}
        return text
    return str(argument)
