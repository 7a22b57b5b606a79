"""From a fitted estimator to a script that serves it: what is refused, what the script takes and answers."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from mljupyter.core import Model, Workspace
from mljupyter.core.estimator import (
    EstimatorError,
    check_estimator,
    environment_for,
    planned_model,
    register_estimator,
    scoring_script,
)

NUMBERS = pd.DataFrame({"width": [1.0, 2.0, 3.0, 4.0], "height": [2.0, 1.0, 4.0, 3.0]})
MIXED = pd.DataFrame({"city": ["A", "B", "A", "B"], "rooms": [1, 2, 3, 4], "new": [True, False, True, False]})
TARGET = [0, 1, 0, 1]


def mixed() -> Pipeline:
    columns = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    return make_pipeline(columns, LogisticRegression()).fit(MIXED, TARGET)


def executed(script: str) -> dict[str, Any]:
    """Return what a script defines; each time as another module, since inference-schema remembers functions by name."""
    namespace: dict[str, Any] = {"__name__": f"score_{uuid.uuid4().hex}"}
    exec(compile(script, "score.py", "exec"), namespace)
    return namespace


def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, estimator: Any, script: str) -> Callable[[Any], Any]:
    """Return what answers requests by the script, with the estimator saved as a replica finds it."""
    import joblib

    from mljupyter.scoring.worker.schema import schema_of

    joblib.dump(estimator, tmp_path / "model.joblib")
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    namespace = executed(script)
    namespace["init"]()
    schema = schema_of(namespace["run"])
    assert schema is not None
    assert schema.has_rows("data") is namespace["batching"] is True
    return lambda rows: json.loads(json.dumps(namespace["run"](data=json.loads(json.dumps(rows)))))


def test_an_estimator_fitted_with_an_array_is_served_rows_of_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ridge = Ridge().fit(NUMBERS.to_numpy(), TARGET)
    answer = served(tmp_path, monkeypatch, ridge, scoring_script(ridge))
    assert answer([[1, 2], [3, 4.5]]) == pytest.approx(ridge.predict([[1, 2], [3, 4.5]]))


def test_an_estimator_fitted_with_a_frame_takes_lists_and_objects_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ridge = Ridge().fit(NUMBERS, TARGET)
    answer = served(tmp_path, monkeypatch, ridge, scoring_script(ridge))
    expected = pytest.approx(ridge.predict(NUMBERS[:2]))
    assert answer(NUMBERS[:2].to_numpy().tolist()) == expected
    assert answer(NUMBERS[["height", "width"]][:2].to_dict("records")) == expected


def test_columns_of_a_pipeline_have_the_types_of_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = mixed()
    script = scoring_script(pipeline, MIXED, "predict_proba")
    answer = served(tmp_path, monkeypatch, pipeline, script)
    assert answer([["B", 2.5, False]]) == pytest.approx(
        pipeline.predict_proba(pd.DataFrame({"city": ["B"], "rooms": [2.5], "new": [False]}))
    )


def test_categories_that_are_not_in_the_sample_row_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame = pd.DataFrame({"city": pd.Categorical(["A", "B"] * 30)})
    forest = HistGradientBoostingClassifier(categorical_features="from_dtype").fit(frame, [0, 1] * 30)
    answer = served(tmp_path, monkeypatch, forest, scoring_script(forest, frame))
    assert answer([["A"], ["B"]]) == [0, 1]


def test_texts_longer_than_the_sample_are_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["good", "really bad, that", "good day", "bad"]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    answer = served(tmp_path, monkeypatch, pipeline, scoring_script(pipeline, texts))
    assert answer(texts) == [1, 0, 1, 0]


def test_the_description_of_the_api_names_columns_and_types() -> None:
    from inference_schema.schema_util import get_input_schema

    namespace = executed(scoring_script(mixed(), MIXED))
    items = get_input_schema(namespace["run"])["properties"]["data"]["items"]
    assert {name: kind["type"] for name, kind in items["properties"].items()} == {
        "city": "string",
        "rooms": "number",
        "new": "boolean",
    }


def test_the_script_is_the_same_text_each_time() -> None:
    assert scoring_script(mixed(), MIXED) == scoring_script(mixed(), MIXED.copy())


class OfThisModule(TransformerMixin, BaseEstimator):
    def fit(self, x: Any, y: Any = None) -> OfThisModule:
        self.seen_ = True
        return self

    def transform(self, x: Any) -> Any:
        return x


def of_the_notebook() -> Any:
    kind = type("Doubler", (OfThisModule,), {"__module__": "__main__"})
    return make_pipeline(kind(), Ridge()).fit(NUMBERS, TARGET)


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (Ridge(), "model is a Ridge that is not fitted: call model.fit(X, y) first."),
        (Ridge, "model is a class: give a fitted object, Ridge(...).fit(X, y)."),
        (NUMBERS, "model is a DataFrame, which is not an estimator"),
        (StandardScaler().fit(NUMBERS), "model is a StandardScaler, which is not an estimator"),
        (make_pipeline(StandardScaler(), Ridge()), "that is not fitted"),
        (make_pipeline(FunctionTransformer(lambda x: x), Ridge()).fit(NUMBERS, TARGET), "it holds a lambda"),
        (of_the_notebook(), "it uses Doubler, defined in this notebook"),
    ],
)
def test_what_cannot_be_deployed_is_refused_with_the_reason(estimator: Any, said: str) -> None:
    with pytest.raises(EstimatorError) as caught:
        check_estimator(estimator, "model")
    assert said in caught.value.message
    assert len(caught.value.message.splitlines()) <= 5


def test_a_method_that_the_estimator_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(EstimatorError, match=r"which has no predict_proba\(\). It has: predict, decision_function"):
        check_estimator(SVC().fit(NUMBERS, TARGET), "svc", method="predict_proba")


def test_a_module_of_the_notebooks_directory_has_to_be_sent_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("local_features.py").write_text("def doubled(x):\n    return 2 * x\n")
    import local_features  # type: ignore[import-not-found]

    pipeline = make_pipeline(FunctionTransformer(local_features.doubled), Ridge()).fit(NUMBERS, TARGET)
    with pytest.raises(EstimatorError, match="--source-directory ."):
        check_estimator(pipeline, "pipeline")
    check_estimator(pipeline, "pipeline", source_directory=Path.cwd())


@pytest.mark.parametrize(
    ("estimator", "sample", "said"),
    [
        (mixed(), None, "give rows as it was fitted with, --sample X_train"),
        (mixed(), NUMBERS, "model.predict() fails on the sample row: ValueError"),
        (mixed(), MIXED[:0], "The sample has no rows"),
        (Ridge().fit(NUMBERS, TARGET), object(), "The sample is a object: give rows"),
        (Ridge().fit(NUMBERS, TARGET), [["a", "b"]], "model.predict() fails on the sample row: ValueError"),
    ],
)
def test_a_sample_that_does_not_fit_is_refused_with_the_reason(estimator: Any, sample: Any, said: str) -> None:
    with pytest.raises(EstimatorError) as caught:
        scoring_script(estimator, sample, name="model")
    assert said in caught.value.message


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    return Workspace.create("estimators")


def test_the_same_content_is_the_same_version_and_other_content_the_next(ws: Workspace) -> None:
    first = register_estimator(ws, Ridge().fit(NUMBERS, TARGET), "ridge")
    again = register_estimator(ws, Ridge().fit(NUMBERS, TARGET), "ridge")
    other = register_estimator(ws, Ridge(alpha=9).fit(NUMBERS, TARGET), "ridge")
    assert [first.id, again.id, other.id] == ["ridge:1", "ridge:1", "ridge:2"]
    assert register_estimator(ws, Ridge().fit(NUMBERS, TARGET), "ridge").id == "ridge:1"
    assert (first.model_framework, first.properties) == ("ScikitLearn", {"estimator": "Ridge"})


def test_planning_says_which_version_it_would_be_and_registers_nothing(ws: Workspace) -> None:
    ridge = Ridge().fit(NUMBERS, TARGET)
    planned = planned_model(ws, ridge, "ridge")
    assert planned.id == "ridge:1"
    assert Model.list(ws) == []
    assert register_estimator(ws, ridge, "ridge").reference == planned == planned_model(ws, ridge, "ridge")
    assert planned_model(ws, Ridge(alpha=9).fit(NUMBERS, TARGET), "ridge").id == "ridge:2"


def test_elsewhere_it_gets_its_own_packages_in_the_versions_from_here() -> None:
    from importlib import metadata

    packages = environment_for(mixed(), "serving", frame=True).python.conda_dependencies
    assert packages is not None
    named = {line.partition("==")[0] for line in packages.pip_packages}
    assert named == {"inference-schema", "joblib", "numpy", "pandas", "scikit-learn"}
    assert f"scikit-learn=={metadata.version('scikit-learn')}" in packages.pip_packages
    assert np.__version__ in os.linesep.join(packages.pip_packages)
