"""Containers of replicas: the options they are created with, and their attributes as the Docker engine reports them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mljupyter.build.images.docker import engine
from mljupyter.build.images.docker.engine import connect as connect_to_engine
from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.registry.references import Reference
from mljupyter.engine.replicas.replica_key import VARIABLE as KEY_VARIABLE
from mljupyter.engine.scaling.capacity import Capacity
from mljupyter.runtimes import replica_layout
from mljupyter.runtimes.base import ReplicaOrder, RuntimeUnavailableError
from mljupyter.runtimes.docker import network
from mljupyter.spec import VersionSpec

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.images import Image

PORT = 5001
COLLECTED = "/var/mljupyter/collected"
_ANSWER_WITHIN = 30
_NO_GPU_DRIVER = "could not select device driver"  # of Docker's engine
_GIB = 1 << 30
_NANO = 1_000_000_000
_MOST_OF_MACHINE = 0.75
_MOST_PROCESSES = 512


def connect() -> DockerClient:
    """Return a client of the Docker engine, the same one that images are built on.

    Raises:
        RuntimeUnavailableError: when the Docker SDK is not installed, or no engine answers.

    """
    try:
        return connect_to_engine(timeout=_ANSWER_WITHIN)
    except ImageError as error:
        raise RuntimeUnavailableError(error.message) from None


def pull(client: DockerClient, reference: str) -> Image:
    """Pull an image from the container registry that its name begins with; return it.

    Raises:
        RuntimeUnavailableError: when the registry does not have it, or does not answer.
        docker.errors.ImageNotFound: when the name does not begin with a registry.

    """
    parsed = Reference.parse(reference)
    if parsed.registry is not None:
        try:
            engine.pull(client, parsed, ())
        except ImageError as error:
            raise RuntimeUnavailableError(f"image {reference} is gone, and cannot be pulled: {error.message}") from None
    return client.images.get(reference)


@contextlib.contextmanager
def translated(doing: str = "asking the Docker engine") -> Iterator[None]:
    """Raise errors of the Docker SDK as `RuntimeUnavailableError`."""
    import requests
    from docker.errors import DockerException, ImageNotFound

    try:
        yield
    except ImageNotFound as error:
        reason = str(error.explanation or error)
        raise RuntimeUnavailableError(
            f"{doing} failed: {reason}. Build the image again: repeat the deployment."
        ) from None
    except (DockerException, requests.RequestException) as error:
        reason = getattr(error, "explanation", None) or str(error)
        if _NO_GPU_DRIVER in reason:
            reason += "\nInstall the NVIDIA Container Toolkit on the engine's machine, or leave out gpu_cores."
        raise RuntimeUnavailableError(f"{doing} failed: {reason}") from None


def capacity_of(client: DockerClient, name: str) -> Capacity:
    """Return cores and memory of an engine's machine. `name` is its name if the engine reports none."""
    with translated():
        found = client.info()
    return Capacity(found["NCPU"], found["MemTotal"] / _GIB, str(found.get("Name", name)))


def published_port(attributes: dict[str, Any]) -> int:
    """Return the port of the engine's machine that leads to a container: the requested one, or the one it was given."""
    asked_for = attributes["HostConfig"]["PortBindings"][f"{PORT}/tcp"][0]["HostPort"]
    got = (attributes["NetworkSettings"]["Ports"] or {}).get(f"{PORT}/tcp") or [{"HostPort": "0"}]
    return int(asked_for or got[0]["HostPort"])


def started_time(container: Container) -> float:
    """Return the start of a container in seconds since the epoch; 0 if it was never started."""
    text = container.attrs["State"]["StartedAt"][:19]
    return datetime.fromisoformat(f"{text}+00:00").timestamp() if not text.startswith("0001") else 0.0


def container_name(replica_id: str) -> str:
    """Return the name of a replica's container."""
    return f"mljupyter-{replica_id}"


def arguments_of(order: ReplicaOrder) -> list[str]:
    """Return the options of the scoring server."""
    return replica_layout.server_options(order.spec, order.id)


def environment_of(order: ReplicaOrder, key: str | None) -> dict[str, str]:
    """Return the environment variables of a container. `key` is its key; None for a server that supports no keys."""
    variables = replica_layout.container_variables(
        order.spec,
        service=order.endpoint,
        version=order.version,
        workspace=order.workspace,
        collected=PurePosixPath(COLLECTED),
    )
    return variables | ({KEY_VARIABLE: key} if key is not None else {})


def key_of(attributes: dict[str, Any]) -> str | None:
    """Return the key that a container was given; None for a container of a release without keys."""
    variables = dict(item.partition("=")[::2] for item in attributes["Config"]["Env"] or ())
    return variables.get(KEY_VARIABLE)


def confinement(client: DockerClient) -> dict[str, Any]:
    """Return the options that isolate a container from its machine and from other containers.

    Raises:
        RuntimeUnavailableError: when the engine cannot create the network for it.

    """
    return {
        "init": True,
        "read_only": True,
        "tmpfs": {"/tmp": "size=256m,mode=1777"},  # noqa: S108 - in the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": _MOST_PROCESSES,
        "network": network.ensure(client),
    }


def memory_options(most_bytes: int) -> dict[str, Any]:
    """Return the options that limit memory, swap included, to `most_bytes`."""
    return {"mem_limit": most_bytes, "memswap_limit": most_bytes}


def most_of(machine_bytes: int) -> int:
    """Return the bytes of its machine's memory that a container without its own limit may use."""
    return int(machine_bytes * _MOST_OF_MACHINE)


def accelerator_options(accelerators: Sequence[str]) -> dict[str, Any]:
    """Return the options that give a container some GPUs of its machine, by their ids; none for no GPUs."""
    if not accelerators:
        return {}
    from docker.types import DeviceRequest

    return {"device_requests": [DeviceRequest(device_ids=list(accelerators), capabilities=[["gpu"]])]}


def limit_options(spec: VersionSpec, machine_bytes: int) -> dict[str, Any]:
    """Return the options that limit cores and memory.

    Without its own limit, a version may use three quarters of the machine's memory, or its request if that is more. So
    a model that needs more than its request continues to run, and a replica with a memory leak does not bring the
    machine down. Cores need no default limit, since the system shares them.

    Parameters:
        spec: the version.
        machine_bytes: the memory of the engine's machine, in bytes.

    """
    resources = spec.resources
    asked_for = int(resources.memory_in_gb * _GIB)
    memory = max(asked_for, most_of(machine_bytes))
    if resources.memory_in_gb_limit is not None:
        memory = int(resources.memory_in_gb_limit * _GIB)
    limits = memory_options(memory)
    if resources.cpu_limit is not None:
        limits["nano_cpus"] = int(resources.cpu_limit * _NANO)
    return limits
