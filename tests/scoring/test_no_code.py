"""Models without a script."""

from __future__ import annotations

import base64
import json
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mljupyter.scoring.nocode import onnx
from mljupyter.scoring.nocode.model_files import NoCodeError
from tests.scoring.conftest import Replica
from tests.scoring.replicas import replica_of

Serve = Callable[..., Replica]

TENSORFLOW = """
# stands in for TensorFlow: one signature that adds up the columns of each row
import numpy
class Value:
    def __init__(self, array): self.array = array
    def numpy(self): return self.array
class Spec:
    dtype = float
class Signature:
    structured_input_signature = ((), {"x": Spec})
    def __call__(self, x): return {"sum": Value(numpy.array(x).sum(axis=1))}
class saved_model:
    def load(path): return type("Model", (), {"signatures": {"serving_default": Signature()}})
def constant(value, dtype): return numpy.array(value, dtype=dtype)
"""


def fit() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


def post(replica: Replica, body: object) -> Any:
    answer = replica.score(body if isinstance(body, str) else json.dumps(body))
    return answer.json() if answer.status_code == 200 else (answer.status_code, answer.json()["message"])


@pytest.fixture(scope="module")
def sklearn_model() -> Iterator[Replica]:
    def prepare(directory: Path) -> None:
        (directory / "model.pkl").write_bytes(pickle.dumps(fit()))

    with replica_of(None, "--no-code", "sklearn", "--model-dir", ".", prepare=prepare) as replica:
        yield replica


def test_a_scikit_learn_model_answers_probabilities_or_what_is_asked(sklearn_model: Replica) -> None:
    probabilities = post(sklearn_model, {"data": [[0.0], [3.0]]})["result"]
    assert probabilities[0][0] > 0.5 > probabilities[1][0]
    assert post(sklearn_model, {"data": [[0.0], [3.0]], "method": "predict"}) == {"result": [0, 1]}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{", "not JSON"),
        ("[1]", "must be a JSON object, not a list"),
        ({"rows": []}, 'no "data"'),
        ({"data": 3}, "list of rows"),
        ({"data": [[1, 2]]}, "cannot take these rows"),
        ({"data": [["a"]]}, "cannot take these rows"),
        ({"data": [[1]], "method": "fit"}, "no method 'fit'"),
        ({"data": [[1]], "method": "__class__"}, "no method"),
    ],
)
def test_a_body_that_does_not_fit_is_400_and_tells_why(sklearn_model: Replica, body: object, told: str) -> None:
    status, message = post(sklearn_model, body)
    assert (status, told in message) == (400, True), message


BY_NAME = {"fitted on a frame": "DataFrame", "a pipeline that chooses columns": "ColumnTransformer"}


@pytest.mark.parametrize("kind", BY_NAME.values(), ids=BY_NAME)
def test_rows_as_objects_are_taken_by_name_in_any_order(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # JSON objects are unordered (RFC 8259, section 4). The right value is the model's own, 100 * a + b.
    ask = script_with(named_model(kind), monkeypatch)
    for row in ({"a": 2, "b": 10}, {"b": 10, "a": 2}, {"more": "x", "b": 10, "a": 2}):
        assert ask({"data": [row]}) == {"result": [pytest.approx(210)]}
    status, message = ask({"data": [{"a": 2, "b": 10}, {"b": 10}]})
    assert (status, message) == (400, "row 1 lacks the column a: it needs the columns a, b")
    status, message = ask({"data": [{"A": 2, "b": 10}]})
    assert "lacks the column a, and has the unknown column A (did you mean a?)" in message
    assert ask({"data": [{"a": 2, "b": 10}, [2, 10]]})[0] == 400


def test_rows_as_objects_are_refused_where_the_model_has_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = script_with(named_model("array"), monkeypatch)
    status, message = ask({"data": [{"a": 2, "b": 10}]})
    assert status == 400
    assert "fitted without names of columns: send each row as a list" in message
    assert ask({"data": [[2, 10]]}) == {"result": [pytest.approx(210)]}


def named_model(kind: str) -> Any:
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    rows = pd.DataFrame({"a": [1.0, 2.0, 3.0, 5.0], "b": [10.0, 10.0, 30.0, 20.0]})
    target = rows.a * 100 + rows.b
    if kind == "array":
        return LinearRegression().fit(rows.to_numpy(), target)
    chosen = ColumnTransformer([("x", "passthrough", ["a", "b"])])
    model = make_pipeline(chosen, LinearRegression()) if kind == "ColumnTransformer" else LinearRegression()
    return model.fit(rows, target)


def script_with(model: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], Any]:
    """Return what the built-in script answers with a model; a refusal as its status and message."""
    from mljupyter.scoring.nocode import sklearn

    monkeypatch.setattr(sklearn, "_model", model)

    def ask(body: object) -> Any:
        answer = sklearn.run(json.dumps(body))
        return answer if isinstance(answer, dict) else (answer.status_code, json.loads(answer.get_data())["message"])

    return ask


