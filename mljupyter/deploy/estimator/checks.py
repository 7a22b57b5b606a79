"""Checks of estimators: an object is deployable if it is fitted and a replica can import all of its classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mljupyter.deploy.estimator.content import Content, contents, contents_of_classes
from mljupyter.deploy.estimator.frameworks import ServingFormat, format_of, is_model, module_names
from mljupyter.deploy.estimator.problems import EstimatorError

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function")


def looks_like_estimator(value: object) -> bool:
    """Return whether the class of an object is that of a model, fitted or not; no code of the object is run."""
    return is_model(value)


def is_fitted(estimator: Any) -> bool:
    """Return whether an estimator is fitted, by scikit-learn's rules. Classes without these rules count as fitted."""
    if "sklearn" not in module_names(estimator):
        return True
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True


def check_estimator(
    estimator: Any, name: str, *, method: str = "predict", source_directory: Path | None = None, sample: Any = None
) -> ServingFormat:
    """Check that an object can be deployed, and return how it is saved and called.

    Parameters:
        estimator: the object.
        name: its name in error messages.
        method: the method that is called for each request.
        source_directory: a directory whose modules the replicas have as well.
        sample: rows of its input, which modules of PyTorch need.

    Raises:
        EstimatorError: it is not an estimator, is not fitted, lacks the method, or cannot be loaded in another process.

    """
    kind = type(estimator).__name__
    if isinstance(estimator, type):
        raise EstimatorError(f"{name} is a class: give a fitted object, {estimator.__name__}(...).fit(X, y).")
    if not looks_like_estimator(estimator):
        raise EstimatorError(
            f"{name} is a {kind}, which is not an estimator: it must have predict(), like those of scikit-learn.\n"
            "Other models: Model.register(ws, PATH, NAME), a %%score cell, and --model NAME --score SCRIPT."
        )
    if not is_fitted(estimator):
        raise EstimatorError(f"{name} is a {kind} that is not fitted: call {name}.fit(X, y) first.")
    if hasattr(type(estimator), "predict") and not hasattr(estimator, method):
        able = ", ".join(known for known in METHODS if hasattr(estimator, known)) or "predict"
        raise EstimatorError(f"{name} is a {kind}, which has no {method}(). It has: {able}.")
    form = format_of(estimator, method, sample, name)
    _check_content(_content(estimator, form), name, source_directory)
    return form


def _content(estimator: Any, form: ServingFormat) -> Content:
    return contents(estimator) if form.classes is None else contents_of_classes(form.classes)


def _check_content(found: Content, name: str, source_directory: Path | None) -> None:
    way_out = (
        "Write it into a module (%%writefile helpers.py), import it from there and fit again; then deploy with "
        "--source-directory ."
    )
    if found.nameless:
        raise EstimatorError(
            f"{name} cannot be deployed: it holds {found.nameless[0]}, which cannot be saved to a file.\n{way_out}"
        )
    if found.of_notebook:
        raise EstimatorError(
            f"{name} cannot be deployed: it uses {', '.join(found.of_notebook)}, defined in this notebook, which the "
            f"replicas do not have.\n{way_out}"
        )
    missing = {module: place for module, place in found.local_modules.items() if place != source_directory}
    if missing:
        module, place = next(iter(missing.items()))
        raise EstimatorError(
            f"{name} cannot be deployed: it uses the module {module!r} of the directory {place.name!r}, which the "
            f"replicas do not have.\nSend the directory along: --source-directory {_short(place)}"
        )
    if found.problem:
        raise EstimatorError(f"{name} cannot be deployed: it cannot be saved to a file: {found.problem}")


def _short(place: Path) -> str:
    return "." if place == Path.cwd() else str(place)
