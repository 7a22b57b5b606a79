"""The errors of the SDK, where code written for Azure ML looks for them."""

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
