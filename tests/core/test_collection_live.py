"""Model data collection from deploy_configuration to the CSV file: processes and containers."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import AciWebservice, AksEndpoint, AksWebservice, Environment, InferenceConfig, Model, Workspace
from mljupyter.exceptions import WebserviceException
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system

SCRIPT = """
import json
from azureml.monitoring import ModelDataCollector

def init():
    global inputs, predictions
    inputs = ModelDataCollector("ridge", designation="inputs", feature_names=["a", "b"])
    predictions = ModelDataCollector("ridge", designation="predictions", feature_names=["sum"])

def run(data):
    row = json.loads(data)
    correlations = inputs.collect(row)
    result = [sum(row)]
    predictions.collect(predictions.add_correlations(result, correlations))
    return result
"""


@pytest.fixture
def live(shared_workspace: Workspace) -> Workspace:
    return shared_workspace


@pytest.fixture
def inference(project: Path) -> InferenceConfig:
    (project / "score.py").write_text(SCRIPT)
    return InferenceConfig("score.py")


@pytest.fixture(scope="module")
def model(module_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "model.pkl"
    path.touch()
    return Model.register(module_workspace, str(path), "ridge")


def collected(workspace: Workspace, service: str, designation: str) -> list[dict[str, str]]:
    """Return the rows at the documented place: none when there is no file."""
    root = Path(workspace.controller._layout.directory) / "collected" / service
    model_place = f"modeldata/default/default/{workspace.name}/{service}/ridge/1/{designation}"
    files = sorted((root / model_place).glob(f"{datetime.now(UTC):%Y}/*/*/data.csv"))
    return [row for file in files for row in csv.DictReader(file.open())]


def settled(service: Any) -> Any:
    service.wait_for_deployment(timeout_sec=HANG_SECONDS)
    return service


@pytest.mark.parametrize("kind", [AksWebservice, AciWebservice, AksEndpoint])
def test_rows_are_collected_while_it_is_on(
    live: Workspace, inference: InferenceConfig, model: Model, kind: Any, tmp_path: Path
) -> None:
    name = f"of-{kind.__name__.lower()}"
    off = Model.deploy(live, name, [model], inference, kind.deploy_configuration())
    assert settled(off).run("[1, 2]") == [3]
    assert collected(live, name, "inputs") == []
    with pytest.raises(WebserviceException, match="collect_model_data is off"):
        off.collected_data()

    change = off.update if kind is not AksEndpoint else off.versions[name].update
    change(collect_model_data=True)
    assert settled(off).run("[3, 4]") == [7]
    (row,) = collected(live, name, "inputs")
    (predicted,) = collected(live, name, "predictions")
    assert (row["a"], row["b"], predicted["sum"]) == ("3", "4", "7")
    assert row["$aml_dc_correlation_id"] == predicted["$aml_dc_correlation_id"]
    assert (row["$aml_service_name"], row["$aml_model_name"], row["$aml_model_version"]) == (
        name,
        "ridge",
        "1",
    )
    assert row["$aml_workspace"] == f"default/default/{live.name}"

    inputs, predictions = off.collected_data(), off.collected_data("predictions", "ridge", since="1d")
    assert inputs[["a", "b"]].to_numpy().tolist() == [[3, 4]]
    assert predictions["sum"].tolist() == [7]
    assert [file.designation for file in off.collected_files()] == ["inputs", "predictions"]
    assert off.collected_data(model_name="other").empty
    (path,) = off.download_collected_data(tmp_path / "got", "inputs")
    assert path.name == "data.csv"
    assert list(csv.DictReader(path.open())) == [row]
    with pytest.raises(WebserviceException, match="in 1 files: more than the 0 MB"):
        off.collected_data(most_mb=0)

    change(collect_model_data=False)
    assert settled(off).run("[5, 6]") == [11]
    assert len(collected(live, name, "inputs")) == 1
    root = Path(live.controller._layout.directory) / "collected"
    assert root.stat().st_mode & 0o777 == 0o700


def test_containers_collect_into_the_workspace_too(
    live: Workspace, project: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLJUPYTER_BASE_IMAGE", needed("MLJUPYTER_TEST_BASE_IMAGE"))
    (project / "score.py").write_text(SCRIPT)
    inference = InferenceConfig("score.py", environment=Environment("bare"))
    configuration = AciWebservice.deploy_configuration(cpu_cores=1, collect_model_data=True)
    service = Model.deploy(live, "contained", [model], inference, configuration, live.compute_targets["docker"])
    assert settled(service).run(json.dumps([1, 2])) == [3]
    (row,) = collected(live, "contained", "inputs")
    assert (row["a"], row["b"]) == ("1", "2")
    root = Path(live.controller._layout.directory) / "collected"
    assert root.stat().st_mode & 0o777 == 0o700, "what containers write into is closed to everybody else"
