"""Sockets that are removed, files that are empty, processes that hang: noticed within 15 s, mended, or said."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from mljupyter.spec import EndpointRecord, EndpointState
from tests.fault_table import Fault
from tests.system.conftest import Machine
from tests.system.faults.test_kills_under_load import only, only_router
from tests.waiting import wait_until

pytestmark = pytest.mark.system
MENDED_WITHIN = 15.0


def sockets(machine: Machine) -> Path:
    return (machine.directory / "control" / "run").readlink()


def answered(uri: str) -> bool:
    """Send one request on a connection of its own."""
    try:
        return httpx.post(uri, content=b"1", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def is_well(machine: Machine, uri: str) -> bool:
    """Return whether a request is answered, and the controller says so."""
    return answered(uri) and machine.client.endpoint("echo").status.state is EndpointState.HEALTHY


def said(machine: Machine) -> EndpointRecord:
    """Return the endpoint as soon as its status admits that something is wrong."""

    def look() -> EndpointRecord | None:
        found = machine.client.endpoint("echo")
        return found if found.status.state is not EndpointState.HEALTHY and found.status.problem else None

    return wait_until(look, MENDED_WITHIN, "the status says so")


@pytest.fixture
def stopped() -> Iterator[Callable[[int], None]]:
    """Return a function that stops a process by SIGSTOP; all go on, or are gone, in the end."""
    pids: list[int] = []

    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        pids.append(pid)

    yield stop
    for pid in pids:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue


def all_of_them(machine: Machine) -> None:
    shutil.rmtree(sockets(machine))


def the_controllers(machine: Machine) -> None:
    (sockets(machine) / "controller.sock").unlink()


def the_routers(machine: Machine) -> None:
    (sockets(machine) / "router.sock").unlink()


def a_replicas(machine: Machine) -> None:
    ours = ("controller.sock", "router.sock")
    next(path for path in sockets(machine).glob("*.sock") if path.name not in ours).unlink()


def the_link(machine: Machine) -> None:
    (machine.directory / "control" / "run").unlink()


@pytest.mark.faults(31, "sockets removed: all with their directory, one, the link to them")
@pytest.mark.parametrize("remove", [all_of_them, the_controllers, the_routers, a_replicas, the_link])
def test_sockets_that_are_removed_are_there_again_within_15_seconds(
    machine: Machine, fault: Fault, remove: Callable[[Machine], None]
) -> None:
    uri = str(machine.healthy(machine.spec(scaling={"replicas": 2})).status.scoring_uri)
    controller, router, replicas = only(machine.controllers()), only_router(machine), set(machine.replicas())
    began = time.monotonic()
    remove(machine)
    if remove is the_link:
        wait_until((machine.directory / "control" / "run").is_symlink, MENDED_WITHIN, "the link is there")
    if remove in (all_of_them, the_routers):
        wait_until(lambda: set(machine.routers()) != {router}, MENDED_WITHIN, "another router is there")
    if remove in (all_of_them, a_replicas):
        wait_until(lambda: set(machine.replicas()) - replicas, MENDED_WITHIN, "another replica is there")
    wait_until(lambda: is_well(machine, uri), MENDED_WITHIN, "requests are answered")
    took = time.monotonic() - began
    assert took < MENDED_WITHIN
    assert only(machine.controllers()) == controller, "it stays"
    assert (sockets(machine) / "controller.sock").is_socket()
    fault.recovered(took, "until answered and said")


@pytest.mark.faults(31, "sockets removed while the controller is killed, too")
def test_the_next_controller_finds_what_runs_without_its_sockets_and_replaces_it(
    machine: Machine, fault: Fault
) -> None:
    uri = str(machine.healthy(machine.spec()).status.scoring_uri)
    os.kill(only(machine.controllers()), signal.SIGKILL)
    wait_until(lambda: not machine.controllers(), 5, "the controller is gone")
    shutil.rmtree(sockets(machine))
    began = time.monotonic()
    machine.client.ensure()
    wait_until(lambda: is_well(machine, uri), MENDED_WITHIN, "requests are answered")
    took = time.monotonic() - began
    assert took < MENDED_WITHIN
    fault.recovered(took, "from the next call")
    wait_until(lambda: len(machine.replicas()) == 1, 10, "the replica before has ended")


@pytest.mark.faults(32, "router hangs")
def test_a_router_that_hangs_is_said_and_replaced_within_15_seconds(
    machine: Machine, fault: Fault, stopped: Callable[[int], None]
) -> None:
    uri = str(machine.healthy(machine.spec()).status.scoring_uri)
    router = only_router(machine)
    began = time.monotonic()
    stopped(router)
    record = said(machine)
    assert record.status.problem is not None
    assert f"the router (pid {router}) does not answer" in record.status.problem.message
    wait_until(lambda: is_well(machine, uri), MENDED_WITHIN, "another router answers")
    took = time.monotonic() - began
    assert took < MENDED_WITHIN
    assert only_router(machine) != router
    fault.recovered(took, "until answered by another one")


def test_a_router_that_hangs_for_a_moment_stays(machine: Machine, stopped: Callable[[int], None]) -> None:
    uri = str(machine.healthy(machine.spec()).status.scoring_uri)
    router = only_router(machine)
    stopped(router)
    said(machine)
    os.kill(router, signal.SIGCONT)
    wait_until(lambda: is_well(machine, uri), MENDED_WITHIN, "it answers")
    assert only_router(machine) == router


def test_a_replica_that_hangs_is_said_within_15_seconds(machine: Machine, stopped: Callable[[int], None]) -> None:
    machine.healthy(machine.spec())
    (pid,) = machine.replicas()
    stopped(pid)
    problem = said(machine).status.problem
    assert problem is not None
    assert "does not answer" in problem.message
