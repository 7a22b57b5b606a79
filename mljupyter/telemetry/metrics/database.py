"""SQLite schema of the time series, and the conversion between rows and samples.

Rows are clustered by time: one second of fifty versions is written into two or three pages, while clustering by version
would change fifty. All values are integers, which SQLite stores in as few bytes as they need.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.telemetry.metrics.samples import COUNTERS, NOTHING, Counts, Interval, Levels

log = logging.getLogger(__name__)
_LEVELS = ("running_milli", "waiting_milli", "replicas_wanted", "replicas_ready", "weight")
COLUMNS = ("time", "series", "microseconds", *COUNTERS, *_LEVELS, "latency")
SCHEMA_VERSION = 3
_SINCE_2 = ("streamed", "first_byte_microseconds")
_ZEROS = (0,) * len(COUNTERS)
_INTERVALS = ", ".join(f"{name} {'BLOB' if name == 'latency' else 'INTEGER NOT NULL'}" for name in COLUMNS)
_SCHEMA = f"""
    CREATE TABLE series (id INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, version TEXT NOT NULL,
                         UNIQUE (endpoint, version));
    CREATE TABLE replicas (id INTEGER PRIMARY KEY, series INTEGER NOT NULL, name TEXT NOT NULL UNIQUE);
    CREATE TABLE seconds ({_INTERVALS}, PRIMARY KEY (time, series)) WITHOUT ROWID;
    CREATE TABLE minutes ({_INTERVALS}, PRIMARY KEY (time, series)) WITHOUT ROWID;
    CREATE TABLE usage_seconds (time INTEGER NOT NULL, replica INTEGER NOT NULL, millicores INTEGER NOT NULL,
                                kibibytes INTEGER NOT NULL, gpu_permille INTEGER, gpu_kibibytes INTEGER,
                                PRIMARY KEY (time, replica)) WITHOUT ROWID;
    CREATE TABLE usage_minutes (time INTEGER NOT NULL, replica INTEGER NOT NULL, millicores INTEGER NOT NULL,
                                kibibytes INTEGER NOT NULL, gpu_permille INTEGER, gpu_kibibytes INTEGER,
                                PRIMARY KEY (time, replica)) WITHOUT ROWID;
    CREATE TABLE progress (source TEXT PRIMARY KEY, state TEXT NOT NULL);
"""
_TO_2 = "".join(
    f"ALTER TABLE {table} ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0;"
    for table in ("seconds", "minutes")
    for name in _SINCE_2
)
_TO_3 = "".join(
    f"ALTER TABLE {table} ADD COLUMN {name} INTEGER;"
    for table in ("usage_seconds", "usage_minutes")
    for name in ("gpu_permille", "gpu_kibibytes")
)
_STEPS = {1: _TO_2 + _TO_3, 2: _TO_3}
"""The statements that make the present schema of an earlier one."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for writing and create it if necessary. An unreadable file is renamed.

    Metrics must not stop the control of endpoints: a damaged file, or one of a newer release, is renamed, and a new one
    takes its place.
    """
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        put_aside(path, error)
        return _open(path)


def put_aside(path: Path, reason: Exception) -> None:
    """Rename an unreadable file, so that a new one can take its place."""
    aside = path.with_name(f"{path.name}.unreadable")
    log.error("the metrics %s cannot be read: %s. A new file is started; the old one is now %s", path, reason, aside)
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open the file for reading, concurrently with its writer."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        # A killed process loses no data. Only a power cut may lose the last seconds.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        known = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if known == 0:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif known in _STEPS:
            connection.executescript(f"BEGIN; {_STEPS[known]} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif known != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"schema {known}")
        connection.execute("SELECT count(*) FROM series")
    except BaseException:
        connection.close()
        raise
    return connection


def row_of(interval: Interval, series: int) -> tuple[Any, ...]:
    """Return an interval as a row of `COLUMNS`."""
    counts, levels = interval.counts, interval.levels
    return (
        *(interval.time, series, round(interval.seconds * 1e6)),
        *(_ZEROS if counts is NOTHING else (getattr(counts, name) for name in COUNTERS)),
        *(round(levels.running * 1000), round(levels.waiting * 1000)),
        *(levels.replicas_wanted, levels.replicas_ready, levels.weight),
        counts.latency.encode(),
    )


def interval_of(row: tuple[Any, ...], version: str) -> Interval:
    """Return the interval of a row of `COLUMNS`."""
    time, _, microseconds, *numbers, running, waiting, wanted, ready, weight, latency = row
    counts = Counts.of(numbers, Histogram.decode(latency))
    return Interval(
        time, version, microseconds / 1e6, counts, Levels(running / 1000, waiting / 1000, wanted, ready, weight)
    )
