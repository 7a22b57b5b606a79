"""Runs are also sent to MLflow, a real store of it on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.core import Experiment, Workspace
from mljupyter.tracking import mlflow_mirror


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    mlflow_mirror._say.cache_clear()
    return uri


def test_metrics_tags_files_and_status_arrive(store: str, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    (tmp_path / "ridge.pkl").write_text("weights")
    workspace = Workspace.create("churn-team")
    with Experiment(workspace, "diabetes").start_logging(display_name="ridge") as run:
        run.log("mse", 3.5)
        run.log_list("losses (all)", [2, 1.5])
        run.log_table("table", {"k": [1, 2]})
        run.log("kind", "ridge")
        run.tag("area", "demo")
        run.tag("gone", "soon")
        run.remove_tags(["gone"])
        run.upload_file("outputs/model.pkl", "ridge.pkl")
        with run.child_run("fold") as child:
            child.log("mse", 4)
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("diabetes")
    assert experiment is not None
    found = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    assert found.keys() == {"ridge", "fold"}
    sent = found["ridge"]
    assert sent.data.metrics == {"mse": 3.5, "losses _all_": 1.5, "table/k": 2.0}
    assert [one.value for one in client.get_metric_history(sent.info.run_id, "losses _all_")] == [2, 1.5]
    assert sent.data.tags["area"] == "demo" and sent.data.tags["kind"] == "ridge" and "gone" not in sent.data.tags
    assert sent.data.tags["mljupyter.runId"] == run.id and sent.info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(sent.info.run_id, "outputs")] == ["outputs/model.pkl"]
    assert found["fold"].data.tags["mlflow.parentRunId"] == sent.info.run_id
    assert run.get_metrics()["mse"] == 3.5, "the workspace has it as well"


def test_without_a_server_the_store_is_in_the_workspace(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.delenv("MLJUPYTER_MLFLOW")
    (tmp_path / "ridge.pkl").write_text("weights")
    workspace = Workspace.create("churn-team")
    with Experiment(workspace, "diabetes").start_logging(display_name="ridge") as run:
        run.log("mse", 3.5)
        run.upload_file("outputs/model.pkl", "ridge.pkl")
    uri = workspace.get_mlflow_tracking_uri()
    assert capsys.readouterr().err.count(f"mlflow ui --backend-store-uri '{uri}'") == 1
    (sent,) = MlflowClient(uri).search_runs(["1"])
    assert sent.data.metrics == {"mse": 3.5} and sent.info.status == "FINISHED"
    assert sent.info.artifact_uri.startswith(workspace.directory.as_uri())
    assert not (tmp_path / "mlruns").exists(), "nothing is written into the user's directory"


def test_a_store_that_does_not_answer_is_said_once_and_loses_nothing(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}")
    with Experiment(Workspace.create("churn-team"), "diabetes").start_logging() as run:
        run.log("mse", 3.5)
    assert run.get_status() == "Completed" and run.get_metrics() == {"mse": 3.5}
    assert capsys.readouterr().err.count("MLflow does not answer") == 1
