from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mljupyter.telemetry.metrics.aggregate import resolution
from mljupyter.telemetry.metrics.frame import data_frame
from mljupyter.telemetry.metrics.report import Period, report
from mljupyter.telemetry.metrics.samples import Usage
from mljupyter.telemetry.metrics.store import TimeSeries
from tests.telemetry.series import START, interval, write


@pytest.fixture
def series(tmp_path: Path) -> TimeSeries:
    return TimeSeries(tmp_path / "metrics.db")


def test_versions_are_apart_or_together_with_the_percentiles_of_all_requests(series: TimeSeries) -> None:
    write(series, [interval(START + 1, "v1", [10.0] * 90), interval(START + 1, "v2", [1000.0] * 10, refused=5)])
    period = Period(START, START + 2, 1)
    apart = report(series, "e", period)["versions"]
    assert apart["version"] == ["v1", "v2"]
    assert apart["requests"] == [90, 10]
    assert apart["traffic_observed"] == [90, 10]
    assert apart["traffic_configured"] == [50, 50]
    assert apart["error_ratio"] == [0, 0.5]
    assert apart["latency_p99_ms"][0] < 11 < 1000 <= apart["latency_p50_ms"][1]
    together = report(series, "e", period, merge=True)["versions"]
    assert (together["requests"], together["replicas_ready"], together["running"]) == ([100], [2], [4])
    assert together["latency_p50_ms"][0] < 11
    assert together["latency_p99_ms"][0] > 1000
    assert report(series, "nobody", period)["versions"]["time"] == []


def test_rates_are_per_second_that_was_measured(series: TimeSeries) -> None:
    gap = interval(START + 40, latencies=[5] * 30, seconds=30, runs=10, run_microseconds=3_000_000, started=30)
    write(series, [interval(START + 10, latencies=[5] * 4), gap])
    found = report(series, "e", Period(START, START + 60, 60))["versions"]
    assert (found["time"], found["seconds"], found["requests"]) == ([START], [31], [34])
    assert found["requests_per_second"] == [pytest.approx(34 / 31, rel=1e-4)]
    assert found["run_mean_ms"] == [300]
    assert found["wait_mean_ms"] == [0]
    assert found["busy_mean"] == [pytest.approx(3 / 31, rel=1e-4)]


@pytest.mark.parametrize("every", [1, 5, 60])
def test_a_reader_that_follows_the_cursor_sees_every_interval_once_it_is_complete(
    series: TimeSeries, every: int
) -> None:
    seen: dict[int, int] = {}
    cursor = START
    for second in range(1, 185):
        write(series, [interval(START + second, latencies=[7] * (second % 4))])
        if second % 7 == 0 or second == 184:
            answer = report(series, "e", Period(cursor, START + second, every))
            assert answer["cursor"] >= cursor
            cursor = answer["cursor"]
            seen |= dict(zip(answer["versions"]["time"], answer["versions"]["requests"], strict=True))
    whole = report(series, "e", Period(START, START + 184, every))["versions"]
    assert seen == dict(zip(whole["time"], whole["requests"], strict=True))
    assert cursor == (START + 184) // every * every


def test_the_summary_is_the_whole_period_as_one(series: TimeSeries) -> None:
    write(series, [interval(START + n, latencies=[n] * 2, ready=n % 2) for n in range(1, 101)])
    found = report(series, "e", Period(START, START + 100, 1))["summary"]
    assert (found["requests"], found["seconds"], found["replicas_ready"]) == ([200], [100], [0])
    assert 49 <= found["latency_p50_ms"][0] <= 52


def test_the_histograms_are_those_of_the_whole_period(series: TimeSeries) -> None:
    write(series, [interval(START + 1, "v1", [3, 3]), interval(START + 2, "v1", [120]), interval(START + 2, "v2", [3])])
    period = Period(START, START + 2, 1)
    buckets = {"v1": [[3.0, 4.0, 2], [120.0, 130.0, 1]], "v2": [[3.0, 4.0, 1]]}
    assert report(series, "e", period)["histograms"] == buckets
    assert list(report(series, "e", period, merge=True)["histograms"].values()) == [[[3.0, 4.0, 3], [120.0, 130.0, 1]]]


def test_usage_holds_between_measurements_and_ends_with_the_replica(series: TimeSeries) -> None:
    usages = [Usage(START + 5, "v1", "a", 0.5, 10_240_000), Usage(START + 5, "v1", "b", 0.25, 10_240_000)]
    usages += [Usage(START + 10, "v1", "a", 1.0, 20_480_000)]
    write(series, [interval(START + n) for n in range(1, 41)], usages=usages)
    found = report(series, "e", Period(START, START + 40, 1))
    cores = dict(zip(found["versions"]["time"], found["versions"]["cpu_cores"], strict=True))
    assert (cores[START + 3], cores[START + 4], cores[START + 9], cores[START + 20]) == (None, 0.75, 1.25, 1.0)
    assert cores[START + 30] is None
    assert found["replicas"]["replica"] == ["a", "b", "a"]
    assert found["replicas"]["memory_mb"] == [10.24, 10.24, 20.48]


def test_a_frame_has_one_row_for_each_interval_and_series_with_typed_columns(series: TimeSeries) -> None:
    write(series, [interval(START + 1, "v1", [3]), interval(START + 1, "v2"), interval(START + 2, "v1")])
    answer = report(series, "e", Period(START, START + 2, 1))
    frame = data_frame(answer, "version")
    assert len(frame) == 3
    assert str(frame["time"].dtype).startswith("datetime64[")
    assert frame["time"].iloc[0] == pd.Timestamp(START, unit="s", tz="UTC")
    assert frame.dtypes["requests"] == "int64"
    assert frame.dtypes["latency_p99_ms"] == "float64"
    assert frame.groupby("version")["requests"].sum().to_dict() == {"v1": 1, "v2": 0}
    empty = data_frame(report(series, "nobody", Period(START, START + 2, 1)), "version")
    assert list(empty.columns) == list(frame.columns)
    assert empty.dtypes.to_dict() == frame.dtypes.to_dict()
    assert "version" not in data_frame(report(series, "e", Period(START, START + 2, 1), merge=True), "endpoint")


@pytest.mark.parametrize(
    ("seconds", "every", "expected"),
    [(60, None, 1), (900, None, 1), (3600, None, 5), (7200, None, 60), (86_400, None, 120), (30 * 86_400, None, 3600)],
)
def test_the_resolution_is_the_finest_that_is_kept_and_not_too_long(
    seconds: int, every: int | None, expected: int
) -> None:
    assert Period.of(START, START - seconds, every).every == expected
    assert seconds / resolution(seconds) <= 1000


@pytest.mark.parametrize(
    ("seconds", "every", "reason"),
    [
        (7200, 1, "seconds are kept for an hour"),
        (30 * 86_400, 60, "at most 20000"),
        (7200, 90, "whole minutes"),
        (60, 0, "at least 1"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_rule(seconds: int, every: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Period.of(START, START - seconds, every)
