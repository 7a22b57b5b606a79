"""Models of xgboost, lightgbm and catboost: the estimators like those of scikit-learn, and the boosters below them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mljupyter.deploy.estimator.frameworks.serving_format import ServingFormat
from mljupyter.deploy.estimator.problems import EstimatorError

_NUMBERED = re.compile(r"Column_\d+|f?\d+")
"""Names that lightgbm, xgboost and catboost give to columns without one."""


def xgboost_format(value: Any, method: str, _: Any, name: str) -> ServingFormat | None:
    """Return the format of a model of xgboost, UBJSON; None for classes that only derive from its classes."""
    import xgboost

    kind = type(value)
    if kind.__module__.partition(".")[0] != "xgboost":
        return None
    booster = kind.__name__ == "Booster"
    if not booster and not hasattr(value, "save_model"):
        return None
    if not booster and not value.__sklearn_is_fitted__():
        raise _unfitted(value, name)
    if booster:
        _only_predict(value, method, name)
    inner = value if booster else value.get_booster()
    types = set(inner.feature_types or ())
    return ServingFormat(
        framework="Custom",
        library="XGBoost",
        version=xgboost.__version__,
        file="model.ubj",
        save=lambda path: value.save_model(path),
        imports=("import xgboost",),
        load="xgboost.Booster(model_file=path)" if booster else f"loaded(xgboost.{kind.__name__}(), path)",
        answer="model.predict(xgboost.DMatrix(data, enable_categorical=True))" if booster else f"model.{method}(data)",
        prepare="" if booster else _LOADED,
        call=(lambda data: value.predict(xgboost.DMatrix(data, enable_categorical=True))) if booster else None,
        packages=("xgboost", *(() if booster else ("sklearn",))),
        classes=(),
        columns=_named(inner.feature_names),
        width=None if types & {"c", "categorical"} else int(inner.num_features()),
    )


_LOADED = """\
def loaded(model, path):
    model.load_model(path)
    return model

"""


def lightgbm_format(value: Any, method: str, _: Any, name: str) -> ServingFormat | None:
    """Return the format of a model of lightgbm, its text; a classifier's labels are part of the scoring script."""
    import lightgbm

    kind = type(value)
    if kind.__module__.partition(".")[0] != "lightgbm" or kind.__name__.startswith("Dask"):
        return None
    if kind.__name__ == "Booster":
        _only_predict(value, method, name)
        booster, classes = value, None
    else:
        if not value.__sklearn_is_fitted__():
            raise _unfitted(value, name)
        booster, classes = value.booster_, getattr(value, "classes_", None)
    answer, prepare = "model.predict(data)", ""
    if classes is not None:
        answer, prepare = _labels(list(classes), method, value, name)

    def save(path: Path) -> None:
        booster.save_model(str(path))

    return ServingFormat(
        framework="Custom",
        library="LightGBM",
        version=lightgbm.__version__,
        file="model.txt",
        save=save,
        imports=("import lightgbm",),
        load="lightgbm.Booster(model_file=path)",
        answer=answer,
        prepare=prepare,
        packages=("lightgbm",),
        classes=(),
        columns=_named(booster.feature_name()),
        width=None if booster.pandas_categorical else int(booster.num_feature()),
    )


def _labels(classes: list[Any], method: str, value: Any, name: str) -> tuple[str, str]:
    """Return the expression that answers with labels or probabilities, and the lines that it needs."""
    if method not in ("predict", "predict_proba"):
        raise EstimatorError(
            f"{name} is a {type(value).__name__}: {method}() is not served. Served are predict and predict_proba."
        )
    plain = [label.item() if hasattr(label, "item") else label for label in classes]
    found = "probabilities(model.predict(data))"
    if method == "predict_proba":
        return found, _PROBABILITIES
    return f"np.array({plain!r})[{found}.argmax(axis=1)]", _PROBABILITIES


_PROBABILITIES = """\
def probabilities(scores):
    return np.column_stack([1 - scores, scores]) if scores.ndim == 1 else scores

"""


def catboost_format(value: Any, method: str, _: Any, name: str) -> ServingFormat | None:
    """Return the format of a model of catboost, CBM."""
    import catboost

    kind = type(value)
    if kind.__module__.partition(".")[0] != "catboost":
        return None
    if not value.is_fitted():
        raise _unfitted(value, name)

    def save(path: Path) -> None:
        value.save_model(str(path))

    by_type = value.get_cat_feature_indices() or value.get_text_feature_indices()
    return ServingFormat(
        framework="Custom",
        library="CatBoost",
        version=catboost.__version__,
        file="model.cbm",
        save=save,
        imports=("import catboost",),
        load=f"catboost.{kind.__name__}().load_model(path)",
        answer=f"model.{method}(data)",
        packages=("catboost",),
        classes=(),
        columns=_named(value.feature_names_),
        width=None if by_type else len(value.feature_names_),
    )


def _named(names: Any) -> tuple[str, ...] | None:
    """Return the names of columns; None if the framework has numbered them."""
    if not names or all(_NUMBERED.fullmatch(str(name)) for name in names):
        return None
    return tuple(str(name) for name in names)


def _only_predict(value: Any, method: str, name: str) -> None:
    if method != "predict":
        raise EstimatorError(
            f"{name} is a {type(value).__name__}, which has no {method}(). It has: predict.\n"
            f"Deploy the estimator that it belongs to, or leave out --method."
        )


def _unfitted(value: Any, name: str) -> EstimatorError:
    return EstimatorError(f"{name} is a {type(value).__name__} that is not fitted: call {name}.fit(X, y) first.")
