"""Value types of web services: size of a replica, liveness probe and autoscaling.

Azure: azureml.core.webservice.webservice and azureml.core.webservice.aks.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from mljupyter.spec import LivenessProbe, Resources, Scaling
from mljupyter.spec.document import camel_case


@dataclass
class _Part:
    """Base class: attributes that are read from and written to JSON types with camelCase keys."""

    def serialize(self) -> dict[str, Any]:
        """Return the value as JSON types with camelCase keys."""
        return {_key(field): getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def deserialize(cls, payload_obj: dict[str, Any] | None) -> Self | None:
        """Return the value from the JSON types of `serialize`; None for None."""
        if payload_obj is None:
            return None
        return cls(**{field.name: payload_obj.get(_key(field)) for field in dataclasses.fields(cls)})


def _key(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("key", camel_case(field.name)))


@dataclass
class ContainerResourceRequirements(_Part):
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
class LivenessProbeRequirements(_Part):
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
class AutoScaler(_Part):
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
