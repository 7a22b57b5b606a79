"""The controller dies at every write of a deploy, its state is damaged: what serves goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from mljupyter.client.base import EndpointClient
from mljupyter.client.errors import ControllerError, ControllerStartError, EndpointNotFoundError
from mljupyter.controller import launch
from mljupyter.controller.layout import Layout
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState
from tests.fault_table import Fault
from tests.steady_load import SteadyLoad
from tests.system.conftest import Machine
from tests.system.faults.test_kills_under_load import replicas
from tests.system.targets import Local
from tests.system.test_versions import WHO, answers, changed, endpoint
from tests.waiting import HANG_SECONDS, promised, wait_until

pytestmark = pytest.mark.system
DYING = Path(__file__).with_name("dying_controller.py")


def dying(machine: Machine, kind: str) -> subprocess.Popen[bytes]:
    """Start a controller that dies at the first write of a kind once it is armed."""
    machine.client.stop()  # one that a client has started meanwhile
    process = subprocess.Popen([sys.executable, str(DYING), kind, str(machine.directory)], start_new_session=True)
    wait_until(lambda: launch.reachable(Layout.of(machine.directory)), "the controller answers")
    return process


def arm(machine: Machine, process: subprocess.Popen[bytes]) -> None:
    (machine.directory / "armed").unlink(missing_ok=True)
    process.send_signal(signal.SIGUSR1)
    wait_until((machine.directory / "armed").exists, "writes are counted")


def accepted(machine: Machine, spec: EndpointSpec) -> EndpointRecord:
    """Ask for a change again and again until it is accepted."""

    def ask() -> EndpointRecord | None:
        try:
            found = machine.client.endpoint(spec.name)
            return found if found.spec == spec else machine.client.replace(spec)
        except ControllerStartError:
            return None

    return wait_until(ask, "the change is accepted")


def revision_of(record: Path) -> list[str]:
    try:
        return [json.loads(record.read_bytes())["revision"]]
    except (OSError, ValueError):
        return []  # it has just gone, or is not written yet


def left(machine: Machine) -> list[str]:
    """Return what nobody needs: unfinished files, app roots that belong to no replica, sockets beyond one."""
    control = machine.directory / "control"
    # os.walk, since directories may go while they are looked at.
    found = [name for _, directories, files in os.walk(control) for name in (*directories, *files)]
    unfinished = [name for name in found if name.startswith(".")]
    known = {revision for path in (control / "replicas").glob("*/replica.json") for revision in revision_of(path)}
    roots = [path.name for path in (control / "revisions").iterdir() if path.name.rpartition(".")[2] not in known]
    ours = ("controller", "router", "no-grpc")
    sockets = [path.name for path in (control / "run").resolve().glob("*.sock") if path.stem not in ours]
    return unfinished + roots + sockets[1:]


@pytest.mark.faults(5, "controller killed at every kind of write of a deploy")
def test_a_controller_that_dies_at_any_write_leaves_what_serves_and_converges(machine: Machine, fault: Fault) -> None:
    spec = endpoint(Local(machine), {"aaa": 0})
    uri = str(machine.healthy(spec).status.scoring_uri)
    machine.client.stop()
    process = dying(machine, "none")
    # What the controller writes as it starts is not part of a deploy: it is done after another one.
    machine.settle(machine.client.replace(changed(spec, "aaa", environmentVariables={"WHO": "before"})))
    wait_until(lambda: len(machine.replicas()) == 1, "the first replica has left")
    arm(machine, process)
    machine.settle(machine.client.replace(changed(spec, "aaa", environmentVariables={"WHO": "recorded"})))
    wait_until(lambda: len(machine.replicas()) == 1, "the old replica has left")
    kinds = (machine.directory / "writes").read_text().splitlines()
    assert {kind.split()[0] for kind in kinds} >= {"sql", "open", "os.rename", "os.mkdir", "start"}, kinds
    machine.client.stop()
    process.wait(timeout=HANG_SECONDS)
    took = []
    with SteadyLoad(uri, clients=2, one_shot=1, requests=0, pause=0.01) as load:
        fault.under(load)
        process = dying(machine, kinds[0])
        for number, kind in enumerate(kinds):
            arm(machine, process)
            wanted = changed(spec, "aaa", environmentVariables={"WHO": str(number)})
            with contextlib.suppress(ControllerStartError):
                machine.client.replace(wanted)
            assert process.wait(timeout=HANG_SECONDS) == -signal.SIGKILL, kind
            began = time.monotonic()
            process = dying(machine, (*kinds, "none")[number + 1])
            settled = machine.settle(accepted(machine, wanted))
            assert settled.status.state is EndpointState.HEALTHY, (kind, settled.status.problem)
            took.append(time.monotonic() - began)
            assert set(answers(uri, 4, clients=1)) == {str(number)}, kind
            wait_until(lambda: len(machine.replicas()) == 1, f"one replica is left after {kind}")
            wait_until(lambda: not left(machine), f"nothing is left behind after {kind}")
        assert load.failed == 0, load.failures
        assert len(machine.routers()) == 1
        machine.client.stop()
        process.wait(timeout=HANG_SECONDS)
    fault.recovered(max(took), f"of {len(kinds)} kinds the longest")


NOTEBOOK = """
import os, sys
from mljupyter.core import AksWebservice, InferenceConfig, Model, Workspace

