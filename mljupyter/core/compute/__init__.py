"""Compute targets: the places that run web services.

Azure: azureml.core.compute.
"""

from __future__ import annotations

from mljupyter.core.compute.aks import (
    AksAttachConfiguration,
    AksCompute,
    AksProvisioningConfiguration,
    AksUpdateConfiguration,
    SystemService,
)
from mljupyter.core.compute.aml import AmlCompute, AmlComputeProvisioningConfiguration
from mljupyter.core.compute.kubernetes import KubernetesCompute
from mljupyter.core.compute.mapping import MappedAksCompute
from mljupyter.core.compute.target import ComputeTarget, ComputeTargetUpdateConfiguration
from mljupyter.core.router import SslConfiguration
from mljupyter.exceptions import ComputeTargetException

__all__ = [
    "AksAttachConfiguration",
    "AksCompute",
    "AksProvisioningConfiguration",
    "AksUpdateConfiguration",
    "AmlCompute",
    "AmlComputeProvisioningConfiguration",
    "ComputeTarget",
    "ComputeTargetException",
    "ComputeTargetUpdateConfiguration",
    "KubernetesCompute",
    "MappedAksCompute",
    "SslConfiguration",
    "SystemService",
]
