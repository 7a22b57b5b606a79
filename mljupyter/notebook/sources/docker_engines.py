"""The Docker engines that are known on this machine: Docker's contexts, and what ``DOCKER_HOST`` names."""

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
    """An engine: what it is called, its address, and why `%mlj attach` cannot choose it; empty when it can."""

    name: str
    address: str
    reason: str = ""


def current_engine() -> DockerEngine:
    """Return the engine that is used now: that of ``DOCKER_HOST``, else of Docker's current context, else the default.

    Its address is empty when the current context cannot be read.
    """
    try:
        found = engine_address()
    except BuilderUnavailableError:
        return DockerEngine("default", "")
    return DockerEngine(found.source, found.url)


def known_engines() -> list[DockerEngine]:
    """Return the engines of Docker's contexts; none where the Docker SDK is not installed."""
    try:
        from docker.context import ContextAPI
        from docker.errors import DockerException
    except ImportError:
        return []
    try:
        return [_of(context) for context in ContextAPI.contexts() if context.Host]
    except (DockerException, OSError, ValueError):
        return []  # a context that cannot be read must not hide that there is a way without


def problem_of(address: str) -> str | None:
    """Return why an engine cannot be used, and what to do; None when it answers.

    Parameters:
        address: such as ``unix:///var/run/docker.sock``, ``tcp://host:2376`` or ``ssh://user@host``; empty for the
            one that is used now.

    """
    try:
        connect(address or None, timeout=10).close()
    except ImageError as error:
        return error.message
    return None


def address_rule(address: str) -> str:
    """Return what is wrong with the form of an address; empty when nothing is."""
    schemes = ("unix://", "tcp://", "ssh://", "http://", "https://", "npipe://")
    if address.startswith(schemes) and address.partition("://")[2] and one_line(address) == address:
        return ""
    return f"{address!r} is not the address of an engine: for example unix:///var/run/docker.sock or ssh://user@host."


def _of(context: Any) -> DockerEngine:
    reason = _CERTIFICATES.format(context.Name) if context.TLSConfig else ""
    return DockerEngine(str(context.Name), str(context.Host), reason)
