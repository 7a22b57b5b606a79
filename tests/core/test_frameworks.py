"""Models that are not scikit-learn's, with the real libraries: xgboost, lightgbm, statsmodels, ONNX, plain classes.

The large libraries are in test_large_frameworks.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import pytest
import skl2onnx
import statsmodels.api as sm
import statsmodels.formula.api as smf
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from statsmodels.tsa.arima.model import ARIMA

from mljupyter.core import Workspace
from mljupyter.core.estimator import (
    EstimatorError,
    check_estimator,
    environment_for,
    looks_like_estimator,
    register_estimator,
    scoring_script,
)
from tests.core.frameworks import CLASSES, FRAME, LABELS, Case, X, Y, answers

MODULE = """
class Doubler:
    def predict(self, rows):
        return [2 * row[0] for row in rows]

class Fitted:
    def fit(self, x, y):
        self.mean = float(sum(y)) / len(y)
        return self
    def predict(self, rows):
        return [self.mean] * len(rows)
"""
ROWS = FRAME[:4].to_dict("records")
NAMES = (
    *("xgboost", "xgboost-proba", "xgboost-booster", "lightgbm", "lightgbm-proba", "lightgbm-booster"),
    *("statsmodels", "statsmodels-formula", "onnx", "onnx-proba", "onnx-columns", "onnxruntime", "plain", "fitted"),
)


def cases(own: Any, source: Path) -> dict[str, Case]:
    boosted = xgboost.XGBRegressor(n_estimators=5).fit(X, Y)
    chosen = xgboost.XGBClassifier(n_estimators=5).fit(FRAME, CLASSES)
    light = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, min_child_samples=2).fit(FRAME, LABELS)
    kinds = FRAME.assign(y=Y, kind=np.where(X[:, 2] > 0, "u", "v"))
    formula = smf.ols("y ~ a + np.log(abs(b) + 1) + C(kind)", kinds).fit()
    ols = sm.OLS(Y, sm.add_constant(FRAME)).fit()
    logistic = LogisticRegression().fit(X, LABELS)
    onnx = skl2onnx.to_onnx(logistic, X[:1].astype("float32"), options={"zipmap": False})
    table = kinds[["kind", "a"]].astype({"a": "float32"})
    steps = make_column_transformer((OneHotEncoder(), ["kind"]), ("passthrough", ["a"]))
    pipeline = make_pipeline(steps, LogisticRegression()).fit(table, CLASSES)
    columns = skl2onnx.to_onnx(pipeline, table[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(columns.SerializeToString())
    plain, by_columns = X[:4].tolist(), table[:4].astype({"a": float}).to_dict("records")
    ours = {"file": "model.joblib", "sample": X, "source_directory": source}
    return {
        "xgboost": Case(boosted, plain, boosted.predict(X[:4]), "model.ubj"),
        "xgboost-proba": Case(chosen, ROWS, chosen.predict_proba(FRAME[:4]), "model.ubj", "predict_proba"),
        "xgboost-booster": Case(boosted.get_booster(), plain, boosted.predict(X[:4]), "model.ubj"),
        "lightgbm": Case(light, ROWS, light.predict(FRAME[:4]), "model.txt"),
        "lightgbm-proba": Case(light, ROWS, light.predict_proba(FRAME[:4]), "model.txt", "predict_proba"),
        "lightgbm-booster": Case(light.booster_, ROWS, light.predict_proba(FRAME[:4])[:, 1], "model.txt"),
        "statsmodels": Case(
            ols, sm.add_constant(FRAME)[:4].to_dict("records"), ols.predict(sm.add_constant(FRAME)[:4]), "model.pickle"
        ),
        "statsmodels-formula": Case(
            formula, kinds[["kind", "b", "a"]][:4].to_dict("records"), formula.predict(kinds[:4]), "model.pickle"
        ),
        "onnx": Case(onnx, plain, logistic.predict(X[:4]), "model.onnx"),
        "onnx-proba": Case(onnx, plain, logistic.predict_proba(X[:4]), "model.onnx", "predict_proba"),
        "onnx-columns": Case(columns, by_columns, pipeline.predict(table[:4]), "model.onnx", sample=table),
        "onnxruntime": Case(session, by_columns, pipeline.predict(table[:4]), "model.onnx", sample=table),
        "plain": Case(own.Doubler(), plain, 2 * X[:4, 0], **ours),
        "fitted": Case(own.Fitted().fit(X, Y), plain, [Y.mean()] * 4, **ours),
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Case], dict[str, Any]]]:
    """The models, and what another process answers for each."""
    source = tmp_path_factory.mktemp("source")
    (source / "own_models.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(source))
        patch.setenv("PYTHONPATH", str(source))  # the replica has the source directory as well
        import own_models  # type: ignore[import-not-found]

        made = cases(own_models, source)
        yield made, answers(made, tmp_path_factory.mktemp("models"))
        del sys.modules["own_models"]


@pytest.mark.parametrize(
    ("name", "library"), [("xgboost", "XGBoost"), ("lightgbm", "LightGBM"), ("statsmodels", "statsmodels")]
)
def test_a_model_shows_its_library_and_keeps_the_framework_that_azure_has(
    served: tuple[dict[str, Case], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    library: str,
) -> None:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path))
    model = register_estimator(Workspace.create("shown"), served[0][name].model, name)
    assert (model.model_framework, model.properties["library"]) == ("Custom", library)
    assert model.record.shown_framework == f"{library} {sys.modules[name].__version__}"
    assert f"{library} {sys.modules[name].__version__}" in model._repr_html_()


@pytest.mark.parametrize("name", NAMES)
def test_another_process_answers_as_the_model_does(served: tuple[dict[str, Case], dict[str, Any]], name: str) -> None:
    made, found = served
    assert made.keys() == set(NAMES)
    expected = np.asarray(made[name].expected)
    if expected.dtype.kind in "UO":
        assert found[name] == expected.tolist()
    else:
        assert np.asarray(found[name]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("xgboost", {"xgboost-cpu", "scikit-learn"}),
        ("lightgbm-booster", {"lightgbm"}),
        ("statsmodels", {"statsmodels", "pandas"}),
        ("onnx", {"onnxruntime"}),
    ],
)
def test_each_gets_its_own_packages_in_the_versions_from_here(
    served: tuple[dict[str, Case], dict[str, Any]], name: str, packages: set[str]
) -> None:
    lines = environment_for(served[0][name].model, "serving").python.conda_dependencies.pip_packages
    assert {line.partition("==")[0] for line in lines} - {"inference-schema", "joblib", "numpy"} == packages
    assert all("==" in line for line in lines)


def test_equal_content_keeps_its_version_and_the_record_names_the_file(
    served: tuple[dict[str, Case], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path))
    workspace = Workspace.create("frameworks")
    for name in ("xgboost", "statsmodels-formula", "onnx"):
        model = served[0][name].model
        first, again = (register_estimator(workspace, model, name) for _ in range(2))
        assert (first.id, again.id) == (f"{name}:1", f"{name}:1")
        assert first.model_framework_version
    assert register_estimator(workspace, served[0]["onnx"].model, "onnx").model_framework == "Onnx"


def test_saving_a_result_of_statsmodels_leaves_its_data_in_the_notebook(tmp_path: Path) -> None:
    result = sm.OLS(Y, X).fit()
    check_estimator(result, "ols").save(tmp_path / "model.pickle")
    assert result.model.endog is not None
    assert result.resid is not None
    assert (tmp_path / "model.pickle").stat().st_size < 10_000


class Answers:
    """A model that answers something."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def predict(self, rows: Any) -> Any:
        return self.answer


