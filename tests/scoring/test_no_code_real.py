"""TensorFlow and MLflow themselves: what stand-ins cannot show.

TensorFlow is large, and MLflow's part that serves is among the packages of the tests. The environment that uv makes
for the former, and the models that both save, are kept in ``~/.cache/mljupyter-tests``: only the first run on a machine
waits for them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mljupyter.build.environments.definition import EnvironmentDefinition
from mljupyter.build.environments.uv_environments import ensure_environment
from tests.scoring.conftest import Replica

pytestmark = pytest.mark.timeout(900)
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mljupyter-tests"

SAVE_TENSORFLOW = """
import sys, tensorflow as tf

class Model(tf.Module):
    def __init__(self):
        self.weights = tf.Variable([[2.0], [3.0]])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def __call__(self, x):
        return {"y": tf.matmul(x, self.weights)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def upper(self, text):
        return {"upper": tf.strings.upper(text), "length": tf.strings.length(text)}

model = Model()
signatures = {"serving_default": model.__call__, "upper": model.upper}
tf.saved_model.save(model, sys.argv[1], signatures=signatures)
"""

SAVE_MLFLOW = """
import sys, mlflow.pyfunc

class Doubled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input * 2

mlflow.pyfunc.save_model(path=sys.argv[1], python_model=Doubled(), pip_requirements=[])
"""

SAVE_SIGNED_MLFLOW = """
import sys, mlflow.pyfunc, pandas

class Repeated(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return (model_input["word"] * model_input["times"]).tolist()

columns = pandas.DataFrame({"times": [1], "word": ["a"]})
signature = mlflow.models.infer_signature(columns, ["a"])
mlflow.pyfunc.save_model(path=sys.argv[1], python_model=Repeated(), pip_requirements=[], signature=signature)
"""


def interpreter(*packages: str) -> str:
    """Return the interpreter of an environment with these packages."""
    document = {"python": {"condaDependencies": {"dependencies": [{"pip": list(packages)}]}}}
    return ensure_environment(EnvironmentDefinition.parse(document), KEPT / "environments").interpreter


def post(replica: Replica, body: object) -> Any:
    answer = replica.score(json.dumps(body), content_type="application/json")
    return answer.json() if answer.status_code == 200 else (answer.status_code, answer.json()["message"])


def infer(replica: Replica, **inputs: list[list[float]]) -> Any:
    """Return the outputs for tensors, as the Open Inference Protocol has them: by name."""
    tensors = [
        {"name": name, "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": rows}
        for name, rows in inputs.items()
    ]
    answer = replica.client.post("/v2/models/model/infer", json={"inputs": tensors})
    assert answer.status_code == 200, answer.text
    return {one["name"]: (one["shape"], one["data"]) for one in answer.json()["outputs"]}


def saved(interpreter: str, program: str, directory: Path) -> Path:
    """Put the model that a program saves into a directory."""
    kept = KEPT / "models" / hashlib.sha256(f"{interpreter}\n{program}".encode()).hexdigest()[:16]
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=kept.parent)) / "model"
        done = subprocess.run([interpreter, "-c", program, str(new)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        with contextlib.suppress(OSError):  # another run has saved it meanwhile
            new.rename(kept)
        shutil.rmtree(new.parent)
    shutil.copytree(kept, directory)
    return directory


def test_a_saved_model_of_tensorflow(launch: Callable[..., Replica], directory: Path) -> None:
    python = interpreter("tensorflow-cpu")
    model = saved(python, SAVE_TENSORFLOW, directory / "models" / "net" / "1" / "saved")
    arguments = ("--no-code", "auto", "--model-dir", str(model.parent), "--worker-python", python)
    replica = launch(None, *arguments, environment={"AZUREML_LOG_LEVEL": "DEBUG", "SERVICE_NAME": "model"})
    replica.wait_ready()
    assert post(replica, {"instances": [[1.0, 1.0], [2.0, 0.0]]}) == {"predictions": [[5.0], [4.0]]}
    assert post(replica, {"instances": [{"x": [1.0, 1.0]}]}) == {"predictions": [[5.0]]}
    assert post(replica, {"inputs": {"x": [[0.0, 2.0]]}}) == {"outputs": [[6.0]]}
    upper = {"signature_name": "upper", "instances": ["a", "bc"]}
    assert post(replica, upper) == {"predictions": [{"length": 1, "upper": "A"}, {"length": 2, "upper": "BC"}]}
    status, _ = post(replica, {"instances": [["a", "b"]]})
    assert status == 400
    status, message = post(replica, {"instances": [[1.0, 1.0, 1.0]]})
    assert (status, "do not fit the model" in message) == (400, True)
    assert infer(replica, x=[[1.0, 1.0], [2.0, 0.0]]) == {"y": ([2, 1], [5.0, 4.0])}
    replica.wait_log("warm-up: a sample request took")


def test_a_python_function_of_mlflow(launch: Callable[..., Replica], directory: Path) -> None:
    model = saved(sys.executable, SAVE_MLFLOW, directory / "models" / "doubled")
    replica = launch(None, "--no-code", "mlflow", "--model-dir", str(model.parent))
    replica.wait_ready()
    frame = {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}
    assert post(replica, {"input_data": frame}) == [{"a": 2, "b": 4}, {"a": 6, "b": 8}]
    assert post(replica, {"dataframe_split": frame}) == [{"a": 2, "b": 4}, {"a": 6, "b": 8}]
    assert post(replica, {"inputs": [[1.5]]}) == [[3.0]]


def test_a_model_of_mlflow_with_a_signature_takes_its_columns_as_tensors(
    launch: Callable[..., Replica], directory: Path
) -> None:
    model = saved(sys.executable, SAVE_SIGNED_MLFLOW, directory / "models" / "repeated")
    arguments = ("--no-code", "mlflow", "--model-dir", str(model.parent))
    replica = launch(None, *arguments, environment={"AZUREML_LOG_LEVEL": "DEBUG", "SERVICE_NAME": "model"})
    replica.wait_ready()
    replica.wait_log("warm-up: a sample request took")
    described = replica.client.get("/v2/models/model").json()["inputs"]
    assert [(one["name"], one["datatype"], one["shape"]) for one in described] == [
        ("times", "INT64", [-1]),
        ("word", "BYTES", [-1]),
    ]
    columns = [
        {"name": "times", "datatype": "INT64", "shape": [2], "data": [2, 3]},
        {"name": "word", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]},
    ]
    answer = replica.client.post("/v2/models/model/infer", json={"inputs": columns}).json()
    assert [(one["shape"], one["data"]) for one in answer["outputs"]] == [([2], ["aa", "bbb"])]
