"""The replica meter takes the usage of a replica from its runtime or from its own report; without one it is unknown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mljupyter.controller.metrics import replica_counts, replica_meter
from mljupyter.controller.metrics.replica_meter import IDLE_EVERY, Key, ReplicaMeter
from mljupyter.runtimes.base import Usage as SinceStart
from mljupyter.telemetry.metrics.progress import Progress
from mljupyter.telemetry.metrics.samples import Usage
from tests.controller.test_replica_counts import COUNTERS, replicas, with_usage
from tests.fakes.runtime import FakeRuntime, runtimes_of

ONE: Key = ("iris", "one")
REPORT = with_usage({"cpu_seconds": 5.0, "memory_bytes": 2000})


def meter() -> ReplicaMeter:
    """Return a meter with a runtime for another target: only reports can give a usage."""
    return ReplicaMeter(runtimes_of(FakeRuntime(Path("/nowhere"))), Progress({}))


async def test_a_report_gives_cores_and_memory_from_the_second_one_on() -> None:
    async with replicas(REPORT, measures_itself=True) as (_, found):
        metering = meter()
        metering.learn(ONE, found)
        assert not (await metering.measure([ONE], 100)).usages
        (usage,) = (await metering.measure([ONE], 101)).usages[ONE]
        assert usage == Usage(101, "one", "r0", 0.0, 2000)
        assert metering.latest(found) == ([usage], {"r0": 5.0})
        await metering.keep([])


async def test_one_replica_is_measured_at_once_when_somebody_asks() -> None:
    async with replicas(REPORT, measures_itself=True) as (_, found):
        metering = meter()
        metering.learn(ONE, found)
        assert await metering.usage("r0") == SinceStart(5.0, 2000)
        assert await metering.usage("another") is None
        await metering.keep([])


async def test_a_replica_that_reports_no_usage_has_none() -> None:
    async with replicas(COUNTERS, measures_itself=True) as (_, found):
        metering = meter()
        metering.learn(ONE, found)
        for at in range(2 * IDLE_EVERY):
            metered = await metering.measure([ONE], at)
            assert metered.counts[ONE] is not None
            assert not metered.usages
        assert metering.latest(found) == ([], {})
        await metering.keep([])


async def test_an_idle_replica_is_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_counts, "IDLE_SECONDS", 0.0)
    async with replicas(REPORT, measures_itself=True) as (_, found):
        metering = meter()
        metering.learn(ONE, found)
        await metering.measure([], 100)
        assert [usage.time for usage in (await metering.measure([], 101)).usages[ONE]] == [101]
        await metering.keep([])


async def test_a_replica_that_waits_long_for_its_turn_counts_with_its_last_usage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with replicas(REPORT, measures_itself=True) as (server, found):
        metering = meter()
        metering.learn(ONE, found)
        for at in range(2):
            await metering.measure([ONE], at)
        monkeypatch.setattr(replica_meter, "IDLE_SECONDS", 0.0)  # its turn is late at once
        seen = [(await metering.measure([], at)).usages for at in range(2, IDLE_EVERY + 1)]
        assert [[item.time for item in usages.get(ONE, ())] for usages in seen] == [[]] * (IDLE_EVERY - 2) + [
            [IDLE_EVERY]
        ]
        assert server.questions == 2
        await metering.keep([])


def test_the_report_of_these_tests_is_that_of_a_replica() -> None:
    assert set(json.loads(REPORT)) == {*json.loads(COUNTERS), "usage"}
