"""Batch scoring with a real endpoint of two replicas: order, failures, interrupts, killed replicas."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mljupyter.core import InferenceConfig, Model, Webservice, Workspace
from mljupyter.core.batch import Batch, BatchError, Progress, score_batch
from mljupyter.core.webservice import AksWebservice
from mljupyter.exceptions import WebserviceException
from tests.engine.test_encoder import DTYPES
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system

SCRIPT = """\
import json
from azureml.contrib.services.aml_response import AMLResponse

def init():
    pass

def run(data):
    rows = json.loads(data)["data"]
    for number, row in enumerate(rows):
        if row[0] == "bad":
            raise ValueError("this row is bad")
        if row[0] == "short":
            return AMLResponse({"message": f"Row {number} is short"}, 400, json_str=True)
    return rows
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webservice]:
    """An endpoint of two replicas that answers each row with itself, and fails if a row begins with "bad"."""
    root = tmp_path_factory.mktemp("batch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(root / "home"))
        workspace = Workspace.create("batch")
        (root / "score.py").write_text(SCRIPT)
        config = InferenceConfig("score.py", source_directory=str(root))
        settings = AksWebservice.deploy_configuration(num_replicas=2, auth_enabled=True)
        service = Model.deploy(workspace, "echo", [], config, settings)
        service.wait_for_deployment(timeout_sec=HANG_SECONDS)
        yield service
        service.delete()
        workspace.controller.stop(force=True)


def kept(service: Webservice) -> list[Path]:
    return list(Path(service.workspace.directory, "batches").iterdir())


def test_run_receives_what_the_frame_holds(service: Webservice) -> None:
    frame = pd.DataFrame(
        {"id": [2**63 - 1], "x": [0.1 + 0.2], "t": [pd.Timestamp("2024-01-02", tz="Europe/Berlin")], "n": [None]}
    )
    (received,) = service.run(frame)
    assert received == [2**63 - 1, 0.30000000000000004, "2024-01-02T00:00:00+01:00", None]
    assert DTYPES["datetime64[ns, Europe/Berlin]"][1](received[2]) == frame["t"][0]


def test_rows_are_sent_in_parts_to_both_replicas_and_come_back_in_order(service: Webservice) -> None:
    seen: list[Progress] = []
    result = score_batch(service, np.arange(1000).reshape(-1, 1), batch_rows=30, on_progress=seen.append)
    assert result == [[number] for number in range(1000)]
    assert result.complete
    assert {progress.at_once for progress in seen} == {2}
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
    assert (seen[-1].done, seen[-1].kept) == (1000, 0)
    assert kept(service) == []


def test_failed_rows_are_listed_and_all_others_have_results(service: Webservice) -> None:
    rows = [["bad"] if number in (7, 77) else [number] for number in range(100)]
    result = score_batch(service, rows, batch_rows=50)
    assert [failed.row for failed in result.failed] == [7, 77]
    assert {failed.reason.partition(";")[0] for failed in result.failed} == {
        "status 500: run() of the scoring script raised ValueError"
    }
    assert [row for row in result if row is not None] == [row for row in rows if row != ["bad"]]
    assert result.frame()["error"].notna().sum() == 2


def test_a_failed_row_is_named_with_its_file_and_its_number_there(service: Webservice, tmp_path: Path) -> None:
    pd.DataFrame({"n": ["x"] * 40}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"n": ["short" if row == 7 else "x" for row in range(40)]}).to_csv(tmp_path / "b.csv", index=False)
    result = score_batch(service, tmp_path, batch_rows=30)
    assert [(failed.row, failed.place) for failed in result.failed] == [(47, "row 7 of b.csv")]
    assert result.text() == ("80 rows, 1 failed\n  row 7 of b.csv: status 400: Row 7 of b.csv is short")
    assert "row 47: status 400: Row 47 is short" in score_batch(service, [["x"]] * 47 + [["short"]]).text()


def test_an_interrupted_batch_goes_on_from_where_it_was(service: Webservice, tmp_path: Path) -> None:
    pd.DataFrame({"n": range(500)}).to_parquet(tmp_path / "rows.parquet")

    def stop(progress: Progress) -> None:
        if progress.done >= 200:
            raise KeyboardInterrupt

    batch = Batch(service, tmp_path / "rows.parquet", batch_rows=20, on_progress=stop)
    with pytest.raises(KeyboardInterrupt):
        batch.run()
    done = [row for row in batch.result if row is not None]
    assert len(done) >= 200
    assert batch.result.missing == 500 - len(done)
    assert len(kept(service)) == 1
    seen: list[Progress] = []
    result = score_batch(service, tmp_path / "rows.parquet", batch_rows=20, on_progress=seen.append)
    assert result == [[number] for number in range(500)]
    assert seen[-1].kept >= len(done)
    assert kept(service) == []
    score_batch(service, tmp_path / "rows.parquet", batch_rows=20, on_progress=seen.append)
    assert seen[-1].kept == 0


def test_a_killed_replica_costs_no_row(service: Webservice) -> None:
    service.update_deployment_state()
    victims = [replica.pid for replica in service.record.status.versions["echo"].replicas]

    def kill(progress: Progress) -> None:
        if progress.done >= 200 and victims:
            os.kill(victims.pop(), signal.SIGKILL)
            victims.clear()

    result = score_batch(service, [[number] for number in range(2000)], batch_rows=10, on_progress=kill)
    assert result == [[number] for number in range(2000)]
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)


def test_a_batch_without_a_single_success_ends_early(service: Webservice) -> None:
    with pytest.raises(BatchError, match=r"(?s)no row succeeds; 20 were tried.*raised ValueError") as caught:
        score_batch(service, [["bad"]] * 5000)
    assert len(caught.value.result.failed) == 20


def test_a_request_over_the_limit_is_refused_before_it_is_sent(service: Webservice) -> None:
    with pytest.raises(WebserviceException, match=r"takes at most 105 MB") as caught:
        service.run("x" * 105_000_000)
    assert caught.value.status_code == 413
