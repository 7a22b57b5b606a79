"""Records on their way to a collector: real exporters, a real receiver, nothing lost and nothing twice."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.runtimes.process.log_files import record_logs
from mljupyter.scoring.logs.output import RotatingFile
from mljupyter.spec import SpecError
from mljupyter.telemetry.export.destination import Destination, TelemetryError, configured, from_environment
from mljupyter.telemetry.export.exporters import exporters_for
from mljupyter.telemetry.export.pipeline import GIVE_UP_SECONDS, Pipeline, read_state
from tests.telemetry.receiver import collector

TRACE, SPAN, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
COMMON = {"Container Id": "d-1", "Workspace Name": "team", "Service Name": "diabetes", "Service Version": "blue"}
REQUEST = {
    "type": "request",
    "seq": 1,
    "time": "2026-01-02T03:04:05.000250Z",
    "name": "POST /score",
    "id": SPAN,
    "operationId": TRACE,
    "operationParentId": CALLER,
    "duration": 12.5,
    "resultCode": 200,
    "success": True,
    "properties": {**COMMON, "Request Id": "one", "Client Request Id": "", "Response Value": "[1]"},
}
LINE = {
    "type": "trace",
    "seq": 2,
    "time": "2026-01-02T03:04:05.010000Z",
    "message": "printed",
    "severity": "Warning",
    "logger": "azmlinfsrv.stderr",
    "operationId": TRACE,
    "operationParentId": SPAN,
    "properties": {**COMMON, "Request Id": "one", "Models": ["ridge:1"]},
}


class Replica:
    """A replica's directory, and the file that it writes records to."""

    def __init__(self, replicas: Path, name: str = "d-1", max_bytes: int = 100_000) -> None:
        directory = replicas / name
        directory.mkdir(parents=True)
        self._file = RotatingFile(str(directory / "insights.jsonl"), max_bytes, 2)
        self.seq = 0

    def write(self, record: Mapping[str, Any] = REQUEST) -> int:
        self.seq += 1
        self._file.write(json.dumps({**record, "seq": self.seq}).encode() + b"\n")
        return self.seq


class Kept:
    """A way out that keeps what it is given, unless it is told to refuse."""

    name = "kept"

    def __init__(self) -> None:
        self.records: list[Mapping[str, Any]] = []
        self.refuses = False

    def export(self, records: Sequence[Mapping[str, Any]]) -> bool:
        if not self.refuses:
            self.records += records
        return not self.refuses


def pipeline(place: Path, exporter: Any, clock: Any = None) -> Pipeline:
    extra = {"clock": clock} if clock else {}
    return Pipeline(exporter, lambda: record_logs(place / "replicas"), place / "state.json", **extra)


def drain(sends: Pipeline) -> None:
    while sends.send() == 0.0:
        pass


def test_a_request_becomes_a_span_and_a_line_a_log_record_of_it(tmp_path: Path) -> None:
    replica = Replica(tmp_path / "replicas")
    replica.write(REQUEST)
    replica.write(LINE)
    with collector() as kept:
        (exporter,) = exporters_for(Destination.parse({"otlpEndpoint": kept.url, "otlpHeaders": {"x-token": "t"}}))
        drain(pipeline(tmp_path, exporter))
        (span,), (line,) = kept.spans, kept.logs
        assert all(headers["x-token"] == "t" for headers in kept.headers)
    assert span.message.name == "POST /score"
    assert span.message.trace_id.hex() == TRACE
    assert span.message.span_id.hex() == SPAN
    assert span.message.parent_span_id.hex() == CALLER
    assert span.message.kind == span.message.SPAN_KIND_SERVER
    assert span.message.end_time_unix_nano - span.message.start_time_unix_nano == 12_500_000
    assert span.message.start_time_unix_nano == 1767323045_000_250_000
    assert span.attributes == {
        "http.request.method": "POST",
        "url.path": "/score",
        "http.response.status_code": 200,
        **COMMON,
        "Request Id": "one",
        "Response Value": "[1]",
    }
    wanted = {"service.name": "diabetes", "service.version": "blue", "service.namespace": "team"}
    assert wanted.items() <= span.resource.items()
    assert span.resource["service.instance.id"] == "d-1"
    assert line.message.body.string_value == "printed"
    assert (line.message.severity_text, line.message.severity_number) == ("Warning", 13)
    assert (line.message.trace_id.hex(), line.message.span_id.hex()) == (TRACE, SPAN)
    assert line.request == "one"
    assert line.attributes["Models"] == '["ridge:1"]'


