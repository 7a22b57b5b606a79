"""What a script collects lands in CSV files by day, and never fails a request."""

from __future__ import annotations

import csv
import fcntl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mljupyter.scoring.shims.monitoring import CORRELATION_COLUMNS, ModelDataCollector
from tests.scoring.conftest import Replica
from tests.waiting import promised

Serve = Callable[..., Replica]

COLLECTING = """
import json
import numpy as np
from azureml.monitoring import ModelDataCollector
def init():
    global inputs, predictions
    inputs = ModelDataCollector("wine", designation="inputs", feature_names=["a", "b"])
    predictions = ModelDataCollector("wine", designation="predictions", feature_names=["y"])
def run(data):
    rows = np.array(json.loads(data))
    correlations = inputs.collect(rows)
    predictions.collect(predictions.add_correlations(rows.sum(axis=1).reshape(-1, 1), correlations))
    return correlations
"""


def variables(directory: Path, **more: str) -> dict[str, str]:
    storage = {"AML_MODEL_DC_STORAGE_ENABLED": "true", "AML_MODEL_DC_STORAGE": str(directory / "store")}
    return {**storage, "SERVICE_NAME": "svc", "WORKSPACE_NAME": "Team", **more}


def table(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def only_file(directory: Path) -> Path:
    (path,) = [path for path in directory.rglob("*") if path.is_file()]
    return path


def place(designation: str, version: str = "3") -> str:
    return f"modeldata/default/default/team/svc/wine/{version}/{designation}/{datetime.now(UTC):%Y/%m/%d}"


@pytest.fixture
def collecting(serve: Serve, directory: Path) -> Replica:
    (directory / "azureml-models" / "wine" / "3").mkdir(parents=True)
    return serve(COLLECTING, environment=variables(directory))


def test_rows_land_in_the_documented_path_with_correlations(collecting: Replica, directory: Path) -> None:
    answer = collecting.score("[[1, 2], [3.5, 4]]", x_request_id="the-request")
    inputs = table(directory / "store" / place("inputs") / "data.csv")
    predictions = table(directory / "store" / place("predictions") / "data.csv")
    assert inputs[0] == ["a", "b", *CORRELATION_COLUMNS]
    assert predictions[0] == ["y", *CORRELATION_COLUMNS]
    assert [row[:2] for row in inputs[1:]] == [["1.0", "2.0"], ["3.5", "4.0"]]
    assert [row[0] for row in predictions[1:]] == ["3.0", "7.5"]
    told = answer.json()
    expected = [str(told[name]) for name in CORRELATION_COLUMNS]
    assert [row[2:] for row in inputs[1:]] == [row[1:] for row in predictions[1:]] == [expected, expected]
    assert told["$aml_request_id"] == "the-request"
    assert (told["$aml_workspace"], told["$aml_service_name"]) == ("default/default/team", "svc")
    assert (told["$aml_model_name"], told["$aml_model_version"], told["$aml_dc_boundary"]) == ("wine", "3", 1440)


def test_each_request_has_its_own_correlation_and_generated_request_id(collecting: Replica, directory: Path) -> None:
    answers = [collecting.score("[[1, 2]]") for _ in range(2)]
    assert len({answer.json()["$aml_dc_correlation_id"] for answer in answers}) == 2
    for answer in answers:
        assert answer.json()["$aml_request_id"] == answer.headers["x-request-id"]
    path = directory / "store" / place("inputs") / "data.csv"
    assert len(table(path)) == 3
    assert path.stat().st_mode & 0o777 == 0o600


def test_switched_off_it_says_so_once_and_does_nothing(serve: Serve, directory: Path) -> None:
    replica = serve(COLLECTING, environment={"AML_MODEL_DC_STORAGE": str(directory / "store")})
    assert replica.score("[[1, 2]]").json() == {}
    assert not (directory / "store").exists()
    assert "AML_MODEL_DC_STORAGE_ENABLED" in replica.wait_log("Model data collection is off")


@pytest.mark.faults(8, "disk full: data collection")
def test_a_full_disk_drops_rows_and_fails_no_request(serve: Serve, directory: Path) -> None:
    script = COLLECTING.replace(
        "def init():",
        "def init():\n    import resource\n    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))",
    )
    replica = serve(script, environment=variables(directory))
    answers = [replica.score("[[1, 2]]") for _ in range(30)]
    assert {answer.status_code for answer in answers} == {200}
    replica.wait_log("model data collection: dropped 8 time(s) so far")
    rows = table(directory / "store" / place("inputs", "default") / "data.csv")
    assert 1 < len(rows) < 30
    assert {len(row) for row in rows} == {10}


def test_processes_and_threads_share_a_file_without_mixing_rows(serve: Serve, directory: Path) -> None:
    script = """
    import os
    from azureml.monitoring import ModelDataCollector
    def init():
        global general
        general = ModelDataCollector("wine", feature_names=["a", "b", "c"])
        if not os.fork():
            for number in range(300):
                general.collect(["child", number, "x" * 50])
            os._exit(0)
    def run(data):
        general.collect(["parent", data, "y" * 50])
    """
    replica = serve(script, "--concurrency", "4", "--max-queue-wait-ms", "20000", environment=variables(directory))
    with ThreadPoolExecutor(8) as pool:
        assert {answer.status_code for answer in pool.map(replica.score, map(str, range(300)))} == {200}
    path = directory / "store" / place("general", "default") / "data.csv"
    rows = table(path)
    assert rows[0] == ["a", "b", "c"]
    assert sorted(int(row[1]) for row in rows[1:] if row[0] == "parent") == list(range(300))
    assert {len(row) for row in rows} == {3}
    assert rows.count(["a", "b", "c"]) == 1


@pytest.fixture
def store(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in variables(directory).items():
        monkeypatch.setenv(name, value)
    return directory / "store"


def test_data_frames_bring_their_own_header(store: Path) -> None:
    import pandas

    frame = pandas.DataFrame({"n": [1, 2], "text": ["x,y", None]})
    collector = ModelDataCollector("wine", designation="inputs")
    correlations = collector.collect(frame, user_correlation_id="mine")
    rows = table(only_file(store))
    assert rows[0] == ["n", "text", *CORRELATION_COLUMNS]
    assert rows[1][:2] == ["1", "x,y"]
    assert correlations is not None
    assert correlations["$aml_dc_correlation_id"].startswith("mine-")
    assert list(frame.columns) == ["n", "text"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([1, "a"], [["1", "a"]]),
        ([[1, 2], [3, 4]], [["1", "2"], ["3", "4"]]),
        ([], []),
        (["a\nb", None], [["a\nb", ""]]),
    ],
)
def test_a_list_is_a_row_or_a_list_of_rows(store: Path, data: list[object], expected: list[list[str]]) -> None:
    ModelDataCollector("wine").collect(data)
    assert table(only_file(store)) == (expected or [[]])


def test_a_file_that_stays_locked_costs_its_rows_and_not_the_request(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collector = ModelDataCollector("wine")
    collector.collect([1])
    with only_file(store).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        start = time.monotonic()
        collector.collect([2])
        assert time.monotonic() - start < promised(2)
    assert "dropped 1 time(s) so far, now because: the file was locked" in capsys.readouterr().err
    collector.collect([3])
    assert table(only_file(store)) == [["1"], ["3"]]


def test_the_old_keyword_and_the_name_of_a_collection_are_taken(store: Path) -> None:
    ModelDataCollector("wine", identifier="signals", collection_name="clicks").collect([1])
    path = only_file(store)
    assert (path.name, path.parts[-5]) == ("clicks.csv", "signals")


def test_an_unknown_designation_is_said_and_not_raised(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ModelDataCollector("wine", designation="outputs").collect([1]) is None
    assert "'outputs' is not a designation" in capsys.readouterr().out
    assert not store.exists()


def test_another_header_gets_another_file(store: Path) -> None:
    ModelDataCollector("wine", feature_names=["a"]).collect([1])
    ModelDataCollector("wine", feature_names=["a", "b"]).collect([1, 2])
    ModelDataCollector("wine", feature_names=["a"]).collect([3])
    assert {path.name: table(path) for path in store.rglob("*.csv")} == {
        "data.csv": [["a"], ["1"], ["3"]],
        "data-2.csv": [["a", "b"], ["1", "2"]],
    }


def test_a_replica_that_has_a_name_writes_files_of_its_own(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for writer in ("pod-1", "pod-2", "../pod-3"):
        monkeypatch.setenv("MLJUPYTER_COLLECTION_WRITER", writer)
        ModelDataCollector("wine", feature_names=["a"]).collect([1])
    ModelDataCollector("wine", feature_names=["b"]).collect([2])
    assert {path.name: table(path) for path in store.rglob("*.csv")} == {
        "data.pod-1.csv": [["a"], ["1"]],
        "data.pod-2.csv": [["a"], ["1"]],
        "data.pod-3.csv": [["a"], ["1"]],
        "data-2.pod-3.csv": [["b"], ["2"]],
    }


def test_the_hour_is_a_directory_on_request(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AML_MODEL_DC_BOUNDARY", "hour")
    correlations = ModelDataCollector("wine", designation="inputs").collect([1])
    assert correlations is not None
    assert correlations["$aml_dc_boundary"] == 60
    assert only_file(store).parent.name == correlations["$aml_dc_scoring_timestamp"][11:13]


def test_labels_that_come_late_go_to_the_day_of_their_inputs(store: Path) -> None:
    labels = ModelDataCollector("wine", designation="labels", feature_names=["y"])
    long_ago = (datetime.now(UTC) - timedelta(days=40)).replace(tzinfo=None)
    values = ("id", long_ago.isoformat(), 1440, "w", "s", "wine", "1", "r")
    labels.collect(labels.add_correlations([1], dict(zip(CORRELATION_COLUMNS, values, strict=True))))
    assert only_file(store).parts[-4:-1] == tuple(f"{long_ago:%Y/%m/%d}".split("/"))


def test_debugging_prints_the_rows_without_storage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AML_MODEL_DC_DEBUG", "true")
    ModelDataCollector("wine", designation="predictions", feature_names=["y"]).collect([7])
    assert "y\r\n7\r\n" in capsys.readouterr().out


def test_names_cannot_leave_the_storage(store: Path) -> None:
    ModelDataCollector("../../evil", webservice_name="..", model_version="a/b", collection_name="../x").collect([1])
    assert only_file(store).is_relative_to(store / "modeldata")


def test_data_of_an_unknown_kind_is_a_warning(store: Path) -> None:
    with pytest.warns(UserWarning, match="not a dict"):
        ModelDataCollector("wine").collect({"a": 1})
