"""Records of requests and of what the script logs, with the request's id in both."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.scoring import configuration
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.logs.insights import Insights, TraceContexts
from mljupyter.scoring.logs.output import StandardOutput
from tests.scoring.conftest import Replica, now_ms
from tests.waiting import HANG_SECONDS, wait_until

Serve = Callable[..., Replica]
TALKATIVE = """
import logging, sys
print("at import")
def init():
    print("in init")
def run(data):
    print("printed", data)
    print("in two", end=" ")
    print("parts")
    logging.getLogger("mine").warning("logged %s", data)
    if data == "boom":
        raise ValueError("no")
    return {"echo": data}
"""
THREADS = """
import threading
barrier = threading.Barrier(2)
def init(): pass
def run(data):
    for _ in range(200):
        print(data, end="")
        print(data)
    barrier.wait(240)
    return 1
"""
JOINED = """
import os, time
batching = True
def init(): pass
def run(data):
    print("size", len(data))
    while not os.path.exists("go"):
        time.sleep(0.01)
    return [1] * len(data)
"""


def _whole_lines(file: Path) -> list[bytes]:
    """Return the lines of a file without the one that is being written."""
    return file.read_bytes().split(b"\n")[:-1]


class Recorded:
    """A replica with records on, and what it has recorded."""

    def __init__(self, serve: Serve, script: str, *flags: str, **environment: str) -> None:
        self.environment = {
            "AML_APP_INSIGHTS_ENABLED": "true",
            "SERVICE_NAME": "diabetes",
            "SERVICE_VERSION": "blue",
            "WORKSPACE_NAME": "team",
            **environment,
        }
        self.replica = serve(
            script, "--insights-file", "insights.jsonl", "--replica", "diabetes-1", *flags, environment=self.environment
        )
        self.file = self.replica.directory / "insights.jsonl"

    def all(self) -> list[dict[str, Any]]:
        parts = sorted(self.replica.directory.glob("insights.jsonl*"), reverse=True)
        return [json.loads(line) for part in parts for line in _whole_lines(part)]

    def of(self, request: str, kind: str = "request", count: int = 1) -> list[dict[str, Any]]:
        def found() -> list[dict[str, Any]]:
            return [r for r in self.all() if r["type"] == kind and r["properties"].get("Request Id") == request]

        wait_until(lambda: len(found()) >= count, f"{count} records of type {kind} for {request}")
        return found()


def test_a_request_is_recorded_with_the_fields_of_application_insights(serve: Serve) -> None:
    recorded = Recorded(serve, TALKATIVE)
    recorded.replica.score("hello", x_request_id="one", x_ms_client_request_id="mine")
    (record,) = recorded.of("one")
    assert record["name"] == "POST /score"
    assert record["resultCode"] == 200 and record["success"] is True
    assert 0 < record["properties"].pop("Run Duration") <= record["duration"] < 5000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["time"])
    assert record["properties"] == {
        "Container Id": "diabetes-1",
        "Request Id": "one",
        "Client Request Id": "mine",
        "Response Value": '{"echo":"hello"}',
        "Workspace Name": "team",
        "Service Name": "diabetes",
        "Service Version": "blue",
    }
    assert recorded.file.stat().st_mode & 0o777 == 0o600


def test_what_the_script_prints_and_logs_carries_the_request_id(serve: Serve) -> None:
    recorded = Recorded(serve, TALKATIVE)
    recorded.replica.score("hello", x_request_id="id with blanks")
    recorded.replica.score("boom", x_request_id="two")
    log = recorded.replica.wait_log("was answered 500")
    assert "azmlinfsrv.print | at import\n" in log and "azmlinfsrv.print | in init\n" in log
    assert "azmlinfsrv.print | [id with blanks] printed hello\n" in log
    assert "azmlinfsrv.print | [id with blanks] in two parts\n" in log
    assert "azmlinfsrv.stderr | [id with blanks] logged hello\n" in log
    assert "azmlinfsrv.user_script | [two] ValueError: no\n" in log
    traces = recorded.of("id with blanks", "trace", 3)
    assert [(t["severity"], t["message"]) for t in traces] == [
        ("Information", "printed hello"),
        ("Information", "in two parts"),
        ("Warning", "logged hello"),
    ]
    (request,) = recorded.of("id with blanks")
    assert {t["operationId"] for t in traces} == {request["operationId"]}
    assert {t["operationParentId"] for t in traces} == {request["id"]}
    (failed,) = recorded.of("two")
    assert failed["resultCode"] == 500 and failed["success"] is False


def test_lines_of_requests_that_run_at_once_do_not_mix(serve: Serve) -> None:
    recorded = Recorded(serve, THREADS, "--concurrency", "2")
    with recorded.replica.new_client() as other:
        import threading

        thread = threading.Thread(target=lambda: other.post("/score", content="a", headers={"x-request-id": "first"}))
        thread.start()
        recorded.replica.score("b", x_request_id="second")
        thread.join(HANG_SECONDS)
    for request, letter in (("first", "a"), ("second", "b")):
        assert {t["message"] for t in recorded.of(request, "trace", 200)} == {letter * 2}


def test_what_a_run_for_several_requests_prints_carries_the_id_of_one_of_them(serve: Serve) -> None:
    import threading

    recorded = Recorded(serve, JOINED, "--batching", "--max-queue-wait-ms", "60000")
    threads = [threading.Thread(target=lambda: recorded.replica.new_client().post("/score", content="x"))]
    threads += [threading.Thread(target=lambda: recorded.replica.new_client().post("/score")) for _ in range(5)]
    for thread in threads:
        thread.start()
    state = recorded.replica.state
    wait_until(lambda: sum(state()[name] for name in ("running", "waiting")) == 6, "all six requests")
    (recorded.replica.directory / "go").touch()
    for thread in threads:
        thread.join(HANG_SECONDS)
    wait_until(lambda: sum(r["type"] == "request" for r in recorded.all()) == 6, "six records")
    sizes = [r for r in recorded.all() if r["type"] == "trace" and r["message"].startswith("size")]
    assert any(r["message"] != "size 1" for r in sizes)
    ids = {record["properties"]["Request Id"] for record in recorded.all() if record["type"] == "request"}
    found = [record["properties"]["Request Id"] for record in sizes]
    assert len(set(found)) == len(found) and set(found) <= ids


def test_a_callers_trace_goes_on(serve: Serve) -> None:
    recorded = Recorded(serve, TALKATIVE)
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    recorded.replica.score("x", x_request_id="traced", traceparent=f"00-{trace}-{parent}-01")
    (record,) = recorded.of("traced")
    assert (record["operationId"], record["operationParentId"]) == (trace, parent)
    assert {t["operationId"] for t in recorded.of("traced", "trace", 3)} == {trace}


def test_what_the_router_asks_elsewhere_is_no_request_of_the_client(serve: Serve) -> None:
    import threading

    slow = """
        import os, time
        def init(): pass
        def run(data):
            while not os.path.exists("go"):
                time.sleep(0.01)
            return 1
    """
    recorded = Recorded(serve, slow)
    thread = threading.Thread(target=lambda: recorded.replica.new_client().post("/score"))
    thread.start()
    wait_until(lambda: recorded.replica.state()["running"] == 1, "it runs")
    busy = recorded.replica.score("", x_request_id="busy", x_mlj_start=now_ms())
    assert busy.headers["x-mlj-busy"] == "1"
    (recorded.replica.directory / "go").touch()
    thread.join(HANG_SECONDS)
    recorded.replica.score("", x_request_id="last")
    recorded.of("last")
    assert [r["resultCode"] for r in recorded.all() if r["type"] == "request"] == [200, 200]


def test_response_bodies_can_be_left_out(serve: Serve) -> None:
    recorded = Recorded(serve, TALKATIVE, APP_INSIGHTS_LOG_RESPONSE_ENABLED="false")
    recorded.replica.score("secret", x_request_id="one")
    assert "Response Value" not in recorded.of("one")[0]["properties"]


def test_a_large_answer_is_cut(serve: Serve) -> None:
    recorded = Recorded(serve, "def init(): pass\ndef run(data): return 'x' * 200_000\n")
    recorded.replica.score("", x_request_id="one")
    assert len(recorded.of("one")[0]["properties"]["Response Value"]) == 65_536


def test_collected_data_are_mirrored_with_models_input_and_prediction(serve: Serve, directory: Path) -> None:
    place = directory / "azureml-models" / "ridge" / "3"
    place.mkdir(parents=True)
    recorded = Recorded(serve, TALKATIVE, AML_MODEL_DC_STORAGE_ENABLED="true", AML_MODEL_DC_STORAGE=str(directory))
    recorded.replica.score("[1, 2]", x_request_id="one")
    collected = [t for t in recorded.of("one", "trace", 4) if t["message"] == "model_data_collection"]
    wanted = {"Models": ["ridge:3"], "Input": "[1, 2]", "Prediction": '{"echo":"[1, 2]"}'}
    assert len(collected) == 1
    assert wanted.items() <= collected[0]["properties"].items()


def test_records_are_bounded_on_disk_and_numbered(serve: Serve) -> None:
    recorded = Recorded(serve, "def init(): pass\ndef run(data): return 'x' * 60_000\n")
    with recorded.replica.new_client() as client:
        for count in range(1, 601):
            client.post("/score")
            if count % 100 == 0:  # what is in memory is bounded, too
                wait_until(
                    lambda wanted=count: recorded.replica.state()["insights"]["recorded"] == wanted, "all are kept"
                )
    sizes = [part.stat().st_size for part in recorded.replica.directory.glob("insights.jsonl*")]
    assert len(sizes) == 3 and max(sizes) <= 10_000_000
    numbers = [record["seq"] for record in recorded.all()]
    assert numbers == list(range(numbers[0], 601))


def test_what_does_not_fit_into_memory_is_dropped_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "insights.jsonl"
    settings = configuration.parse(["--app-root", str(tmp_path), "--insights-file", str(file)], {})
    log = LogCapture(StandardOutput(), settings.log_level)
    recorder = Insights(settings, log)  # its thread is not started: as if it could not keep up
    for number in range(20_007):
        recorder.line("I", "mine", b"", b"%d" % number)
    assert recorder.counts() == {"recorded": 0, "dropped": 7}
    recorder.start()
    wait_until(lambda: recorder.recorded == 20_000, "what was kept is written")
    recorder.line("I", "mine", b"", b"after")
    wait_until(lambda: recorder.recorded == 20_001, "the next is written")
    recorder.close()
    parts = sorted(tmp_path.glob("insights.jsonl*"), reverse=True)
    numbers = [json.loads(line)["seq"] for part in parts for line in part.read_text().splitlines()]
    assert numbers == [*range(1, 20_001), 20_008], "the gap says how many are missing"


@pytest.mark.faults(8, "disk full: records of requests")
def test_a_full_disk_costs_records_and_no_request(directory: Path, launch: Serve) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (directory / "insights.jsonl").symlink_to("/dev/full")
    recorded = Recorded(launch, TALKATIVE)
    wait_until(lambda: recorded.replica.health() == 200, what="readiness")
    assert [recorded.replica.score("x").status_code for _ in range(5)] == [200] * 5
    state = wait_until(
        lambda: (s := recorded.replica.state()["insights"]) and s["dropped"] >= 20 and s, "drops are counted"
    )
    assert state["recorded"] == 0
    recorded.replica.wait_log("could not be kept and were dropped")


def test_without_a_file_records_are_lines_of_the_log(serve: Serve) -> None:
    replica = serve(TALKATIVE, environment={"AML_APP_INSIGHTS_ENABLED": "true"})
    replica.score("x", x_request_id="one")
    log = replica.wait_log('"type":"request"')
    line = next(line for line in log.splitlines() if '"type":"request"' in line)
    assert " azmlinfsrv.insights | {" in line
    assert json.loads(line.partition(" | ")[2])["properties"]["Request Id"] == "one"


def test_records_are_off_by_default_and_nothing_of_them_is_imported(serve: Serve) -> None:
    replica = serve(TALKATIVE)
    replica.score("x", x_request_id="one")
    assert "azmlinfsrv.print | printed x\n" in replica.wait_log("printed x")
    assert "insights" not in replica.state()
    code = "import sys, mljupyter.scoring.server.replica_server; print([m for m in sys.modules if 'insights' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@given(st.text(max_size=50), st.binary(max_size=60))
def test_every_request_has_a_usable_trace_whatever_it_sends(request: str, header: bytes) -> None:
    contexts = TraceContexts()
    context = contexts.begin(request, header)
    assert re.fullmatch("[0-9a-f]{32}", context.trace) and int(context.trace, 16)
    assert re.fullmatch("[0-9a-f]{16}", context.span)
    assert contexts.of(request) == context


def test_workers_forked_from_a_zygote_mark_their_lines_too(serve: Serve) -> None:
    recorded = Recorded(serve, TALKATIVE, "--preload")
    recorded.replica.wait_log("workers are forked from process")
    recorded.replica.score("hello", x_request_id="one")
    recorded.replica.wait_log("azmlinfsrv.print | [one] printed hello\n")
    recorded.replica.wait_log("azmlinfsrv.stderr | [one] logged hello\n")
    assert len(recorded.of("one", "trace", 3)) == 3
