"""Runs: their status, tags, metrics and files."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, Select, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from mljupyter.ownership import user_name
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.artifacts.tree import walk
from mljupyter.registry.catalog.filters import checked_filter, matches
from mljupyter.registry.catalog.model_record import checked_keys, checked_text
from mljupyter.registry.catalog.transactions import reading, writing
from mljupyter.registry.errors import DatabaseError
from mljupyter.spec.names import NameRule
from mljupyter.tracking import statuses
from mljupyter.tracking.errors import RunFileNotFoundError, RunNotFoundError, TrackingError
from mljupyter.tracking.metrics import Metric
from mljupyter.tracking.mlflow_mirror import RUN_PROPERTY, MlflowMirror
from mljupyter.tracking.paths import checked_path
from mljupyter.tracking.tables import EXPERIMENTS, RUN_FILES, RUN_METRICS, RUNS

RUN = NameRule(
    "a run",
    re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-.]{0,254}"),
    "1 to 255 letters, digits, '-', '_' and '.'; a letter, digit or '_' first",
    "fold-1",
)


@dataclass(frozen=True)
class RunRecord:
    """A run as it was read.

    Parameters:
        submission: of a submitted script: its command, environment and inputs.
        process: pid and start time of the process that supervises a submitted script.
        error: code and message of the error that ended it.

    """

    id: str
    experiment_id: str
    number: int
    parent_id: str | None
    type: str | None
    status: str
    display_name: str
    description: str | None
    tags: Mapping[str, str]
    properties: Mapping[str, str]
    submission: Mapping[str, Any] | None = field(repr=False)
    process: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    snapshot_digest: str | None
    created_by: str
    created_time: datetime
    start_time: datetime | None
    end_time: datetime | None


@dataclass(frozen=True)
class StoredFile:
    """A file of a run or a datastore: its path, and its content in the artifact store."""

    path: str
    digest: str
    size: int
    time: datetime


class Runs:
    """Creates, finds and changes runs. Any number of processes may use it at the same time."""

    def __init__(self, engine: Engine, artifacts: ArtifactStore, mirror: MlflowMirror | None = None) -> None:
        self._engine = engine
        self._artifacts = artifacts
        self._mirror = mirror

    def create(
        self,
        experiment_id: str,
        run_id: str,
        *,
        status: str = statuses.RUNNING,
        type: str | None = None,  # noqa: A002 - the name of the field
        parent_id: str | None = None,
        display_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        submission: Mapping[str, Any] | None = None,
        snapshot_digest: str | None = None,
    ) -> RunRecord:
        """Create a run with the next number of its experiment.

        Raises:
            SpecError: the id breaks the rule.
            TrackingError: there is a run of this id, or a value breaks a rule.

        """
        RUN.check(run_id)
        now = datetime.now(UTC)
        values = {
            "id": run_id,
            "experiment_id": experiment_id,
            "parent_id": parent_id,
            "type": type,
            "status": status,
            "display_name": display_name or run_id,
            "tags": checked_text(tags, "tags"),
            "properties": checked_text(properties, "properties"),
            "submission": dict(submission) if submission is not None else None,
            "snapshot_digest": snapshot_digest,
            "created_by": user_name(),
            "created_time": now,
            "start_time": now if status == statuses.RUNNING else None,
        }
        with writing(self._engine) as connection:
            if connection.execute(select(RUNS.c.id).where(RUNS.c.id == run_id)).first():
                raise TrackingError(f"There is a run {run_id!r} already: choose another id.")
            mine = EXPERIMENTS.c.id == experiment_id
            connection.execute(update(EXPERIMENTS).where(mine).values(last_number=EXPERIMENTS.c.last_number + 1))
            values["number"] = connection.execute(select(EXPERIMENTS.c.last_number).where(mine)).scalar_one()
            connection.execute(insert(RUNS).values(values))
            record = _find(connection, run_id)
            experiment = str(connection.execute(select(EXPERIMENTS.c.name).where(mine)).scalar_one())
        return record if self._mirror is None else self._mirrored(self._mirror, record, experiment)

    def _mirrored(self, mirror: MlflowMirror, record: RunRecord, experiment: str) -> RunRecord:
        """Create a run in MLflow, and note its id."""
        parent = self._mirror_id(record.parent_id) if record.parent_id is not None else None
        found = mirror.created(experiment, record.id, record.display_name, record.tags, parent)
        return record if found is None else self.change(record.id, add_properties={RUN_PROPERTY: found})

    def _mirror_id(self, run_id: str) -> str | None:
        """Return the id of a run in MLflow; None if it is not there."""
        return self.get(run_id).properties.get(RUN_PROPERTY)

    def get(self, run_id: str) -> RunRecord:
        """Return a run.

        Raises:
            RunNotFoundError: there is none of this id.

        """
        with reading(self._engine) as connection:
            return _find(connection, run_id)

    def list(
        self,
        experiment_id: str | None = None,
        *,
        parent_id: str | None = None,
        type: str | None = None,  # noqa: A002 - the name of the field
        status: str | None = None,
        tags: Sequence[Any] | None = None,
        properties: Sequence[Any] | None = None,
        with_children: bool = True,
    ) -> builtins.list[RunRecord]:
        """Return the runs that satisfy all given filters, the newest first."""
        wanted_tags, wanted_properties = checked_filter(tags, "tags"), checked_filter(properties, "properties")
        query: Select[Any] = select(RUNS).order_by(RUNS.c.created_time.desc(), RUNS.c.number.desc())
        wanted = (
            (RUNS.c.experiment_id, experiment_id),
            (RUNS.c.parent_id, parent_id),
            (RUNS.c.type, type),
            (RUNS.c.status, status),
        )
        for column, value in wanted:
            if value is not None:
                query = query.where(column == value)
        if not with_children and parent_id is None:
            query = query.where(RUNS.c.parent_id.is_(None))
        with reading(self._engine) as connection:
            records = [_record(row) for row in connection.execute(query)]
        return [r for r in records if matches(r.tags, wanted_tags) and matches(r.properties, wanted_properties)]

    def set_status(self, run_id: str, status: str, *, error: Mapping[str, Any] | None = None) -> RunRecord:
        """Change the status of a run and return the run; a status that may not follow is ignored.

        Parameters:
            run_id: the run.
            status: one of `statuses`.
            error: code and message of the error that ended it.

        """
        with writing(self._engine) as connection:
            present = _find(connection, run_id, lock=True)
            if statuses.allowed(present.status, status):
                now = datetime.now(UTC)
                values: dict[str, Any] = {"status": status}
                if status == statuses.RUNNING and present.start_time is None:
                    values["start_time"] = now
                if status in statuses.FINAL:
                    values["end_time"] = now
                if error is not None:
                    values["error"] = dict(error)
                connection.execute(update(RUNS).where(RUNS.c.id == run_id).values(values))
            record = _find(connection, run_id)
        if self._mirror is not None and present.status not in statuses.FINAL:
            self._mirror.ended(record.properties.get(RUN_PROPERTY), record.status)
        return record

    def change(
        self,
        run_id: str,
        *,
        add_tags: Mapping[str, Any] | None = None,
        remove_tags: Sequence[str] | None = None,
        add_properties: Mapping[str, Any] | None = None,
        display_name: str | None = None,
        description: str | None = None,
        snapshot_digest: str | None = None,
        process: Mapping[str, Any] | None = None,
    ) -> RunRecord:
        """Change the given values and return the run. None keeps a value.

        Properties are only added. The parts of `process` are added to those that are known.

        Raises:
            TrackingError: a property exists already.

        """
        added, removed = checked_text(add_tags, "tags"), checked_keys(remove_tags, "tags")
        new_properties = checked_text(add_properties, "properties")
        values: dict[str, Any] = {
            "display_name": display_name,
            "description": description,
            "snapshot_digest": snapshot_digest,
            "process": process,
        }
        values = {key: value for key, value in values.items() if value is not None}
        with writing(self._engine) as connection:
            present = _find(connection, run_id, lock=True)
            if taken := sorted(present.properties.keys() & new_properties.keys()):
                raise TrackingError(
                    f"Run {run_id} has the properties {', '.join(taken)} already.\n"
                    "Rule: properties are only added, never changed. Use a tag for a value that changes."
                )
            values["tags"] = {key: value for key, value in present.tags.items() if key not in removed} | added
            values["properties"] = {**present.properties, **new_properties}
            if process is not None:
                values["process"] = {**(present.process or {}), **process}
            connection.execute(update(RUNS).where(RUNS.c.id == run_id).values(values))
            record = _find(connection, run_id)
        if self._mirror is not None and (added or removed or new_properties):
            self._mirror.changed(record.properties.get(RUN_PROPERTY), {**added, **new_properties}, removed)
        return record

    def log(self, run_id: str, metrics: Iterable[Metric]) -> None:
        """Add calls of log functions to a run."""
        now, metrics = datetime.now(UTC), [*metrics]
        rows = [
            {"run_id": run_id, "name": m.name, "kind": m.kind, "value": m.value, "step": m.step, "time": now}
            for m in metrics
        ]
        if rows:
            with writing(self._engine) as connection:
                connection.execute(insert(RUN_METRICS), rows)
            if self._mirror is not None:
                self._mirror.logged(self._mirror_id(run_id), metrics)

    def metrics(self, run_id: str, name: str | None = None) -> builtins.list[Metric]:
        """Return the calls of log functions of a run, in their order; with `name`, only those of that metric."""
        query = select(RUN_METRICS).where(RUN_METRICS.c.run_id == run_id).order_by(RUN_METRICS.c.id)
        if name is not None:
            query = query.where(RUN_METRICS.c.name == name)
        with reading(self._engine) as connection:
            return [Metric(row.name, row.kind, row.value, row.step) for row in connection.execute(query)]

    def put_files(self, run_id: str, files: Mapping[str, Path], *, replace: bool = False) -> builtins.list[str]:
        """Store files of a run by their paths in the run, and return these paths.

        Parameters:
            run_id: the run.
            files: the local file for each path in the run.
            replace: replace files that the run has already.

        Raises:
            TrackingError: a path leads out of the run, or there is a file of that path already.

        """
        paths = {checked_path(path): file for path, file in files.items()}
        if not paths:
            return []
        with self._artifacts.hold():
            if not replace and (taken := sorted(paths.keys() & {file.path for file in self.files(run_id)})):
                raise TrackingError(
                    f"Run {run_id} has the file {taken[0]!r} already.\n"
                    "Rule: a file of a run is uploaded once. Upload it under another name."
                )
            now = datetime.now(UTC)
            stored = {path: self._artifacts.put(file) for path, file in paths.items()}
            with writing(self._engine) as connection:
                _find(connection, run_id, lock=True)
                of_run = RUN_FILES.c.run_id == run_id
                for path, artifact in stored.items():
                    connection.execute(delete(RUN_FILES).where(of_run & (RUN_FILES.c.path == path)))
                    row = {"path": path, "digest": artifact.digest, "size": artifact.size, "time": now}
                    connection.execute(insert(RUN_FILES).values(run_id=run_id, **row))
        if self._mirror is not None:
            self._mirror.stored(self._mirror_id(run_id), paths)
        return sorted(paths)

    def put_folder(self, run_id: str, folder: Path, below: str, *, replace: bool = False) -> builtins.list[str]:
        """Store the files of a local folder under a path of a run, and return their paths in the run."""
        prefix = f"{below.strip('/')}/" if below.strip("/") else ""
        found = {prefix + entry.relative: entry.path for entry in walk(folder) if not entry.is_directory}
        return self.put_files(run_id, found, replace=replace)

    def files(self, run_id: str, prefix: str = "") -> builtins.list[StoredFile]:
        """Return the files of a run whose paths begin with a prefix, by path."""
        query = select(RUN_FILES).where(RUN_FILES.c.run_id == run_id).order_by(RUN_FILES.c.path)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [StoredFile(checked_path(r.path), r.digest, r.size, r.time) for r in rows if r.path.startswith(prefix)]

    def file(self, run_id: str, path: str) -> StoredFile:
        """Return a file of a run.

        Raises:
            RunFileNotFoundError: there is none of this path; the text lists those that are there.

        """
        found = self.files(run_id)
        for file in found:
            if file.path == path.strip("/"):
                return file
        names = ", ".join(file.path for file in found[:10]) or "none"
        raise RunFileNotFoundError(f"ArtifactNotFound: run {run_id} has no file {path!r}. It has: {names}.")

    def digests(self) -> set[str]:
        """Return the digests of the content of all runs, which the garbage collector must keep."""
        with reading(self._engine) as connection:
            files = set(connection.execute(select(RUN_FILES.c.digest).distinct()).scalars())
            snapshots = select(RUNS.c.snapshot_digest).where(RUNS.c.snapshot_digest.is_not(None)).distinct()
            return files | set(connection.execute(snapshots).scalars())

    def count_children(self, run_id: str) -> int:
        """Return the number of direct children of a run."""
        with reading(self._engine) as connection:
            query = select(func.count()).select_from(RUNS).where(RUNS.c.parent_id == run_id)
            return int(connection.execute(query).scalar_one())


def _find(connection: Connection, run_id: str, *, lock: bool = False) -> RunRecord:
    query = select(RUNS).where(RUNS.c.id == run_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise RunNotFoundError(f"RunNotFound: there is no run {run_id!r} in this workspace.")
    return _record(row)


def _record(row: Row[Any]) -> RunRecord:
    # The id becomes part of paths here, and a database that a team shares is written by others.
    if not isinstance(row.id, str) or RUN.pattern.fullmatch(row.id) is None:
        raise DatabaseError(f"The database holds a run with id {row.id!r:.200}, which is no id. Rule: {RUN.text}.")
    return RunRecord(**row._mapping)
