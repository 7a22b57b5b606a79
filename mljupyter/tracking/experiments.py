"""Experiments: named groups of runs."""

from __future__ import annotations

import builtins
import difflib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, Row, delete, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from mljupyter.ownership import user_name
from mljupyter.registry.catalog.model_record import checked_keys, checked_text
from mljupyter.registry.catalog.transactions import reading, writing
from mljupyter.spec.names import NameRule
from mljupyter.tracking.errors import ExperimentNotFoundError, TrackingError
from mljupyter.tracking.tables import EXPERIMENTS, RUNS

EXPERIMENT = NameRule(
    "an experiment",
    re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-]{0,254}"),
    "1 to 255 letters, digits, '-' and '_'; a letter, digit or '_' first",
    "diabetes-training",
)


@dataclass(frozen=True)
class ExperimentRecord:
    """An experiment as it was read."""

    id: str
    name: str
    tags: Mapping[str, str]
    created_by: str
    created_time: datetime
    archived_time: datetime | None


class Experiments:
    """Creates, finds, changes and deletes experiments. Any number of processes may use it at the same time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self, name: str) -> ExperimentRecord:
        """Return the experiment of a name, and create it if there is none.

        Raises:
            SpecError: the name breaks the rule.

        """
        EXPERIMENT.check(name)
        values = {
            "id": str(uuid.uuid4()),
            "name": name,
            "tags": {},
            "last_number": 0,
            "created_by": user_name(),
            "created_time": datetime.now(UTC),
        }
        try:
            with writing(self._engine) as connection:
                if (found := _named(connection, name)) is not None:
                    return found
                connection.execute(insert(EXPERIMENTS).values(values))
        except IntegrityError:
            pass  # created concurrently by another process
        return self.get(name)

    def get(self, name: str) -> ExperimentRecord:
        """Return the experiment of a name.

        Raises:
            ExperimentNotFoundError: there is none; the text names the nearest.

        """
        with reading(self._engine) as connection:
            if (found := _named(connection, name)) is not None:
                return found
            known = builtins.list(connection.execute(select(EXPERIMENTS.c.name)).scalars())
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(known)[:10]) or 'none yet'}."
        raise ExperimentNotFoundError(f"ExperimentNotFound: there is no experiment {name!r}. {hint}")

    def get_by_id(self, experiment_id: str) -> ExperimentRecord:
        """Return the experiment of an id.

        Raises:
            ExperimentNotFoundError: there is none.

        """
        with reading(self._engine) as connection:
            row = connection.execute(select(EXPERIMENTS).where(EXPERIMENTS.c.id == experiment_id)).first()
        if row is None:
            raise ExperimentNotFoundError(f"ExperimentNotFound: there is no experiment with id {experiment_id!r}.")
        return _record(row)

    def list(self, name: str | None = None) -> builtins.list[ExperimentRecord]:
        """Return the experiments by name, archived ones too; with `name`, only that one."""
        query = select(EXPERIMENTS).order_by(EXPERIMENTS.c.name)
        with reading(self._engine) as connection:
            rows = connection.execute(query if name is None else query.where(EXPERIMENTS.c.name == name))
            return [_record(row) for row in rows]

    def change(
        self, experiment_id: str, *, add_tags: Mapping[str, Any] | None = None, remove_tags: Sequence[str] | None = None
    ) -> ExperimentRecord:
        """Add and remove tags, and return the experiment."""
        added, removed = checked_text(add_tags, "tags"), checked_keys(remove_tags, "tags")
        with writing(self._engine) as connection:
            mine = EXPERIMENTS.c.id == experiment_id
            present = connection.execute(select(EXPERIMENTS.c.tags).where(mine).with_for_update()).scalar() or {}
            tags = {key: value for key, value in present.items() if key not in removed} | added
            connection.execute(update(EXPERIMENTS).where(mine).values(tags=tags))
        return self.get_by_id(experiment_id)

    def archive(self, experiment_id: str, *, archived: bool = True, new_name: str | None = None) -> ExperimentRecord:
        """Archive an experiment, or take it back, then under another name if `new_name` is given.

        Raises:
            SpecError: the name breaks the rule.
            TrackingError: the name is taken.

        """
        values: dict[str, Any] = {"archived_time": datetime.now(UTC) if archived else None}
        if new_name is not None:
            values["name"] = EXPERIMENT.check(new_name)
        try:
            with writing(self._engine) as connection:
                connection.execute(update(EXPERIMENTS).where(EXPERIMENTS.c.id == experiment_id).values(values))
        except IntegrityError:
            raise TrackingError(f"There is an experiment {new_name!r} already: choose another name.") from None
        return self.get_by_id(experiment_id)

    def delete(self, experiment_id: str) -> None:
        """Remove an experiment.

        Raises:
            ExperimentNotFoundError: there is none.
            TrackingError: it has runs.

        """
        record = self.get_by_id(experiment_id)
        with writing(self._engine) as connection:
            if connection.execute(select(RUNS.c.id).where(RUNS.c.experiment_id == record.id).limit(1)).first():
                raise TrackingError(
                    f"The experiment {record.name!r} has runs: it cannot be deleted.\nRule: only an experiment without "
                    "runs is deleted. Experiment.archive() hides it."
                )
            connection.execute(delete(EXPERIMENTS).where(EXPERIMENTS.c.id == record.id))


def _named(connection: Connection, name: str) -> ExperimentRecord | None:
    row = connection.execute(select(EXPERIMENTS).where(EXPERIMENTS.c.name == name)).first()
    return None if row is None else _record(row)


def _record(row: Row[Any]) -> ExperimentRecord:
    return ExperimentRecord(row.id, row.name, row.tags, row.created_by, row.created_time, row.archived_time)