def test_records_for_mlflow_are_taken_by_name_and_refused_without_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from mljupyter.scoring.nocode import mlflow

    records = json.dumps({"dataframe_records": [{"b": 10, "a": 2}]})
    monkeypatch.setattr(mlflow, "_model", named_model("DataFrame"))
    assert mlflow.run(records) == [pytest.approx(210)]
    monkeypatch.setattr(mlflow, "_model", named_model("array"))
    assert mlflow.run(records).status_code == 400


def test_a_frame_is_made_of_rows_with_column_names(serve: Serve, directory: Path) -> None:
    import joblib
    import pandas
    from sklearn.linear_model import LinearRegression

    frame = pandas.DataFrame({"x": [0.0, 1.0], "z": [0.0, 0.0]})
    joblib.dump(LinearRegression().fit(frame, [1.0, 3.0]), directory / "model.joblib")
    replica = serve(None, "--no-code", "auto", "--model-dir", str(directory))
    assert post(replica, {"data": [{"x": 2.0, "z": 0.0}]})["result"] == pytest.approx([5.0])


@pytest.fixture(scope="module")
def onnx_model() -> Iterator[Replica]:
    skl2onnx = pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxruntime")
    from sklearn.linear_model import LinearRegression

    def prepare(directory: Path) -> None:
        model = LinearRegression().fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1.0, 3.0, 4.0])
        kind = skl2onnx.common.data_types.FloatTensorType([None, 2])
        converted = skl2onnx.convert_sklearn(model, initial_types=[("x", kind)])
        (directory / "model.onnx").write_bytes(converted.SerializeToString())

    with replica_of(None, "--no-code", "onnx", "--model-dir", ".", prepare=prepare) as replica:
        yield replica


