"""Time series store on disk: one-second samples for an hour, one-minute samples for a month, bounded in size."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mljupyter.telemetry.metrics import database
from mljupyter.telemetry.metrics.aggregate import UsageBin, longer, usage_bins
from mljupyter.telemetry.metrics.idle import by_second
from mljupyter.telemetry.metrics.samples import Interval, Usage

MINUTE, HOUR = 60, 3600
KEEP_SECONDS = HOUR
KEEP_MINUTES = 31 * 24 * HOUR
MOST_BYTES = 256 * 1024 * 1024
_ALL = ", ".join(database.COLUMNS)
_MARKS = ", ".join("?" * len(database.COLUMNS))
_PIECE = 20  # the oldest 1/20 is dropped when the file is full


@dataclass(frozen=True)
class Samples:
    """The result of one reading by endpoint, with the positions of its sources, and the sources that are gone."""

    intervals: Mapping[str, Sequence[Interval]]
    usages: Mapping[str, Sequence[Usage]] = field(default_factory=dict)
    progress: Mapping[str, str] = field(default_factory=dict)
    gone: Sequence[str] = ()


class TimeSeries:
    """The time series of a workspace. One writer; readers may be in other threads.

    Parameters:
        path: the file.
        keep_seconds: the retention of single seconds, in seconds.
        keep_minutes: the retention of single minutes, in seconds.
        most_bytes: the largest content of the file. Beyond it, the oldest minutes are dropped.

    """

    def __init__(
        self,
        path: Path,
        *,
        keep_seconds: int = KEEP_SECONDS,
        keep_minutes: int = KEEP_MINUTES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._path = path
        self._keep_seconds = keep_seconds
        self._keep_minutes = keep_minutes
        self._most_bytes = most_bytes
        self._connection = database.connect(path)
        self._series: dict[tuple[str, str], int] = {}
        self._replicas: dict[str, int] = {}
        try:
            self._load_keys()
            self.progress()
        except sqlite3.DatabaseError as error:
            self.begin_again(error)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def begin_again(self, reason: Exception) -> None:
        """Rename a file that turns out to be damaged, and start a new one."""
        self._connection.close()
        database.put_aside(self._path, reason)
        self._connection = database.connect(self._path)
        self._load_keys()

    @property
    def last_time(self) -> int | None:
        """The end of the newest interval in seconds since the epoch."""
        time = self._rows("SELECT max(time) FROM seconds")[0][0] or self._rows("SELECT max(time) FROM minutes")[0][0]
        return None if time is None else int(time)

    def progress(self) -> dict[str, str]:
        """Return the position of each source at its last reading."""
        return dict(self._rows("SELECT source, state FROM progress"))

    def write(self, samples: Samples) -> None:
        """Write the result of one reading in one transaction."""
        with self._transaction():
            intervals = [
                database.row_of(interval, self._series_key(endpoint, interval.version))
                for endpoint, found in samples.intervals.items()
                for interval in found
            ]
            usages = [
                (usage.time, self._replica_key(endpoint, usage), *_numbers_of(usage))
                for endpoint, found in samples.usages.items()
                for usage in found
            ]
            self._connection.executemany(f"INSERT OR REPLACE INTO seconds ({_ALL}) VALUES ({_MARKS})", intervals)  # noqa: S608 - names and marks of ours, no input
            self._connection.executemany("INSERT OR REPLACE INTO usage_seconds VALUES (?, ?, ?, ?, ?, ?)", usages)
            self._connection.executemany(
                "INSERT OR REPLACE INTO progress VALUES (?, ?)", list(samples.progress.items())
            )
            self._connection.executemany("DELETE FROM progress WHERE source = ?", [(name,) for name in samples.gone])

    def roll_up(self, now: int) -> None:
        """Aggregate the seconds of complete minutes, and drop data that is too old or too large."""
        until = now // MINUTE * MINUTE
        with self._transaction():
            self._roll_up_intervals(until)
            self._roll_up_usages(until)
            for table, keep in (("seconds", self._keep_seconds), ("minutes", self._keep_minutes)):
                for name in (table, f"usage_{table}"):
                    # Times in the future were written before the clock was set back.
                    old_or_ahead = f"DELETE FROM {name} WHERE time <= ? OR time > ?"  # noqa: S608 - names and marks of ours, no input
                    self._connection.execute(old_or_ahead, (now - keep, now + MINUTE))
            self._connection.execute(
                "DELETE FROM replicas WHERE id NOT IN (SELECT replica FROM usage_seconds UNION "
                "SELECT replica FROM usage_minutes)"
            )
        self._load_keys()
        self._make_room()

    def intervals(self, endpoint: str, after: int, until: int, *, fine: bool) -> list[Interval]:
        """Return the intervals of an endpoint's versions that end after one time and not after another.

        Fine ones of versions without requests are single seconds, although they were written as longer intervals.

        Parameters:
            endpoint: its name.
            after, until: seconds since the epoch.
            fine: read seconds as far as they are stored, else minutes.

        """
        with self._reading() as connection:
            versions = dict(connection.execute("SELECT id, version FROM series WHERE endpoint = ?", (endpoint,)))
            keys = ", ".join(map(str, versions))
            query = f"SELECT {_ALL} FROM %s WHERE time > ? AND time <= ? AND series IN ({keys}) ORDER BY time"  # noqa: S608 - names and marks of ours, no input
            rolled = 0 if fine else _newest(connection, "minutes")
            found = [] if fine else connection.execute(query % "minutes", (after, until)).fetchall()
            found += connection.execute(query % "seconds", (max(after, rolled), until)).fetchall()
        intervals = [database.interval_of(row, versions[row[1]]) for row in found]
        return sorted(by_second(intervals, after), key=lambda interval: interval.time) if fine else intervals

    def usages(self, endpoint: str, after: int, until: int, *, fine: bool) -> list[Usage]:
        """Return the usages of an endpoint's replicas. The parameters are those of `intervals`."""
        with self._reading() as connection:
            names = {
                key: (version, name)
                for key, version, name in connection.execute(
                    "SELECT replicas.id, version, name FROM replicas JOIN series ON series.id = replicas.series "
                    "WHERE endpoint = ?",
                    (endpoint,),
                )
            }
            keys = ", ".join(map(str, names))
            query = f"SELECT * FROM %s WHERE time > ? AND time <= ? AND replica IN ({keys}) ORDER BY time"  # noqa: S608 - names and marks of ours, no input
            rolled = 0 if fine else _newest(connection, "minutes")
            found = [] if fine else connection.execute(query % "usage_minutes", (after, until)).fetchall()
            found += connection.execute(query % "usage_seconds", (max(after, rolled), until)).fetchall()
        return [_usage_of(row, *names[row[1]]) for row in found]

    def _roll_up_intervals(self, until: int) -> None:
        rows = self._connection.execute(
            f"SELECT {_ALL} FROM seconds WHERE time > ? AND time <= ?",  # noqa: S608 - names and marks of ours, no input
            (_newest(self._connection, "minutes"), until),
        )
        seconds = [database.interval_of(row, str(row[1])) for row in rows]
        self._connection.executemany(
            f"INSERT OR REPLACE INTO minutes ({_ALL}) VALUES ({_MARKS})",  # noqa: S608 - names and marks of ours, no input
            [database.row_of(interval, int(interval.version)) for interval in longer(seconds, MINUTE)],
        )

    def _roll_up_usages(self, until: int) -> None:
        rows = self._connection.execute(
            "SELECT * FROM usage_seconds WHERE time > ? AND time <= ?",
            (_newest(self._connection, "usage_minutes"), until),
        )
        seconds = [_usage_of(row, "", str(row[1])) for row in rows]
        self._connection.executemany(
            "INSERT OR REPLACE INTO usage_minutes VALUES (?, ?, ?, ?, ?, ?)",
            [(item.time, int(item.replica), *_numbers_of(item)) for item in usage_bins(seconds, MINUTE)],
        )

    def _make_room(self) -> None:
        """Drop the oldest minutes, then seconds, until the content of the file is within the limit."""
        for table in ("minutes", "seconds"):
            while self._used_bytes() > self._most_bytes:
                first, last = self._rows(f"SELECT min(time), max(time) FROM {table}")[0]  # noqa: S608 - names and marks of ours, no input
                if first is None:
                    break
                until = first + (last - first) // _PIECE
                with self._transaction():
                    for name in (table, f"usage_{table}"):
                        self._connection.execute(f"DELETE FROM {name} WHERE time <= ?", (until,))  # noqa: S608 - names and marks of ours, no input

    def _used_bytes(self) -> int:
        size, count, free = (
            int(self._rows(f"PRAGMA {name}")[0][0]) for name in ("page_size", "page_count", "freelist_count")
        )
        return size * (count - free)

    def _series_key(self, endpoint: str, version: str) -> int:
        if (endpoint, version) not in self._series:
            cursor = self._connection.execute("INSERT INTO series VALUES (NULL, ?, ?)", (endpoint, version))
            self._series[endpoint, version] = cursor.lastrowid or 0
        return self._series[endpoint, version]

    def _replica_key(self, endpoint: str, usage: Usage) -> int:
        if usage.replica not in self._replicas:
            series = self._series_key(endpoint, usage.version)
            cursor = self._connection.execute("INSERT INTO replicas VALUES (NULL, ?, ?)", (series, usage.replica))
            self._replicas[usage.replica] = cursor.lastrowid or 0
        return self._replicas[usage.replica]

    def _load_keys(self) -> None:
        self._series = {(name, version): key for key, name, version in self._rows("SELECT * FROM series")}
        self._replicas = {name: key for key, name in self._rows("SELECT id, name FROM replicas")}

    def _rows(self, query: str) -> list[Any]:
        return self._connection.execute(query).fetchall()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        connection = database.connect_to_read(self._path)
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            self._load_keys()  # the rollback has removed new keys
            raise
        self._connection.execute("COMMIT")


def _newest(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT max(time) FROM {table}").fetchone()[0] or 0)  # noqa: S608 - names and marks of ours, no input


def _numbers_of(usage: Usage | UsageBin) -> tuple[int, int, int | None, int | None]:
    """Return the numbers of a usage as they are stored, from the cores on."""
    return (
        round(usage.cores * 1000),
        round(usage.memory_bytes / 1024),
        None if usage.gpu_percent is None else round(usage.gpu_percent * 10),
        None if usage.gpu_memory_bytes is None else round(usage.gpu_memory_bytes / 1024),
    )


def _usage_of(row: tuple[Any, ...], version: str, replica: str) -> Usage:
    time, _, milli, kibi, gpu_permille, gpu_kibi = row
    return Usage(
        time,
        version,
        replica,
        milli / 1000,
        kibi * 1024,
        None if gpu_permille is None else gpu_permille / 10,
        None if gpu_kibi is None else gpu_kibi * 1024,
    )
