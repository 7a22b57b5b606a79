from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mljupyter.telemetry.metrics.histogram import merged
from mljupyter.telemetry.metrics.samples import Usage, total
from mljupyter.telemetry.metrics.store import KEEP_SECONDS, Samples, TimeSeries
from tests.telemetry.series import START, interval, write

HOUR = 3600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.db"


def test_what_is_written_is_read_again_after_a_restart(path: Path) -> None:
    series = TimeSeries(path)
    first = [interval(START + 1, latencies=[3, 250]), interval(START + 1, "v2", client_errors=2, run_microseconds=7)]
    usage = Usage(START + 1, "v1", "r-1", 0.25, 1024 * 5000)
    series.write(Samples({"e": first, "other": [interval(START + 1)]}, {"e": [usage]}, {"router:e.v1": "text"}))
    series.close()
    again = TimeSeries(path)
    assert again.intervals("e", START, START + 1, fine=True) == first
    assert again.usages("e", START, START + 1, fine=True) == [usage]
    assert again.progress() == {"router:e.v1": "text"}
    assert again.last_time == START + 1
    again.write(Samples({}, gone=["router:e.v1"]))
    assert again.progress() == {}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_minutes_have_the_sums_and_the_exact_histograms_of_their_seconds(path: Path) -> None:
    series = TimeSeries(path)
    seconds = [interval(START + n, latencies=[n, n * 10], ready=n % 3) for n in range(1, 121)]
    write(series, seconds, usages=[Usage(START + n, "v1", "r", n / 100, 1024 * n) for n in range(1, 61)])
    series.roll_up(START + 120)
    found = series.intervals("e", START, START + 120, fine=False)
    assert [item.time for item in found] == [START + 60, START + 120]
    assert [item.seconds for item in found] == [60, 60]
    assert found[0].counts == total(item.counts for item in seconds[:60])
    assert found[0].levels.replicas_ready == 60 % 3
    assert (found[0].levels.running, found[0].levels.waiting) == (2, 1)
    assert merged(item.counts.latency for item in found) == merged(item.counts.latency for item in seconds)
    (usage,) = series.usages("e", START, START + 120, fine=False)
    assert (usage.cores, usage.memory_bytes) == (0.305, 1024 * 30)


def test_seconds_go_after_an_hour_minutes_after_a_month_and_nothing_between_is_lost(path: Path) -> None:
    series = TimeSeries(path, keep_minutes=3 * HOUR)
    for minute in range(0, 4 * 60, 10):
        at = START + minute * 60
        write(series, [interval(at + n, latencies=[5]) for n in (1, 2, 3)])
        series.roll_up(at + 60)
    now = START + 230 * 60 + 60
    fine = series.intervals("e", 0, now, fine=True)
    coarse = series.intervals("e", 0, now, fine=False)
    assert {now - HOUR < item.time for item in fine} == {True}
    assert len(fine) == 6 * 3
    assert len(coarse) == 3 * 6
    assert {item.counts.requests for item in coarse} == {3}


def test_minutes_that_nobody_put_together_before_a_crash_are_put_together_after_it(path: Path) -> None:
    first = TimeSeries(path)
    write(first, [interval(START + n, latencies=[1]) for n in range(1, 200)])
    first.close()
    second = TimeSeries(path)
    second.roll_up(START + 200)
    rolled = second.intervals("e", 0, START + 200, fine=False)
    assert sum(item.counts.requests for item in rolled) == 199
    assert [item.time for item in rolled[:3]] == [START + 60, START + 120, START + 180]
    assert len(rolled) == 3 + 19  # the minute under way is read from its seconds
    second.roll_up(START + 200)
    assert second.intervals("e", 0, START + 200, fine=False) == rolled


def test_the_file_stays_within_its_bound_and_the_newest_stays_in_it(path: Path) -> None:
    bound = 400_000
    series = TimeSeries(path, most_bytes=bound)
    for minute in range(400):
        at = START + minute * 60
        write(series, [interval(at + 1, f"v{n}", latencies=list(range(0, 900, 9))) for n in range(10)])
        series.roll_up(at + 60)
    series.close()
    assert path.stat().st_size < 1.3 * bound
    found = TimeSeries(path).intervals("e", 0, START + 400 * 60, fine=False)
    assert found[-1].time == START + 400 * 60
    assert 10 * 20 < len(found) < 10 * 400