def tensor(*numbers: float) -> dict[str, Any]:
    raw = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    return {"dims": [str(len(numbers) // 2), "2"], "dataType": 1, "rawData": raw}


def test_an_onnx_model_takes_and_answers_raw_tensors(onnx_model: Replica) -> None:
    answer = post(onnx_model, {"inputs": {"x": tensor(1, 1, 2, 0)}, "outputFilter": ["variable"]})
    output = answer["outputs"]["variable"]
    assert (output["dims"], output["dataType"]) == (["2", "1"], 1)
    assert struct.unpack("<2f", base64.b64decode(output["rawData"])) == pytest.approx((6.0, 5.0))


def test_an_onnx_model_takes_numbers_and_answers_all_outputs_unasked(onnx_model: Replica) -> None:
    answer = post(onnx_model, {"inputs": {"x": {"dims": [1, 2], "dataType": 1, "floatData": [1, 1]}}})
    assert answer["outputs"].keys() == {"variable"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, 'no object "inputs"'),
        ({"inputs": {"y": tensor(1, 1)}}, "no input 'y'"),
        ({"inputs": {"x": {"dims": ["3"], "dataType": 1, "rawData": "AAAA"}}}, "needs dims"),
        ({"inputs": {"x": {"dims": ["1", "2"], "dataType": 99, "rawData": "AAAA"}}}, "needs dims"),
        ({"inputs": {"x": {"dims": ["1", "2"], "dataType": 1, "rawData": "no base 64"}}}, "needs dims"),
        ({"inputs": {"x": {"dims": ["1"], "dataType": 1, "floatData": [1]}}}, "Invalid rank"),
        ({"inputs": {"x": tensor(1, 1)}, "outputFilter": ["z"]}, "no output 'z'"),
        ({"inputs": {}}, "x"),
    ],
)
def test_tensors_that_do_not_fit_are_400(onnx_model: Replica, body: object, told: str) -> None:
    status, message = post(onnx_model, body)
    assert (status, told in message) == (400, True), message


def test_a_saved_model_without_tensorflow_is_a_clear_end(launch: Serve, directory: Path) -> None:
    (directory / "saved_model.pb").write_bytes(b"")
    (directory / "tensorflow.py").write_text("raise ModuleNotFoundError('No module named tensorflow')")
    replica = launch(None, "--no-code", "auto", "--model-dir", ".", environment={"PYTHONPATH": str(directory)})
    assert replica.wait_exit() == 3
    assert "needs the package tensorflow" in replica.log()


def test_the_bodies_of_tensorflow_serving(serve: Serve, directory: Path) -> None:
    (directory / "net").mkdir()
    (directory / "net" / "saved_model.pb").write_bytes(b"")
    (directory / "tensorflow.py").write_text(TENSORFLOW)
    environment = {"PYTHONPATH": str(directory)}
    replica = serve(None, "--no-code", "tensorflow", "--model-dir", "net", environment=environment)
    assert post(replica, {"instances": [[1, 2], [3, 4]]}) == {"predictions": [3.0, 7.0]}
    assert post(replica, {"instances": [{"x": [1, 2]}]}) == {"predictions": [3.0]}
    assert post(replica, {"inputs": {"x": [[1, 2]]}}) == {"outputs": [3.0]}
    assert post(replica, {"instances": [[1]], "inputs": 1})[0] == 400
    assert "no signature 'other'" in post(replica, {"instances": [[1]], "signature_name": "other"})[1]
    assert post(replica, {"instances": [["a"]]})[0] == 400


MLMODEL = """artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.5.0
model_uuid: 0
"""


def mlflow_directory(directory: Path, text: str = MLMODEL) -> Path:
    model = directory / "model"
    model.mkdir()
    (model / "MLmodel").write_text(text)
    (model / "model.pkl").write_bytes(pickle.dumps(fit()))
    return directory


@pytest.fixture
def without_mlflow(tmp_path: Path) -> dict[str, str]:
    """The environment of an interpreter for which mlflow is not installed."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['mlflow'] = None\n")
    return {"PYTHONPATH": str(tmp_path)}


def test_an_mlflow_directory_with_scikit_learn_needs_no_mlflow(
    serve: Serve, directory: Path, without_mlflow: dict[str, str]
) -> None:
    arguments = ("--no-code", "auto", "--model-dir", str(mlflow_directory(directory)))
    replica = serve(None, *arguments, environment=without_mlflow)
    assert post(replica, {"input_data": {"columns": ["x"], "index": [0, 1], "data": [[0.0], [3.0]]}}) == [0, 1]
    assert post(replica, {"input_data": [[3.0]]}) == [1]
    assert post(replica, {"dataframe_split": {"columns": ["x"], "data": [[3.0]]}}) == [1]
    assert post(replica, {"dataframe_records": [{"x": 0.0}]}) == [0]
    assert post(replica, {"inputs": [[0.0]]}) == [0]
    assert "needs one of input_data" in post(replica, {"rows": []})[1]
    assert post(replica, {"input_data": [[1], [2, 3]]})[0] == 400


@pytest.mark.parametrize("flavour", ["pytorch", "python_function"])
def test_another_mlflow_flavour_without_mlflow_is_a_clear_end(
    launch: Serve, directory: Path, flavour: str, without_mlflow: dict[str, str]
) -> None:
    text = f"flavors:\n  {flavour}:\n    pickled_model: model.pkl\n"
    arguments = ("--no-code", "mlflow", "--model-dir", str(mlflow_directory(directory, text)))
    replica = launch(None, *arguments, environment=without_mlflow)
    assert replica.wait_exit() == 3
    assert "no scikit-learn flavour" in replica.log()


def test_a_scikit_learn_flavour_alone_is_served_also_with_mlflow(serve: Serve, directory: Path) -> None:
    text = "flavors:\n  sklearn:\n    pickled_model: model.pkl\n"
    replica = serve(None, "--no-code", "auto", "--model-dir", str(mlflow_directory(directory, text)))
    assert post(replica, {"input_data": [[3.0]]}) == [1]


def test_a_model_file_outside_of_its_directory_is_not_read(launch: Serve, directory: Path) -> None:
    text = "flavors:\n  sklearn:\n    pickled_model: ../evil.pkl\n"
    (directory / "evil.pkl").write_bytes(pickle.dumps(fit()))
    replica = launch(None, "--no-code", "mlflow", "--model-dir", str(mlflow_directory(directory, text)))
    assert replica.wait_exit() == 3
    assert "outside the model" in replica.log()


@pytest.mark.parametrize(
    ("files", "told"),
    [(["readme.txt"], "does not hold a model that can be served"), (["a.pkl", "b.pkl"], "holds more than one model")],
)
def test_a_directory_without_one_model_is_a_clear_end(
    launch: Serve, directory: Path, files: list[str], told: str
) -> None:
    (directory / "models").mkdir()
    for name in files:
        (directory / "models" / name).write_text("x")
    replica = launch(None, "--no-code", "auto", "--model-dir", str(directory / "models"))
    assert replica.wait_exit() == 3
    assert told in replica.log()


@pytest.mark.parametrize(
    ("flags", "told"),
    [(["--entry-script", "x.py", "--model-dir", "."], "leave --entry-script out"), ([], "needs the model's directory")],
)
def test_options_that_exclude_each_other_are_said(launch: Serve, flags: list[str], told: str) -> None:
    replica = launch(None, "--no-code", "sklearn", *flags)
    assert replica.wait_exit() == 2
    assert replica.process.stdout is not None
    assert told in replica.process.stdout.read().decode()


@pytest.mark.parametrize(
    ("available", "wanted", "chosen"),
    [
        (["Tensorrt", "CUDA", "CPU"], "", ["CUDA", "CPU"]),
        (["Tensorrt", "CUDA", "CPU"], "tensorrt, CUDA", ["Tensorrt", "CUDA", "CPU"]),
        (["OpenVINO", "CPU"], "", ["OpenVINO", "CPU"]),
        (["Azure", "CPU"], "", ["CPU"]),
        (["CUDA", "CPU"], "CPUExecutionProvider", ["CPU"]),
    ],
)
def test_an_onnx_model_uses_the_hardware_that_onnx_runtime_has(
    available: list[str], wanted: str, chosen: list[str]
) -> None:
    found = onnx.providers([f"{name}ExecutionProvider" for name in available], wanted)
    assert found == [f"{name}ExecutionProvider" for name in chosen]


def test_hardware_that_onnx_runtime_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(NoCodeError, match="has CPU, and no 'CUDA'"):
        onnx.providers(["CPUExecutionProvider"], "CUDA")
