"""Sockets that are removed, files that are empty, processes that hang: noticed within 15 s, mended, or said."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.files import unreadable
from mljupyter.spec import Authentication, EndpointRecord, EndpointState, RouterSpec
from mljupyter.workspace.doctor_workspace import examine_workspace
from tests.fault_table import Fault
from tests.system.conftest import Machine
from tests.system.faults.test_kills_under_load import only, only_router
from tests.waiting import promised, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True  # but for tests that leave another workspace than they found
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

    return wait_until(look, "the status says so")


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
    directory = sockets(machine)
    away = directory.with_name(f"{directory.name}.away")
    directory.rename(away)  # at once, so that nothing is made in it meanwhile
    shutil.rmtree(away)


def the_routers(machine: Machine) -> None:
    (sockets(machine) / "router.sock").unlink()


def the_one_for_grpc(machine: Machine) -> None:
    (sockets(machine) / "no-grpc.sock").unlink()


def some_of_them(machine: Machine) -> None:
    """Remove the controller's socket, a replica's, and the link by which clients find them."""
    (sockets(machine) / "controller.sock").unlink()
    replica = next(iter(machine.replicas().values()))
    Path(replica[replica.index("--unix-socket") + 1]).unlink()
    (machine.directory / "control" / "run").unlink()


@pytest.mark.faults(31, "sockets removed: with their directory, the router's, some with the link to them")
@pytest.mark.parametrize("remove", [all_of_them, the_routers, the_one_for_grpc, some_of_them])
def test_sockets_that_are_removed_are_there_again_within_15_seconds(
    machines: Callable[[], Machine], fault: Fault, remove: Callable[[Machine], None]
) -> None:
    machine = machines()
    uri = str(machine.healthy(machine.spec(scaling={"replicas": 2})).status.scoring_uri)
    controller, router, replicas = only(machine.controllers()), only_router(machine), set(machine.replicas())
    began = time.monotonic()
    remove(machine)
    wait_until((machine.directory / "control" / "run").is_symlink, "the link is there")
    if remove is not some_of_them:
        wait_until(lambda: set(machine.routers()) != {router}, "another router is there")
    if remove not in (the_routers, the_one_for_grpc):
        wait_until(lambda: set(machine.replicas()) - replicas, "another replica is there")
    wait_until(lambda: is_well(machine, uri), "requests are answered")
    took = time.monotonic() - began
    assert took < promised(MENDED_WITHIN)
    assert only(machine.controllers()) == controller, "it stays"
    assert (sockets(machine) / "controller.sock").is_socket()
    fault.recovered(took, "until answered and said")


@pytest.mark.faults(31, "sockets removed while the controller is killed, too")
def test_the_next_controller_finds_what_runs_without_its_sockets_and_replaces_it(
    machine: Machine, fault: Fault
) -> None:
    uri = str(machine.healthy(machine.spec()).status.scoring_uri)
    os.kill(only(machine.controllers()), signal.SIGKILL)
    wait_until(lambda: not machine.controllers(), "the controller is gone")
    shutil.rmtree(sockets(machine))
    began = time.monotonic()
    machine.client.ensure()
    wait_until(lambda: is_well(machine, uri), "requests are answered")
    took = time.monotonic() - began
    assert took < promised(MENDED_WITHIN)
    fault.recovered(took, "from the next call")
    wait_until(lambda: len(machine.replicas()) == 1, "the replica before has ended")


def test_nothing_is_made_again_in_a_workspace_that_was_removed(machines: Callable[[], Machine]) -> None:
    machine = machines()
    machine.healthy(machine.spec())
    before = only(machine.controllers())
    away = machine.directory.with_name("away")
    machine.directory.rename(away)  # at once, so that nothing can be written meanwhile
    shutil.rmtree(away)
    wait_until(lambda: not machine.controllers(), "its controller has ended")
    assert not machine.directory.exists()
    machine.directory.mkdir(mode=0o700)
    assert machine.client.ensure()["pid"] != before
    assert not machine.client.endpoints(), "those of the workspace before are gone"
    wait_until(lambda: not machine.replicas(), "replicas that nobody knows have ended")


def test_a_workspace_made_again_at_the_same_place_is_another_one(machines: Callable[[], Machine]) -> None:
    machine = machines()
    machine.healthy(machine.spec())
    before = only(machine.controllers())
    away = machine.directory.with_name("away")
    machine.directory.rename(away)
    machine.directory.mkdir(mode=0o700)
    wait_until(lambda: machine.client.ensure()["pid"] != before, "another controller is there")
    wait_until(lambda: set(machine.controllers()) == {machine.client.ensure()["pid"]}, "it is alone")
    assert not machine.client.endpoints()
    database = away / "control" / "controller.db"
    assert database.exists(), "what was moved is whole"
    shutil.rmtree(away)


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
    wait_until(lambda: is_well(machine, uri), "another router answers")
    took = time.monotonic() - began
    assert took < promised(MENDED_WITHIN)
    assert only_router(machine) != router
    fault.recovered(took, "until answered by another one")


def test_a_router_that_hangs_briefly_is_not_replaced(machine: Machine, stopped: Callable[[int], None]) -> None:
    uri = str(machine.healthy(machine.spec()).status.scoring_uri)
    router = only_router(machine)
    stopped(router)
    said(machine)
    os.kill(router, signal.SIGCONT)
    wait_until(lambda: is_well(machine, uri), "it answers")
    assert only_router(machine) == router


def test_a_replica_that_hangs_is_said_within_15_seconds(machine: Machine, stopped: Callable[[int], None]) -> None:
    machine.healthy(machine.spec())
    (pid,) = machine.replicas()
    stopped(pid)
    problem = said(machine).status.problem
    assert problem is not None
    assert "does not answer" in problem.message


def damaged(path: Path, how: str) -> None:
    path.chmod(0o600)
    path.write_bytes({"empty": b"", "garbage": b"\xff\x00{" * 50}[how])


RECREATED = ("control/router/*.json", "control/tls/*.json", "control/tls/authority.pem", "control/telemetry*.json")
OTHERS = ("control/metrics.db", "control/controller.out", "control/controller.lock", "control/controller.log")


@pytest.mark.faults(33, "files of router, certificates, metrics empty; controller killed")
def test_files_that_cannot_be_read_are_written_again(machines: Callable[[], Machine], fault: Fault) -> None:
    machine = machines()
    machine.healthy(machine.spec())
    tls = machine.client.put_router(RouterSpec.parse({"tls": {"leafDomainLabel": "healing"}, "plainHttp": "redirect"}))
    uri = str(machine.settle(machine.client.endpoint("echo")).status.scoring_uri)
    assert uri.startswith("https:")
    router = only_router(machine)
    os.kill(only(machine.controllers()), signal.SIGKILL)
    wait_until(lambda: not machine.controllers(), "the controller is gone")
    files = [path for pattern in (*RECREATED, *OTHERS) for path in machine.directory.glob(pattern)]
    assert {path.name for path in files} >= {"lds.json", "cds.json", "rds-router.json", "bootstrap.json", "router.json"}
    for path in files:
        damaged(path, "empty")
    began = time.monotonic()
    settled = machine.settle(machine.client.endpoint("echo"))
    assert settled.status.state is EndpointState.HEALTHY, settled.status.problem
    fault.recovered(time.monotonic() - began, "until said")
    assert "Traceback" not in machine.client.controller_log()
    assert not unreadable(machine.directory / "control" / "router")
    assert machine.client.router().trust.count("BEGIN CERTIFICATE") == tls.trust.count("BEGIN CERTIFICATE")
    wait_until(lambda: machine.client.ensure()["router"]["state"] == "running", "a router is up")
    os.kill(only_router(machine), signal.SIGKILL)  # the next one reads what is on the disk
    wait_until(lambda: only_router_or_none(machine) not in (None, router), "another router is up")
    context = ssl.create_default_context(cadata=machine.client.router().trust)
    wait_until(lambda: sent(uri, context) == 200, "requests are answered")


def only_router_or_none(machine: Machine) -> int | None:
    router = machine.client.ensure()["router"]
    pid: int | None = router["pid"]
    return pid if router["state"] == "running" else None


def sent(uri: str, context: ssl.SSLContext) -> int | None:
    try:
        return httpx.post(uri, content=b"1", timeout=5, verify=context).status_code
    except httpx.HTTPError:
        return None


@pytest.mark.faults(33, "router file emptied under a controller that runs, then the router killed")
def test_a_router_file_that_is_emptied_is_written_again_before_a_router_reads_it(
    machine: Machine, fault: Fault
) -> None:
    uri = str(machine.healthy(machine.spec()).status.scoring_uri)
    for name in ("rds-router.json", "lds.json", "cds.json"):
        (machine.directory / "control" / "router" / name).write_bytes(b"")
    router = only_router(machine)
    began = time.monotonic()
    os.kill(router, signal.SIGKILL)
    wait_until(lambda: only_router_or_none(machine) not in (None, router), "another router is up")
    wait_until(lambda: is_well(machine, uri), "requests are answered")
    fault.recovered(time.monotonic() - began, "until answered by another router")


def test_lost_token_keys_are_reported_with_the_command_that_repairs_them_and_other_endpoints_serve(
    machine: Machine,
) -> None:
    uri = str(machine.healthy(machine.spec()).status.scoring_uri)
    machine.healthy(machine.spec("tokens", authentication=Authentication.TOKEN))
    os.kill(only(machine.controllers()), signal.SIGKILL)
    wait_until(lambda: not machine.controllers(), "the controller is gone")
    damaged(machine.directory / "control" / "token-keys.json", "empty")
    machine.client.ensure()
    found = wait_until(
        lambda: (it := machine.client.endpoint("tokens")).status.state is EndpointState.UNHEALTHY and it, "it says"
    )
    assert "rotate-token-key --revoke" in found.status.problem.message
    with pytest.raises(ControllerError, match="rotate-token-key --revoke"):
        machine.client.token("tokens")
    wait_until(lambda: is_well(machine, uri), "the new controller has seen the other endpoint")
    machine.client.rotate_token_keys(revoke=True)
    token = machine.client.token("tokens")["token"]
    wait_until(lambda: machine.client.endpoint("tokens").status.state is EndpointState.HEALTHY, "it is mended")
    headers = {"authorization": f"Bearer {token}"}
    assert httpx.post(str(found.status.scoring_uri), content=b"1", headers=headers).status_code == 200


@pytest.mark.faults(9, "controller.db garbage while the controller runs")
def test_a_database_that_is_damaged_while_in_use_is_replaced_by_its_copy(
    machines: Callable[[], Machine], fault: Fault
) -> None:
    machine = machines()
    before = machine.healthy(machine.spec())
    control = machine.directory / "control"
    backup = control / "controller.db.backup"

    def has_last_change() -> bool:
        written = [
            path.stat().st_mtime_ns for path in control.glob("controller.db*") if path.suffix in (".db", ".db-wal")
        ]
        return backup.exists() and backup.stat().st_mtime_ns > max(written)

    wait_until(has_last_change, "there is a copy, and it has the last change")
    began = time.monotonic()
    for name in ("controller.db", "controller.db-wal"):
        damaged(control / name, "garbage")
    wait_until(lambda: "Its copy was restored" in machine.client.controller_log(), "the copy is in its place")
    fault.recovered(time.monotonic() - began, "by the copy")
    assert is_well(machine, str(before.status.scoring_uri))
    machine.client.stop()
    assert machine.settle(machine.client.endpoint("echo")).spec == before.spec


@pytest.mark.faults(34, "stop --force while controller, router and replicas are stopped by SIGSTOP")
def test_a_forced_stop_ends_within_20_seconds_whatever_hangs(
    machine: Machine, fault: Fault, stopped: Callable[[int], None]
) -> None:
    machine.healthy(machine.spec(scaling={"replicas": 2}))
    pids = [*machine.controllers(), *machine.routers(), *machine.replicas()]
    for pid in pids:
        stopped(pid)
    began = time.monotonic()
    result = machine.client.stop(force=True)
    took = time.monotonic() - began
    assert took < promised(20)
    assert not (machine.controllers() or machine.routers() or machine.replicas())
    assert len(result.killed) >= 4
    assert all(any(f"(pid {pid})" in killed for killed in result.killed) for pid in pids)
    fault.recovered(took, "until all had ended")


def test_a_stop_ends_the_controller_although_a_handler_hangs(machine: Machine) -> None:
    uri = str(machine.healthy(machine.spec()).status.scoring_uri)
    path = sockets(machine) / "controller.sock"
    with socket.socket(socket.AF_UNIX) as waits:
        waits.connect(str(path))
        waits.sendall(b"GET /v1/endpoints/echo?timeout=60&after=99999999 HTTP/1.1\r\nhost: c\r\n\r\n")
        assert machine.client.running() is not None
        began = time.monotonic()
        assert machine.client.stop()
        assert time.monotonic() - began < promised(20)
    assert not machine.controllers()
    assert answered(uri), "replicas and router serve on"


def test_stop_finds_and_reports_a_controller_whose_sockets_were_removed(machine: Machine) -> None:
    machine.healthy(machine.spec())
    pid = only(machine.controllers())
    os.kill(pid, signal.SIGSTOP)  # so that it does not make its socket again
    shutil.rmtree(sockets(machine))
    found = {check.name: check for check in examine_workspace(machine.directory)}
    assert found["controller"].status == found["router process"].status == found["replicas"].status == "failed"
    assert f"pid {pid} runs" in found["controller"].text
    assert "mljupyter controller stop" in found["controller"].fix
    os.kill(pid, signal.SIGCONT)
    assert machine.client.stop()
    assert not machine.controllers()
    assert machine.replicas(), "they are left alone"
