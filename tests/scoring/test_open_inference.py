"""The Open Inference Protocol of a replica: metadata, inference and errors, with the requests of Triton's client."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mljupyter.scoring.open_inference.tensors import TYPES
from tests.scoring.conftest import Replica
from tests.scoring.replicas import replica_of
from tests.waiting import wait_until

client = pytest.importorskip("tritonclient.http")

SCRIPT = """
import os, time
import numpy as np, pandas as pd
from inference_schema.schema_decorators import input_schema, output_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

FRAME = pd.DataFrame({"n": [1], "text": ["x"], "kind": pd.Categorical(["a"], ["a", "b"]),
                      "day": pd.to_datetime(["2026-01-02"]), "ok": [True]})

def init(): pass

@input_schema("scale", StandardPythonParameterType(2.5), optional=True)
@input_schema("frame", PandasParameterType(FRAME))
@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
@output_schema(NumpyParameterType(np.array([1.0])))
def run(data, frame, scale=1.0):
    if scale < 0:
        raise ValueError("secret")
    while scale == 600 and not os.path.exists("go"):
        time.sleep(0.01)
    assert data.dtype == "float64" and list(frame.columns) == list(FRAME.columns)
    assert frame.dtypes.to_dict() == FRAME.dtypes.to_dict(), frame.dtypes
    data += 0  # arrays are the script's own
    return (data.sum(axis=1) * scale + frame["n"] + frame["day"].dt.day).tolist()
"""

BATCHED = """
import numpy as np
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
batching = True
def init(): pass

@input_schema("data", NumpyParameterType(np.array([[1.0]])))
def run(data):
    return {"slow": 1} if data[0, 0] < 0 else (data[:, 0] * 2).tolist()
"""

NESTED = """
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from mljupyter.scoring.shims.aml_response import AMLResponse
import pandas as pd

def init(): pass

@input_schema("Inputs", StandardPythonParameterType(
    {"data": PandasParameterType(pd.DataFrame({"x": [1.0], "y": ["a"]}), enforce_shape=False)}))
@input_schema("method", StandardPythonParameterType("predict"))
def run(Inputs, method, request_headers):
    if method == "refuse":
        return AMLResponse({"message": "not like this"}, 422, json_str=True)
    frame = Inputs["data"]
    return {"Results": (frame["x"] * 2).tolist(), "method": method, "agent": request_headers["X-Agent"]}
