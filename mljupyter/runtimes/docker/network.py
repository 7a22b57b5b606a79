"""The Docker network of replicas. Containers in it are reached by their published ports, and cannot reach each other.

One network serves all workspaces and users of an engine. It separates all its containers, so more networks would add
nothing, and an engine has addresses for about thirty. The engine separates it from other networks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mljupyter.runtimes.base import RuntimeUnavailableError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.networks import Network

NAME = "mljupyter-replicas"
LABEL = "mljupyter/network"
REPLICA_LABEL = "mljupyter/replica"  # on the containers of all workspaces
_TALK_TO_EACH_OTHER = "com.docker.network.bridge.enable_icc"
_OPTIONS = {_TALK_TO_EACH_OTHER: "false"}
_CONFLICT = 409
_BY_HAND = f"docker network create --opt {_TALK_TO_EACH_OTHER}=false --subnet SUBNET {NAME}"


def ensure(client: DockerClient) -> str:
    """Create the network unless it exists; return its name.

    Raises:
        RuntimeUnavailableError: when the engine refuses it, or has a network of that name that separates nothing.

    """
    from docker.errors import APIError

    network = _found(client)
    if network is None:
        try:
            network = client.networks.create(
                NAME, driver="bridge", options=_OPTIONS, labels={LABEL: "replicas"}, check_duplicate=True
            )
        except APIError as error:
            # Another controller may have created it in the meantime.
            network = _found(client) if error.status_code == _CONFLICT else None
            if network is None:
                raise RuntimeUnavailableError(
                    f"the Docker engine cannot create the network {NAME!r}, which isolates containers from each "
                    f"other: {error.explanation or error}.\n"
                    "Remove unused networks (docker network prune), or create it with free addresses:\n"
                    f"{_BY_HAND}"
                ) from None
    options = network.attrs.get("Options") or {}
    if network.attrs.get("Driver") != "bridge" or options.get(_TALK_TO_EACH_OTHER) != "false":
        raise RuntimeUnavailableError(
            f"the Docker network {NAME!r} does not isolate containers from each other, so no replica is "
            f"started in it.\nRemove it: docker network rm {NAME}. The next replica creates it again; by hand:\n"
            f"{_BY_HAND}"
        )
    return NAME


def remove_unused(client: DockerClient, *, dry_run: bool = False) -> bool:
    """Remove the network if the engine has no container of a replica, running or ended; return whether it was removed.

    A network that was created by hand stays.

    Parameters:
        client: a client of the engine.
        dry_run: remove nothing, and return whether it would be removed.

    """
    from docker.errors import APIError

    if client.api.containers(all=True, quiet=True, filters={"label": REPLICA_LABEL}):
        return False
    network = _found(client)
    if network is None or LABEL not in (network.attrs.get("Labels") or {}):
        return False
    try:
        if not dry_run:
            network.remove()
    except APIError:  # another container is in it, or another controller has removed it
        return False
    return True


def _found(client: DockerClient) -> Network | None:
    named: list[Network] = client.networks.list(names=[NAME])  # the engine also finds names that contain it
    return next((network for network in named if network.name == NAME), None)
