"""Value types of web services: size of a replica, liveness probe, autoscaling, collected data, network and keys.

Azure: azureml.core.webservice.webservice and azureml.core.webservice.aks.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Self

from mljupyter.core.part import Part
from mljupyter.spec import LivenessProbe, Resources, Scaling


@dataclass
class ContainerResourceRequirements(Part):
    """Size of a replica: cores, GB and GPUs, as request and limit."""

    cpu: float
    memory_in_gb: float
    gpu: int | None = None
    cpu_limit: float | None = None
    memory_in_gb_limit: float | None = None

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Return the value for the resources of a version."""
        return cls(**resources.model_dump(include={field.name for field in dataclasses.fields(cls)}))


@dataclass
class LivenessProbeRequirements(Part):
    """Liveness probe of replicas, as in Kubernetes; times in seconds."""

    period_seconds: int
    initial_delay_seconds: int
    timeout_seconds: int
    success_threshold: int
    failure_threshold: int

    @classmethod
    def of(cls, probe: LivenessProbe) -> Self:
        """Return the value for the probe of a version."""
        return cls(**probe.model_dump())


@dataclass
class AutoScaler(Part):
    """Rules of autoscaling. All values except the first are None if the number of replicas is fixed."""

    autoscale_enabled: bool
    max_replicas: int | None
    min_replicas: int | None
    refresh_period_seconds: int | None = dataclasses.field(metadata={"key": "refreshPeriodInSeconds"})
    target_utilization: int | None

    @classmethod
    def of(cls, scaling: Scaling) -> Self:
        """Return the value for the scaling of a version."""
        policy = scaling.autoscale
        if policy is None:
            return cls(False, None, None, None, None)
        return cls(True, policy.max_replicas, policy.min_replicas, policy.refresh_seconds, policy.target_utilization)


@dataclass
class DataCollection(Part):
    """The data that a web service collects, as in a document of Azure."""

    event_hub_enabled: bool | None
    storage_enabled: bool | None


@dataclass
class VnetConfiguration(Part):
    """A virtual network of Azure. It has no effect."""

    vnet_name: str | None
    subnet_name: str | None


@dataclass
class EncryptionProperties(Part):
    """The customer-managed key with which Azure encrypts a web service. It has no effect."""

    cmk_vault_base_url: str | None = dataclasses.field(metadata={"key": "vaultBaseUrl"})
    cmk_key_name: str | None = dataclasses.field(metadata={"key": "keyName"})
    cmk_key_version: str | None = dataclasses.field(metadata={"key": "keyVersion"})
