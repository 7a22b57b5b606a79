"""What happens when scripts are broken and processes are killed: the rest keeps serving, nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mljupyter.client.errors import ControllerStartError
from mljupyter.controller.layout import Layout
from mljupyter.spec import EndpointState, ModelReference
from mljupyter.targets.machine.client import ControllerClient
from tests.load import Load
from tests.system.conftest import Machine
from tests.waiting import HANG_SECONDS, promised, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True


def only(processes: dict[int, list[str]]) -> int:
    assert len(processes) == 1, processes
    return next(iter(processes))


def _taken(port: int | None) -> socket.socket | None:
    try:
        return socket.create_server(("127.0.0.1", port or 0))
    except OSError:
        return None


BROKEN = {
    "without run": ("def init(): pass", "run"),
    "syntax error": ("def init(:\n  pass", "SyntaxError"),
    "init raises": ("def init(): raise OSError('no such weights')\ndef run(data): return 1", "no such weights"),
    "init exits": (
        "import os\ndef init():\n  print('about to go')\n  os._exit(7)\ndef run(data): return 1",
        "about to go",
    ),
    "import fails": ("import no_such_package\ndef init(): pass\ndef run(data): return 1", "no_such_package"),
}


@pytest.mark.alone
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_script_fails_the_deployment_at_once_with_its_last_lines(machine: Machine, case: str) -> None:
    script, expected = BROKEN[case]
    machine.client.ensure()
    began = time.monotonic()
    record = machine.settle(machine.client.create(machine.spec(script=script)))
    took = time.monotonic() - began
    assert record.status.state is EndpointState.FAILED
    assert expected in record.status.problem.text()
    assert took < promised(2 + 1.5), "2 s after the first crash; a replica needs a moment to get there"
    assert not machine.replicas()
    refused = httpx.post(record.status.scoring_uri)
    assert (refused.status_code, refused.json()["code"]) == (503, "NoReplicaReady")


def test_an_init_that_hangs_fails_with_the_place_where_it_hangs(machine: Machine) -> None:
    script = "import time\ndef init():\n    time.sleep(600)\ndef run(data): return 1"
    record = machine.settle(machine.client.create(machine.spec(script=script, probe={"initialDelaySeconds": 1})))
    assert record.status.state is EndpointState.FAILED
    assert "init() has not returned" in record.status.problem.message
    assert "line 3" in record.status.problem.text()


def test_a_model_that_is_missing_from_the_store_fails_the_deployment(machine: Machine) -> None:
    model = ModelReference(name="gone", version=1, digest="sha256:" + "0" * 64, entry="model.pkl")
    record = machine.settle(machine.client.create(machine.spec(models=[model.document()])))
    assert record.status.state is EndpointState.FAILED
    assert "0000" in record.status.problem.message


def test_a_failed_deployment_can_be_tried_again(machine: Machine, tmp_path: Path) -> None:
    flag = tmp_path / "ready"
    script = f"import os\ndef init(): assert os.path.exists({str(flag)!r})\ndef run(data): return 'there'"
    spec = machine.spec(script=script)
    assert machine.settle(machine.client.create(spec)).status.state is EndpointState.FAILED
    flag.touch()
    assert machine.settle(machine.client.create(spec, overwrite=True)).status.state is EndpointState.HEALTHY


def test_a_replica_killed_while_no_controller_runs_is_replaced_by_the_next_one(machine: Machine) -> None:
    machine.healthy(machine.spec(scaling={"replicas": 2}))
    os.kill(only(machine.controllers()), signal.SIGKILL)
    victim, survivor = machine.replicas()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in machine.replicas(), "the replica is gone")
    record = wait_until(
        lambda: (
            (found := machine.client.endpoint("echo")).status.versions["echo"].replicas_ready == 2
            and victim not in {replica.pid for replica in found.status.versions["echo"].replicas}
            and found
        ),
        "two replicas are ready again",
    )
    assert survivor in {replica.pid for replica in record.status.versions["echo"].replicas}
    assert len(machine.replicas()) == 2


def test_the_only_replica_is_killed_and_requests_wait_for_its_successor(machine: Machine) -> None:
    record = machine.healthy(machine.spec(limits={"maxQueueWaitMs": 20_000}))
    with Load(record.status.scoring_uri, clients=2) as load:
        wait_until(lambda: load.sent > 50, "the load runs")
        os.kill(only(machine.replicas()), signal.SIGKILL)
        sent = load.sent
        wait_until(lambda: load.sent > sent + 50, "the load goes on")
    assert load.failed == 0, load.results


def test_no_process_but_router_and_replica_is_on_the_data_path(machine: Machine) -> None:
    record = machine.healthy(machine.spec())
    controller = only(machine.controllers())
    os.kill(controller, signal.SIGSTOP)
    try:
        for _ in range(20):
            assert httpx.post(record.status.scoring_uri).status_code == 200
    finally:
        os.kill(controller, signal.SIGCONT)


def test_a_worker_that_dies_is_replaced_inside_its_replica(machine: Machine) -> None:
    script = """
        import os
        def init(): pass
        def run(data):
            if data == "die": os._exit(1)
            return os.getpid()
        """
    record = machine.healthy(machine.spec(script=script, limits={"maxQueueWaitMs": 20_000}))
    replica = only(machine.replicas())
    assert httpx.post(record.status.scoring_uri, content="die").status_code == 502
    assert httpx.post(record.status.scoring_uri, content="live").status_code == 200
    assert only(machine.replicas()) == replica


@pytest.mark.faults(19, "second controller")
def test_a_second_controller_is_refused_and_names_the_first(machine: Machine) -> None:
    first = machine.client.ensure()["pid"]
    command = [sys.executable, "-m", "mljupyter.controller", str(machine.directory)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert second.returncode == 3
    assert f"pid {first}" in second.stderr
    assert machine.client.running()["pid"] == first


@pytest.mark.faults(19, "four clients start the controller at once")
def test_clients_that_start_at_once_find_one_controller(machines: Callable[[], Machine]) -> None:
    machine = machines()
    code = (
        "import sys; from pathlib import Path; from mljupyter.targets.machine.client import ControllerClient;"
        "print(ControllerClient(Path(sys.argv[1])).ensure()['pid'])"
    )
    clients = [
        subprocess.Popen([sys.executable, "-c", code, str(machine.directory)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    found = {client.communicate(timeout=HANG_SECONDS)[0].strip() for client in clients}
    wait_until(lambda: len(machine.controllers()) == 1, "those that came second have ended")
    assert found == {str(only(machine.controllers()))}


@pytest.mark.faults(19, "replica without a record, with its socket")
def test_a_replica_without_a_record_is_stopped(machine: Machine) -> None:
    machine.client.ensure()
    machine.client.stop()
    layout = Layout.of(machine.directory)
    layout.prepare()
    (machine.directory / "score.py").write_text("def init(): pass\ndef run(data): return 1")
    command = [sys.executable, "-m", "mljupyter.scoring", "--replica", "nobody-00000000", "--entry-script", "score.py"]
    orphan = subprocess.Popen(
        [*command, "--unix-socket", str(layout.runtime() / "00000000.sock")],
        cwd=machine.directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until((layout.runtime() / "00000000.sock").exists, "the orphan listens")
    machine.client.ensure()
    assert orphan.wait(timeout=HANG_SECONDS) == -signal.SIGKILL


def test_an_idle_controller_ends_by_itself_and_takes_the_router_along(
    machines: Callable[[], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = machines()
    monkeypatch.setenv("MLJUPYTER_CONTROLLER_IDLE_SECONDS", "2")
    machine.client.ensure()
    wait_until(lambda: not machine.controllers() and not machine.routers(), "both have ended")
    machine.healthy(machine.spec())
    machine.client.delete("echo")
    wait_until(lambda: not machine.controllers() and not machine.routers(), "both have ended again")


def test_stopping_the_controller_leaves_endpoints_serving(machine: Machine) -> None:
    record = machine.healthy(machine.spec())
    assert machine.client.stop()
    assert machine.client.running() is None
    assert httpx.post(record.status.scoring_uri).status_code == 200
    assert not machine.client.stop()


@pytest.mark.faults(19, "socket path of more than 107 bytes")
def test_a_socket_path_that_is_too_long_is_named_with_the_way_out(
    machines: Callable[[], Machine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = machines()
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(tmp_path / ("long" * 25)))
    with pytest.raises(ControllerStartError, match=r"(?s)bytes: the system allows 10[37].*MLJUPYTER_RUNTIME_DIR"):
        machine.client.ensure()
    monkeypatch.delenv("MLJUPYTER_RUNTIME_DIR")
    machine.client.ensure()


def test_a_deep_workspace_directory_is_no_problem_for_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20) / ("deeper" * 20)
    deep.mkdir(parents=True)
    client = ControllerClient(deep)
    assert client.ensure()["workspace"] == str(deep)
    assert len(os.fsencode(Layout.of(deep).socket())) <= 107
    client.stop(force=True)


@pytest.mark.faults(19, "router's port taken while it was away")
def test_a_router_port_taken_by_another_program_is_reported_and_recovered(machine: Machine) -> None:
    record = machine.healthy(machine.spec())
    controller, router = only(machine.controllers()), only(machine.routers())
    os.kill(controller, signal.SIGSTOP)  # so that it does not start the router again before the port is taken
    os.kill(router, signal.SIGKILL)
    port = httpx.URL(record.status.scoring_uri).port
    with wait_until(lambda: _taken(port), "the port is free"):
        os.kill(controller, signal.SIGCONT)
        machine.client.replace(machine.spec(environment_variables={"LEVEL": "2"}))
        told = wait_until(
            lambda: (found := machine.client.endpoint("echo")).status.problem and found, "the problem is told"
        )
        assert "router" in told.status.problem.message
    assert machine.settle(told).status.state is EndpointState.HEALTHY
    wait_until(lambda: not machine.client.endpoint("echo").status.problem, "the problem is over")
    assert httpx.post(record.status.scoring_uri).status_code == 200


@pytest.mark.faults(19, "router's port taken before the start")
def test_a_router_port_taken_before_the_controller_starts_is_left_for_another(machine: Machine) -> None:
    port = machine.client.ensure()["router"]["port"]
    machine.client.stop(force=True)
    with socket.create_server(("127.0.0.1", port)):
        uri = machine.healthy(machine.spec()).status.scoring_uri
        assert f":{port}/" not in uri
        assert httpx.post(uri).status_code == 200
