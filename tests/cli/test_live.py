"""The command line with a real endpoint, and the demo."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mljupyter.cli import demo
from mljupyter.engine.endpoints.client_snippets import ClientSnippets
from mljupyter.notebook.views.clients import Clients
from tests.cli.conftest import Commands
from tests.ports import free_port
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
DURATIONS = "mljupyter_request_duration_seconds_count{"


def test_endpoints_are_listed_and_shown(served: Commands) -> None:
    heading, row = served.run("endpoint", "list").stdout.splitlines()
    assert heading.split()[:5] == ["NAME", "STATE", "KIND", "MODELS", "REPLICAS"]
    assert row.split()[:5] == ["adder", "Healthy", "aks", "none", "1/1"]
    assert row.split()[5].endswith("/api/v1/service/adder/score")
    (document,) = served.json("endpoint", "list")
    assert document == served.json("endpoint", "show", "adder")
    shown = served.run("endpoint", "show", "adder").stdout
    assert "State:           Healthy" in shown
    assert "Authentication:  key" in shown
    clients = served.run("endpoint", "show", "adder", "--clients").stdout
    assert clients == Clients(ClientSnippets(**served.json("endpoint", "show", "adder", "--clients"))).text() + "\n"
    assert '-H "Authorization: Bearer $SCORING_KEY"' in clients


def test_no_key_is_ever_shown(served: Commands) -> None:
    from mljupyter.core import Workspace

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", served.environment["MLJUPYTER_HOME"])
        keys = Workspace.get("cli-team").endpoints.keys("adder")
    everything = "".join(
        served.run(*command).stdout
        for command in (
            ("endpoint", "show", "adder", "--json"),
            ("endpoint", "logs", "adder"),
            ("controller", "logs"),
            ("controller", "status"),
        )
    )
    assert not any(key in everything for key in keys)


@pytest.mark.parametrize(
    ("data", "standard_input"), [('{"data": [[1, 2]]}', ""), ("@rows.json", ""), ("-", '{"data": [[1, 2]]}')]
)
def test_data_is_text_a_file_or_standard_input(served: Commands, data: str, standard_input: str) -> None:
    (served.directory / "rows.json").write_text('{"data": [[1, 2]]}')
    answer = served.run("endpoint", "invoke", "adder", data, standard_input=standard_input).stdout
    assert json.loads(answer) == [3]


def test_metrics_are_a_table_a_series_json_and_prometheus_text(served: Commands) -> None:
    served.run("endpoint", "invoke", "adder", '{"data": [[1, 2]]}')

    def counted() -> int:
        requests = served.json("endpoint", "metrics", "adder", "--since", "10m")["summary"]["requests"]
        return sum(int(number) for number in requests)  # of no version before the first are counted

    least = wait_until(counted, "the request is counted")  # those of other tests may still be added
    heading, row = served.run("endpoint", "metrics", "adder").stdout.splitlines()
    assert heading.split()[:2] == ["VERSION", "REQUESTS"]
    assert row.split()[0] == "adder"
    assert int(row.split()[1]) >= least
    heading, *rows = served.run("endpoint", "metrics", "adder", "--every", "1m").stdout.splitlines()
    assert heading.startswith("TIME (UTC)")
    assert sum(int(row.split()[3]) for row in rows) >= least

    def line_of_durations() -> str | None:
        text = served.run("controller", "metrics").stdout
        lines = [line for line in text.splitlines() if line.startswith(DURATIONS)]
        return lines[0] if lines and int(float(lines[0].split()[1])) >= least else None

    # Envoy adds a request's duration to its histogram later than the request to its counter.
    line = wait_until(line_of_durations, "the durations are counted")
    assert 'endpoint="adder",version="adder"' in line
    assert "since is 'soon'" in served.failed("endpoint", "metrics", "adder", "--since", "soon")
    assert "no endpoint 'addr'" in served.failed("endpoint", "metrics", "addr")


def test_the_port_for_prometheus_is_opened_and_closed(served: Commands) -> None:
    port = free_port()
    assert f"http://127.0.0.1:{port}/metrics" in served.run("controller", "metrics", "--port", str(port)).stdout
    assert served.json("controller", "metrics", "--settings") == {"enabled": True, "port": port}
    assert "not both" in served.failed("controller", "metrics", "--port", "1", "--no-port", status=2)
    assert "no port" in served.run("controller", "metrics", "--no-port").stdout


def test_the_dashboard_is_printed_without_a_workspace(commands: Commands) -> None:
    assert json.loads(commands.run("controller", "metrics", "--dashboard").stdout)["title"] == "mljupyter endpoints"


def test_a_request_that_fails_ends_with_1(served: Commands) -> None:
    assert "status 500" in served.failed("endpoint", "invoke", "adder", "5")


def test_logs_are_what_the_script_printed(served: Commands) -> None:
    assert "ready to add" in served.run("endpoint", "logs", "adder", "--startup").stdout
    assert any("ready to add" in line for line in served.json("endpoint", "logs", "adder")["lines"])


def test_a_log_is_followed_until_interrupted_without_a_traceback(served: Commands) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mljupyter.cli", "endpoint", "logs", "adder", "-f"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=served.directory,
        env={**os.environ, **served.environment},
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert any("ready to add" in line for line in process.stdout)
        served.failed("endpoint", "invoke", "adder", "follow me")
        assert any("run() raised" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert process.wait(HANG_SECONDS) == 130
        assert process.stderr.read() == ""


def test_following_goes_with_no_other_form_of_output(served: Commands) -> None:
    assert "--json" in served.failed("endpoint", "logs", "adder", "-f", "--json", status=2)


def test_an_unknown_endpoint_ends_with_1_and_the_nearest_name(served: Commands) -> None:
    for command in ("show", "logs", "delete"):
        assert "Did you mean 'adder'?" in served.failed("endpoint", command, "addr")


def test_the_controllers_database_is_restored_from_its_copy(served: Commands) -> None:
    served.run("controller", "start")
    assert "mljupyter controller stop" in served.failed("controller", "restore")
    before = served.json("endpoint", "show", "adder")["spec"]
    served.run("controller", "stop")
    assert "restored" in served.run("controller", "restore").stdout
    assert served.json("endpoint", "show", "adder")["spec"] == before


def test_the_endpoint_serves_on_while_the_controller_is_stopped_and_started(served: Commands) -> None:
    import httpx

    from mljupyter.core import Workspace

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", served.environment["MLJUPYTER_HOME"])
        key = Workspace.get("cli-team").endpoints.keys("adder")[0]
    uri = served.json("endpoint", "show", "adder")["status"]["scoringUri"]
    assert served.json("controller", "stop") == {"stopped": True, "killed": [], "left": ""}
    assert served.json("controller", "status")["running"] is False
    answer = httpx.post(uri, content='{"data": [[2]]}', headers={"Authorization": f"Bearer {key}"})
    assert answer.json() == [2]
    assert served.json("controller", "start")["endpoints"] == 1
    assert "Running:" in served.run("controller", "status").stdout
    assert served.json("controller", "logs", "-n", "5")["lines"]


def test_traffic_is_shown_and_divided(served: Commands) -> None:
    from mljupyter.core import AksEndpoint, InferenceConfig, Model, Workspace

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", served.environment["MLJUPYTER_HOME"])
        workspace = Workspace.get("cli-team")
        config = InferenceConfig(str(served.directory / "score.py"))
        one = AksEndpoint.deploy_configuration(version_name="one", num_replicas=1)
        endpoint = Model.deploy(workspace, "shared", [], config, one)
        endpoint.create_version("two", num_replicas=1, models=[], inference_config=config)
        endpoint.wait_for_deployment(timeout_sec=HANG_SECONDS)
    heading, first, second = served.run("endpoint", "traffic", "shared", "two=30").stdout.splitlines()
    cells = [re.split(" {2,}", line.strip()) for line in (heading, first, second)]
    assert cells == [
        ["VERSION", "ROLE", "SHARE CONFIGURED", "COPIES", "REPLICAS", "STATE"],
        ["one", "default, control", "70 %", "-", "1/1", "Healthy"],
        ["two", "treatment", "30 %", "-", "1/1", "Healthy"],
    ]
    assert [item["weight"] for item in served.json("endpoint", "traffic", "shared")] == [70, 30]
    assert "add up to 110" in served.failed("endpoint", "traffic", "shared", "one=80", "two=30")
    assert "Did you mean 'shared'" in served.failed("endpoint", "traffic", "shard")
    served.run("endpoint", "delete", "shared")


def test_an_endpoint_is_deleted(served: Commands) -> None:
    assert served.run("endpoint", "delete", "adder").stdout == "adder: deleted\n"
    assert served.json("endpoint", "list") == []


def test_the_demo_works_and_leaves_nothing(commands: Commands) -> None:
    # The directory of pytest is too deep for the paths of Unix sockets.
    temporary = Path(tempfile.mkdtemp(prefix="mlj-test-", dir="/tmp"))
    commands.environment["TMPDIR"] = str(temporary)
    found = commands.json("demo", "--requests", "50")
    assert found["worked"] is True
    assert found["requests"] == 50
    assert 0 < found["latencyMs"]["p50"] <= found["latencyMs"]["p99"]
    assert len(found["predictions"]) == 2
    left = {path.name.partition("-")[0] for path in temporary.rglob("*") if path.is_file()}
    assert left <= {"port"}, "only the files whose locks reserve ports"
    shutil.rmtree(temporary)


def test_the_demo_ends_with_1_when_a_step_does_not_work(commands: Commands, tmp_path: Path) -> None:
    # A package that cannot be imported: what a user without scikit-learn has.
    (tmp_path / "sklearn.py").write_text("raise ImportError('not here')")
    commands.environment["PYTHONPATH"] = str(tmp_path)
    done = commands.run("demo", expected=1)
    assert "-m pip install 'mljupyter[demo]'" in done.stdout
    assert "A step has failed" in done.stdout


def test_a_process_that_stays_behind_fails_the_demo_and_is_killed(tmp_path: Path) -> None:
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", str(tmp_path / "workspace")])
    with pytest.raises(demo.DemoError) as caught:
        demo.wait_until_gone(tmp_path, within=0.2)
    assert f"pid {left.pid}" in caught.value.message
    assert left.wait(timeout=HANG_SECONDS) != 0


def test_a_rollout_a_promotion_a_rollback_and_the_history(served: Commands) -> None:
    from mljupyter.core import AksEndpoint, InferenceConfig, Model, Workspace

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", served.environment["MLJUPYTER_HOME"])
        workspace = Workspace.get("cli-team")
        inference = InferenceConfig(str(served.directory / "score.py"))
        configuration = AksEndpoint.deploy_configuration(version_name="old", num_replicas=1)
        service = Model.deploy(workspace, "pair", [], inference, configuration)
        service.create_version("new", models=[], inference_config=inference)
        service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    try:
        assert served.run("endpoint", "rollout", "pair").stdout == "no rollout yet\n"
        said = served.run("endpoint", "rollout", "pair", "new", "--steps", "50", "--every", "2s", "--wait").stdout
        assert said.splitlines()[:2] == ["new: 50 %", "new: Completed at 50 %"]
        assert served.json("endpoint", "rollout", "pair")["phase"] == "Completed"
        assert "Rollout:         new Completed: 50 %" in served.run("endpoint", "show", "pair").stdout
        begun = served.json("endpoint", "rollout", "pair", "new", "--steps", "70,100", "--every", "10m")
        assert (begun["phase"], begun["plan"]["everySeconds"]) == ("Running", 600)
        assert "is Running at 70 %" in served.failed("endpoint", "promote", "pair", "new")
        aborted = served.run("endpoint", "rollout", "pair", "--abort").stdout
        assert "Aborted" in aborted
        assert aborted.endswith("\nShares now: old 50 %, new 50 %\n")
        assert "has all requests" in served.run("endpoint", "promote", "pair", "new").stdout
        rolled = served.run("endpoint", "rollback", "pair").stdout.splitlines()
        assert rolled[0] == "pair: rolled back to 3"
        assert "  defaultVersion: new → old" in rolled
        actions = ["rolled back to 3", "promoted new", "rolled out new to 50 %", "updated", "created"]
        assert [item["action"] for item in served.json("endpoint", "history", "pair")] == actions
        heading, newest, *_ = served.run("endpoint", "history", "pair").stdout.splitlines()
        assert heading.split() == ["NUMBER", "TIME", "USER", "ACTION", "CHANGES"]
        assert newest.startswith("5 ")
        assert "has no entry 99" in served.failed("endpoint", "rollback", "pair", "--to", "99")
        assert "Did you mean 'pair'?" in served.failed("endpoint", "history", "pairs")
    finally:
        served.run("endpoint", "delete", "pair")


def test_the_router_of_this_machine_has_one_size(served: Commands) -> None:
    assert "one process" in served.run("router", "scaling").stdout
    assert served.json("router", "scaling", "--target", "local") == []
    assert "size" not in served.json("router", "show", "--target", "local")
    assert "ComputeTargetNotFound" in served.failed("router", "scaling", "--target", "nowhere")


def test_the_router_is_bounded_and_answers_to_further_hosts(served: Commands) -> None:
    limited = served.json("router", "limits", "--max-memory-mb", "300")["spec"]
    assert limited["limits"]["maxMemoryMb"] == 300
    allowed = served.json("router", "listen", "--host", "hub.example.org")["spec"]
    assert allowed["hosts"] == ["hub.example.org"]
    assert (allowed["address"], allowed["limits"]) == (limited["address"], limited["limits"])
    assert "hub.example.org" in served.run("router", "show").stdout
    assert "300 MB" in served.run("router", "show").stdout
    assert served.json("router", "listen", "--own-hosts-only")["spec"]["hosts"] == []
    assert "is not a host name" in served.failed("router", "listen", "--host", "https://hub.example.org")
