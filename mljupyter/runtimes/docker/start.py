"""Start of an isolated container: once more when another program takes its port or changes its network meanwhile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from mljupyter.runtimes.docker import network
from mljupyter.runtimes.docker.container_spec import PORT, confinement
from mljupyter.runtimes.ports import LOOPBACK, free_port, listening

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.images import Image

_MOST_ATTEMPTS = 5

log = logging.getLogger(__name__)


def start(
    client: DockerClient,
    image: Image | str,
    command: list[str] | None = None,
    *,
    engine_chooses_port: bool = False,
    **options: Any,
) -> Container:
    """Create and start an isolated container whose server is published on the loopback interface; return it.

    Nothing of a container that does not start is left.

    Parameters:
        client: a client of the engine.
        image: the image, or its reference.
        command: the command; that of the image by default.
        engine_chooses_port: let the engine choose the port. Only the engine knows the free ports of another machine.
        options: more options of the Docker SDK.

    Raises:
        RuntimeUnavailableError: when the engine cannot create the network.
        docker.errors.APIError: when the engine refuses the container.

    """
    from docker.errors import APIError

    attempts = _MOST_ATTEMPTS
    while True:
        port = None if engine_chooses_port else free_port()
        try:
            return _started(client, image, command, port, options)
        except APIError as error:
            attempts -= 1
            taken = port is not None and listening(port) is not None
            if not attempts or not (taken or network.changed_meanwhile(error)):
                raise
            log.info("a container of %s is started again: %s", image, error.explanation or error)


def _started(
    client: DockerClient, image: Image | str, command: list[str] | None, port: int | None, options: dict[str, Any]
) -> Container:
    ports = {f"{PORT}/tcp": cast("int", (LOOPBACK, port))}
    container = client.containers.create(image, command, ports=ports, **confinement(client), **options)
    try:
        container.start()
    except BaseException:
        container.remove(force=True, v=True)
        raise
    container.reload()
    return container
