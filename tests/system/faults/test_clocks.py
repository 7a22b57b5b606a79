"""Clocks that jump: nothing expires, nothing is started or stopped for it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mljupyter.spec import Authentication
from tests.fault_table import Fault
from tests.steady_load import SteadyLoad
from tests.system.conftest import Machine
from tests.waiting import promised, wait_until

pytestmark = pytest.mark.system
WITH_THE_CLOCK = "import time\ndef init(): pass\ndef run(data): return time.time()"
WINTER_BEGINS = 1_792_890_000  # 2026-10-25 01:00:00 UTC: three o'clock in Berlin becomes two
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


@dataclass
class Clock:
    """The clock that a controller and its replicas go by: how many seconds it differs from that of the machine."""

    file: Path

    def __post_init__(self) -> None:
        self.jump(0)

    def jump(self, seconds: float) -> None:
        """Set it to so many seconds before or after that of the machine."""
        written = self.file.with_suffix(".new")
        written.write_text(f"{seconds:+.0f}")
        written.replace(self.file)  # nobody reads half of it

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of those who go by it, together with the library."""
        return {
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def clock(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of a controller that was started with it, in Berlin."""
    made = Clock(tmp_path / "offset")
    with monkeypatch.context() as patch:
        for name, value in {**made.environment, "LD_PRELOAD": str(faketime_library()), "TZ": BERLIN}.items():
            patch.setenv(name, value)
        machine.client.ensure()
    return made


@contextlib.contextmanager
def under_load(machine: Machine, clock: Clock, fault: Fault) -> Iterator[tuple[SteadyLoad, Callable[[], float]]]:
    """Serve an autoscaled endpoint to a steady load; nothing fails, and nothing is started, stopped or scaled.

    Gives the load, and a function that asks a replica for the time.
    """
    spec = machine.spec(
        script=WITH_THE_CLOCK,
        authentication=Authentication.KEY,
        environment_variables=clock.environment,
        scaling={"autoscale": {"minReplicas": 2, "maxReplicas": 3}},
        # All three clients together never need a third replica, however slowly a busy machine answers them.
        limits={"maxQueueWaitMs": 20_000, "maxConcurrentRequests": 4},
    )
    uri = str(machine.healthy(spec).status.scoring_uri)
    before = (machine.controllers(), machine.routers(), machine.replicas())
    key = machine.client.keys("echo")[0]
    headers = {"authorization": f"Bearer {key}"}
    with (
        SteadyLoad(uri, key=key, clients=2, one_shot=1, requests=500, pause=0.02) as load,
        httpx.Client(headers=headers) as client,
    ):
        fault.under(load)
        yield load, lambda: client.post(uri).json()
        load.runs(50)
        acts(machine)
    assert load.failed == 0, load.failures
    assert not machine.client.scaling_history("echo"), "no reason to scale"
    assert (machine.controllers(), machine.routers(), machine.replicas()) == before


def acts(machine: Machine) -> None:
    """Have the controller do something, which takes it a moment."""
    began = time.monotonic()
    machine.client.regenerate_key("echo", "secondary")
    assert time.monotonic() - began < promised(5)


@pytest.mark.faults(25, "the clock of controller and replicas jumps by an hour, forward and back")
def test_clocks_that_jump_cost_nothing_and_nothing_expires(machine: Machine, clock: Clock, fault: Fault) -> None:
    with under_load(machine, clock, fault) as (load, told):
        for jump in (3600, -3600, 0):
            clock.jump(jump)
            load.runs(50)
            assert told() - time.time() == pytest.approx(jump, abs=60), "the replica's clock has jumped"
            acts(machine)


@pytest.mark.faults(25, "the machine sleeps for eight hours while requests are sent")
def test_processes_stopped_for_eight_hours_continue_serving(machine: Machine, clock: Clock, fault: Fault) -> None:
    with under_load(machine, clock, fault) as (load, told):
        load.runs(50)
        everybody = [*machine.controllers(), *machine.routers(), *machine.replicas()]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        clock.jump(8 * 3600)
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        began = time.monotonic()
        assert told() - time.time() == pytest.approx(8 * 3600, abs=60), "it is eight hours later"
        fault.recovered(time.monotonic() - began, "until answered")


@pytest.mark.faults(25, "clock put back to the end of summer time, where an hour comes twice")
def test_at_the_end_of_daylight_saving_time_metrics_are_not_counted_twice(
    machine: Machine, clock: Clock, fault: Fault
) -> None:
    with under_load(machine, clock, fault) as (_, told):
        clock.jump(WINTER_BEGINS - 15 - time.time())
        wait_until(lambda: told() >= WINTER_BEGINS + 4, "it is winter")

        def measured() -> list[int]:
            table = machine.client.metrics("echo", since=60, every=1)["versions"]
            rows = zip(table["time"], table["requests"], strict=True)
            return [int(moment) for moment, requests in rows if requests and moment >= WINTER_BEGINS - 15]

        seconds = wait_until(
            lambda: (found := measured()) and found[0] < WINTER_BEGINS < found[-1] and found, "both hours are measured"
        )
        assert seconds == sorted(set(seconds)), "each second once; a slow machine leaves some out"


def faketime_library() -> Path:
    """Return the library that lets a process believe in another time."""
    found = pytest.importorskip("libfaketime", reason="needs libfaketime: pip install 'mljupyter[dev]'")
    return next(Path(str(found.__file__)).parent.rglob("libfaketime.so.1"))
