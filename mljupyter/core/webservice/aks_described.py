"""What an AKS web service, and each version of an AKS endpoint, shows of its size, probe and scaling."""

from __future__ import annotations

from typing import Any

from mljupyter.core.webservice.described import DescribedWebservice
from mljupyter.core.webservice.parts import AutoScaler, ContainerResourceRequirements, LivenessProbeRequirements


class DescribedAksWebservice(DescribedWebservice):
    """The attributes that AKS web services have beyond those of all web services."""

    @property
    def container_resource_requirements(self) -> ContainerResourceRequirements:
        """The size of a replica."""
        return ContainerResourceRequirements.of(self._version.resources)

    @property
    def liveness_probe_requirements(self) -> LivenessProbeRequirements:
        """When a replica counts as dead."""
        return LivenessProbeRequirements.of(self._version.probe)

    @property
    def autoscaler(self) -> AutoScaler:
        """How the number of replicas follows the load."""
        return AutoScaler.of(self._version.scaling)

    @property
    def num_replicas(self) -> int | None:
        """The fixed number of replicas; None when it follows the load."""
        return self._version.scaling.replicas

    @property
    def scoring_timeout_ms(self) -> int:
        """How long a request may run."""
        return self._version.limits.scoring_timeout_ms

    @property
    def max_concurrent_requests_per_container(self) -> int:
        """How many requests a replica runs at once."""
        return self._version.limits.max_concurrent_requests

    @property
    def max_request_wait_time(self) -> int:
        """How long a request may wait for a replica, in milliseconds."""
        return self._version.limits.max_queue_wait_ms

    def serialize(self) -> dict[str, Any]:
        """Return all that is known as JSON types, without keys."""
        return super().serialize() | {
            "containerResourceRequirements": self.container_resource_requirements.serialize(),
            "livenessProbeRequirements": self.liveness_probe_requirements.serialize(),
            "autoScaler": self.autoscaler.serialize(),
            "numReplicas": self.num_replicas,
            "scoringTimeoutMs": self.scoring_timeout_ms,
            "maxConcurrentRequestsPerContainer": self.max_concurrent_requests_per_container,
            "maxQueueWaitMs": self.max_request_wait_time,
        }
