"""Compute targets: the places that run web services.

Azure: azureml.core.compute.
"""

from __future__ import annotations

from mljupyter.core.compute.aks import AksCompute, AksProvisioningConfiguration, AksUpdateConfiguration
from mljupyter.core.compute.kubernetes import KubernetesCompute
from mljupyter.core.compute.target import ComputeTarget
from mljupyter.core.router import SslConfiguration
from mljupyter.exceptions import ComputeTargetException

__all__ = [
    "AksCompute",
    "AksProvisioningConfiguration",
    "AksUpdateConfiguration",
    "ComputeTarget",
    "ComputeTargetException",
    "KubernetesCompute",
    "SslConfiguration",
]
