"""enable_app_insights from the SDK to a collector, with processes and with containers."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mljupyter.core import AciWebservice, AksWebservice, Environment, InferenceConfig, Model, Webservice, Workspace
from mljupyter.exceptions import UserErrorException
from mljupyter.runtimes.process import processes
from tests.telemetry.receiver import Collector, collector
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
SCRIPT = """
def init():
    print("loaded")


def run(data):
    print("asked", data)
    return {"echo": data}
"""
ON = AksWebservice.deploy_configuration(num_replicas=1, auth_enabled=False, enable_app_insights=True)


@pytest.fixture
def live(module_workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(SCRIPT)
    yield module_workspace
    for service in Webservice.list(module_workspace):
        service.delete()
    module_workspace.telemetry.clear()


@pytest.fixture
def kept() -> Iterator[Collector]:
    with collector() as running:
        yield running


def deployed(workspace: Workspace, config: Any = ON, **more: Any) -> Webservice:
    service = Model.deploy(workspace, "echo", [], more.pop("inference", InferenceConfig("score.py")), config, **more)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    return service


def ask(service: Webservice, request: str) -> None:
    answer = httpx.post(str(service.scoring_uri), content=request, headers={"x-request-id": request})
    assert answer.status_code == 200, answer.text


def arrived(kept: Collector, request: str) -> None:
    def both() -> bool:
        spans = [span for span in kept.spans if span.request == request]
        lines = [line for line in kept.logs if line.request == request]
        assert len(spans) <= 1, "nothing is sent twice"
        return bool(spans and lines)

    wait_until(both, f"span and log record of {request}")


def test_records_go_from_processes_to_a_collector_over_a_crash_of_the_controller(
    live: Workspace, kept: Collector
) -> None:
    live.telemetry.configure(otlp_endpoint=kept.url)
    assert repr(live.telemetry) == kept.url
    service = deployed(live)
    assert service.enable_app_insights and service.serialize()["appInsightsEnabled"] is True
    ask(service, "first")
    arrived(kept, "first")
    (span,) = kept.spans
    assert span.resource["service.namespace"] == live.name
    assert span.attributes["Service Name"] == "echo"
    assert [line.message.body.string_value for line in kept.logs if line.request == "first"] == ["asked first"]
    assert "[first] asked first" in service.get_logs()

    pid = live.controller.ensure()["pid"]
    os.kill(pid, signal.SIGKILL)
    ask(service, "second")
    live.controller.ensure()
    arrived(kept, "second")
    assert len(kept.spans) == 2
    wait_until(lambda: live.telemetry.status()["OTLP"]["exported"] >= 4, what="what was sent is noted")
    assert live.telemetry.status()["OTLP"]["problem"] is None

    records = [record for record in service.get_insights() if record["type"] == "request"]
    assert [record["properties"]["Request Id"] for record in records] == ["first", "second"]
    assert {record["replica"] for record in records} == {records[0]["properties"]["Container Id"]}


def test_an_update_turns_records_on_and_off_without_losing_a_request(live: Workspace) -> None:
    service = deployed(live, AksWebservice.deploy_configuration(num_replicas=1, auth_enabled=False))
    ask(service, "before")
    assert service.get_insights() == [] and not service.enable_app_insights
    service.update(enable_app_insights=True)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    ask(service, "on")
    wait_until(service.get_insights, "records")
    service.update(enable_app_insights=False)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    ask(service, "after")
    ids = [record["properties"].get("Request Id") for record in service.get_insights() if record["type"] == "request"]
    assert ids == ["on"]
    wait_until(lambda: "asked after" in service.get_logs(), "the line is written")
    assert "[after]" not in service.get_logs()


def test_the_exporter_runs_only_while_there_is_something_to_send_and_somewhere_to(
    live: Workspace, kept: Collector
) -> None:
    def exporters() -> list[int]:
        directory = str(live.directory)
        return [i.pid for i, _ in processes.find(lambda c: "mljupyter.telemetry" in c and directory in c)]

    service = deployed(live, AciWebservice.deploy_configuration(enable_app_insights=True))
    live.controller.ensure()
    assert exporters() == []
    live.telemetry.configure(otlp_endpoint=kept.url)
    wait_until(exporters, "the exporter starts")
    ask(service, "one")
    arrived(kept, "one")
    live.telemetry.clear()
    wait_until(lambda: not exporters(), "the exporter ends")
    live.telemetry.configure(otlp_endpoint=kept.url)
    wait_until(exporters, "the exporter starts again")
    service.delete()
    wait_until(lambda: not exporters(), "the exporter ends with the last endpoint that records")


def test_a_collector_that_is_away_costs_no_request(live: Workspace) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        live.telemetry.configure(otlp_endpoint=f"http://127.0.0.1:{closed.getsockname()[1]}")
        service = deployed(live)
        for number in range(50):
            ask(service, f"r{number}")
        assert len([r for r in service.get_insights() if r["type"] == "request"]) > 0


def test_the_environment_names_a_collector_where_none_is_configured(
    live: Workspace, kept: Collector, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", kept.url)
    service = deployed(live)
    assert f"Records of requests go to {kept.url}" in capsys.readouterr().out
    ask(service, "one")
    arrived(kept, "one")


def test_configuring_without_a_destination_says_what_to_give(live: Workspace) -> None:
    with pytest.raises(UserErrorException, match="otlp_endpoint or connection_string"):
        live.telemetry.configure()
    assert repr(live.telemetry) == "no collector"


def test_containers_record_too_and_their_logs_are_followed(
    live: Workspace, kept: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLJUPYTER_BASE_IMAGE", needed("MLJUPYTER_TEST_BASE_IMAGE"))
    (tmp_path / "requirements.txt").write_text("")
    environment = Environment.from_pip_requirements("bare", "requirements.txt")
    live.telemetry.configure(otlp_endpoint=kept.url)
    target = live.compute_targets["docker"]
    service = deployed(live, inference=InferenceConfig("score.py", environment=environment), deployment_target=target)
    image = live.endpoints.endpoint("echo").spec.versions["echo"].image
    lines = service.follow_logs()
    assert any("loaded" in line for line in lines)
    large = "x" * 40_000  # the engine cuts a line of this length into pieces
    httpx.post(str(service.scoring_uri), content=large, headers={"x-request-id": "large"})
    assert any("[large] asked xxx" in line and len(line) > 40_000 for line in lines)
    arrived(kept, "large")
    assert '"type":"request"' not in service.get_logs(), "records are no part of the log"
    (record,) = [record for record in service.get_insights() if record["type"] == "request"]
    assert json.loads(record["properties"]["Response Value"]) == {"echo": large}

    service.update(enable_app_insights=False)
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    assert live.endpoints.endpoint("echo").spec.versions["echo"].image == image, "no other image is needed"
    ask(service, "off")
    assert any("asked off" in line for line in lines), "the container that took the first one's place is followed"
    assert "loaded" in service.get_logs(init=True)
    assert service.get_logs().count("loaded") == 2, "the one that ended still shows its log"
