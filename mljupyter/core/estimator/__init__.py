"""From a fitted estimator to what serves it: a registered model, a scoring script with a schema, an environment.

An estimator is anything like those of scikit-learn: fitted, with ``predict()``, and made of classes that a replica can
import.

>>> model = register_estimator(ws, ridge, "diabetes-ridge")             # doctest: +SKIP
>>> text = scoring_script(ridge, sample=X_train)                        # doctest: +SKIP
"""

from __future__ import annotations

from mljupyter.core.estimator.checks import METHODS, EstimatorError, check_estimator, is_fitted, looks_like_estimator
from mljupyter.core.estimator.packages import environment_for
from mljupyter.core.estimator.registering import MODEL_FILE, planned_model, register_estimator
from mljupyter.core.estimator.script import GENERATED, scoring_script

__all__ = [
    "GENERATED",
    "METHODS",
    "MODEL_FILE",
    "EstimatorError",
    "check_estimator",
    "environment_for",
    "is_fitted",
    "looks_like_estimator",
    "planned_model",
    "register_estimator",
    "scoring_script",
]
