"""The Docker network of replicas. Containers in it are reached by their published ports, and cannot reach each other.

One network serves all workspaces and users of an engine. It separates all its containers, so more networks would add
nothing, and an engine has addresses for about thirty. The engine separates it from other networks.

Controllers do not know of each other, so one may remove the network, or create it too, while another one starts a
container. Docker before release 25 lets two of them create two networks of this name at the same time. It then refuses
each container that joins one of them, so all but one are removed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mljupyter.runtimes.base import RuntimeUnavailableError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.errors import APIError
    from docker.models.networks import Network

NAME = "mljupyter-replicas"
LABEL = "mljupyter/network"
REPLICA_LABEL = "mljupyter/replica"  # on the containers of all workspaces
_TALK_TO_EACH_OTHER = "com.docker.network.bridge.enable_icc"
_OPTIONS = {_TALK_TO_EACH_OTHER: "false"}
_NOT_FOUND, _CONFLICT = 404, 409
_MOST_ATTEMPTS = 5
_CHANGED = re.compile(r"\bnetwork\b.*(\bis ambiguous\b|\bnot found\b)")
_BY_HAND = f"docker network create --opt {_TALK_TO_EACH_OTHER}=false --subnet SUBNET {NAME}"


def ensure(client: DockerClient) -> str:
    """Create the network unless it exists; return its name.

    Raises:
        RuntimeUnavailableError: when the engine refuses it, or has a network of that name that separates nothing.

    """
    network = _one_of(_found(client) or _created(client))
    options = network.attrs.get("Options") or {}
    if network.attrs.get("Driver") != "bridge" or options.get(_TALK_TO_EACH_OTHER) != "false":
        raise RuntimeUnavailableError(
            f"the Docker network {NAME!r} does not isolate containers from each other, so no replica is "
            f"started in it.\nRemove it: docker network rm {NAME}. The next replica creates it again; by hand:\n"
            f"{_BY_HAND}"
        )
    return NAME


def changed_meanwhile(error: APIError) -> bool:
    """Return whether a container was not started since another controller has removed or created the network.

    Call `ensure` and start it again then.
    """
    return bool(_CHANGED.search(str(error.explanation or error)))


def remove_unused(client: DockerClient, *, dry_run: bool = False) -> bool:
    """Remove the network if the engine has no container of a replica, running or ended; return whether it was removed.

    A network that was created by hand stays. Where there are several of the name, all of them are removed.

    Parameters:
        client: a client of the engine.
        dry_run: remove nothing, and return whether it would be removed.

    """
    from docker.errors import APIError

    if client.api.containers(all=True, quiet=True, filters={"label": REPLICA_LABEL}):
        return False
    removed = False
    for network in _found(client):
        if not _ours(network):
            continue
        try:
            if not dry_run:
                network.remove()
            removed = True
        except APIError:  # another container is in it, or another controller has removed it
            continue
    return removed


def _created(client: DockerClient) -> list[Network]:
    """Create the network; return it with those of the same name that others have created at the same time."""
    from docker.errors import APIError

    for _ in range(_MOST_ATTEMPTS):
        try:
            created = client.networks.create(
                NAME, driver="bridge", options=_OPTIONS, labels={LABEL: "replicas"}, check_duplicate=True
            )
            return _found(client) or [created]
        except APIError as error:
            reason = error.explanation or error
            if error.status_code not in (_CONFLICT, _NOT_FOUND):
                break
            # Another controller has created one in the meantime, or has removed this one since its own is older.
            if found := _found(client):
                return found
    raise RuntimeUnavailableError(
        f"the Docker engine cannot make the network {NAME!r}, in which containers are kept apart from each "
        f"other: {reason}.\n"
        "Remove networks that nobody uses (docker network prune), or make it with free addresses:\n"
        f"{_BY_HAND}"
    )


def _one_of(networks: Sequence[Network]) -> Network:
    """Remove all networks but one, which controllers agree on: one that containers are in, else the oldest one."""
    kept, *others = networks
    for other in others:
        if _removed(other):
            continue
        if _removed(kept):
            kept = other
    return kept


def _removed(network: Network) -> bool:
    """Remove a network unless containers are in it, or it was created by hand; return whether it is gone."""
    from docker.errors import APIError, NotFound

    if not _ours(network):
        return False
    try:
        network.remove()
    except NotFound:  # another controller was faster
        return True
    except APIError:
        return False
    return True


def _ours(network: Network) -> bool:
    return LABEL in (network.attrs.get("Labels") or {})


def _found(client: DockerClient) -> list[Network]:
    """Return the networks of this name, the oldest one first."""
    named: list[Network] = client.networks.list(names=[NAME])  # the engine also finds names that contain it
    return sorted(
        (network for network in named if network.name == NAME),
        key=lambda network: (network.attrs.get("Created") or "", network.id),
    )
