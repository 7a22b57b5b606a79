"""Shared helpers of the Envoy resource builders: typed extensions, addresses, and `Placement` of resources."""

from __future__ import annotations

from typing import Any, Protocol

Resource = dict[str, Any]
TYPE = "type.googleapis.com/envoy."


def named(name: str, kind: str, **config: Any) -> Resource:
    """Return an extension by name, type and configuration."""
    return {"name": name, "typed_config": {"@type": TYPE + kind, **config}}


class Placement(Protocol):
    """The places where the router reads its resources from, and the addresses that it keeps for itself."""

    def source(self, kind: str, name: str) -> Resource:
        """Return Envoy's configuration source of a resource.

        Parameters:
            kind: the discovery service: ``rds``, ``eds``, ``sds`` or ``ecds``.
            name: name of the resource.

        """
        ...

    def private_address(self, listener: str) -> str:
        """Return the address of a private listener of the router, ``unix:PATH`` or ``HOST:PORT``."""
        ...


def address(text: str) -> Resource:
    """Return an address, given as ``unix:PATH`` or ``HOST:PORT``."""
    if text.startswith("unix:"):
        return {"pipe": {"path": text.removeprefix("unix:")}}
    host, _, port = text.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def own_address(text: str) -> Resource:
    """Return an address to listen on. Only the router's user can connect to a socket."""
    found = address(text)
    if "pipe" in found:
        found["pipe"]["mode"] = 0o600
    return found
