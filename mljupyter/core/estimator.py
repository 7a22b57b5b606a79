"""Estimators: register a fitted estimator as a model, and make a scoring script and an environment for it.

An estimator is any object like those of scikit-learn: fitted, with ``predict()``, and made of classes that a replica
can import. Models of xgboost, lightgbm, catboost, PyTorch, Keras, ONNX and statsmodels are saved in their own formats.

>>> model = register_estimator(ws, ridge, "diabetes-ridge")             # doctest: +SKIP
>>> text = scoring_script(ridge, sample=X_train)                        # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter import core
from mljupyter.deploy.estimator import register
from mljupyter.deploy.estimator.checks import METHODS, check_estimator, is_fitted, looks_like_estimator
from mljupyter.deploy.estimator.content import pinned_packages
from mljupyter.deploy.estimator.frameworks import ServingFormat, format_of
from mljupyter.deploy.estimator.frameworks.pickled import MODEL_FILE
from mljupyter.deploy.estimator.problems import EstimatorError
from mljupyter.deploy.estimator.script import EXTRA_COLUMNS, GENERATED, scoring_script
from mljupyter.exceptions import as_webservice_exception

if TYPE_CHECKING:
    from mljupyter.core import Environment, Model, Workspace
    from mljupyter.spec import ModelReference

__all__ = [
    "EXTRA_COLUMNS",
    "GENERATED",
    "METHODS",
    "MODEL_FILE",
    "EstimatorError",
    "ServingFormat",
    "check_estimator",
    "environment_for",
    "is_fitted",
    "looks_like_estimator",
    "pinned_packages",
    "planned_model",
    "register_estimator",
    "scoring_script",
]


def register_estimator(
    workspace: Workspace, estimator: Any, name: str, *, sample: Any = None, form: ServingFormat | None = None
) -> Model:
    """Register an estimator as a model; return the version that has the same content, if there is one.

    Parameters:
        workspace: the workspace.
        estimator: a fitted estimator, or a model of another framework; it is saved in its own format, those of
            scikit-learn as ``model.joblib``. A replica finds the file in ``AZUREML_MODEL_DIR``.
        name: the name of the model.
        sample: rows of its input, which modules of PyTorch need.
        form: how it is saved; by default what fits its class.

    Raises:
        EstimatorError: it cannot be saved.
        WebserviceException: the name breaks a rule, or the disk is full.

    Example:
        >>> register_estimator(ws, ridge, "diabetes-ridge").version     # doctest: +SKIP
        1

    """
    with as_webservice_exception():
        form = form or format_of(estimator, sample=sample, name=name)
        return core.Model.from_record(workspace, register.register(workspace.context, estimator, name, form))


def planned_model(
    workspace: Workspace, estimator: Any, name: str, *, form: ServingFormat | None = None
) -> ModelReference:
    """Return the reference to the model that `register_estimator` would return, without registering it."""
    return register.plan(workspace.context, name, form or format_of(estimator, name=name))


def environment_for(
    estimator: Any, name: str, *, frame: bool = False, form: ServingFormat | None = None
) -> Environment:
    """Return an environment with the packages of an estimator, in the versions that are installed here.

    Parameters:
        estimator: a fitted estimator.
        name: the name of the environment.
        frame: whether its rows are data frames.
        form: how it is saved; by default what fits its class.

    """
    form = form or format_of(estimator, sample=(), name=name)
    environment = core.Environment(name)
    environment.python.conda_dependencies = core.CondaDependencies.create(
        pip_packages=pinned_packages(form, estimator, frame=frame)
    )
    return environment
