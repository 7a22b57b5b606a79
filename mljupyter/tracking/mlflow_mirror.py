"""Runs are also sent to MLflow, if it is installed: to the store of ``MLFLOW_TRACKING_URI``, or one in the workspace.

The workspace stays the place where runs are read. An error of MLflow is one line, and nothing waits for it again.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from mljupyter.tracking import statuses
from mljupyter.tracking.metrics import Metric, shown
from mljupyter.visible import one_line

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

T = TypeVar("T")

VARIABLE = "MLFLOW_TRACKING_URI"
SWITCH = "MLJUPYTER_MLFLOW"
"""The variable that is ``off`` for no store of MLflow in the workspace."""
RUN_PROPERTY = "mlflow.runId"
_ENDS = {statuses.COMPLETED: "FINISHED", statuses.FAILED: "FAILED", statuses.CANCELED: "KILLED"}
_NOT_IN_KEYS = re.compile(r"[^\w\-. /]")


def configured(directory: Path | None = None) -> MlflowMirror | None:
    """Return the mirror, if MLflow is installed; None otherwise.

    Parameters:
        directory: the directory of the workspace, for the store if the environment names none. Without it there is a
            mirror only if the environment names a store.

    """
    installed = find_spec("mlflow") is not None
    if os.environ.get(VARIABLE):
        if not installed:
            _say(f"{VARIABLE} is set, but MLflow is not installed: runs are in the workspace only.")
        return MlflowMirror() if installed else None
    if directory is None or not installed or os.environ.get(SWITCH) == "off":
        return None
    return MlflowMirror(directory)


def store_uri(directory: Path) -> str:
    """Return the URI of the store of MLflow in a workspace."""
    return f"sqlite:///{directory / 'mlflow.db'}"


class MlflowMirror:
    """Sends runs to MLflow. All methods take the id of MLflow's run, and do nothing for None.

    Parameters:
        directory: the directory of the workspace, for a store in it; None for the store that the environment names.

    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._client: MlflowClient | None = None
        self._failed = False

    def created(
        self, experiment: str, run_id: str, name: str, tags: Mapping[str, str], parent: str | None
    ) -> str | None:
        """Create a run, and return its id in MLflow; None if MLflow does not answer.

        Parameters:
            experiment: the name of the experiment.
            run_id: the id of the run in the workspace.
            name: the name to show.
            tags: its tags.
            parent: the id of its parent in MLflow.

        """

        def create(client: MlflowClient) -> str:
            known = client.get_experiment_by_name(experiment)
            experiment_id = known.experiment_id if known is not None else self._new_experiment(client, experiment)
            own = {"mljupyter.runId": run_id, **({"mlflow.parentRunId": parent} if parent else {})}
            return str(client.create_run(experiment_id, tags={**tags, **own}, run_name=name).info.run_id)

        return self._sent(create)

    def logged(self, run: str | None, metrics: Sequence[Metric]) -> None:
        """Send calls of log functions: numbers as metrics, texts as tags."""

        def log(client: MlflowClient) -> None:
            for key, value, step in (item for metric in metrics for item in _values(metric)):
                if isinstance(value, str) or value is None:
                    client.set_tag(run, key, str(value))
                else:
                    client.log_metric(run, key, float(value), step=step)

        if run is not None:
            self._sent(log)

    def stored(self, run: str | None, files: Mapping[str, Path]) -> None:
        """Send files under their paths in the run."""

        def store(client: MlflowClient) -> None:
            for path, file in files.items():
                place = PurePosixPath(path)
                folder = None if str(place.parent) == "." else str(place.parent)
                with tempfile.TemporaryDirectory(prefix="mljupyter-") as other:
                    named = file if file.name == place.name else Path(shutil.copyfile(file, Path(other, place.name)))
                    client.log_artifact(run, str(named), folder)

        if run is not None:
            self._sent(store)

    def changed(self, run: str | None, tags: Mapping[str, str], removed: Sequence[str]) -> None:
        """Send tags and properties that were set, and tags that were removed."""

        def change(client: MlflowClient) -> None:
            for key, value in tags.items():
                client.set_tag(run, _key(key), value)
            present = client.get_run(run).data.tags if removed else {}
            for key in removed:
                if _key(key) in present:
                    client.delete_tag(run, _key(key))

        if run is not None:
            self._sent(change)

    def ended(self, run: str | None, status: str) -> None:
        """Send a final status; others are not sent."""
        if run is not None and status in _ENDS:
            self._sent(lambda client: client.set_terminated(run, _ENDS[status]))

    def _new_experiment(self, client: MlflowClient, name: str) -> str:
        # Without a location, MLflow writes files into the current directory.
        location = None if self._directory is None else (self._directory / "mlflow-artifacts").as_uri()
        return str(client.create_experiment(name, location))

    def _connected(self) -> MlflowClient:
        """Return a client. The first one creates the tables of a store in the workspace, which takes some seconds."""
        from mlflow.tracking import MlflowClient

        # By default a server that is away is waited for some minutes, in the user's cell.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        if self._directory is None:
            return MlflowClient()
        uri = store_uri(self._directory)
        _say(f"Runs are also in MLflow: mlflow ui --backend-store-uri '{uri}'  ({SWITCH}=off: not there)")
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=uri)

    def _sent(self, work: Callable[[MlflowClient], T]) -> T | None:
        """Do work with the client, and return its result. The first error is told, and ends the sending."""
        if self._failed:
            return None
        try:
            if self._client is None:
                self._client = self._connected()
            return work(self._client)
        except Exception as error:  # noqa: BLE001 - each store of MLflow has errors of its own
            self._failed = True
            reason = one_line(str(error).partition("\n")[0][:200])
            _say(f"MLflow does not answer ({type(error).__name__}: {reason}): runs are in the workspace only.")
            return None


def _values(metric: Metric) -> Iterator[tuple[str, Any, int]]:
    """Yield key, value and step of everything in a call of a log function."""
    value = shown(metric.value)
    columns = value.items() if isinstance(value, dict) else [(None, value)]
    for column, items in columns:
        key = _key(metric.name if column is None else f"{metric.name}/{column}")
        for place, item in enumerate(items if isinstance(items, list) else [items]):
            yield key, item, metric.step if metric.step is not None else place


def _key(name: str) -> str:
    return _NOT_IN_KEYS.sub("_", name)[:250]


@cache
def _say(text: str) -> None:
    print(text, file=sys.stderr)
