"""Warm-up: a sample request before a replica is ready, off for scripts and on for models without one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mljupyter.scoring.open_inference.tensors import BYTES, MOST_SAMPLE, Tensor, TensorError, zeros
from tests.scoring.conftest import Replica
from tests.scoring.replicas import replica_of

Serve = Callable[..., Replica]

SCRIPT = """
import numpy as np
from inference_schema.schema_decorators import input_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType

got = []

def init(): pass

@input_schema("data", NumpyParameterType(np.array([[1.5, 2.5]])))
def run(data):
    got.append(data.tolist())
    return got
"""
ON = {"MLJUPYTER_WARM_UP": "true"}


def answer(replica: Replica) -> Any:
    return replica.client.post("/score", json={"data": [[7.0, 8.0]]}).json()


def test_a_script_that_is_to_be_warmed_up_gets_the_sample_of_its_schema_before_it_is_ready(serve: Serve) -> None:
    replica = serve(SCRIPT, environment={**ON, "AZUREML_LOG_LEVEL": "DEBUG"})
    assert answer(replica) == [[[1.5, 2.5]], [[7.0, 8.0]]]
    replica.wait_log("warm-up: a sample request took")


def test_a_script_is_not_called_before_the_first_request_by_default(serve: Serve) -> None:
    assert answer(serve(SCRIPT)) == [[[7.0, 8.0]]]


def test_workers_that_are_forked_are_warmed_up_each(serve: Serve) -> None:
    replica = serve(SCRIPT, "--preload", environment=ON)
    assert answer(replica) == [[[1.5, 2.5]], [[7.0, 8.0]]]


def test_only_the_first_piece_of_a_sample_answer_is_made(serve: Serve) -> None:
    script = SCRIPT.replace("    return got", "    yield len(got)\n    got.append('second piece')\n    yield got")
    assert answer(serve(script, environment=ON))[-1][:2] == [[[1.5, 2.5]], [[7.0, 8.0]]]


@pytest.mark.parametrize(
    ("script", "environment", "told"),
    [
        (
            SCRIPT.replace(
                "    got.append(", "    if data[0, 0] == 1.5: raise SystemExit('not this one')\n    got.append("
            ),
            {},
            "warm-up: the sample request raised SystemExit: not this one",
        ),
        ("def init(): pass\ndef run(data): return [[[7.0, 8.0]]]\n", {}, "no warm-up: run() has no schema"),
        (SCRIPT, {"AML_MODEL_DC_STORAGE_ENABLED": "true"}, "no warm-up: a sample request would be collected"),
    ],
    ids=["raises", "no schema", "collects data"],
)
def test_a_script_serves_without_a_warm_up_that_fails_and_the_log_says_why(
    serve: Serve, script: str, environment: dict[str, str], told: str
) -> None:
    replica = serve(script, environment={**ON, **environment})
    assert answer(replica) == [[[7.0, 8.0]]]
    replica.wait_log(told)


@pytest.mark.parametrize(("setting", "warmed"), [("", True), ("off", False)])
def test_a_model_without_a_script_is_warmed_up_unless_the_setting_forbids_it(setting: str, warmed: bool) -> None:
    def prepare(directory: Path) -> None:
        from sklearn.preprocessing import FunctionTransformer

        # The built-in `print` is found by its name in the replica, which has no module of this test.
        model = FunctionTransformer(print, validate=True).fit(np.array([[1.0, 2.0]]))
        (directory / "model.pkl").write_bytes(pickle.dumps(model))

    environment: Any = {"MLJUPYTER_WARM_UP": setting}
    with replica_of(None, "--no-code", "auto", "--model-dir", ".", prepare=prepare, **environment) as replica:
        replica.score('{"data": [[7.0, 8.0]], "method": "transform"}')
        replica.wait_log("[[7. 8.]]")
        assert ("[[0. 0.]]" in replica.log()) is warmed


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (Tensor("x", "FP32", (-1, 3)), np.zeros((1, 3), "<f4")),
        (Tensor("x", "BOOL", ()), np.zeros((), "?")),
        (Tensor("x", BYTES, (-1,)), np.array([b""], dtype=object)),
        (Tensor("x", "INT64", (-1,), any_shape=True), np.zeros(1, "<i8")),
    ],
)
def test_a_sample_has_the_type_and_shape_of_the_input_with_one_row(tensor: Tensor, expected: Any) -> None:
    sample = zeros(tensor)
    assert (sample.dtype, sample.shape, sample.tolist()) == (expected.dtype, expected.shape, expected.tolist())


def test_a_sample_that_would_be_huge_is_refused_before_it_is_made() -> None:
    with pytest.raises(TensorError, match="'x' has 10,000,000,000 elements"):
        zeros(Tensor("x", "FP32", (-1, MOST_SAMPLE, 1000)))
