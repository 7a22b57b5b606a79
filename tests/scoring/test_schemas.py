"""Scripts with named parameters and with the decorators of inference-schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.scoring.conftest import Replica
from tests.scoring.replicas import replica_of

Serve = Callable[..., Replica]

DECORATED = """
import numpy as np, pandas as pd
from inference_schema.schema_decorators import input_schema, output_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

def init(): pass

@input_schema("scale", StandardPythonParameterType(2.5), optional=True)
@input_schema("frame", PandasParameterType(pd.DataFrame({"a": [1], "b": ["x"]})))
@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
@output_schema(NumpyParameterType(np.array([1.0])))
def run(data, frame, scale=1.0):
    return {"kind": type(data).__name__, "dtype": str(data.dtype), "sums": (data.sum(axis=1) * scale).tolist(),
            "columns": list(frame.columns), "frame": type(frame).__name__}
"""

POWER_BI = """
import numpy as np
from inference_schema.schema_decorators import input_schema, output_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
import pandas as pd

def init(): pass

@input_schema("Inputs", StandardPythonParameterType(
    {"data": PandasParameterType(pd.DataFrame({"x": [1.0], "y": [2.0]}), enforce_shape=False)}))
@input_schema("GlobalParameters", StandardPythonParameterType(1.0))
@output_schema(StandardPythonParameterType({"Results": [1.0]}))
def run(Inputs, GlobalParameters):
    frame = Inputs["data"]
    return {"Results": (frame["x"] * GlobalParameters + frame["y"]).tolist()}
