"""The error of objects that cannot be deployed as estimators."""

from mljupyter.errors import MLJupyterError


class EstimatorError(MLJupyterError):
    """An object cannot be deployed as an estimator."""
