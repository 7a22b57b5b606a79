"""The target ``docker``: replicas are containers of a Docker engine, that of this machine or of DOCKER_HOST."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from mljupyter.runtimes.base import RuntimeUnavailableError, Usage
from mljupyter.runtimes.docker.container_spec import connect, container_name
from mljupyter.runtimes.docker.usage import usage_of
from mljupyter.spec import ReplicaStatus
from mljupyter.targets.base import Needs, Target, TargetContext
from mljupyter.targets.machine import MachineTarget


class DockerTarget(MachineTarget):
    """The target for containers on the Docker engine of this machine or of ``DOCKER_HOST``."""

    name = "docker"
    type = "Docker"
    about = "Containers of a Docker engine, from an image that is built once."
    needs = Needs.ENGINE_IMAGE

    def availability(self) -> str | None:
        """Return why the engine cannot be used now, with a solution; None if it answers."""
        try:
            connect().close()
        except RuntimeUnavailableError as error:
            return error.message
        return None

    def meter(self, replica: ReplicaStatus) -> Callable[[], Usage]:
        """Return a function that asks the engine for the usage of a replica's container."""
        return partial(usage_of, connect(), container_name(replica.id))


def targets(context: TargetContext) -> Iterable[Target]:
    """Return the target ``docker`` of a workspace."""
    return [DockerTarget(context)]