"""


def tensor(name: str, datatype: str, values: Any, binary: bool = True) -> Any:
    array = np.array(values, dtype=object if datatype == "BYTES" else None)
    one = client.InferInput(name, list(array.shape), datatype)
    kind = object if datatype == "BYTES" else TYPES[datatype]
    return one.set_data_from_numpy(array.astype(kind), binary_data=binary)


def post(replica: Replica, path: str, inputs: list[Any], **others: Any) -> httpx.Response:
    body, length = client.InferenceServerClient.generate_request_body(inputs, **others)
    headers = {} if length is None else {"Inference-Header-Content-Length": str(length)}
    return replica.client.post(path, content=bytes(body), headers={"x-agent": "t", **headers})


def infer(replica: Replica, inputs: list[Any], path: str = "/v2/models/iris/infer", **others: Any) -> Any:
    answer = post(replica, path, inputs, **others)
    assert answer.status_code == 200, answer.text
    length = answer.headers.get("inference-header-content-length")
    return client.InferenceServerClient.parse_response_body(answer.content, header_length=length and int(length))


def error(replica: Replica, inputs: list[Any], status: int = 400, **others: Any) -> str:
    answer = post(replica, "/v2/models/iris/infer", inputs, **others)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["error"])


@pytest.fixture(scope="module")
def replica() -> Iterator[Replica]:
    with replica_of(SCRIPT, "--max-body-bytes", "10000", SERVICE_NAME="iris", SERVICE_VERSION="blue") as started:
        yield started


def table(binary: bool = True, **changed: Any) -> list[Any]:
    columns = {
        "data": ("FP64", [[1.0, 2.0], [3.0, 4.0]]),
        "n": ("INT64", [10, 20]),
        "text": ("BYTES", ["ä", ""]),
        "kind": ("BYTES", ["a", "b"]),
        "day": ("BYTES", ["2026-03-01", "2026-03-02T10:00:00"]),
        "ok": ("BOOL", [True, False]),
    }
    return [tensor(name, *value, binary) for name, value in {**columns, **changed}.items() if value is not None]


def test_the_metadata_name_each_column_and_array(replica: Replica) -> None:
    assert replica.client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/models/iris", "/v2/models/iris/versions/blue"):
        found = replica.client.get(path).json()
        assert (found["name"], found["versions"]) == ("iris", ["blue"])
        assert [tuple(one.values()) for one in found["inputs"]] == [
            ("data", "FP64", [-1, 2]),
            ("n", "INT64", [-1]),
            ("text", "BYTES", [-1]),
            ("kind", "BYTES", [-1]),
            ("day", "BYTES", [-1]),
            ("ok", "BOOL", [-1]),
            ("scale", "FP64", [1]),
        ]
        assert found["outputs"] == [{"name": "output", "datatype": "FP64", "shape": [-1]}]


def test_health_is_that_of_the_replica(replica: Replica) -> None:
    assert replica.client.get("/v2/health/live").json() == {"live": True}
    assert replica.client.get("/v2/health/ready").json() == {"ready": True}
    assert replica.client.get("/v2/models/iris/versions/blue/ready").json() == {"name": "iris", "ready": True}


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_reach_run_as_its_schema_says_and_its_result_returns_as_one(replica: Replica, binary: bool) -> None:
    outputs = [client.InferRequestedOutput("output", binary_data=binary)]
    for asked in (outputs, None):
        answer = infer(replica, table(binary), request_id="a1", outputs=asked)
        assert answer.as_numpy("output").tolist() == [14.0, 29.0]
        assert (answer.get_response()["id"], answer.get_response()["model_version"]) == ("a1", "blue")
    assert infer(replica, [*table(), tensor("scale", "FP32", [2.0])]).as_numpy("output").tolist() == [17.0, 36.0]
    assert infer(replica, table(), parameters={"scale": 2.0}).as_numpy("output").tolist() == [17.0, 36.0]
    assert infer(replica, table(n=("INT32", [[10], [20]]))).as_numpy("output").tolist() == [14.0, 29.0]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"n": None, "ok": None}, "lacks the inputs n, ok"),
        ({"data": None}, "lacks the inputs data"),
        ({"n": ("INT64", [1])}, "'n' and 'text' have 1 and 2 rows"),
        ({"text": ("BYTES", [b"\xff", b""])}, "'text' has an element that is not UTF-8"),
        ({"kind": ("BYTES", ["a", "c"])}, "'kind' has the unknown category 'c'; there are a, b"),
        ({"day": ("BYTES", ["now then", ""])}, "'day' cannot become a column of the type datetime64"),
        ({"day": ("BYTES", ["2026-01-02T00:00Z", ""])}, "has a time zone"),
        ({"other": ("INT64", [1])}, "no input 'other'; its inputs: data, n, text, kind, day, ok, scale"),
        ({"scale": ("FP64", [1.0, 2.0])}, "'scale' has 2 elements; the model takes one"),
    ],
)
def test_tables_that_do_not_fit_are_refused_by_column_and_reason(
    replica: Replica, changed: dict[str, Any], reason: str
) -> None:
    assert reason in error(replica, table(**changed))


def test_what_is_not_there_is_not_found_and_the_answer_says_what_is(replica: Replica) -> None:
    for path, reason in (
        ("/v2/models/other/infer", "there is no model 'other' here; the model is 'iris'"),
        ("/v2/models/iris/versions/green/infer", "the model 'iris' has no version 'green'; there is 'blue'"),
        ("/v2/repository/index", "there is no /v2/repository/index; the paths"),
    ):
        answer = replica.client.post(path, content=b"{}")
        assert answer.status_code == 404
        assert reason in answer.json()["error"]
    answer = replica.client.get("/v2/models/iris/infer")
    assert (answer.status_code, answer.headers["allow"], list(answer.json())) == (405, "POST, OPTIONS", ["error"])


def test_a_run_that_raises_is_counted_once_and_its_text_stays_in_the_log(replica: Replica) -> None:
    before = replica.state()
    text = error(replica, [*table(), tensor("scale", "FP64", [-1.0])], status=500)
    assert text == "run() of the scoring script raised ValueError; the service's log has the traceback"
    infer(replica, table())
    after = replica.state()
    assert (after["failed"] - before["failed"], after["completed"] - before["completed"]) == (1, 1)
    replica.wait_log("ValueError: secret")


def test_an_output_that_there_is_not_is_refused(replica: Replica) -> None:
    outputs = [client.InferRequestedOutput("other")]
    assert error(replica, table(), outputs=outputs) == "the model has no output 'other'; its outputs: output"


def test_large_and_compressed_bodies_have_the_limits_of_other_requests(replica: Replica) -> None:
    many = [tensor("data", "FP64", [[1.0, 2.0]] * 1000)]
    assert "at most 10000 are allowed" in error(replica, many, status=413)
    for inputs, status in ((many, 413), (table(), 200)):
        body, length = client.InferenceServerClient.generate_request_body(inputs)
        headers = {"Inference-Header-Content-Length": str(length), "content-encoding": "gzip"}
        answer = replica.client.post("/v2/models/iris/infer", content=gzip.compress(bytes(body)), headers=headers)
        assert answer.status_code == status
        assert status == 200 or list(answer.json()) == ["error"]


def test_health_and_metadata_do_not_wait_for_run(replica: Replica) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(infer, replica, [*table(), tensor("scale", "FP64", [600.0])])
        try:
            wait_until(lambda: running.done() or replica.state()["running"] == 1, "the request")
            assert replica.client.get("/v2/health/ready").json() == {"ready": True}
            assert replica.client.get("/v2/models/iris").json()["platform"] == "python"
        finally:
            (replica.directory / "go").touch()
        assert running.result().as_numpy("output").tolist()[0] == 1811.0


def test_requests_of_both_kinds_share_a_batch_and_each_gets_its_own_rows() -> None:
    with replica_of(BATCHED, SERVICE_NAME="iris") as batched:

        def one(number: int) -> Any:
            if number % 2:
                body = json.dumps({"data": [[number]]})
                return batched.score(body, content_type="application/json").json()
            return infer(batched, [tensor("data", "FP64", [[float(number)]])]).as_numpy("output").tolist()

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(one, range(40))) == [[number * 2.0] for number in range(40)]
        answer = infer(batched, [tensor("data", "FP64", [[-1.0]])])
        assert answer.as_numpy("slow").tolist() == [1]
        assert "the request lacks the inputs data" in error(batched, [])


def test_nested_parameters_headers_and_responses_of_the_script_work() -> None:
    with replica_of(NESTED, SERVICE_NAME="iris") as nested:
        names = [one["name"] for one in nested.client.get("/v2/models/iris").json()["inputs"]]
        assert names == ["x", "y", "method"]
        frame = [tensor("x", "FP64", [1.5]), tensor("y", "BYTES", ["a"])]
        found = infer(nested, [*frame, tensor("method", "BYTES", ["predict"])])
        assert [found.as_numpy(name).tolist() for name in ("Results", "method", "agent")] == [
            [3.0],
            [b"predict"],
            [b"t"],
        ]
        assert error(nested, frame, parameters={"method": "refuse"}, status=422) == "not like this"
        assert "lacks the inputs method" in error(nested, frame)


def test_a_script_without_a_schema_says_how_to_add_one() -> None:
    script = "batching = True\ndef init(): pass\ndef run(data): return data\n"
    with replica_of(script, SERVICE_NAME="iris") as plain:
        assert plain.client.get("/v2/models/iris/ready").json()["ready"] is True
        answer = plain.client.get("/v2/models/iris")
        assert answer.status_code == 400
        assert "decorate run() with @input_schema" in answer.json()["error"]
        assert "the scoring script has no schema" in error(plain, [tensor("x", "FP64", [1.0])])
        assert plain.score("[1]").json() == "[1]"


@pytest.fixture(scope="module")
def sklearn_model() -> Iterator[Replica]:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    def prepare(directory: Path) -> None:
        frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1, 0, 1, 0]})
        (directory / "models").mkdir()
        model = LogisticRegression().fit(frame, ["low", "low", "high", "high"])
        (directory / "models/model.pkl").write_bytes(pickle.dumps(model))

    with replica_of(
        None, "--no-code", "auto", "--model-dir", "models", prepare=prepare, SERVICE_NAME="iris"
    ) as started:
        yield started


def test_a_scikit_learn_model_without_a_script_takes_a_matrix_or_columns(sklearn_model: Replica) -> None:
    found = sklearn_model.client.get("/v2/models/iris").json()
    assert [(one["name"], one["shape"]) for one in found["inputs"]] == [("input", [-1, 2]), ("a", [-1]), ("b", [-1])]
    assert [(one["name"], one["datatype"]) for one in found["outputs"]][:2] == [
        ("predict", "BYTES"),
        ("predict_proba", "FP64"),
    ]
    matrix = tensor("input", "FP32", [[0.0, 1.0], [3.0, 0.0]])
    assert infer(sklearn_model, [matrix]).as_numpy("predict").tolist() == [b"low", b"high"]
    columns = [tensor("b", "INT64", [1, 0]), tensor("a", "FP64", [0.0, 3.0])]
    asked = [client.InferRequestedOutput(name) for name in ("predict_proba", "predict")]
    answer = infer(sklearn_model, columns, outputs=asked)
    assert answer.as_numpy("predict").tolist() == [b"low", b"high"]
    assert answer.as_numpy("predict_proba").shape == (2, 2)
    assert "lacks the inputs a, or the input 'input' alone" in error(sklearn_model, columns[:1])
    asked = [client.InferRequestedOutput("score_samples")]
    assert "no output 'score_samples'" in error(sklearn_model, [matrix], outputs=asked)
    assert "the model takes [-1, 2]" in error(sklearn_model, [tensor("input", "FP64", [[1.0]])])
    assert sklearn_model.score('{"data": [[0, 1]], "method": "predict"}').json() == {"result": ["low"]}


def test_an_onnx_model_without_a_script_has_its_own_tensors() -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper

    def prepare(directory: Path) -> None:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
        name = helper.make_tensor_value_info("name", TensorProto.STRING, [None])
        outputs = [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2]),
            helper.make_tensor_value_info("same", TensorProto.STRING, [None]),
        ]
        nodes = [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("Identity", ["name"], ["same"])]
        graph = helper.make_graph(nodes, "g", [x, name], outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (directory / "models").mkdir()
        onnx.save(model, directory / "models/model.onnx")

    with replica_of(
        None, "--no-code", "auto", "--model-dir", "models", prepare=prepare, SERVICE_NAME="iris"
    ) as started:
        found = started.client.get("/v2/models/iris").json()
        assert found["platform"] == "onnxruntime_onnx"
        assert found["inputs"] == [
            {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "name", "datatype": "BYTES", "shape": [-1]},
        ]
        inputs = [tensor("x", "FP32", [[1.0, 2.0]]), tensor("name", "BYTES", ["ä"])]
        answer = infer(started, inputs)
        assert answer.as_numpy("y").tolist() == [[2.0, 4.0]]
        assert answer.as_numpy("y").dtype == "float32"
        assert answer.as_numpy("same").tolist() == ["ä".encode()]
        only = infer(started, inputs, outputs=[client.InferRequestedOutput("y", binary_data=False)])
        assert only.get_output("same") is None
        assert "lacks the inputs name" in error(started, inputs[:1])
