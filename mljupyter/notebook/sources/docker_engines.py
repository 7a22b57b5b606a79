"""Docker engines of this machine: those of Docker's contexts and of ``DOCKER_HOST``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mljupyter.build.images.docker.address import engine_address
from mljupyter.build.images.docker.engine import connect
from mljupyter.build.images.errors import BuilderUnavailableError, ImageError
from mljupyter.visible import one_line

_CERTIFICATES = "It needs the certificates of Docker's context: put %env DOCKER_CONTEXT={} into the first cell."


@dataclass(frozen=True)
class DockerEngine:
    """An engine: its name, its address, and the reason why `%mlj attach` cannot choose it; empty if it can."""

    name: str
    address: str
    reason: str = ""


def current_engine() -> DockerEngine:
    """Return the current engine: that of ``DOCKER_HOST``, else of Docker's current context, else the default.

    Its address is empty if the current context cannot be read.
    """
    try:
        found = engine_address()
    except BuilderUnavailableError:
        return DockerEngine("default", "")
    return DockerEngine(found.source, found.url)


def known_engines() -> list[DockerEngine]:
    """Return the engines of Docker's contexts; none if the Docker SDK is not installed."""
    try:
        from docker.context import ContextAPI
        from docker.errors import DockerException
    except ImportError:
        return []
    try:
        return [_of(context) for context in ContextAPI.contexts() if context.Host]
    except (DockerException, OSError, ValueError):
        return []  # an unreadable context must not hide the default engine


def problem_of(address: str) -> str | None:
    """Return the reason why an engine cannot be used, with a solution; None if it answers.

    Parameters:
        address: such as ``unix:///var/run/docker.sock``, ``tcp://host:2376`` or ``ssh://user@host``; empty for the
            current engine.

    """
    try:
        connect(address or None, timeout=10).close()
    except ImageError as error:
        return error.message
    return None


def address_rule(address: str) -> str:
    """Return the error of an address; empty if it is valid."""
    schemes = ("unix://", "tcp://", "ssh://", "http://", "https://", "npipe://")
    if address.startswith(schemes) and address.partition("://")[2] and one_line(address) == address:
        return ""
    return f"{address!r} is not the address of an engine: for example unix:///var/run/docker.sock or ssh://user@host."


def _of(context: Any) -> DockerEngine:
    reason = _CERTIFICATES.format(context.Name) if context.TLSConfig else ""
    return DockerEngine(str(context.Name), str(context.Host), reason)
