"""Exceptions of the SDK.

Azure: azureml.exceptions.
"""

from __future__ import annotations

from mljupyter.exceptions import (
    AzureMLException,
    ComputeTargetException,
    ModelNotFoundException,
    ProjectSystemException,
    UserErrorException,
    WebserviceException,
    WorkspaceException,
)

__all__ = [
    "AzureMLException",
    "ComputeTargetException",
    "ModelNotFoundException",
    "ProjectSystemException",
    "UserErrorException",
    "WebserviceException",
    "WorkspaceException",
]
