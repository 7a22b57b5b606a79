"""`azureml.exceptions`: the exceptions of the SDK that scripts catch."""

from __future__ import annotations


class AzureMLException(Exception):  # noqa: N818 (the name that scripts catch)
    """The base of the SDK's errors; `message` is its text."""

    def __init__(self, exception_message: str = "", **_: object) -> None:
        super().__init__(exception_message)
        self.message = exception_message


class UserErrorException(AzureMLException):
    """The user has asked for something impossible."""


class ModelNotFoundException(AzureMLException):
    """The replica has no model of that name."""


class WebserviceException(AzureMLException):
    """An operation on a web service or model failed."""


class RunEnvironmentException(AzureMLException):
    """There is no training run here."""