def test_a_failed_request_is_a_span_with_an_error(tmp_path: Path) -> None:
    Replica(tmp_path / "replicas").write({**REQUEST, "resultCode": 500})
    with collector() as kept:
        drain(pipeline(tmp_path, *exporters_for(Destination(otlp_endpoint=kept.url))))
        assert kept.spans[0].message.status.code == 2


def test_azure_monitor_gets_requests_and_traces_with_their_own_fields(tmp_path: Path) -> None:
    replica = Replica(tmp_path / "replicas")
    replica.write(REQUEST)
    replica.write(LINE)
    key = "11111111-2222-3333-4444-555555555555"
    with collector() as kept:
        text = f"InstrumentationKey={key};IngestionEndpoint={kept.url}/"
        (exporter,) = exporters_for(Destination.parse({"connectionString": text}))
        drain(pipeline(tmp_path, exporter))
        items = {item["data"]["baseType"]: item for item in kept.azure}
    assert set(items) == {"RequestData", "MessageData"}
    assert {item["iKey"] for item in items.values()} == {key}
    request, message = items["RequestData"]["data"]["baseData"], items["MessageData"]["data"]["baseData"]
    assert (request["name"], request["responseCode"], request["success"]) == ("POST /score", "200", True)
    assert {**COMMON, "Request Id": "one", "Response Value": "[1]"}.items() <= request["properties"].items()
    assert message["message"] == "printed"
    assert items["MessageData"]["tags"]["ai.operation.id"] == items["RequestData"]["tags"]["ai.operation.id"] == TRACE


def test_what_a_collector_refuses_is_sent_again_and_only_once(tmp_path: Path) -> None:
    replica = Replica(tmp_path / "replicas")
    for _ in range(3):
        replica.write()
    with collector() as kept:
        (exporter,) = exporters_for(Destination(otlp_endpoint=kept.url))
        sends = pipeline(tmp_path, exporter)
        kept.refuse = 400
        pauses = [sends.send() for _ in range(3)]
        assert pauses == [1.0, 2.0, 4.0]
        assert "does not accept records" in (read_state(tmp_path / "state.json").problem or "")
        kept.refuse = None
        drain(sends)
        assert len(kept.spans) == 3
    state = read_state(tmp_path / "state.json")
    assert (state.exported, state.lost, state.problem) == (3, 0, None)


def test_a_batch_that_is_never_taken_gives_way_to_others_and_is_counted(tmp_path: Path) -> None:
    replica, exporter, now = Replica(tmp_path / "replicas"), Kept(), [0.0]
    replica.write()
    sends = pipeline(tmp_path, exporter, lambda: now[0])
    exporter.refuses = True
    assert sends.send()
    now[0] = GIVE_UP_SECONDS + 1
    sends.send()
    exporter.refuses = False
    replica.write()
    drain(sends)
    assert [record["seq"] for record in exporter.records] == [2]
    assert (sends.state.exported, sends.state.lost) == (1, 1)


def test_records_that_rotated_away_unsent_are_counted(tmp_path: Path) -> None:
    replica, exporter = Replica(tmp_path / "replicas", max_bytes=2000), Kept()
    sends = pipeline(tmp_path, exporter)
    replica.write()
    drain(sends)
    for _ in range(50):
        replica.write()
    drain(sends)
    assert sends.state.lost > 0
    assert sends.state.exported + sends.state.lost == 51
    assert exporter.records[-1]["seq"] == 51