"""

NAMED = "def init(): pass\ndef run(a, b, c=3, request_headers=None):\n    return [a, b, c, 'Host' in request_headers]\n"


@pytest.fixture(scope="module")
def decorated() -> Iterator[Replica]:
    with replica_of(DECORATED) as replica:
        yield replica


def post(replica: Replica, body: Any, content_type: str | None = "application/json") -> Any:
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    headers = {"content-type": content_type} if content_type else {}
    return replica.client.post("/score", content=content, headers=headers)


GOOD = {"data": [[1, 2], [3, 4]], "frame": [{"a": 1, "b": "x"}]}


def test_parameters_arrive_converted_and_optional_ones_may_be_left_out(decorated: Replica) -> None:
    answer = post(decorated, GOOD)
    assert answer.json() == {
        "kind": "ndarray",
        "dtype": "float64",
        "sums": [3.0, 7.0],
        "columns": ["a", "b"],
        "frame": "DataFrame",
    }
    assert post(decorated, {**GOOD, "scale": 10}).json()["sums"] == [30.0, 70.0]


def test_members_beyond_the_parameters_are_ignored(decorated: Replica) -> None:
    assert post(decorated, {**GOOD, "other": 1}).status_code == 200


def test_a_query_gives_the_parameters_of_a_get_request(decorated: Replica) -> None:
    query = {"data": "[[1,2]]", "frame": '[{"a":1,"b":"x"}]', "scale": "2.0"}
    assert decorated.client.get("/score", params=query).json()["sums"] == [6.0]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json"])
def test_every_json_content_type_is_taken(decorated: Replica, kind: str) -> None:
    assert post(decorated, GOOD, kind).status_code == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/octet-stream", "text/json", "image/x+json"])
def test_any_other_content_type_is_415(decorated: Replica, kind: str | None) -> None:
    answer = post(decorated, GOOD, kind)
    assert answer.status_code == 415
    assert "application/json" in answer.json()["message"]
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "empty"),
        ("{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("[1]", "is a list; send an object"),
        ('"text"', "is a string;"),
        ("7", "is a number;"),
        ("null", "is null;"),
        ("true", "is true;"),
        ("[" * 100_000, "not JSON"),
        ({"frame": []}, "'data'"),
    ],
)
def test_a_body_that_does_not_hold_the_parameters_is_400(decorated: Replica, body: Any, told: str) -> None:
    answer = post(decorated, body)
    assert answer.status_code == 400
    assert told in answer.json()["message"]
    assert "x-ms-run-fn-exec-ms" not in answer.headers


@pytest.mark.parametrize("data", [[[1, 2, 3]], [1, 2], "text", [["a", "b"]]])
def test_data_of_another_shape_or_type_is_a_500_without_details(decorated: Replica, data: Any) -> None:
    answer = post(decorated, {**GOOD, "data": data})
    assert answer.status_code == 500
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert "dimension" not in answer.text


def test_a_single_numpy_parameter_and_the_dict_of_power_bi(serve: Serve) -> None:
    replica = serve(POWER_BI)
    body = {"Inputs": {"data": [{"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 4.0}]}, "GlobalParameters": 2.0}
    assert post(replica, body).json() == {"Results": [4.0, 10.0]}
    properties = replica.client.get("/swagger.json").json()["definitions"]["ServiceInput"]["properties"]
    assert properties.keys() == {"Inputs", "GlobalParameters"}


def test_several_parameters_without_a_schema_come_from_the_json_object(serve: Serve) -> None:
    replica = serve(NAMED)
    assert post(replica, {"a": 1, "b": [2]}).json() == [1, [2], 3, True]
    assert replica.client.get("/score?a=1&b=x&c=[]").json() == [1, "x", [], True]
    assert post(replica, {"a": 1}).status_code == 400
    assert post(replica, {"a": 1, "b": 2}, "text/plain").status_code == 415


def test_the_run_behind_a_driver_module_is_called(serve: Serve) -> None:
    script = """
    import types
    driver_module = types.ModuleType("real")
    exec("def run(data):\\n    return 'real ' + data", driver_module.__dict__)
    def init(): pass
    def run(data): return driver_module.run(data, 'wrong')
    """
    assert serve(script).score("x").json() == "real x"


def test_the_schema_is_in_the_swagger_documents(decorated: Replica) -> None:
    old = decorated.client.get("/swagger.json").json()
    new = decorated.client.get("/swagger.json?version=3").json()
    for schemas in (old["definitions"], new["components"]["schemas"]):
        assert schemas["ServiceInput"]["properties"]["data"]["format"] == "numpy.ndarray"
        assert schemas["ServiceInput"]["properties"]["frame"]["format"] == "pandas.DataFrame:records"
        assert schemas["ServiceInput"]["example"]["data"] == [[1.0, 2.0]]
        assert schemas["ServiceOutput"]["example"] == [1.0]
    body = new["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/ServiceInput"}
    assert post(decorated, new["components"]["schemas"]["ServiceInput"]["example"]).status_code == 200


def test_the_document_names_the_service_as_its_client_reaches_it(serve: Serve) -> None:
    replica = serve(environment={"SERVICE_NAME": "wine", "SERVICE_VERSION": "blue"})
    direct = replica.client.get("/swagger.json").json()
    assert list(direct["paths"]) == ["/", "/score", "/swagger.json"]
    assert (direct["info"]["version"], direct["schemes"]) == ("blue", ["http"])
    routed = {"x-mlj-base": "/api/v1/service/wine", "x-forwarded-proto": "https"}
    behind = replica.client.get("/swagger.json", headers=routed).json()
    prefix = "/api/v1/service/wine"
    assert list(behind["paths"]) == [f"{prefix}/", f"{prefix}/score", f"{prefix}/swagger.json"]
    assert (behind["info"]["title"], behind["info"]["version"], behind["schemes"]) == ("wine", "1.0", ["https"])
    assert behind["paths"][f"{prefix}/score"]["post"]["security"] == [{"Bearer": []}]
    own_port = replica.client.get("/swagger.json", headers={"x-mlj-base": "/"}).json()
    assert (list(own_port["paths"]), own_port["info"]["version"]) == (["/", "/score", "/swagger.json"], "1.0")


def test_a_schema_that_swagger_2_cannot_say_is_404_there(serve: Serve) -> None:
    replica = serve(
        """
        from inference_schema.schema_decorators import input_schema
        from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
        def init(): pass
        @input_schema("data", StandardPythonParameterType([1, "mixed"]))
        def run(data): return data
        """
    )
    answer = replica.client.get("/swagger.json")
    assert (answer.status_code, "3.0, 3.1" in answer.json()["message"]) == (404, True)
    assert replica.client.get("/swagger.json?version=3.1").json()["openapi"] == "3.1.0"


def test_the_users_swagger_files_take_the_place_of_ours(serve: Serve, directory: Any) -> None:
    (directory / "swagger2.json").write_text('{"mine": 2}')
    (directory / "swagger3.json").write_text('{"mine": 3}')
    replica = serve(environment={"SERVICE_NAME": "wine", "SERVICE_VERSION": "7", "SERVICE_PATH_PREFIX": "/a/b/"})
    assert replica.client.get("/swagger.json").json() == {"mine": 2}
    assert replica.client.get("/swagger.json?version=3.0").json() == {"mine": 3}
    generated = replica.client.get("/swagger.json?version=3.1").json()
    assert generated["info"]["title"] == "wine"
    assert generated["info"]["version"] == "7"
    assert "/a/b/score" in generated["paths"]
    assert generated["security"] == [{"Bearer": []}]
    (directory / "swagger.json").write_text('{"mine": "first"}')
    assert replica.client.get("/swagger.json?version=2").json() == {"mine": "first"}
    (directory / "swagger.json").write_text("{")
    assert replica.client.get("/swagger.json").status_code == 404
