"""The parts of a web service's description that have classes of their own in Azure ML v1."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from mljupyter.spec import LivenessProbe, Resources, Scaling
from mljupyter.spec.document import camel_case


@dataclass
class _Part:
    def serialize(self) -> dict[str, Any]:
        """Return the part as JSON types with camelCase keys."""
        return {_key(field): getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def deserialize(cls, payload_obj: dict[str, Any] | None) -> Self | None:
        """Read what `serialize` wrote."""
        if payload_obj is None:
            return None
        return cls(**{field.name: payload_obj.get(_key(field)) for field in dataclasses.fields(cls)})


def _key(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("key", camel_case(field.name)))


@dataclass
class ContainerResourceRequirements(_Part):
    """What one replica may use: cores and GB, requested and at most."""

    cpu: float
    memory_in_gb: float
    gpu: int | None = None
    cpu_limit: float | None = None
    memory_in_gb_limit: float | None = None

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Return the part for a version's resources."""
        return cls(**resources.model_dump())


@dataclass
class LivenessProbeRequirements(_Part):
    """When a replica counts as dead. Times in seconds."""

    period_seconds: int
    initial_delay_seconds: int
    timeout_seconds: int
    success_threshold: int
    failure_threshold: int

    @classmethod
    def of(cls, probe: LivenessProbe) -> Self:
        """Return the part for a version's probe."""
        return cls(**probe.model_dump())


@dataclass
class AutoScaler(_Part):
    """How the number of replicas follows the load. The values are None where it does not."""

    autoscale_enabled: bool
    max_replicas: int | None
    min_replicas: int | None
    refresh_period_seconds: int | None = dataclasses.field(metadata={"key": "refreshPeriodInSeconds"})
    target_utilization: int | None

    @classmethod
    def of(cls, scaling: Scaling) -> Self:
        """Return the part for a version's scaling."""
        policy = scaling.autoscale
        if policy is None:
            return cls(False, None, None, None, None)
        return cls(True, policy.max_replicas, policy.min_replicas, policy.refresh_seconds, policy.target_utilization)
