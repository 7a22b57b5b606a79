"""The generated script and the mistakes of clients: 400 with row, column and what was expected, never 500."""

from __future__ import annotations

import json
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from mljupyter.core.estimator import EstimatorError, scoring_script
from mljupyter.engine.requests.encoder import rows_of
from mljupyter.scoring.protocol import Frame
from mljupyter.scoring.worker.batches import ON, batches_of
from mljupyter.scoring.worker.script import Script

FRAME = pd.DataFrame({"age": [30.0, 40.0, 50.0, 60.0], "bmi": [20.0, 25.0, 30.0, 35.0]})
TARGET = [1.0, 2.0, 3.0, 4.0]
MIXED = pd.DataFrame(
    {
        "city": ["A", "B", "A", "B"],
        "id": [7, 8, 9, 10],
        "rooms": [1.0, 2.0, None, 4.0],
        "new": [True, False, True, False],
        "kind": pd.Categorical(["x", "y", "x", "y"]),
        "since": pd.to_datetime(["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"]),
    }
)
ROW = {"city": "A", "rooms": 2, "new": True, "kind": "x", "since": "2026-01-01"}


def mixed() -> Pipeline:
    """A pipeline that uses all columns of MIXED but 'id', and takes missing rooms."""
    columns = make_column_transformer(
        (OneHotEncoder(), ["city", "kind"]),
        (SimpleImputer(), ["rooms"]),
        (OneHotEncoder(), ["since"]),
        ("passthrough", ["new"]),
    )
    return make_pipeline(columns, LogisticRegression()).fit(MIXED, [0, 1, 0, 1])


class Served:
    """A generated script as a replica runs it, with and without batches."""

    def __init__(self, estimator: Any, sample: Any = None, **options: Any) -> None:
        module = type(pd)(f"score_{uuid.uuid4().hex}")  # another module each time: inference-schema remembers names
        self.text = scoring_script(estimator, sample, **options)
        exec(compile(self.text, "score.py", "exec"), module.__dict__)
        module.model = estimator  # type: ignore[attr-defined] # as init() does
        self.script = Script(module)

    def __call__(self, data: Any) -> tuple[int, Any]:
        status, _, _, body, _ = self.script.answer(b"", json.dumps({"data": data}).encode())
        assert isinstance(body, bytes)
        value = json.loads(body)
        return status, value if status == 200 else value["message"]

    def together(self, *requests: Any) -> list[int]:
        """Return the statuses of requests that are answered as one batch."""
        answer = batches_of(self.script, ON)
        assert answer is not None
        frames = [Frame(0, number, b"", json.dumps({"data": data}).encode()) for number, data in enumerate(requests)]
        found = {number: outcome[0] for group in answer(frames) for number, outcome in group}
        return [found[number] for number in range(len(requests))]


