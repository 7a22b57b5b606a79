"""An endpoint from a spec to an answer, through the real router."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mljupyter.client.errors import (
    EndpointExistsError,
    EndpointNotFoundError,
    InvalidSpecError,
    KeysNotAvailableError,
    PortInUseError,
)
from mljupyter.spec import Authentication, EndpointKind, EndpointState
from tests.holding import files_holding
from tests.load import Load
from tests.system.conftest import Machine
from tests.waiting import wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
KEY = Authentication.KEY


def score(uri: str, key: str | None = None, body: bytes = b"x", **headers: str) -> httpx.Response:
    if key:
        headers["authorization"] = f"Bearer {key}"
    return httpx.post(uri, content=body, headers=headers)


def test_a_request_passes_with_either_key_and_with_nothing_else(machine: Machine) -> None:
    uri = machine.healthy(machine.spec(authentication=KEY)).status.scoring_uri
    primary, secondary = machine.client.keys("echo")
    assert uri.endswith("/api/v1/service/echo/score")
    assert score(uri, primary).json()["data"] == "x"
    assert score(uri, secondary).status_code == 200
    for wrong in (None, "wrong", primary + "x", primary.upper()):
        refused = score(uri, wrong)
        assert refused.status_code == 401
        assert refused.json()["code"] == "Unauthorized"
    assert httpx.get(uri.removesuffix("score")).text == "Healthy"


def test_the_key_does_not_reach_the_scoring_script(machine: Machine) -> None:
    script = """
        def init(): pass
        def run(data, request_headers): return sorted(name.lower() for name in request_headers)
        """
    uri = machine.healthy(machine.spec(script=script, authentication=KEY)).status.scoring_uri
    seen = score(uri, machine.client.keys("echo")[0]).json()
    assert "content-length" in seen
    assert "authorization" not in seen


def test_a_regenerated_key_is_refused_and_the_other_one_still_passes(machine: Machine) -> None:
    uri = machine.healthy(machine.spec(authentication=KEY)).status.scoring_uri
    primary, secondary = machine.client.keys("echo")
    machine.client.regenerate_key("echo", "primary")
    assert score(uri, primary).status_code == 401
    assert score(uri, secondary).status_code == 200
    machine.client.regenerate_key("echo", "secondary", "a-key-of-my-own")
    assert machine.client.keys("echo")[1] == "a-key-of-my-own"
    assert score(uri, "a-key-of-my-own").status_code == 200


def test_a_key_against_the_rule_is_refused_without_being_shown(machine: Machine) -> None:
    with pytest.raises(InvalidSpecError, match="8 to 256 printable") as caught:
        machine.client.create(machine.spec(authentication=KEY), primary_key="se cret")
    assert "se cret" not in str(caught.value)


def test_keys_are_in_no_log_and_in_no_file_that_others_may_read(machine: Machine) -> None:
    machine.healthy(machine.spec(authentication=KEY))
    primary = machine.client.keys("echo")[0].encode()
    assert primary.decode() not in machine.client.controller_log() + repr(machine.client.endpoint("echo"))
    holders = files_holding(machine.directory, primary)
    assert holders
    assert all(path.stat().st_mode & 0o077 == 0 for path in holders)
    assert machine.directory.joinpath("control").stat().st_mode & 0o777 == 0o700


def test_without_authentication_there_are_no_keys(machine: Machine) -> None:
    uri = machine.healthy(machine.spec()).status.scoring_uri
    assert score(uri).status_code == 200
    with pytest.raises(KeysNotAvailableError, match="key authentication is off"):
        machine.client.keys("echo")


def test_a_local_web_service_answers_on_a_port_of_its_own(machine: Machine) -> None:
    record = machine.healthy(machine.spec(kind=EndpointKind.LOCAL))
    port = record.spec.port
    assert record.status.scoring_uri == f"http://localhost:{port}/score"
    assert score(record.status.scoring_uri).json()["data"] == "x"
    assert httpx.get(f"http://localhost:{port}/").text == "Healthy"
    assert httpx.get(record.status.swagger_uri).json()["swagger"] == "2.0"


def test_a_port_in_use_is_refused_with_the_way_out(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} is in use by another program"):
            machine.client.create(machine.spec(kind=EndpointKind.LOCAL, port=port))
    first = machine.healthy(machine.spec(name="first", kind=EndpointKind.LOCAL))
    with pytest.raises(PortInUseError, match="in use by endpoint 'first'"):
        machine.client.create(machine.spec(kind=EndpointKind.LOCAL, port=first.spec.port))


def test_a_second_deployment_of_a_name_is_refused_unless_overwrite_is_requested(machine: Machine) -> None:
    machine.healthy(machine.spec())
    with pytest.raises(EndpointExistsError, match="overwrite=True"):
        machine.client.create(machine.spec())
    answer = "def init(): pass\ndef run(data): return 'new'"
    record = machine.settle(machine.client.create(machine.spec(script=answer), overwrite=True))
    assert score(record.status.scoring_uri).json() == "new"


def test_an_unknown_endpoint_is_named_with_the_nearest_one(machine: Machine) -> None:
    machine.healthy(machine.spec())
    with pytest.raises(EndpointNotFoundError, match=r"WebserviceNotFound: There is no endpoint 'ecco'.*'echo'"):
        machine.client.endpoint("ecco")


def test_an_update_under_load_loses_no_request_and_ends_the_old_replicas(machine: Machine) -> None:
    # A run for each client: on a busy machine, a request that waits for a run may be refused after half a second.
    size = {"scaling": {"replicas": 2}, "limits": {"maxConcurrentRequests": 4}}
    record = machine.healthy(machine.spec(**size))
    old = set(machine.replicas())
    with Load(record.status.scoring_uri) as load:
        wait_until(lambda: load.sent > 200, "the load runs")
        updated = machine.spec(**size, environmentVariables={"NEW": "1"})
        machine.settle(machine.client.replace(updated))
        sent = load.sent
        wait_until(lambda: load.sent > sent + 200, "the load goes on")
    assert load.failed == 0, (load.results, load.refusals)
    wait_until(lambda: len(machine.replicas()) == 2 and not old & set(machine.replicas()), "old replicas are gone")


def test_an_update_that_cannot_start_leaves_the_old_version_serving(machine: Machine) -> None:
    record = machine.healthy(machine.spec())
    broken = "def init(): raise ValueError('no such model')\ndef run(data): return 1"
    failed = machine.settle(machine.client.replace(machine.spec(script=broken)))
    assert failed.status.state is EndpointState.FAILED
    assert "no such model" in "\n".join(failed.status.problem.last_lines)
    assert score(record.status.scoring_uri).json()["data"] == "x"
    for pid in machine.replicas():
        with contextlib.suppress(ProcessLookupError):  # one that cannot start ends by itself
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: score(record.status.scoring_uri).status_code == 200, "the old version comes back")
    healed = machine.settle(machine.client.replace(machine.spec()))
    assert healed.status.state is EndpointState.HEALTHY


def test_the_body_limit_is_kept_before_the_replica(machine: Machine) -> None:
    uri = machine.healthy(machine.spec(limits={"maxBodyBytes": 1000})).status.scoring_uri
    assert score(uri, body=b"x" * 1000).status_code == 200
    refused = score(uri, body=b"x" * 1001)
    assert (refused.status_code, refused.json()["code"]) == (413, "PayloadTooLarge")


def test_requests_wait_for_a_busy_replica_and_never_run_side_by_side(machine: Machine) -> None:
    script = """
        import threading, time
        inside = threading.Semaphore(1)
        def init(): pass
        def run(data):
            assert inside.acquire(blocking=False), "two at once"
            time.sleep(0.02)
            inside.release()
            return 1
        """
    record = machine.healthy(machine.spec(script=script, limits={"maxQueueWaitMs": 20_000}))
    with Load(record.status.scoring_uri, clients=16, limit=5) as load:
        wait_until(lambda: load.sent == 80, "all are answered")
    assert load.results == {"200": 80}


def test_waiting_too_long_is_answered_with_503_and_when_to_try_again(machine: Machine, tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"""
        import pathlib, time
        def init(): pass
        def run(data):
            print("began")
            while not pathlib.Path({str(go)!r}).exists():
                time.sleep(0.02)
        """
    uri = machine.healthy(machine.spec(script=script, limits={"maxQueueWaitMs": 200})).status.scoring_uri
    with Load(uri, clients=1, limit=1) as load:
        try:
            wait_until(lambda: "began" in machine.client.logs("echo"), "a request runs")
            refused = score(uri)
            assert httpx.get(uri.removesuffix("score")).text == "Healthy"
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert "x-mlj-busy" not in refused.headers
        finally:
            go.touch()
        wait_until(lambda: load.sent == 1, "the first one is answered")
    assert load.results == {"200": 1}


def test_the_logs_of_all_replicas_come_in_the_order_of_time(machine: Machine) -> None:
    script = """
        import os
        def init(): print("init of", os.getpid())
        def run(data): print("ran", data)
        """
    record = machine.healthy(machine.spec(script=script, scaling={"replicas": 2}))
    for number in range(6):
        score(record.status.scoring_uri, body=str(number).encode())
        # A replica stamps a line when it reads the pipe of its worker, up to some milliseconds after the line's print.
        wait_until(lambda seen=number + 1: machine.client.logs("echo").count("ran") == seen, "the line is written")
    text = machine.client.logs("echo")
    assert [line.rpartition(" ")[2] for line in text.splitlines() if "ran " in line] == list("012345")
    assert text.count("init of") == 2
    assert machine.client.logs("echo", lines=1).count("\n") == 1
    assert "init of" in machine.client.logs("echo", lines=3, startup=True)


def test_deleting_while_it_is_being_deployed_leaves_nothing(machine: Machine) -> None:
    slow = "import time\ndef init(): time.sleep(600)\ndef run(data): return 1"
    machine.client.create(machine.spec(script=slow))
    wait_until(machine.replicas, "the replica starts")
    machine.client.delete("echo")
    assert not machine.replicas()
    assert machine.client.endpoints() == []
    assert not list(machine.directory.joinpath("control", "replicas").iterdir())
    assert not list(machine.directory.joinpath("control", "revisions").iterdir())


def test_a_module_of_the_user_does_not_replace_one_that_the_server_needs(machine: Machine) -> None:
    source = machine.directory / "service"
    source.mkdir()
    (source / "json.py").write_text("raise ImportError('the wrong json')")
    (source / "score.py").write_text("def init(): pass\ndef run(data): return 'fine'")
    code = {"digest": machine.store.put(source).digest, "entryScript": "service/score.py", "sourceDirectory": "service"}
    record = machine.healthy(machine.spec(code=code))
    assert score(record.status.scoring_uri).json() == "fine"


def test_a_replica_sees_the_contract_its_own_variables_and_a_short_list_of_others(
    machines: Callable[[], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_NOTEBOOK", "hidden")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # a value that the user sets would be kept
    machine = machines()  # its controller starts with these variables
    script = """
        import os
        def init(): pass
        def run(data): return {"cwd": os.getcwd(), **os.environ}
        """
    record = machine.healthy(machine.spec(script=script, environmentVariables={"MINE": "1"}, resources={"cpu": 2}))
    seen = score(record.status.scoring_uri).json()
    assert seen["cwd"] == seen["AML_APP_ROOT"]
    assert (seen["SERVICE_NAME"], seen["AZUREML_ENTRY_SCRIPT"], seen["MINE"]) == ("echo", "score.py", "1")
    assert seen["AZUREML_MODEL_DIR"] == f"{seen['AML_APP_ROOT']}/azureml-models"
    assert seen["OMP_NUM_THREADS"] == "2"
    assert "SECRET_OF_THE_NOTEBOOK" not in seen