def test_a_clock_that_is_put_back_stops_nothing(path: Path) -> None:
    series = TimeSeries(path)
    write(series, [interval(START + 24 * HOUR)])
    series.roll_up(START + 24 * HOUR)
    write(series, [interval(START + n, latencies=[4]) for n in range(1, 61)])
    series.roll_up(START + 60)
    series.roll_up(START + 120)
    found = series.intervals("e", 0, START + 48 * HOUR, fine=False)
    assert [(item.time, item.counts.requests) for item in found] == [(START + 60, 60)]


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b""])
def test_a_file_that_is_none_is_put_aside(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    series = TimeSeries(path)
    write(series, [interval(START + 1)])
    assert len(series.intervals("e", 0, START + 1, fine=True)) == 1
    aside = path.with_name("metrics.db.unreadable")
    assert aside.exists() == bool(content)


def test_a_file_of_a_newer_release_is_put_aside_and_kept(path: Path) -> None:
    import sqlite3

    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert TimeSeries(path).last_time is None
    assert path.with_name("metrics.db.unreadable").exists()


def test_a_file_of_the_first_release_is_brought_up_to_date_with_its_content(path: Path) -> None:
    import sqlite3

    series = TimeSeries(path)
    write(series, [interval(START + n, latencies=[4]) for n in range(1, 62)])
    series.roll_up(START + 60)
    series.close()
    with sqlite3.connect(path) as connection:
        for table in ("seconds", "minutes"):
            connection.execute(f"ALTER TABLE usage_{table} DROP COLUMN gpu_permille")
            connection.execute(f"ALTER TABLE usage_{table} DROP COLUMN gpu_kibibytes")
            connection.execute(f"ALTER TABLE {table} DROP COLUMN streamed")
            connection.execute(f"ALTER TABLE {table} DROP COLUMN first_byte_microseconds")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    series = TimeSeries(path)
    write(series, [interval(START + n, latencies=[4], streamed=1) for n in range(62, 121)])
    series.roll_up(START + 120)
    found = series.intervals("e", 0, START + 120, fine=False)
    assert [(item.counts.requests, item.counts.streamed) for item in found] == [(60, 0), (60, 59)]
    assert not path.with_name("metrics.db.unreadable").exists()


def test_the_use_of_gpus_is_kept_and_averaged_over_those_that_were_measured(path: Path) -> None:
    series = TimeSeries(path)
    used = [(20.0, 2_048), (None, None), (40.0, 4_096)]
    usages = [Usage(START + n, "v", "e-1", 0.5, 1024, *gpu) for n, gpu in enumerate(used, 1)]
    series.write(Samples({"e": [interval(START + n) for n in (1, 2, 3)]}, {"e": usages}))
    assert series.usages("e", 0, START + 3, fine=True) == usages
    series.roll_up(START + 60)
    (minute,) = series.usages("e", 0, START + 60, fine=False)
    assert (minute.gpu_percent, minute.gpu_memory_bytes) == (30, 3_072)


def test_names_made_in_a_write_that_fails_are_made_again(path: Path) -> None:
    series = TimeSeries(path)
    with pytest.raises(AttributeError):
        series.write(Samples({"e": [interval(START + 1)], "f": [None]}))  # type: ignore[list-item]
    write(series, [interval(START + 2)], endpoint="f")
    write(series, [interval(START + 2)], endpoint="e")
    assert len(series.intervals("e", 0, START + 2, fine=True)) == 1


def test_a_killed_writer_loses_nothing_that_it_wrote(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.telemetry.series import START, interval, write\n"
        "from mljupyter.telemetry.metrics.store import TimeSeries\n"
        "series = TimeSeries(Path(sys.argv[1]))\n"
        "for n in range(1, 10**6):\n"
        "    write(series, [interval(START + n, latencies=[n])]); print(n, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    written = 0
    while written < 200:
        written = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    rest = child.stdout.read().split("\n")
    child.wait()
    child.stdout.close()
    last = max([written, *(int(line) for line in rest[:-1] if line)])
    series = TimeSeries(path)
    assert series.last_time is not None
    assert START + last <= series.last_time <= START + last + 1
    assert [item.time for item in series.intervals("e", 0, START + last, fine=True)] == list(
        range(START + 1, START + last + 1)
    )


def test_seconds_are_kept_for_an_hour() -> None:
    assert KEEP_SECONDS == HOUR
