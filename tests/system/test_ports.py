"""Ports of several workspaces on one machine: no two routers share one, though the system would let them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from mljupyter.controller.layout import ports_directory
from mljupyter.controller.lifecycle import ROUTER_PORTS
from mljupyter.runtimes.ports import PortReservations
from mljupyter.spec import EndpointKind, EndpointRecord
from tests.ports import free_port
from tests.system.conftest import Machine
from tests.waiting import switching_often, wait_until

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
    wait_until(lambda: uri(machine.client.endpoint("echo")) != uri(theirs), "another port")
    mine = machine.settle(machine.client.endpoint("echo"))
    first, second = (httpx.post(uri(record), content="1").json()["pid"] for record in (mine, theirs))
    assert first != second


def test_a_port_is_reserved_before_anybody_listens_on_it(tmp_path: Path) -> None:
    one, other = PortReservations(tmp_path), PortReservations(tmp_path)
    port = one.free_port()
    assert one.take(port)
    assert not other.take(port)
    assert other.free_port([port]) != port


def test_a_port_that_is_given_back_is_free_for_others_and_leaves_no_file(tmp_path: Path) -> None:
    one, other = PortReservations(tmp_path), PortReservations(tmp_path)
    port, kept = one.free_port(), one.free_port()
    one.keep_only([kept])
    assert other.take(port) and not other.take(kept)
    other.keep_only(())
    one.keep_only(())
    assert not list(tmp_path.iterdir())


def test_a_port_has_one_holder_while_many_take_it_and_give_it_back(tmp_path: Path) -> None:
    port = free_port()
    held: list[int] = []

    def turns(number: int) -> int:
        mine, taken = PortReservations(tmp_path), 0
        for _ in range(100):
            if mine.take(port):
                held.append(number)
                assert held == [number]
                held.remove(number)
                mine.keep_only(())
                taken += 1
        return taken

    with switching_often(), ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(turns, range(4))) > 0
    assert not list(tmp_path.iterdir())


def test_ports_of_local_web_services_that_have_gone_are_given_back(machine: Machine) -> None:
    def reserved() -> set[str]:
        files = psutil.Process(machine.client.ensure()["pid"]).open_files()
        return {file.path for file in files if "port-" in file.path}

    machine.client.ensure()
    before = reserved()
    for number in range(4):
        record = machine.client.create(machine.spec(f"local-{number}", kind=EndpointKind.LOCAL))
        assert any(f"port-{record.spec.port}.lock" in path for path in reserved())
        machine.client.delete(f"local-{number}")
    assert reserved() == before


def test_ports_are_reserved_in_a_directory_of_the_owner_alone(tmp_path: Path) -> None:
    directory = ports_directory(tmp_path)
    assert directory.stat().st_mode & 0o777 == 0o700 and directory.stat().st_uid == os.getuid()
    assert directory == ports_directory(tmp_path / "of another workspace")
    assert ROUTER_PORTS