class Keeps(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A model that keeps the frame it was asked with."""

    def fit(self, rows: pd.DataFrame) -> Keeps:
        self.feature_names_in_ = np.array(list(rows.columns), dtype=object)
        return self

    def predict(self, rows: pd.DataFrame) -> Any:
        self.seen = rows
        return np.zeros(len(rows))


@pytest.fixture(scope="module")
def array() -> Served:
    return Served(LinearRegression().fit(FRAME.to_numpy(), TARGET))


@pytest.fixture(scope="module")
def frame() -> Served:
    return Served(Ridge().fit(FRAME, TARGET))


@pytest.fixture(scope="module")
def pipeline() -> Served:
    return Served(mixed(), MIXED)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (5, '"data" is 5, not a list of rows'),
        ({"age": 1}, '"data" is an object, not a list of rows'),
        ([], '"data" has no rows'),
        ([1, 2], "Row 0 is 1, not a list: each row is a list of 2 numbers."),
        ([[1, 2], [1]], "Row 1 has 1 value, not 2: each row is a list of 2 numbers."),
        ([[1, 2, 3]], "Row 0 has 3 values, not 2"),
        ([[1, 2], [1, "2"]], 'Row 1, column 1: "2" is not a number'),
        ([[1, [2]]], "Row 0, column 1: a list is not a number"),
        ([[1, None]], "Row 0, column 1: there is no value, and the model takes no missing ones here"),
        ([[float("nan"), 1]], "Row 0, column 0: there is no value"),
        ([[float("inf"), 1]], "Row 0, column 0: Infinity is too large"),
        ([[10**400, 1]], "is too large for float64"),
        ([{"age": 1, "bmi": 2}], "Row 0 is an object by column, but the model was fitted without names of columns"),
    ],
)
def test_rows_that_do_not_fit_an_array_are_400_and_say_where(array: Served, data: Any, said: str) -> None:
    status, message = array(data)
    assert (status, said in message) == (400, True), message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([{"age": 1, "bmi": 2}, {"age": 1}], "Row 1 lacks the column bmi: it needs the columns age, bmi."),
        (
            [{"age": 1, "BMI": 2, "x": 3}],
            "Row 0 lacks the column bmi, and has the unknown columns BMI (did you mean bmi?), x: it needs the columns",
        ),
        ([[1]], "Row 0 has 1 value, not 2: a list has the columns age, bmi."),
        (["x"], 'Row 0 is "x": a row is an object with the columns age, bmi'),
        ([{"age": "old", "bmi": 2}], "Row 0, column 'age': \"old\" is not a number; expected a number."),
        ([{"age": 1, "bmi": None}], "Row 0, column 'bmi': there is no value"),
    ],
)
def test_rows_that_do_not_fit_a_frame_are_400_and_name_the_column(frame: Served, data: Any, said: str) -> None:
    status, message = frame(data)
    assert (status, said in message) == (400, True), message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"city": 5}, "column 'city': 5 is not a text; expected a text."),
        ({"city": "C"}, "Row 0 cannot be answered by the model: Found unknown categories"),
        ({"new": "yes"}, "column 'new': \"yes\" is neither true nor false"),
        ({"kind": "z"}, "column 'kind': \"z\" is unknown to the model; expected one of x, y."),
        ({"since": 3}, "column 'since': 3 is not a date and time; expected a date and time in ISO 8601."),
        ({"since": "2026-01-01T00:00:00Z"}, "has a time zone"),
    ],
)
def test_each_type_of_column_says_what_it_expects(pipeline: Served, change: dict[str, Any], said: str) -> None:
    assert pipeline([ROW])[0] == 200
    status, message = pipeline([ROW | change])
    assert (status, said in message) == (400, True), message


def test_columns_that_the_pipeline_drops_are_not_required(pipeline: Served) -> None:
    expected = mixed().predict(MIXED[:1]).tolist()
    assert pipeline([ROW]) == pipeline([ROW | {"id": 7}]) == pipeline([ROW | {"id": "no number"}]) == (200, expected)
    assert pipeline([["A", 7, 1.0, True, "x", "2026-01-01"]]) == (200, expected)  # lists have the place of all columns


def test_missing_values_are_taken_where_the_model_takes_them(pipeline: Served) -> None:
    assert pipeline([ROW | {"rooms": None}])[0] == 200
    assert "column 'city': there is no value" in pipeline([ROW | {"city": None}])[1]
    forest = HistGradientBoostingRegressor(max_iter=2).fit(FRAME.to_numpy(), TARGET)
    assert Served(forest)([[None, 1], [2, float("nan")]])[0] == 200


def test_unknown_columns_are_ignored_or_refused_by_choice(frame: Served) -> None:
    row = {"age": 1, "bmi": 2, "note": "x"}
    assert frame([row]) == frame([{"bmi": 2, "age": 1}])
    strict = Served(Ridge().fit(FRAME, TARGET), extra_columns="refuse")
    assert strict([row]) == (400, "Row 0 has the unknown column note: it may have age, bmi.")
    assert "and has the unknown column bmu (did you mean bmi?)" in strict([{"age": 1, "bmu": 2}])[1]
    assert strict([{"bmi": 2, "age": 1}])[0] == 200
    with pytest.raises(EstimatorError, match="ignore, refuse"):
        scoring_script(Ridge().fit(FRAME, TARGET), extra_columns="drop")


def test_a_model_that_fails_for_every_request_is_a_fault_of_the_service() -> None:
    ridge = Ridge().fit(FRAME, TARGET)
    served = Served(ridge)
    del ridge.coef_
    assert served([[1, 2]]) == (
        500,
        "run() of the scoring script raised AttributeError; the service's log has the traceback",
    )


def test_a_bad_request_in_a_batch_leaves_the_others_alone(array: Served) -> None:
    good = [[1, 2]]
    assert array.together(good, [[1]], [[1, 2], [3, 4]], [["x", 1]], good) == [200, 400, 200, 400, 200]
    texts = Served(mixed(), MIXED)
    assert texts.together([ROW], [ROW | {"city": "C"}], [ROW, ROW], [ROW]) == [200, 400, 200, 200]


def test_the_answers_are_those_of_the_model(array: Served, frame: Served) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 2))
    expected = LinearRegression().fit(FRAME.to_numpy(), TARGET).predict(rows)
    assert array(rows.tolist())[1] == pytest.approx(expected.tolist())
    expected = Ridge().fit(FRAME, TARGET).predict(pd.DataFrame(rows, columns=["age", "bmi"]))
    assert frame(rows.tolist())[1] == pytest.approx(expected.tolist())


def test_a_script_of_ones_own_can_refuse_a_request_in_the_same_way() -> None:
    module = type(pd)(f"score_{uuid.uuid4().hex}")
    text = """
class TooOld(ValueError):
    mljupyter_status = 422

class Upstream(ValueError):
    status_code = 404
    mljupyter_status = 503

def init(): pass

def run(data):
    raise (TooOld if "old" in data else Upstream)("data from 1999")
"""
    exec(compile(text, "score.py", "exec"), module.__dict__)
    script = Script(module)
    status, _, _, body, _ = script.answer(b"", b"old")
    assert isinstance(body, bytes)
    assert (status, json.loads(body)["message"]) == (422, "data from 1999")
    assert script.answer(b"", b"new")[0] == 500  # only 4xx is the client's


LARGE = 2**53 + 1
BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([LARGE, LARGE + 2]),
        pd.Series([1, 2**64 - 1], dtype="uint64"),
        pd.Series([-(2**63), 2**63 - 1]),
        pd.Series([0.1 + 0.2, 1e-300]),
        pd.Series([True, False]),
        pd.Series(["a", "b c"]),
        pd.Series(pd.Categorical([LARGE, LARGE + 2])),
        pd.Series(pd.Categorical(["b", "a"], categories=["a", "b"], ordered=True)),
        pd.Series(pd.to_datetime(["2024-01-02", "2024-07-02 01:02:03.000000004"], format="ISO8601")),
        pd.Series(pd.to_datetime(["2024-01-02", "2024-07-02"])).astype("datetime64[ns]"),
        pd.Series(pd.to_datetime(["2024-01-02", "2024-07-02"])).astype("datetime64[s]"),
        pd.Series(pd.to_datetime(["2024-07-02 12:00", "2024-01-02 12:00"])).dt.tz_localize(BERLIN),
        pd.Series(pd.to_datetime(["2024-07-02 12:00", "2024-01-02 12:00"])).dt.tz_localize("UTC"),
    ],
    ids=lambda values: str(values.dtype),
)
def test_a_model_gets_the_values_and_types_of_the_frame_that_is_sent(values: pd.Series) -> None:
    frame = pd.DataFrame({"value": values, "x": 0.5})
    model = Keeps().fit(frame)
    assert Served(model, frame)(rows_of(frame, by_name=True))[0] == 200
    pd.testing.assert_frame_equal(model.seen, frame)
    assert Served(model, frame)(rows_of(frame))[0] == 200
    pd.testing.assert_frame_equal(model.seen, frame)


def test_categories_that_json_cannot_express_are_refused_before_a_script_is_written() -> None:
    frame = pd.DataFrame({"range": pd.cut([1.0, 2.0], 2), "x": 0.5})
    with pytest.raises(EstimatorError, match="Column 'range' of the sample holds a Interval"):
        scoring_script(Keeps().fit(frame), frame)
    frame = pd.DataFrame({"day": pd.Categorical(pd.to_datetime(["2024-01-02"])), "x": 0.5})
    with pytest.raises(EstimatorError, match="Column 'day' of the sample holds a Timestamp"):
        scoring_script(Keeps().fit(frame), frame)


def test_predictions_of_large_ids_and_of_local_hours_are_those_of_the_model() -> None:
    days = pd.to_datetime(["2024-07-02 12:00", "2024-01-02 12:00", "2024-01-02 13:00"])
    frame = pd.DataFrame({"id": [LARGE, LARGE + 1, LARGE + 2], "at": days.tz_localize(BERLIN)})
    hours = FunctionTransformer(lambda at: at.apply(lambda column: column.dt.hour))
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["id"]), (hours, ["at"])), Ridge(1e-6))
    model.fit(frame, [1.0, 2.0, 3.0])
    served = Served(model, frame)
    assert served(rows_of(frame, by_name=True)) == (200, pytest.approx(model.predict(frame).tolist()))
    assert served.together(rows_of(frame, by_name=True), rows_of(frame[:1], by_name=True)) == [200, 200]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A", "B"]),
            st.floats(-1e6, 1e6) | st.none(),
            st.booleans(),
            st.sampled_from(["x", "y"]),
            st.sampled_from(list(MIXED["since"])),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_predictions_for_a_frame_are_those_of_the_model(pipeline: Served, values: list[Any]) -> None:
    frame = pd.DataFrame(values, columns=list(ROW)).astype({"rooms": float, "kind": MIXED["kind"].dtype})
    frame.insert(1, "id", range(len(frame)))
    expected = (200, pipeline.script.run.__globals__["model"].predict(frame).tolist())
    assert pipeline(rows_of(frame, by_name=True)) == expected
    assert pipeline(rows_of(frame)) == expected
    assert pipeline(rows_of(frame.convert_dtypes(dtype_backend="pyarrow"), by_name=True)) == expected
