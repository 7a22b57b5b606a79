"""Ports of several workspaces on one machine: no two routers share one, though the system would let them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from mljupyter.controller.layout import ports_directory
from mljupyter.controller.process import ROUTER_PORTS
from mljupyter.runtimes.ports import PortReservations
from mljupyter.spec import EndpointRecord
from tests.system.conftest import Machine
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def test_workspaces_that_start_at_the_same_moment_get_ports_of_their_own(machines: Callable[[], Machine]) -> None:
    several = [machines() for _ in range(3)]
    with ThreadPoolExecutor(3) as starting:
        found = list(starting.map(lambda machine: machine.client.ensure(), several))
    ports = [status["router"]["port"] for status in found]
    assert len(set(ports)) == 3


def uri(record: EndpointRecord) -> str:
    assert record.status.scoring_uri is not None
    return record.status.scoring_uri


def test_a_workspace_leaves_its_old_port_when_another_router_has_it_by_now(
    machine: Machine, machines: Callable[[], Machine]
) -> None:
    machine.healthy(machine.spec())
    machine.client.stop(force=True)
    other = machines()
    theirs = other.healthy(other.spec())
    with sqlite3.connect(machine.directory / "control" / "controller.db") as state:
        state.execute("UPDATE settings SET value = ? WHERE name = 'routerPort'", (str(httpx.URL(uri(theirs)).port),))
    state.close()
    wait_until(lambda: uri(machine.client.endpoint("echo")) != uri(theirs), 20, "another port")
    mine = machine.settle(machine.client.endpoint("echo"))
    first, second = (httpx.post(uri(record), content="1").json()["pid"] for record in (mine, theirs))
    assert first != second


def test_a_port_is_reserved_before_anybody_listens_on_it(tmp_path: Path) -> None:
    one, other = PortReservations(tmp_path), PortReservations(tmp_path)
    port = one.free_port()
    assert one.take(port)
    assert not other.take(port)
    assert other.free_port([port]) != port


def test_ports_are_reserved_in_a_directory_of_the_owner_alone() -> None:
    assert ports_directory().stat().st_mode & 0o777 == 0o700
    assert ROUTER_PORTS