class Counts:
    """A model whose answer depends on what no file keeps."""

    def __init__(self) -> None:
        self.scale = 1.0

    def __getstate__(self) -> dict[str, Any]:
        return {"scale": 2.0}

    def predict(self, rows: Any) -> Any:
        return np.full(len(rows), self.scale)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (sm.OLS(Y, X), "model is a OLS that is not fitted: deploy its result, model.fit()."),
        (ARIMA(Y, order=(1, 0, 0)).fit(), "predicts for times and not for rows.\nWrite a scoring script"),
        (xgboost.XGBRegressor(), "model is a XGBRegressor that is not fitted: call model.fit(X, y) first."),
        (lightgbm.LGBMClassifier(), "model is a LGBMClassifier that is not fitted"),
        (Answers({"label": 1}), "predict() returns a dict: the generated scoring script can return arrays only."),
        (Counts(), "saved as model.joblib and loaded again, it answers the sample with [2.0] instead of [1.0]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_served_is_refused_with_the_reason_before_anything_is_written(model: Any, said: str) -> None:
    with pytest.raises(EstimatorError) as caught:
        form = check_estimator(model, "model", source_directory=Path.cwd())
        scoring_script(model, X, name="model", form=form)
    assert said in caught.value.message
    assert len(caught.value.message.splitlines()) <= 5


def test_methods_that_a_framework_lacks_are_refused() -> None:
    booster = lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 2)
    with pytest.raises(EstimatorError, match=r"has no predict_proba\(\). It has: predict"):
        check_estimator(booster, "booster", method="predict_proba")


def test_models_without_fit_and_without_predict_are_found_among_variables() -> None:
    onnx = skl2onnx.to_onnx(LogisticRegression().fit(X, CLASSES), X[:1].astype("float32"))
    assert all(map(looks_like_estimator, [Answers(1), onnx, sm.OLS(Y, X).fit()]))
    assert not any(map(looks_like_estimator, [Answers, FRAME, 3, "text"]))
