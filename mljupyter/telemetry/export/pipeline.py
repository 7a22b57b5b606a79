"""The export pipeline for request logs. It stores its position on disk and continues there after a restart.

The files of the replicas are the queue. Their size is limited, so the oldest records are lost if a collector is
unavailable for long. Gaps in the numbers of the records show how many were lost. A replica never waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mljupyter.files import write_whole
from mljupyter.outside import json_value
from mljupyter.runtimes.base import ReplicaLog
from mljupyter.spec import Document
from mljupyter.spec.version import LARGEST_NUMBER
from mljupyter.telemetry.export.exporters import Exporter

_MOST_BYTES_EACH = 256 * 1024
_MOST_RECORDS = 512
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
GIVE_UP_SECONDS = 300.0


class Reached(Document):
    """The position up to which the records of one replica were sent."""

    cursor: str | None = None
    seq: int = 0


class State(Document):
    """The state of a pipeline. It is stored on disk and shown to users."""

    exported: int = 0
    lost: int = 0
    problem: str | None = None
    replicas: dict[str, Reached] = {}


class Pipeline:
    """Sends new records, batch by batch.

    Parameters:
        exporter: sends the records.
        find: returns the current request logs of the replicas.
        file: the file for the state.
        clock: a monotonic clock in seconds.

    """

    def __init__(
        self,
        exporter: Exporter,
        find: Callable[[], Sequence[ReplicaLog]],
        file: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exporter = exporter
        self._find = find
        self._file = file
        self._clock = clock
        self._failing_since: float | None = None
        self._pause = _FIRST_PAUSE
        self.state = read_state(file)

    def send(self) -> float | None:
        """Send new records. Return None when there are no more, else the seconds until the next call."""
        batch, reached, lost = self._next()
        if not batch and reached == self.state.replicas:
            return None
        for start in range(0, len(batch), _MOST_RECORDS):
            if not self._exporter.export(batch[start : start + _MOST_RECORDS]):
                if not self._given_up():
                    self._keep(self.state.model_copy(update={"problem": self._problem()}))
                    pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
                    return pause
                lost += len(batch) - start
                batch = batch[:start]
                break
        self._failing_since, self._pause = None, _FIRST_PAUSE
        self._keep(State(exported=self.state.exported + len(batch), lost=self.state.lost + lost, replicas=reached))
        return 0.0 if batch else None

    def _next(self) -> tuple[list[Mapping[str, Any]], dict[str, Reached], int]:
        """Return the next records, the positions after them, and the number of lost ones."""
        batch: list[Mapping[str, Any]] = []
        reached: dict[str, Reached] = {}
        lost = 0
        for log in self._find():
            before = self.state.replicas.get(log.replica_id, Reached())
            part = log.after(before.cursor, _MOST_BYTES_EACH)
            seq = before.seq
            for line in part.lines:
                record = _parsed(line)
                if record is None:
                    continue
                lost += max(0, record["seq"] - seq - 1)
                seq = max(seq, record["seq"])
                batch.append(record)
            reached[log.replica_id] = Reached(cursor=part.cursor, seq=seq)
        return batch, reached, lost

    def _given_up(self) -> bool:
        """Return whether a batch has failed for so long that it is skipped."""
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        return now - self._failing_since > GIVE_UP_SECONDS

    def _problem(self) -> str:
        return f"{self._exporter.name} does not accept records; for now the newest are kept in the replicas' files"

    def _keep(self, state: State) -> None:
        if state == self.state:
            return
        self.state = state
        write_whole(self._file, state.json_text())


def read_state(file: Path) -> State:
    """Return the state that a pipeline has written, or an initial one if it cannot be read."""
    try:
        return State.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return State()


def state_file(control: Path, name: str) -> Path:
    """Return the file of a pipeline by the name of its exporter."""
    return control / f"telemetry-{name.lower().replace(' ', '-')}.json"


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json_value(line)
    except ValueError:
        return None
    seq = record.get("seq") if isinstance(record, dict) else None
    return record if isinstance(seq, int) and 0 <= seq <= LARGEST_NUMBER else None
