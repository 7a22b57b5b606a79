"""Recommended size of a replica, stored with a model.

Azure: azureml.core.resource_configuration.
"""

from __future__ import annotations

from typing import Any

from mljupyter.exceptions import UserErrorException


class ResourceConfiguration:
    """CPU cores, memory in GB and GPUs for a replica of a model.

    Parameters:
        cpu: cores, above 0.
        memory_in_gb: GB, above 0.
        gpu: number of GPUs, above 0.

    Raises:
        UserErrorException: a value is not above 0; the message has all of these.

    """

    def __init__(self, cpu: float | None = None, memory_in_gb: float | None = None, gpu: int | None = None) -> None:
        wrong = [
            f"{name} is {value!r}: it must be a number above 0."
            for name, value in (("cpu", cpu), ("memory_in_gb", memory_in_gb), ("gpu", gpu))
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0)
        ]
        if wrong:
            raise UserErrorException("\n".join(wrong))
        self.cpu = cpu
        self.memory_in_gb = memory_in_gb
        self.gpu = gpu

    def serialize(self) -> dict[str, Any]:
        """Return the configuration as JSON types."""
        return {"cpu": self.cpu, "memoryInGB": self.memory_in_gb, "gpu": self.gpu}

    @staticmethod
    def deserialize(payload_obj: dict[str, Any] | None) -> ResourceConfiguration | None:
        """Return the configuration from the JSON types of `serialize`; None for None."""
        if payload_obj is None:
            return None
        return ResourceConfiguration(payload_obj.get("cpu"), payload_obj.get("memoryInGB"), payload_obj.get("gpu"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResourceConfiguration) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.cpu, self.memory_in_gb, self.gpu))

    def __repr__(self) -> str:
        return f"ResourceConfiguration(cpu={self.cpu}, memory_in_gb={self.memory_in_gb}, gpu={self.gpu})"