workspace = Workspace.get("left")
configuration = AksWebservice.deploy_configuration(
    autoscale_enabled=False, num_replicas=1, auth_enabled=False, replica_max_concurrent_requests=4
)
service = Model.deploy(workspace, "left", [], InferenceConfig(sys.argv[1]), configuration)
service.wait_for_deployment()
print(service.scoring_uri, flush=True)
sys.stdin.read()
"""
NEW_KERNEL = """
import time
from mljupyter.core import Webservice, Workspace

began = time.monotonic()
service = Webservice(Workspace.get("left"), "left")
print(time.monotonic() - began, service.state, service.run("again"))
"""


@pytest.mark.faults(6, "kill -9 of the notebook's kernel")
def test_services_outlive_the_kernel_and_a_new_one_finds_them_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    from mljupyter.core import Workspace

    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path))
    workspace = Workspace.create("left")
    script = tmp_path / "score.py"
    script.write_text("def init(): pass\ndef run(data): return data")
    try:
        kernel = subprocess.Popen(
            [sys.executable, "-c", NOTEBOOK, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert kernel.stdout is not None
        uri = next(line.strip() for line in kernel.stdout if line.startswith("http"))
        with SteadyLoad(uri, clients=4, one_shot=1, requests=1000) as load:
            fault.under(load)
            load.runs()
            os.killpg(kernel.pid, signal.SIGKILL)
            kernel.wait()
            load.runs()
            found = [subprocess.check_output([sys.executable, "-c", NEW_KERNEL], text=True).split() for _ in range(3)]
        assert load.failed == 0, load.failures
        assert {tuple(one[1:]) for one in found} == {("Healthy", "again")}
        took = min(float(one[0]) for one in found)
        fault.recovered(took, "until found again")
        assert took < promised(1.0)
    finally:
        workspace.delete(delete_dependent_resources=True)


def damaged(path: Path, how: str) -> None:
    """Do to a database what disks, people and other programs do."""
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "a directory":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(
            {
                "garbage": b"\xff" * len(content),
                "truncated": content[: len(content) // 3],
                "empty": b"",
                "of a newer release": content[:60] + (99).to_bytes(4, "big") + content[64:],
                "of another program": b"PK\x03\x04 a workbook" * 100,
            }[how]
        )


@pytest.mark.faults(9, "controller.db garbage, truncated, empty, gone, of a newer release, not a database")
def test_with_an_unreadable_database_requests_are_served_and_the_error_offers_the_backup(
    machine: Machine, fault: Fault
) -> None:
    before = machine.healthy(endpoint(Local(machine), {"aaa": 0, "bbb": 30}))
    uri = str(before.status.scoring_uri)
    path = Layout.of(machine.directory).database
    took = []
    with SteadyLoad(uri, clients=4, one_shot=1, requests=0, pause=0.01) as load:
        fault.under(load)
        for how in ("garbage", "truncated", "empty", "gone", "of a newer release", "of another program", "a directory"):
            machine.client.stop()
            for part in path.parent.glob("controller.db-*"):
                part.unlink()
            damaged(path, how)
            left = path.read_bytes() if path.is_file() else None
            with pytest.raises(ControllerError) as caught:
                machine.client.endpoints()
            said = caught.value.message
            assert "keep serving" in said, how
            assert "Traceback" not in said, how
            assert ("newer release" if how == "of a newer release" else "mljupyter controller restore") in said
            assert (path.read_bytes() if path.is_file() else None) == left, "it is left as it was"
            load.runs(50)
            began = time.monotonic()
            aside = machine.client.restore()
            after = machine.settle(machine.client.endpoint("shared"))
            took.append(time.monotonic() - began)
            assert (after.spec, after.status.state) == (before.spec, EndpointState.HEALTHY), how
            assert replicas(after) == replicas(before), how
            assert aside.exists() or how == "gone"
            with pytest.raises(ControllerStartError, match="controller stop"):
                machine.client.restore()
    assert load.failed == 0, load.failures
    fault.recovered(max(took), "by the copy, the longest")


def created_at_once(client: EndpointClient, specs: list[EndpointSpec]) -> EndpointRecord:
    """Create endpoints of one name concurrently; check that one is accepted and the others get 409."""
    told: list[object] = []

    def deploy(spec: EndpointSpec) -> None:
        try:
            told.append(client.create(spec))
        except ControllerError as error:
            told.append(error)

    threads = [threading.Thread(target=deploy, args=(spec,)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = (item for item in told if isinstance(item, EndpointRecord))
    refused = [item for item in told if isinstance(item, ControllerError)]
    assert len(refused) == len(specs) - 1
    assert {(error.code, error.status_code) for error in refused} == {("WebserviceExists", 409)}
    return won


@pytest.mark.faults(18, "ten deploys of one name at once")
def test_of_ten_concurrent_deployments_of_one_name_one_is_accepted_and_nine_get_409(
    machine: Machine, fault: Fault
) -> None:
    specs = [endpoint(Local(machine), {"aaa": 0}, tags={"who": str(number)}) for number in range(10)]
    machine.client.ensure()
    won = created_at_once(machine.client, specs)
    settled = machine.settle(machine.client.endpoint("shared"))
    assert (settled.status.state, settled.spec) == (EndpointState.HEALTHY, won.spec)
    assert len(machine.replicas()) == 1
    fault.answered(10)


@pytest.mark.faults(18, "update, update and delete while a deploy is under way")
def test_the_last_accepted_operation_is_what_is_there_in_the_end(machine: Machine, fault: Fault) -> None:
    slow = WHO.replace("pass", "import time; time.sleep(1)")
    spec = changed(endpoint(Local(machine), {"aaa": 0}), "aaa", **Local(machine).runs(slow))
    machine.client.create(spec)
    wait_until(machine.replicas, "the first revision starts")
    for who in ("second", "third"):
        record = machine.client.replace(changed(spec, "aaa", environmentVariables={"WHO": who}))
    settled = machine.settle(record)
    assert settled.status.state is EndpointState.HEALTHY, settled.status.problem
    assert set(answers(str(settled.status.scoring_uri), 10)) == {"third"}
    before = set(machine.replicas())
    machine.client.replace(spec)
    wait_until(lambda: set(machine.replicas()) - before, "the next revision starts")
    began = time.monotonic()
    machine.client.delete("shared")
    fault.recovered(time.monotonic() - began, "until deleted")
    assert not machine.replicas()
    with pytest.raises(EndpointNotFoundError):
        machine.client.endpoint("shared")
    assert httpx.post(str(settled.status.scoring_uri)).status_code == 404
    machine.healthy(endpoint(Local(machine), {"aaa": 0}))
    assert psutil.pid_exists(next(iter(machine.replicas())))
