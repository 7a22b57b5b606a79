"""Estimators: register a fitted estimator as a model, and make a scoring script and an environment for it.

An estimator is any object like those of scikit-learn: fitted, with ``predict()``, and made of classes that a replica
can import.

>>> model = register_estimator(ws, ridge, "diabetes-ridge")             # doctest: +SKIP
>>> text = scoring_script(ridge, sample=X_train)                        # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter import core
from mljupyter.deploy.estimator import register
from mljupyter.deploy.estimator.checks import (
    METHODS,
    EstimatorError,
    check_estimator,
    is_fitted,
    looks_like_estimator,
)
from mljupyter.deploy.estimator.content import pinned_packages
from mljupyter.deploy.estimator.register import MODEL_FILE
from mljupyter.deploy.estimator.script import GENERATED, scoring_script
from mljupyter.exceptions import as_webservice_exception

if TYPE_CHECKING:
    from mljupyter.core import Environment, Model, Workspace
    from mljupyter.spec import ModelReference

__all__ = [
    "GENERATED",
    "METHODS",
    "MODEL_FILE",
    "EstimatorError",
    "check_estimator",
    "environment_for",
    "is_fitted",
    "looks_like_estimator",
    "pinned_packages",
    "planned_model",
    "register_estimator",
    "scoring_script",
]


def register_estimator(workspace: Workspace, estimator: Any, name: str) -> Model:
    """Register an estimator as a model; return the version that has the same content, if there is one.

    Parameters:
        workspace: the workspace.
        estimator: a fitted estimator; a replica finds it as ``model.joblib`` in ``AZUREML_MODEL_DIR``.
        name: the name of the model.

    Raises:
        WebserviceException: the name breaks a rule, or the disk is full.

    Example:
        >>> register_estimator(ws, ridge, "diabetes-ridge").version     # doctest: +SKIP
        1

    """
    with as_webservice_exception():
        return core.Model.from_record(workspace, register.register(workspace.context, estimator, name))


def planned_model(workspace: Workspace, estimator: Any, name: str) -> ModelReference:
    """Return the reference to the model that `register_estimator` would return, without registering it."""
    return register.plan(workspace.context, estimator, name)


def environment_for(estimator: Any, name: str, *, frame: bool = False) -> Environment:
    """Return an environment with the packages of an estimator, in the versions that are installed here.

    Parameters:
        estimator: a fitted estimator.
        name: the name of the environment.
        frame: whether its rows are data frames.

    """
    environment = core.Environment(name)
    environment.python.conda_dependencies = core.CondaDependencies.create(
        pip_packages=pinned_packages(estimator, frame=frame)
    )
    return environment
