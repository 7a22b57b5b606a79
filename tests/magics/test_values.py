"""What DATA stands for: JSON, variables, expressions, files."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mljupyter.magics.commands.values import body_of
from mljupyter.notebook.options.option_values import WrongInputError

FRAME = pd.DataFrame({"age": [1.0, 2.0], "sex": [0.5, 0.25]})
WAY_OUT = "\nConvert it to numbers, strings, lists or dicts first."


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ({"data": [[1, 2]]}, {"data": [[1, 2]]}),
        ([1, 2], [1, 2]),
        (np.array([[1, 2], [3, 4]]), {"data": [[1, 2], [3, 4]]}),
        (np.float32(0.5), 0.5),
        ({"data": np.array([1, 2])}, {"data": [1, 2]}),
        (FRAME, {"data": [[1.0, 0.5], [2.0, 0.25]]}),
        (FRAME.iloc[0], {"data": [[1.0, 0.5]]}),
        ({"day": datetime.date(2026, 1, 2)}, {"day": "2026-01-02"}),
        (np.array([[np.nan, 1]]), {"data": [[None, 1]]}),
        (b'{"a": 1}', {"a": 1}),
        ('{"a": 1}', {"a": 1}),
    ],
)
def test_a_variable_becomes_the_json_a_scoring_script_expects(value: Any, body: Any) -> None:
    assert json.loads(body_of("rows", {"rows": value})) == body


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ('{"data": [1]}', {"data": [1]}),
        ("5", 5),
        ("frame[:1]", {"data": [[1.0, 0.5]]}),
        ("frame.head(1)", {"data": [[1.0, 0.5]]}),
        ("rows['x']", [1]),
        ("[row * 2 for row in rows['x']]", [2]),
        ("(lambda given: given)(5)", 5),
    ],
)
def test_json_and_expressions_are_understood(text: str, body: Any) -> None:
    assert json.loads(body_of(text, {"frame": FRAME, "rows": {"x": [1]}})) == body


def test_a_variable_is_taken_before_what_its_name_would_mean_as_json() -> None:
    assert body_of("text", {"text": "as it is"}) == "as it is"


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"data": [3]}')
    assert body_of(f"@{path}", {}) == '{"data": [3]}'


def helper() -> None:
    """Use a name that is missing in the function, and not on the line."""
    nothing  # type: ignore[name-defined]  # noqa: B018, F821


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("X_tset", "There is no variable 'X_tset'. Did you mean 'X_test'?"),
        ("zzz", "There is no variable 'zzz'."),
        ("rows.csv", "There is no variable 'rows'. A file is given as @rows.csv"),
        (
            "X_test[",
            (
                "'X_test[' is not a Python expression: '[' was never closed at character 7.\n"
                "Data is JSON, a variable or a Python expression of variables, or @path for a file."
            ),
        ),
        ("{'a': true}", "There is no variable 'true'. true is JSON: in Python it is True. JSON has double quotes"),
        ("helper()", "helper() cannot be evaluated: NameError: name 'nothing' is not defined"),
        ("X_test[9]", "X_test[9] cannot be evaluated: IndexError: list index out of range"),
        ("@/nowhere/rows.json", "@/nowhere/rows.json cannot be read: No such file or directory."),
        ("endless", f"endless cannot be written as JSON: infinity, which JSON does not have.{WAY_OUT}"),
        ("nested", f"nested cannot be written as JSON: infinity, which JSON does not have.{WAY_OUT}"),
        (
            "model",
            f"model cannot be written as JSON: it contains a object.{WAY_OUT}",
        ),
        ("raw", f"raw cannot be written as JSON: it holds bytes that are not UTF-8 text.{WAY_OUT}"),
    ],
)
def test_data_that_cannot_be_sent_says_why(text: str, said: str) -> None:
    namespace = {
        "X_test": [1],
        "endless": np.array([np.inf]),
        "nested": {"a": [float("inf")]},
        "model": object(),
        "raw": b"\xff",
        "helper": helper,
    }
    with pytest.raises(WrongInputError) as caught:
        body_of(text, namespace)
    assert caught.value.message.removesuffix(" around its strings.") == said