def test_records_of_a_replica_that_ended_are_sent_and_a_replica_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    exporter = Kept()
    Replica(tmp_path / "replicas", "old").write()
    sends = pipeline(tmp_path, exporter)
    drain(sends)
    (tmp_path / "replicas" / "old").rename(tmp_path / "gone")
    Replica(tmp_path / "replicas", "new").write()
    drain(sends)
    assert len(exporter.records) == 2
    assert list(sends.state.replicas) == ["new"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["write", "send", "refuse", "take", "restart"]), max_size=40))
def test_every_record_arrives_once_whatever_happens_in_between(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        replicas = [Replica(place / "replicas", "a", 1500), Replica(place / "replicas", "b")]
        exporter = Kept()
        sends, written = pipeline(place, exporter), 0
        for step in steps:
            if step == "write":
                replicas[written % 2].write()
                written += 1
            elif step == "send":
                sends.send()
            elif step == "restart":
                sends = pipeline(place, exporter)
            else:
                exporter.refuses = step == "refuse"
        exporter.refuses = False
        drain(sends)
        seqs = [record["seq"] for record in exporter.records]
        assert len(seqs) + sends.state.lost == written
        assert len(seqs) == sends.state.exported
        if written <= 6:
            assert sends.state.lost == 0


def test_a_destination_is_kept_for_its_owner_alone_and_shows_no_secret(tmp_path: Path) -> None:
    secret = "InstrumentationKey=11111111-2222-3333-4444-555555555555"
    destination = Destination.parse({"connection_string": secret, "otlp_headers": {"x-token": "hidden"}})
    destination.write(tmp_path / "control")
    assert (tmp_path / "control" / "telemetry.json").stat().st_mode & 0o777 == 0o600
    assert configured(tmp_path / "control") == destination
    assert "11111111" not in repr(destination) + str(destination)
    assert "hidden" not in repr(destination) + str(destination)
    assert not configured(tmp_path).given


def test_the_address_of_a_collector_is_shown_without_what_lets_in_there(tmp_path: Path) -> None:
    destination = Destination.parse({"otlp_endpoint": "https://ada:hidden@collector.example:4318/otlp?key=hidden"})
    assert destination.otlp_place == "https://***@collector.example:4318/otlp"
    assert "hidden" not in repr(destination) + str(destination)
    destination.write(tmp_path)
    assert configured(tmp_path) == destination


@pytest.mark.parametrize(
    ("given_", "rule"),
    [
        ({"otlp_endpoint": "localhost:4318"}, "it must be a URL"),
        ({"otlp_endpoint": "ftp://ada:secret-without-key@localhost"}, "it must be a URL"),
        ({"connection_string": "secret-without-key"}, "has no InstrumentationKey"),
    ],
)
def test_a_destination_that_cannot_be_is_refused_without_showing_secrets(given_: dict[str, str], rule: str) -> None:
    with pytest.raises(SpecError, match=rule) as caught:
        Destination.parse(given_)
    assert "secret-without-key" not in str(caught.value)


def test_a_damaged_file_says_how_to_make_another(tmp_path: Path) -> None:
    (tmp_path / "telemetry.json").write_text("{")
    with pytest.raises(TelemetryError, match="ws.telemetry.configure"):
        configured(tmp_path)


def test_variables_of_opentelemetry_and_application_insights_are_understood() -> None:
    found = from_environment(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_HEADERS": "a=1, b = 2=3"}
    )
    assert found.otlp_endpoint == "http://c:4318"
    assert {name: value.get_secret_value() for name, value in found.otlp_headers.items()} == {"a": "1", "b": "2=3"}
    assert not from_environment({}).given
