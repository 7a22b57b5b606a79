"""The decisions of the soak: when faults are injected, what they explain, what has grown, which counts differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.soak import report
from tests.soak.endpoints import Stream
from tests.soak.judgement import by_class, differences, growth, longest_lived, problems, warm_up
from tests.soak.load import Load
from tests.soak.outcome import outcome, unexplained
from tests.soak.plan import Kind, plan
from tests.soak.rules import BROKEN_OFF, RULES, Failure, Injected, explanation
from tests.waiting import wait_until

HOUR = 3600.0
KILLED = Injected(Kind.KILL, "streamed", begun=100.0, done=100.5)


def broken(endpoint: str = "streamed", sent: float = 99.0, at: float = 100.2, what: str = BROKEN_OFF) -> Failure:
    return Failure("streamed", endpoint, sent, at, what)


@pytest.mark.parametrize("seconds", [60, 180, 600, 8 * HOUR])
@pytest.mark.parametrize("seed", range(5))
def test_every_piece_has_every_kind_of_fault_and_the_disk_has_room_in_the_end(seconds: float, seed: int) -> None:
    planned = plan(seconds, seed)
    counted = Counter(one.kind for one in planned)
    assert counted.keys() >= {Kind.UPDATE, Kind.KEY, Kind.KILL, Kind.ROUTER, Kind.DISK_FILLED, Kind.DISK_FREED}
    assert counted[Kind.DISK_FILLED] == 2 or seconds == 60
    assert [one.at for one in planned] == sorted(one.at for one in planned)
    assert all(0 <= one.at <= seconds - 15 for one in planned)


def test_in_eight_hours_updates_keys_and_kills_come_as_often_as_the_page_says() -> None:
    counted = Counter(one.kind for one in plan(8 * HOUR, seed=1))
    assert (counted[Kind.UPDATE], counted[Kind.KEY], counted[Kind.ROUTER]) == (160, 288, 2)
    assert 180 <= counted[Kind.KILL] <= 300, "240 on average"


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(600, 7) == plan(600, 7) != plan(600, 8)


def test_a_killed_replica_explains_an_answer_in_pieces_that_was_open_and_is_broken_off() -> None:
    assert explanation(broken(), [KILLED]) is KILLED


@pytest.mark.parametrize(
    "failure",
    [
        broken(endpoint="waiting"),
        broken(sent=101.0, at=101.5),
        broken(sent=98.0, at=99.5),
        broken(what="503 no replica was free"),
        broken(what="ReadError: "),
        broken(what='200 "wrong answer"'),
    ],
    ids=["of another endpoint", "sent later", "failed before", "refused", "without a status", "a wrong answer"],
)
def test_a_killed_replica_explains_nothing_else(failure: Failure) -> None:
    assert explanation(failure, [KILLED]) is None


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in {rule.kind for rule in RULES}])
def test_other_faults_explain_no_failure(kind: Kind) -> None:
    assert explanation(broken(), [Injected(kind, "streamed", 100.0, 100.5), Injected(kind, "", 100.0, 100.5)]) is None


def test_the_page_on_faults_has_the_rules_as_they_are() -> None:
    page = (report.DOCS / "faults.md").read_text()
    section = page.partition("\n## The soak\n")[2].partition("\n## ")[0]
    rows = {tuple(cell.strip() for cell in line.strip("|").split("|")) for line in section.splitlines() if "|" in line}
    rules = {rule.kind: rule.failures for rule in RULES}
    changes = {kind: "none" for kind in Kind if kind is not Kind.DISK_FREED}
    assert rows - {("fault", "failures that it explains"), ("---", "---")} == set((changes | rules).items())


@pytest.mark.parametrize(("length", "expected"), [(8 * HOUR, HOUR), (2 * HOUR, HOUR), (0.5 * HOUR, 600.0)])
def test_the_first_hour_warms_up_or_a_third_of_a_shorter_piece(length: float, expected: float) -> None:
    assert warm_up(length) == expected


def test_growth_is_that_after_the_warm_up_whatever_came_before_and_without_single_peaks() -> None:
    samples = [(60.0 * minute, 10.0 * minute if minute < 20 else 200.0) for minute in range(60)]
    samples[-1] = (59 * 60.0, 900.0)
    found = growth(samples, after=20 * 60)
    assert found is not None
    assert (found.first, found.last, found.share) == (200.0, 200.0, 0.0)
    assert growth(samples[:29], after=20 * 60) is None, "nine samples say nothing"


def test_descriptors_of_connections_that_come_and_go_are_no_growth_and_a_leak_is() -> None:
    busier = [(60.0 * minute, 65.0 + (minute % 5) * (2 if minute < 30 else 4)) for minute in range(60)]
    found = growth(busier, 0, min)
    assert found is not None
    assert found.more == 0
    leaks = growth([(time, value + time / 60 / 4) for time, value in busier], 0, min)
    assert leaks is not None
    assert leaks.more > 10


def test_growth_by_hour_is_that_of_the_time_between_both_medians() -> None:
    found = growth([(60.0 * minute, 1000.0 + minute) for minute in range(121)], after=0)
    assert found is not None
    assert found.share_per_hour == pytest.approx(60 / found.first)


def test_processes_that_were_replaced_do_not_count() -> None:
    by_process = {"1": [(0.0, 5.0), (60.0, 5.0), (120.0, 5.0)], "2": [(0.0, 9.0)], "3": [(60.0, 50.0), (120.0, 50.0)]}
    assert longest_lived(by_process) == [(0.0, 5.0), (60.0, 5.0), (120.0, 5.0)]
    assert longest_lived({}) == []


def leak(share: float) -> Any:
    return growth([(60.0 * minute, 100.0 * (1 + share * minute / 480)) for minute in range(481)], after=HOUR)


def test_five_percent_of_growth_after_the_first_hour_is_a_problem_and_less_is_none() -> None:
    nothing: dict[str, Any] = {}
    assert problems(8 * HOUR, 0, [], {"router": leak(0.04)}, nothing, None) == []
    (found,) = problems(8 * HOUR, 0, [], {"router": leak(0.2), "controller": None}, nothing, None)
    assert found.startswith("memory of the router has grown by 1")
    assert problems(0.5 * HOUR, 0, [], {"router": leak(0.2)}, nothing, None) == [], "a short piece says less"


def test_descriptors_and_disk_that_grow_are_problems() -> None:
    more = growth([(60.0 * minute, 20.0 + minute / 4) for minute in range(40)], after=0)
    few = growth([(60.0 * minute, 20.0 + minute % 3) for minute in range(40)], after=0)
    assert len(problems(600, 0, [], {}, {"router": more, "controller": few}, None)) == 1
    fills = growth([(60.0 * minute, 5e6 + 2e5 * minute) for minute in range(40)], after=0)
    flat = growth([(60.0 * minute, 5e6 + 1e4 * minute) for minute in range(40)], after=0)
    assert len(problems(600, 0, [], {}, {}, fills)) == 1
    assert problems(600, 0, [], {}, {}, flat) == []


def test_statuses_belong_to_the_columns_of_the_metrics() -> None:
    counted = by_class({200: 7, 400: 1, 401: 2, 413: 1, 500: 3, 502: 1, 503: 4, 504: 5})
    assert counted == {"requests": 24, "client_errors": 4, "server_errors": 4, "refused": 4, "timeouts": 5}


def test_one_request_that_only_clients_have_counted_is_a_difference() -> None:
    clients = {"echo": by_class({200: 5, 401: 1})}
    assert differences(clients, {"echo": {**by_class({200: 5, 401: 1}), "mirrored": 0}}) == []
    assert differences(clients, {"echo": by_class({200: 6})}) == [("echo", "client_errors", 1, 0)]
    assert len(differences(clients, {})) == 2


def record(**fields: Any) -> dict[str, Any]:
    return {"piece": "p", "time": "2026-01-02T03:04:05.678+00:00", **fields}


def minutes(number: int, failures: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    return [
        record(
            record="minute",
            seconds=60.0 * (minute + 1),
            sent={"waiting": 10, "large": 5},
            failures=(failures or []) if minute == 0 else [],
            faults=[{"kind": "replica killed", "about": "pid 7"}, {"kind": "update", "about": "refused: full"}],
            processes={"controller": {"1": [50_000, 40]}, "router": {"2": [40_000 + minute, 60]}, "replica": {}},
            disk=3_000_000,
            load_average=1.0,
        )
        for minute in range(number)
    ]


def ended(**counts: int) -> dict[str, Any]:
    return record(record="end", stopped=False, clients={"w": by_class({200: 9})}, metrics={"w": counts})


def test_the_outcome_of_a_piece_is_that_of_its_records() -> None:
    common = {"sent": "03:05", "stream": "large"}
    failures = [
        {**common, "what": "broken off", "explained_by": "replica killed at 03:05"},
        {**common, "what": "503 refused", "explained_by": None},
    ]
    records = [record(record="start"), *minutes(30, failures), ended(requests=9)]
    found = outcome(records)
    assert unexplained(records) == ["03:05 large: 503 refused"]
    assert (found.started, found.seconds, found.ended) == ("2026-01-02 03:04", 1800.0, True)
    assert (found.requests, found.explained, found.unexplained) == (450, 1, 1)
    assert found.faults == {"replica killed": 30}, "what was refused has not happened"
    assert found.memory["replica"] is None
    assert found.problems == ["1 requests failed without a fault that explains it"]


def test_counts_that_differ_and_faults_that_could_not_be_injected_are_problems() -> None:
    end = ended(requests=8) | {"failed_injections": ["update at 90 s: EndpointBusyError: busy"]}
    first, second = outcome([record(record="start"), *minutes(2), end]).problems
    assert first == "update at 90 s: EndpointBusyError: busy"
    assert second == "w: clients have counted 9 requests, metrics() says 8"


def test_the_report_joins_pieces_and_says_what_one_that_was_killed_has_not_compared(tmp_path: Path) -> None:
    results = tmp_path / "soak.jsonl"
    first = [record(record="start"), *minutes(3), ended(requests=9)]
    second = [{**one, "piece": "q"} for one in [record(record="start"), *minutes(2)]]
    results.write_text("".join(json.dumps(one) + "\n" for one in [*first, *second]) + '{"piece":"q","rec')
    page = report.text(report.pieces(results))
    rows = [line for line in page.splitlines() if line.startswith("| 2026-01-02")]
    assert [row.split(" | ")[1:3] for row in rows] == [["3", "45"], ["2", "30"]]
    assert rows[0].endswith("| all holds |")
    assert rows[1].endswith("| ended early, counts not compared |")
    assert "2 pieces, the longest of 3 minutes" in page
    report.draw(tmp_path / "soak.svg", report.pieces(results))
    assert (tmp_path / "soak.svg").read_text().rstrip().endswith("</svg>")


@pytest.mark.parametrize(
    ("times", "most"),
    [
        ([], 0),
        ([("00:00", "02:00")], 1),
        ([("00:00", "02:00"), ("02:00", "04:00")], 1),
        ([("00:00", "02:00"), ("01:59", "04:00"), ("03:00", "05:00")], 2),
        ([("00:00", "05:00"), ("00:00", "05:00"), ("01:00", "02:00"), ("03:00", "04:00")], 3),
    ],
)
def test_the_report_says_how_many_pieces_ran_at_the_same_time(times: list[tuple[str, str]], most: int) -> None:
    assert report.most_together([[{"time": first}, {"time": last}] for first, last in times]) == most


def test_the_page_is_the_one_of_the_records_beside_it() -> None:
    assert (report.DOCS / "soak.md").read_text() == report.text(report.pieces(report.RESULTS)), "make soak-report"


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.close_connection = body == b"cut"
        self.send_response(401 if self.headers["authorization"] == f"Bearer {'0' * 32}" else 200)
        self.send_header("content-length", "9" if body == b"cut" else "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def uri() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/score"
        server.shutdown()


def test_the_load_counts_each_status_once_and_names_every_answer_that_is_not_as_expected(uri: str) -> None:
    streams = (
        Stream("fine", "echo", 50.0, b"x", answer="ok"),
        Stream("keyless", "echo", 50.0, b"x", expected=401, keyed=False),
        Stream("wrong", "echo", 50.0, b"x", answer="other"),
        Stream("cut", "cut", 50.0, b"cut", answer="ok"),
    )
    with Load(streams, {"echo": uri, "cut": uri}, {"echo": "k" * 32, "cut": "k" * 32}) as load:
        wait_until(lambda: all(load.sent()[stream.name] >= 5 for stream in streams), "all streams are sent")
    sent, statuses = load.sent(), load.statuses()
    assert statuses == {
        "echo": Counter({200: sent["fine"] + sent["wrong"], 401: sent["keyless"]}),
        "cut": Counter({200: sent["cut"]}),
    }
    said = Counter((failure.stream, failure.what.split(":")[0]) for failure in load.failures())
    assert said == {("wrong", "200 ok"): sent["wrong"], ("cut", "broken off after 200"): sent["cut"]}
