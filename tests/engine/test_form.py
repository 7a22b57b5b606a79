"""The form of a request: fields from the description of an API, and the request from what was typed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mljupyter.engine.requests.form import WHOLE, example_request, form_of

FRAME = {"data": [{"age": 1.5, "sex": "f", "ok": True, "note": None}, {"age": 2.0, "sex": "m", "ok": False, "note": 1}]}


def described(example: Any, place: str = "definitions") -> dict[str, Any]:
    """Return a description in swagger 2.0, or in OpenAPI 3, with an example of the request."""
    schemas = {"ServiceInput": {"type": "object", "example": example}}
    return {place: schemas} if place == "definitions" else {"components": {"schemas": schemas}}


@pytest.mark.parametrize("place", ["definitions", "components"])
def test_there_is_a_field_for_each_column_with_the_value_of_the_example(place: str) -> None:
    form = form_of(described(FRAME, place))
    assert [(field.label, field.kind, field.value) for field in form.fields] == [
        ("age", "number", "1.5"),
        ("sex", "text", "f"),
        ("ok", "boolean", "true"),
        ("note", "json", "null"),
    ]
    body, errors = form.body({})
    assert (json.loads(body), errors) == ({"data": FRAME["data"][:1]}, {})


def test_columns_of_an_array_are_numbered_and_equal_names_have_their_place() -> None:
    assert [field.label for field in form_of(described({"data": [[0.0, 1.0]]})).fields] == ["column 1", "column 2"]
    form = form_of(described({"data": [{"x": 1}], "parameters": {"x": 2}}))
    assert [field.label for field in form.fields] == ["data 0 x", "parameters x"]


def test_typed_values_are_put_in_their_places_with_their_types() -> None:
    form = form_of(described(FRAME))
    age, sex, ok, note = (field.key for field in form.fields)
    body, errors = form.body({age: "7", sex: "12", ok: "false", note: "[1]"})
    assert (json.loads(body), errors) == ({"data": [{"age": 7, "sex": "12", "ok": False, "note": [1]}]}, {})


def test_all_wrong_values_are_told_by_name_and_nothing_is_sent() -> None:
    form = form_of(described(FRAME))
    typed = dict.fromkeys((field.key for field in form.fields), "x]")
    assert form.body(typed) == (
        "",
        {"age": "it must be a number", "ok": "it must be true or false", "note": "it must be JSON"},
    )
    assert form.body({form.fields[0].key: "NaN"})[1] == {"age": "it must be a number"}


@pytest.mark.parametrize("description", [{}, {"definitions": {"ServiceInput": {}}}, described({"data": [[0] * 500]})])
def test_without_an_example_or_with_very_many_values_the_request_is_one_field(description: dict[str, Any]) -> None:
    form = form_of(description)
    (field,) = form.fields
    assert (field.key, field.kind) == (WHOLE, "json")
    assert json.loads(form.body({})[0]) == json.loads(field.value)
    assert json.loads(form.body({WHOLE: '{"a": 1}'})[0]) == {"a": 1}


@pytest.mark.parametrize(
    ("example", "first"),
    [
        ({"data": [[1, 2], [3, 4]]}, {"data": [[1, 2]]}),
        (FRAME, {"data": FRAME["data"][:1]}),
        ({"data": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}, {"data": [[[1, 2], [3, 4]]]}),  # rows with a shape
        ({"data": [{"tags": [["a"], ["b"]]}, {"tags": []}]}, {"data": [{"tags": [["a"], ["b"]]}]}),
        ({"Inputs": {"data": [[1], [2]]}, "method": "predict"}, {"Inputs": {"data": [[1]]}, "method": "predict"}),
        # MLflow's "split": the index belongs to the rows, the names of columns do not.
        (
            {"columns": ["a", "b"], "index": [0, 1], "data": [[1, 2], [3, 4]]},
            {"columns": ["a", "b"], "index": [0], "data": [[1, 2]]},
        ),
        ({"data": [[1], [2]], "weights": [1, 2]}, {"data": [[1], [2]], "weights": [1, 2]}),  # they may belong together
        ({"data": [[float("nan"), 1]]}, {"data": [[None, 1]]}),
        ("a", "a"),
    ],
)
def test_the_request_of_an_example_is_its_first_row_whole_and_as_json(example: Any, first: Any) -> None:
    assert json.loads(str(example_request(described(example))), parse_constant=pytest.fail) == first
    assert json.loads(form_of(described(example)).body({})[0], parse_constant=pytest.fail) == first


@pytest.mark.parametrize("description", [{}, described({}), {"definitions": []}, {"definitions": {"ServiceInput": 1}}])
def test_a_description_without_an_example_gives_no_request(description: dict[str, Any]) -> None:
    assert example_request(description) is None
