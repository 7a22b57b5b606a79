"""Model.profile: real load on a temporary endpoint that is gone afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mljupyter.core import Environment, InferenceConfig, Model, ModelProfile, Webservice, Workspace
from mljupyter.exceptions import WebserviceException
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
IRIS = """
import json

import joblib
import numpy

from azureml.core.model import Model


def init():
    global model
    model = joblib.load(Model.get_model_path("iris"))


def run(data):
    return model.predict(numpy.array(json.loads(data)["data"])).tolist()
"""
ROW = json.dumps({"data": [[5.1, 3.5, 1.4, 0.2]]})
FIELDS = {
    "name", "description", "createdTime", "state", "requestedCpu", "requestedMemoryInGB", "requestedQueriesPerSecond",
    "maxUtilizedCpu", "maxUtilizedMemoryInGB", "totalQueries", "successQueries", "successRate", "averageLatencyInMs",
    "latencyPercentile50InMs", "latencyPercentile90InMs", "latencyPercentile95InMs", "latencyPercentile99InMs",
    "latencyPercentile999InMs", "measuredQueriesPerSecond", "recommendedCpu", "recommendedMemoryInGB", "errors",
    "wallTime",
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace whose controller serves all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(tmp_path_factory.mktemp("home")))
        workspace = Workspace.create("profiles")
        yield workspace
        workspace.controller.stop(force=True)


@pytest.fixture
def live(shared: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.chdir(tmp_path)
    yield shared
    assert [service.name for service in Webservice.list(shared)] == [], "nothing of a profile is left"
    assert list(shared.registry.images.list()) == []


def inference(script: str, **more: Any) -> InferenceConfig:
    Path("score.py").write_text(script)
    return InferenceConfig("score.py", **more)


def test_a_model_is_measured_and_a_size_recommended(live: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    joblib.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), "iris.pkl")
    model = Model.register(live, "iris.pkl", "iris")
    rows = pd.DataFrame({"body": [ROW, json.dumps({"data": [[6.0, 3.0, 4.0, 1.0]]}), "not json"]})
    profile = Model.profile(
        live, "iris-size", [model], inference(IRIS), rows, cpu=1, memory_in_gb=2, description="of iris", seconds=1.5
    )
    assert profile.state == "Running"
    with pytest.raises(WebserviceException, match="is Running and has no result yet"):
        profile.get_results()
    with pytest.raises(WebserviceException, match="A profile 'iris-size' is running"):
        Model.profile(live, "iris-size", [model], inference(IRIS), input_data=ROW)
    Path("score.py").write_text("what is measured is what was there when it was asked for")
    wait_until(lambda: Webservice.list(live) or profile.state != "Running", "the temporary endpoint")
    assert profile.state == "Running", profile.get_details().get("error")
    (service,) = Webservice.list(live)
    assert service.name.startswith("profile-") and "iris-size" in str(service.description)

    profile.wait_for_completion(show_output=True)
    assert "Succeeded: " in capsys.readouterr().out
    found = profile.get_details()
    assert set(found) == FIELDS
    assert (found["name"], found["description"], found["state"]) == ("iris-size", "of iris", "Succeeded")
    assert (found["requestedCpu"], found["requestedMemoryInGB"]) == (1, 2)
    total, successful = found["totalQueries"], found["successQueries"]
    assert total >= 3
    assert found["errors"] == {"500": total - successful}
    assert abs(successful - total * 2 / 3) < 3, "one row of three fails"
    assert found["successRate"] == pytest.approx(100 * successful / total, abs=0.01)
    percentiles = [found[f"latencyPercentile{name}InMs"] for name in ("50", "90", "95", "99", "999")]
    assert percentiles == sorted(percentiles) and percentiles[0] > 0
    assert 0 < found["maxUtilizedCpu"] < 4
    assert 0.02 < found["maxUtilizedMemoryInGB"] < 2
    assert found["recommendedCpu"] >= min(3.5, found["maxUtilizedCpu"])
    assert found["recommendedMemoryInGB"] >= found["maxUtilizedMemoryInGB"]
    assert profile.get_results() == {"cpu": found["recommendedCpu"], "memoryInGB": found["recommendedMemoryInGB"]}
    again = ModelProfile(live, "iris-size")
    again.wait_for_completion()
    assert again.get_details() == found


def test_a_script_that_does_not_start_fails_the_profile_with_its_reason(live: Workspace) -> None:
    script = "def init():\n    raise RuntimeError('no such file')\ndef run(data): return 1\n"
    profile = Model.profile(live, "broken", [], inference(script), input_data=ROW)
    with pytest.raises(WebserviceException, match="no such file"):
        profile.wait_for_completion()
    assert profile.state == "Failed" and "no such file" in profile.get_details()["error"]


def test_a_profile_whose_result_cannot_be_written_has_failed_with_the_reason(live: Workspace) -> None:
    script = "def init():\n    raise RuntimeError('no such file')\ndef run(data): return 1\n"
    profile = Model.profile(live, "unwritten", [], inference(script), input_data=ROW)
    folder = live.directory / "profiles"
    folder.rename(folder.with_name("elsewhere"))
    try:
        with pytest.raises(WebserviceException, match="(?s)'unwritten' is Failed: .*no such file"):
            profile.wait_for_completion()
    finally:
        folder.with_name("elsewhere").rename(folder)


def test_a_profile_without_one_answer_fails_with_the_first_error_and_the_log(live: Workspace) -> None:
    script = "def init(): pass\ndef run(data):\n    raise ValueError('unlucky')\n"
    profile = Model.profile(live, "unlucky", [], inference(script), input_data=ROW)
    with pytest.raises(
        WebserviceException, match="no warm-up request succeeded. The first error: status 500.*ValueError"
    ) as caught:
        profile.wait_for_completion()
    assert "unlucky" in caught.value.message


def test_a_cancelled_profile_leaves_nothing(live: Workspace) -> None:
    script = "def init(): pass\ndef run(data): return 1\n"
    profile = Model.profile(live, "cancelled", [], inference(script), input_data=ROW, seconds=600)
    wait_until(lambda: any(service.state == "Healthy" for service in Webservice.list(live)), "it runs")
    profile.cancel()
    assert profile.state == "Canceled"
    with pytest.raises(WebserviceException, match="cancelled"):
        profile.wait_for_completion()


def test_what_a_killed_process_left_is_removed_by_the_next_profile(live: Workspace) -> None:
    inference("def init(): pass\ndef run(data): return 1\n")
    code = (
        "import os, time; from mljupyter.core import *; ws = Workspace.get('profiles')\n"
        "Model.profile(ws, 'killed', [], InferenceConfig('score.py'), input_data='1', seconds=600)\n"
        "while not Webservice.list(ws): time.sleep(0.05)\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=HANG_SECONDS).returncode == 9
    assert [service.name[:8] for service in Webservice.list(live)] == ["profile-"]
    killed = ModelProfile(live, "killed")
    assert killed.state == "Failed" and "has ended" in killed.get_details()["error"]
    profile = Model.profile(live, "next", [], InferenceConfig("score.py"), input_data=ROW, seconds=0.5)
    profile.wait_for_completion()


def test_a_process_that_ends_cancels_its_profile(live: Workspace) -> None:
    inference("def init(): pass\ndef run(data): return 1\n")
    code = (
        "import time; from mljupyter.core import *; ws = Workspace.get('profiles')\n"
        "Model.profile(ws, 'left', [], InferenceConfig('score.py'), input_data='1', seconds=600)\n"
        "while not Webservice.list(ws): time.sleep(0.05)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=HANG_SECONDS, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert ModelProfile(live, "left").state == "Canceled"


def test_a_container_is_measured_too(live: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLJUPYTER_BASE_IMAGE", needed("MLJUPYTER_TEST_BASE_IMAGE"))
    (tmp_path / "requirements.txt").write_text("")
    bare = Environment.from_pip_requirements("bare", "requirements.txt")
    script = "def init(): pass\ndef run(data): return sum(i for i in range(20_000))\n"
    profile = Model.profile(
        live,
        "contained",
        [],
        inference(script, environment=bare),
        input_data=[ROW],
        seconds=2,
        deployment_target=live.compute_targets["docker"],
    )
    profile.wait_for_completion()
    found = profile.get_details()
    assert found["successRate"] == 100 and found["errors"] == {}
    assert 0 < found["maxUtilizedCpu"] < 4
    assert 0.005 < found["maxUtilizedMemoryInGB"] < 1


class Dataset:
    def to_pandas_dataframe(self) -> pd.DataFrame:
        return pd.DataFrame({"a": ["x"], "b": ["y"]})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "neither is given"),
        ({"input_data": "x", "input_dataset": pd.DataFrame({"a": ["x"]})}, "both is given"),
        ({"input_dataset": Dataset()}, "has 2 columns: exactly one"),
        ({"input_dataset": pd.DataFrame({"a": []})}, "There is no row"),
        ({"input_dataset": pd.DataFrame({"a": ["x", 5]}, dtype=object)}, "Row 1 is a int"),
        ({"input_dataset": 5}, "input_dataset is a int"),
        ({"input_data": b"x"}, "input_data is a bytes"),
        ({"input_data": "x", "cpu": 4}, "cpu is 4: it must be a number from 0.1 to 3.5"),
        ({"input_data": "x", "memory_in_gb": 0}, "memory_in_gb is 0: it must be a number from 0.1 to 15"),
        ({"input_data": "x", "seconds": 5000}, "seconds is 5000"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_deployed(
    live: Workspace, given: dict[str, Any], message: str
) -> None:
    config = inference("def init(): pass\ndef run(data): return 1\n")
    with pytest.raises(WebserviceException, match=message):
        Model.profile(live, "wrong", [], config, **given)
    with pytest.raises(WebserviceException, match="ProfileNotFound"):
        ModelProfile(live, "wrong")


def test_a_name_against_the_rule_is_refused(live: Workspace) -> None:
    config = inference("def init(): pass\ndef run(data): return 1\n")
    with pytest.raises(WebserviceException, match="Wrong Name"):
        Model.profile(live, "Wrong Name", [], config, input_data="x")
    with pytest.raises(WebserviceException, match="inference_config is a NoneType"):
        Model.profile(live, "right", [], None, input_data="x")  # type: ignore[arg-type]
