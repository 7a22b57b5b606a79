"""Protection against requests from web pages (DNS rebinding, cross-origin) for endpoints without authentication.

A page of any site can make a visitor's browser send requests to this machine. The browser sends the page's site in the
header Origin. A site whose own name resolves to this machine (DNS rebinding) is recognised by the header Host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mljupyter.engine.envoy.extensions import Resource

# Names that no web site can have: those under localhost mean this machine (RFC 6761), and container engines use the
# last two for their host machine.
OWN_HOSTS = ("localhost", "*.localhost", "127.0.0.1", "[::1]", "host.docker.internal", "host.containers.internal")
HOST_REFUSED = 421
ORIGIN_REFUSED = 470  # a distinct status, since 403 already means a missing key; the table of answers turns it into 403
_ORIGIN = "origin"


def virtual_hosts(
    name: str, known: Sequence[Resource], others: Sequence[Resource], hosts: Iterable[str]
) -> list[Resource]:
    """Return the virtual hosts of a table of routes: one for known hosts, one for all others.

    Parameters:
        name: the table's name.
        known: the routes of known hosts.
        others: the routes of all others.
        hosts: the known hosts, without port. A leading ``*.`` matches any labels.

    """
    everybody: Resource = {"name": name, "domains": ["*"], "routes": list(others)}
    if known == others:
        return [everybody]
    domains = sorted({host.lower() for host in hosts})
    return [{"name": name, "domains": domains, "routes": list(known)}, {**everybody, "name": f"{name}-others"}]


def refuse_host() -> Resource:
    """Return the last route of an unknown host: it refuses all requests that no earlier route matches."""
    return {"match": {"prefix": "/"}, "direct_response": {"status": HOST_REFUSED}}


def refuse_origins(match: Resource, hosts: Iterable[str], origins: Iterable[str] = ()) -> Resource:
    """Return the route that refuses requests of web pages. Requests without an Origin header do not match it.

    Parameters:
        match: the paths of the route.
        hosts: hosts whose pages are not refused.
        origins: origins that are not refused either, such as ``https://example.org``.

    """
    # All of these must match. An origin is a scheme, ``://``, a host without ``/`` and ``:``, and perhaps a port.
    # Regular expressions do not work: Envoy refuses long ones, and their length would depend on the machine's name.
    headers: list[dict[str, Any]] = [{"name": _ORIGIN, "present_match": True}]
    for host in sorted(set(hosts)):
        end = host.removeprefix("*") if host.startswith("*.") else f"//{host}"
        headers += [_other_than("suffix", end), _other_than("contains", f"{end}:")]
    headers += [_other_than("exact", origin) for origin in sorted(origins)]
    return {"match": {**match, "headers": headers}, "direct_response": {"status": ORIGIN_REFUSED}}


def bracketed(host: str) -> str:
    """Return a host in the form for a URI: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _other_than(kind: str, text: str) -> dict[str, Any]:
    return {"name": _ORIGIN, "string_match": {kind: text, "ignore_case": True}, "invert_match": True}
