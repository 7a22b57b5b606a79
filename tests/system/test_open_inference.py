"""The Open Inference Protocol through the router, with Triton's own client: keys, versions, counters, errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from mljupyter.spec import EndpointSpec
from tests.system.conftest import Machine
from tests.waiting import wait_until

client = pytest.importorskip("tritonclient.http")
pytestmark = pytest.mark.system
SCRIPT = """
    import os
    import numpy as np
    from inference_schema.schema_decorators import input_schema
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType

    def init():
        pass

    @input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
    @input_schema("text", NumpyParameterType(np.array(["a"], dtype=object)))
    def run(data, text):
        return {"sum": data.sum(axis=1), "text": text, "version": os.environ["SERVICE_VERSION"]}
    """


class Endpoint:
    """An endpoint with keys and two versions, of which the first one gets all requests, and a client of Triton."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        version = {
            "code": machine.code(SCRIPT).document(),
            "interpreter": sys.executable,
            "limits": {"maxBodyBytes": 20_000},
        }
        document = {
            "name": "iris",
            "kind": "AKSENDPOINT",
            "authentication": "key",
            "defaultVersion": "blue",
            "versions": {"blue": {**version, "trafficPercentile": 100}, "green": version},
        }
        record = machine.healthy(EndpointSpec.parse(document))
        self.uri = str(record.status.scoring_uri).removesuffix("/score")
        self.headers = {"Authorization": f"Bearer {machine.client.keys('iris')[0]}"}
        self.client = client.InferenceServerClient(self.uri.removeprefix("http://"))

    def infer(self, binary: bool = True, **others: Any) -> Any:
        data = client.InferInput("data", [2, 2], "FP64")
        data.set_data_from_numpy(np.array([[1.0, 2.0], [3.0, 4.0]]), binary_data=binary)
        text = client.InferInput("text", [2], "BYTES")
        text.set_data_from_numpy(np.array(["ä", "b"], dtype=object), binary_data=binary)
        others["headers"] = dict(others.get("headers", self.headers))  # the client of Triton adds to it
        return self.client.infer("iris", [data, text], **others)


@pytest.fixture(scope="module")
def endpoint(shared_machine: Machine) -> Iterator[Endpoint]:
    started = Endpoint(shared_machine)
    yield started
    started.client.close()


def test_a_client_of_triton_finds_the_endpoint_and_its_versions(endpoint: Endpoint) -> None:
    triton, headers = endpoint.client, endpoint.headers
    assert triton.is_server_live(headers=headers)
    assert triton.is_server_ready(headers=headers)
    assert triton.is_model_ready("iris", headers=headers)
    assert triton.is_model_ready("iris", "green", headers=headers)
    assert triton.get_server_metadata(headers=headers)["name"] == "mljupyter"
    found = triton.get_model_metadata("iris", headers=headers)
    assert found["versions"] == ["blue", "green"]
    assert [(one["name"], one["datatype"], one["shape"]) for one in found["inputs"]] == [
        ("data", "FP64", [-1, 2]),
        ("text", "BYTES", [-1]),
    ]


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_pass_the_router_in_both_forms(endpoint: Endpoint, binary: bool) -> None:
    outputs = [client.InferRequestedOutput(name, binary_data=binary) for name in ("sum", "text")]
    answer = endpoint.infer(binary, outputs=outputs, request_id="a1")
    assert answer.as_numpy("sum").tolist() == [3.0, 7.0]
    assert answer.as_numpy("text").tolist() == (["ä".encode(), b"b"] if binary else ["ä", "b"])
    assert answer.get_response()["id"] == "a1"


def test_a_version_is_named_in_the_path_or_in_the_header(endpoint: Endpoint) -> None:
    def version(**others: Any) -> Any:
        return endpoint.infer(**others).as_numpy("version").tolist()

    assert version() == [b"blue"]
    assert version(model_version="green") == [b"green"]
    assert version(headers={**endpoint.headers, "azureml-model-deployment": "green"}) == [b"green"]
    assert endpoint.infer(model_version="green").get_response()["model_version"] == "green"
    with pytest.raises(client.InferenceServerException, match="has no version 'red'; there is 'blue', 'green'"):
        endpoint.infer(model_version="red")


def test_without_a_key_nothing_is_answered_and_the_reason_is_in_the_form_of_the_protocol(endpoint: Endpoint) -> None:
    assert not endpoint.client.is_server_live()
    with pytest.raises(client.InferenceServerException, match="Send a key of this endpoint in the header") as caught:
        endpoint.infer(headers={})
    assert caught.value.status() == "401"
    for path in ("/v2", "/v2/models/iris", "/v2/models/iris/versions/green", "/v2/anything?x=1"):
        answer = httpx.get(endpoint.uri + path)
        assert (answer.status_code, list(answer.json())) == (401, ["error"])
    assert list(httpx.post(f"{endpoint.uri}/score").json()) == ["code", "message"]


def test_a_body_over_the_limit_is_refused_by_the_router(endpoint: Endpoint) -> None:
    large = client.InferInput("data", [2000, 2], "FP64")
    large.set_data_from_numpy(np.zeros((2000, 2)))
    with pytest.raises(client.InferenceServerException, match="larger than this endpoint's limit") as caught:
        endpoint.client.infer("iris", [large], headers=endpoint.headers)
    assert caught.value.status() == "413"


def test_each_answer_counts_once_for_an_endpoint_with_one_version(shared_machine: Machine) -> None:
    record = shared_machine.healthy(shared_machine.spec("alone", SCRIPT))
    uri = str(record.status.scoring_uri).removesuffix("/score")
    triton = client.InferenceServerClient(uri.removeprefix("http://"))
    assert triton.is_model_ready("alone", "alone")
    with pytest.raises(client.InferenceServerException, match="has no version 'red'; there is 'alone'"):
        triton.infer("alone", [], model_version="red")
    assert not triton.is_model_ready("other")
    for version in ("", "alone"):
        with pytest.raises(client.InferenceServerException, match="lacks the inputs data"):
            triton.infer("alone", [], model_version=version)

    def counted() -> tuple[float, ...]:
        table = shared_machine.client.metrics("alone", since=600, every=1)["versions"]
        return tuple(sum(table[name]) for name in ("requests", "client_errors", "server_errors"))

    wait_until(lambda: counted()[0] >= 5, "the metrics of all answers")
    assert counted() == (5, 4, 0)
