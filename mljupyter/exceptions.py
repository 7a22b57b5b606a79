"""The errors of the SDK, under the names of ``azureml.exceptions``.

Code written for Azure ML catches these classes and searches their text for `WebserviceNotFound`, `ModelNotFound`
and `ComputeTargetNotFound`: both are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mljupyter.errors import MLJupyterError

__all__ = [
    "ActivityFailedException",
    "AuthenticationException",
    "AzureMLException",
    "ComputeTargetException",
    "DatasetExecutionError",
    "DatasetValidationError",
    "ExperimentExecutionException",
    "ModelNotFoundException",
    "ProjectSystemException",
    "RunConfigurationException",
    "RunEnvironmentException",
    "ServiceException",
    "SnapshotException",
    "TrainingException",
    "UserErrorException",
    "WebserviceException",
    "WorkspaceException",
    "as_user_error",
    "as_webservice_exception",
]


class AzureMLException(MLJupyterError):  # noqa: N818 - the original name
    """Base of the errors that the SDK raises."""


class UserErrorException(AzureMLException):
    """An argument or a configuration file is wrong, or there is none."""


class ProjectSystemException(AzureMLException):
    """The configuration of a workspace is wrong."""


class WorkspaceException(ProjectSystemException):
    """A workspace is missing, exists already or cannot be used."""


class ComputeTargetException(AzureMLException):
    """A compute target is missing or cannot be used."""


class ModelNotFoundException(AzureMLException):
    """`Model.get_model_path` does not find the model's files."""


class WebserviceException(AzureMLException):
    """An operation on a model or web service failed, or was refused.

    `status_code` is the HTTP status, if known.
    """

    def __init__(self, message: str, status_code: int | None = None, logger: Any = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.logger = logger


class TrainingException(AzureMLException):
    """A run cannot be made or followed."""


class ExperimentExecutionException(TrainingException):
    """A script cannot be submitted."""


class RunEnvironmentException(TrainingException):
    """There is no run here, or its environment cannot be used."""


class RunConfigurationException(AzureMLException):
    """A run configuration is wrong, or cannot be read."""


class SnapshotException(AzureMLException):
    """A source directory cannot be stored."""


class ActivityFailedException(AzureMLException):
    """A run failed; raised by `Run.wait_for_completion`."""


class ServiceException(AzureMLException):
    """A service of a cloud has refused; nothing here raises it."""


class AuthenticationException(AzureMLException):
    """Something needs an identity in a cloud, which a workspace here does not have."""


class DatasetValidationError(UserErrorException):
    """The files of a dataset are missing or have another form."""


class DatasetExecutionError(UserErrorException):
    """The data of a dataset cannot be read."""


@contextmanager
def as_webservice_exception() -> Iterator[None]:
    """Raise the errors of specs, registry, snapshots and controller as `WebserviceException`, text unchanged.

    Errors that belong to the SDK already pass unchanged, and so does every `FileNotFoundError`: code written for
    Azure ML expects it for a model path that does not exist.
    """
    try:
        yield
    except (AzureMLException, FileNotFoundError):
        raise
    except MLJupyterError as error:
        raise WebserviceException(error.message, status_code=getattr(error, "status_code", None)) from error


@contextmanager
def as_user_error() -> Iterator[None]:
    """Raise the errors of documents, registry and builds as `UserErrorException`, text unchanged."""
    try:
        yield
    except AzureMLException:
        raise
    except MLJupyterError as error:
        raise UserErrorException(error.message) from error
