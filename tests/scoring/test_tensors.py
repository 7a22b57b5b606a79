"""Tensors of the Open Inference Protocol: what goes in comes out, and what breaks a rule is refused by a sentence."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from mljupyter.scoring.open_inference.requests import request_of
from mljupyter.scoring.open_inference.results import answer_of, tensors_of
from mljupyter.scoring.open_inference.routes import NotFoundError, is_open_inference, route_of
from mljupyter.scoring.open_inference.tensors import (
    BYTES,
    TYPES,
    Tensor,
    TensorError,
    datatype_of,
    from_binary,
    from_json,
    texts,
    to_binary,
    to_json,
)

SHAPES = numpy_strategies.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
X = Tensor("x", "INT32", (-1, 2))
S = Tensor("s", BYTES, (-1,))


def request(inputs: Any, data: bytes = b"", length: str | None = None, **others: Any) -> Any:
    head = json.dumps({"inputs": inputs, **others}).encode()
    headers = {"Inference-Header-Content-Length": length or str(len(head))} if data or length else {}
    return request_of(headers, head + data, [X, S])


def x(**changed: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "INT32", "shape": [1, 2], "data": [1, 2], **changed}


def binary(size: Any, **changed: Any) -> dict[str, Any]:
    given = x(parameters={"binary_data_size": size}, **changed)
    del given["data"]
    return given


@given(st.data(), st.sampled_from(sorted(TYPES)), SHAPES)
def test_an_array_is_the_same_after_it_was_sent(data: st.DataObject, datatype: str, shape: tuple[int, ...]) -> None:
    kind = np.dtype(TYPES[datatype])
    array = data.draw(numpy_strategies.arrays(kind, shape))
    assert datatype_of(array.dtype) == datatype
    back = from_binary("x", datatype, shape, memoryview(b"." + to_binary(array))[1:])
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable
    written = json.loads(json.dumps(to_json(array)))
    np.testing.assert_array_equal(from_json("x", datatype, shape, written), array)
    if 0 not in shape:
        nested = json.loads(json.dumps(array.tolist()))
        np.testing.assert_array_equal(from_json("x", datatype, shape, nested), array)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_are_the_same_after_they_were_sent(values: list[str]) -> None:
    array = tensors_of({"s": np.array(values, dtype=object)})["s"] if values else np.empty(0, dtype=object)
    shape = (len(values),)
    assert texts("s", from_binary("s", BYTES, shape, memoryview(to_binary(array)))).tolist() == values
    assert from_json("s", BYTES, shape, json.loads(json.dumps(to_json(array)))).tolist() == values


@settings(max_examples=200)
@given(st.binary(), st.one_of(st.none(), st.text(max_size=5)))
def test_any_body_is_a_request_or_refused(body: bytes, length: str | None) -> None:
    headers = {} if length is None else {"Inference-Header-Content-Length": length}
    with pytest.raises(TensorError):
        request_of(headers, body, [X])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["x", "INT32", BYTES]),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=3), part, max_size=2),
    max_leaves=8,
)
NAMES = st.sampled_from(["name", "datatype", "shape", "data", "parameters"])


@settings(max_examples=200)
@given(st.dictionaries(NAMES, JSON), st.binary(max_size=12), JSON)
def test_any_input_is_a_tensor_or_refused(changed: dict[str, Any], data: bytes, size: Any) -> None:
    for one in (x(**changed), binary(size)):
        try:
            found = request([one], data)
        except TensorError as error:
            assert len(str(error)) < 1000
        else:
            assert found.tensors["x"].dtype.kind in "iu"


@pytest.mark.parametrize(
    ("inputs", "data", "reason"),
    [
        ([x(name="y")], b"", "the model has no input 'y'; its inputs: x, s"),
        ([x(datatype="FP32")], b"", "has the datatype FP32; the model takes INT32"),
        ([x(datatype="INT64")], b"", "has the datatype INT64; the model takes INT32"),
        ([x(datatype="BYTES", data=["a", "b"])], b"", "has the datatype BYTES; the model takes INT32"),
        ([x(datatype="BF16")], b"", "has the datatype 'BF16'; there are BOOL, UINT8"),
        ([x(shape=[2])], b"", "has the shape [2]; the model takes [-1, 2]"),
        ([x(shape=[1, 3], data=[1, 2, 3])], b"", "has the shape [1, 3]; the model takes [-1, 2]"),
        ([x(shape=[2, 2])], b"", "has 2 elements; its shape [2, 2] has 4"),
        ([x(shape=[10**15, 2])], b"", "has 2 elements; its shape [1000000000000000, 2] has 2000000000000000"),
        ([x(shape=[10**4000, 2])], b"", "must be a list of whole numbers"),
        ([x(shape=[-1, 2])], b"", "must be a list of whole numbers that are not negative"),
        ([x(shape=[True, 2])], b"", "must be a list of whole numbers"),
        ([x(shape=[1] * 40)], b"", "has 40 dimensions; at most 32 are allowed"),
        ([x(shape=[2, 2], data=[[1, 2], [3]])], b"", "do not have its shape [2, 2]"),
        ([x(shape=[2, 2], data=[[1, 2, 3], [4]])], b"", "do not have its shape [2, 2]"),
        ([x(data=[[[1, 2]]])], b"", "do not have its shape [1, 2]"),
        ([x(data={"a": 1})], b"", "must be a list"),
        ([x(data=[1, 2**31])], b"", "has the element 2147483648; INT32 has -2147483648 to 2147483647"),
        (
            [x(data=[1, 2.5])],
            b"",
            "has elements of the type number with a fraction; the data of INT32 are whole numbers",
        ),
        ([x(data=[1, True])], b"", "has elements of the type boolean"),
        ([x(data=[1, "2"])], b"", "has elements of the type string"),
        ([x(data=[1, None])], b"", "has elements of the type null"),
        ([x(), x()], b"", "two inputs 'x'"),
        ([5], b"", "each input must be an object"),
        ({"x": 1}, b"", 'the request has no list "inputs"'),
        ([binary(8)], b"1234567", "has 8 bytes by its binary_data_size; the body has only 7 left"),
        ([binary(7)], b"1234567", "has 7 bytes of data; INT32 of the shape [1, 2] has 8"),
        ([binary(8)], b"123456789", "the body has 1 bytes after the data of the last input"),
        ([binary(8, shape=[10**9, 2])], b"12345678", "INT32 of the shape [1000000000, 2] has 8000000000"),
        ([binary(-1)], b"", "must be a whole number that is not negative"),
        ([binary("8")], b"12345678", "must be a whole number"),
        ([{**binary(8), "data": [1, 2]}], b"12345678", "has both data and binary_data_size"),
        ([{**x(), "data": None}], b"", "must be a list"),
        ([binary(0, name="s", datatype="BYTES", shape=[1])], b"", "has 0 elements; its shape has 1"),
        ([binary(3, name="s", datatype="BYTES", shape=[1])], b"\1\0\0", "ends in the middle of its element 0"),
        (
            [binary(5, name="s", datatype="BYTES", shape=[1])],
            b"\xff\xff\xff\xffa",
            "ends in the middle of its element 0",
        ),
        ([x(parameters={"shared_memory_region": "r"})], b"", "shared memory is not supported"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_by_name_and_rule(inputs: Any, data: bytes, reason: str) -> None:
    with pytest.raises(TensorError) as caught:
        request(inputs, data)
    assert reason in str(caught.value)


def test_what_belongs_to_the_request_is_checked() -> None:
    for others, reason in (
        ({"id": 5}, "the id of the request must be a string"),
        ({"parameters": []}, "the parameters of the request must be an object"),
        ({"parameters": {"binary_data_output": "yes"}}, "binary_data_output must be true or false"),
        ({"outputs": ["y"]}, "must be a list of objects with a name"),
        ({"outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "classification is not supported"),
    ):
        with pytest.raises(TensorError, match=reason):
            request([x()], **others)
    for length in ("-1", "1000", "ten", "9" * 5000):
        with pytest.raises(TensorError, match="must be the length of the JSON at the beginning of the body"):
            request([x()], length=length)


def test_a_datatype_is_taken_if_the_models_has_all_its_values() -> None:
    for datatype in ("INT8", "UINT8", "INT16", "UINT16"):
        assert request([x(datatype=datatype)]).tensors["x"].tolist() == [[1, 2]]
    with pytest.raises(TensorError, match="UINT32"):
        request([x(datatype="UINT32")])


def test_a_shape_alone_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        for one in (x(shape=[2**61, 2]), binary(8, shape=[2**61, 2]), x(shape=[0, 2**61], data=[])):
            with pytest.raises(TensorError):
                request([one], b"12345678" if "parameters" in one else b"")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_results_become_tensors_of_their_own_types() -> None:
    import pandas as pd

    def described(result: Any, **others: Any) -> Any:
        asked = request([x()], **others)
        body, headers = answer_of(tensors_of(result), asked, [], {"model": "m", "version": "1"})
        assert headers == []
        return [(one["name"], one["datatype"], one["shape"], one["data"]) for one in json.loads(body)["outputs"]]

    for result, expected in (
        ([1, 2], ("output", "INT64", [2], [1, 2])),
        ([[1, 2.5]], ("output", "FP64", [1, 2], [1, 2.5])),
        ((True,), ("output", "BOOL", [1], [True])),
        ("ä", ("output", "BYTES", [1], ["ä"])),
        (["a", None], ("output", "BYTES", [2], ["a", ""])),
        (7, ("output", "INT64", [1], [7])),
        ([2**63], ("output", "UINT64", [1], [2**63])),
        ([2**70], ("output", "BYTES", [1], [str(2**70)])),
        ([], ("output", "FP64", [0], [])),
        ([[1], [2, 3]], ("output", "BYTES", [2], ["[1]", "[2, 3]"])),
        ([{"a": 1}, {"b": 2}], ("output", "BYTES", [2], ['{"a": 1}', '{"b": 2}'])),
        (np.float32([1]), ("output", "FP32", [1], [1.0])),
        ([np.float32(1.5), 2], ("output", "FP64", [2], [1.5, 2])),
        ([np.array([1, 2]), np.array([3, 4])], ("output", "INT64", [2, 2], [1, 2, 3, 4])),
        (np.array(["a", "bc"]), ("output", "BYTES", [2], ["a", "bc"])),
        (np.array("2026-01-02", dtype="M8[D]"), ("output", "BYTES", [1], ["2026-01-02"])),
        (pd.Series(["a", None]), ("output", "BYTES", [2], ["a", ""])),
        (pd.Series([1, 2], dtype="Int64"), ("output", "INT64", [2], [1, 2])),
        ({"y": [1.0]}, ("y", "FP64", [1], [1.0])),
        ([{"y": 1}, {"y": 2}], ("y", "INT64", [2], [1, 2])),
        (pd.DataFrame({"y": [1, 2]}), ("y", "INT64", [2], [1, 2])),
    ):
        assert described(result) == [expected]
    assert described(None) == []
    assert [one[0] for one in described({"a": 1, "b": 2}, outputs=[{"name": "b"}])] == ["b"]
    with pytest.raises(TensorError, match="no output 'c'; its outputs: a, b"):
        described({"a": 1, "b": 2}, outputs=[{"name": "c"}])


def test_paths_lead_to_what_they_name() -> None:
    for path, expected in (
        ("/v2", ("server", "", "")),
        ("/v2/", ("server", "", "")),
        ("/v2/health/ready", ("ready", "", "")),
        ("/v2/models/iris", ("model", "iris", "")),
        ("/v2/models/iris/versions/1", ("model", "iris", "1")),
        ("/v2/models/iris/versions/1/ready", ("model-ready", "iris", "1")),
        ("/v2/models/iris/infer", ("infer", "iris", "")),
    ):
        assert is_open_inference(path)
        assert tuple(route_of(path)) == expected
    for path in ("/v2//", "/v2/models", "/v2/models/", "/v2/models//infer", "/v2/models/a/b", "/v2/models/a/versions"):
        with pytest.raises(NotFoundError, match="the paths of the Open Inference Protocol are"):
            route_of(path)
    assert not is_open_inference("/v2x")
