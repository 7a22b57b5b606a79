"""Models that joblib pickles: those of scikit-learn, and objects of any other class with ``predict()``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mljupyter.deploy.estimator.frameworks.serving_format import ServingFormat

MODEL_FILE = "model.joblib"


def joblib_format(value: Any, method: str) -> ServingFormat:
    """Return the format of an object that is pickled with its classes, which replicas import."""
    framework, version = _framework(value)
    names = getattr(value, "feature_names_in_", None)
    width = getattr(value, "n_features_in_", None)

    def save(path: Path) -> None:
        import joblib  # slow to import

        joblib.dump(value, path)

    return ServingFormat(
        framework=framework,
        version=version,
        file=MODEL_FILE,
        save=save,
        imports=("import joblib",),
        load="joblib.load(path)",
        answer=f"model.{method}(data)",
        columns=None if names is None else tuple(str(name) for name in names),
        width=width if isinstance(width, int) else None,
        checked=framework != "ScikitLearn",
    )


def _framework(value: Any) -> tuple[str, str | None]:
    """Return the framework and its version: scikit-learn for its own estimators, custom for all others."""
    if type(value).__module__.partition(".")[0] != "sklearn":
        return "Custom", None
    import sklearn  # optional, and slow to import

    return "ScikitLearn", sklearn.__version__
