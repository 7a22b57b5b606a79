"""The publication of the routers by an Ingress or an HTTPRoute: its address, or the reason why there is none yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mljupyter.engine.envoy.hosts import bracketed
from mljupyter.engine.envoy.listener import SERVICE_PREFIX
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.publishing import HTTP_ROUTE, INGRESS
from mljupyter.kubernetes.operator.router_address import RouterAddress

Object = Mapping[str, Any]
_PORTS = {True: 443, False: 80}
_UNTIL_THEN = "Until then requests pass a port-forward of the SDK."


@dataclass(frozen=True)
class Publication:
    """The state of an Ingress or an HTTPRoute.

    Parameters:
        address: the address of clients; None while it has none.
        problem: the reason for that, with the way out; empty with an address.

    """

    address: RouterAddress | None
    problem: str = ""


def ingress_publication(ingress: Object | None, namespace: str) -> Publication:
    """Return the publication by an Ingress, as its controller has written it into the status.

    Parameters:
        ingress: the Ingress of the routers; None if there is none.
        namespace: the namespace of the routers.

    """
    if ingress is None:
        return _missing(INGRESS, namespace)
    spec = ingress["spec"]
    entries = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    entry = next((one for one in entries if one.get("hostname") or one.get("ip")), None)
    if entry is None:
        chosen = spec.get("ingressClassName")
        of_class = f"of class {chosen!r}" if chosen else "of the default class"
        return Publication(
            None,
            f"Ingress {names.ROUTER!r} has no address: no controller {of_class} has taken it. {_UNTIL_THEN}\n"
            f"Look at it: kubectl --namespace {namespace} describe ingress {names.ROUTER}; or attach the cluster again "
            "with another --ingress-class.",
        )
    rule = (spec.get("rules") or [{}])[0]
    secure = any(not item.get("hosts") or rule.get("host") in item["hosts"] for item in spec.get("tls") or ())
    host = str(rule.get("host") or entry.get("hostname") or entry.get("ip"))
    offered = [int(port["port"]) for port in entry.get("ports") or () if not port.get("error")]
    usual = _PORTS[secure]
    port = offered[0] if offered and usual not in offered else usual
    path = str(((rule.get("http") or {}).get("paths") or [{}])[0].get("path") or "/")
    return Publication(RouterAddress(host, port, INGRESS, secure, _prefix(path)))


def route_publication(route: Object | None, gateway: Object | None, namespace: str) -> Publication:
    """Return the publication by an HTTPRoute, as the controller of its Gateway has written it into both.

    Parameters:
        route: the HTTPRoute of the routers; None if there is none.
        gateway: the Gateway that it names; None if there is none, or it may not be read.
        namespace: the namespace of the routers.

    """
    if route is None:
        return _missing(HTTP_ROUTE, namespace)
    spec = route["spec"]
    parent = spec["parentRefs"][0]
    at = f"{parent.get('namespace') or namespace}/{parent['name']}"
    look = f"kubectl --namespace {namespace} describe httproute {names.ROUTER}"
    parents = [
        one for one in (route.get("status") or {}).get("parents") or () if _same(one["parentRef"], parent, namespace)
    ]
    if not parents:
        return _waiting(f"no controller of Gateway {at!r} has taken HTTPRoute {names.ROUTER!r}.", look)
    for kind in ("Accepted", "ResolvedRefs"):
        if (refusal := _refusal(parents[0].get("conditions") or (), kind)) is not None:
            return _waiting(f"Gateway {at!r} does not serve HTTPRoute {names.ROUTER!r}: {refusal}.", look)
    if gateway is None:
        return _waiting(f"Gateway {at!r} does not exist, or the operator may not read it.", "attach the cluster again")
    status = gateway.get("status") or {}
    look = f"kubectl --namespace {at.partition('/')[0]} describe gateway {parent['name']}"
    if (refusal := _refusal(status.get("conditions") or (), "Programmed")) is not None:
        return _waiting(f"Gateway {at!r} is not programmed: {refusal}.", look)
    addresses = [str(one["value"]) for one in status.get("addresses") or () if one.get("value")]
    host = next(iter(spec.get("hostnames") or ()), None)
    listener = _listener(gateway, parent.get("sectionName"), host)
    if not addresses or listener is None:
        lacks = "address" if not addresses else "listener for HTTP that fits the route"
        return _waiting(f"Gateway {at!r} has no {lacks}.", look)
    named = host or _plain_name(listener.get("hostname")) or addresses[0]
    matches = (spec.get("rules") or [{}])[0].get("matches") or [{}]
    path = str((matches[0].get("path") or {}).get("value") or "/")
    secure = listener.get("protocol") == "HTTPS"
    return Publication(RouterAddress(named, int(listener["port"]), HTTP_ROUTE, secure, _prefix(path)))


def base_uri(address: RouterAddress) -> str:
    """Return the beginning of URIs at the address of a publication.

    Example:
        >>> base_uri(RouterAddress("ml.example.org", 443, "Ingress", True, "/ml"))
        'https://ml.example.org/ml'

    """
    port = "" if address.port == _PORTS[address.secure] else f":{address.port}"
    return f"{'https' if address.secure else 'http'}://{bracketed(address.host)}{port}{address.path}"


def _missing(kind: str, namespace: str) -> Publication:
    return Publication(
        None,
        f"namespace {namespace!r} has no {kind} {names.ROUTER!r} any more. {_UNTIL_THEN}\n"
        "Attach the cluster again, or with another service type.",
    )


def _waiting(reason: str, look: str) -> Publication:
    return Publication(None, f"{reason} {_UNTIL_THEN}\nLook at it: {look}")


def _same(one: Object, other: Object, namespace: str) -> bool:
    """Return whether two references of a route lead to the same part of a Gateway."""
    return all(
        (one.get(name) or default) == (other.get(name) or default)
        for name, default in (("name", ""), ("namespace", namespace), ("sectionName", ""))
    )


def _refusal(conditions: Iterable[Object], kind: str) -> str | None:
    """Return why a condition does not hold; None if it does. A condition that is not written yet does not hold."""
    found = next((one for one in conditions if one.get("type") == kind), None)
    if found is None:
        return f"its controller has not said yet that it is {kind}"
    if found.get("status") == "True":
        return None
    return ": ".join(str(found[part]).rstrip(".") for part in ("reason", "message") if found.get(part)) or kind


def _listener(gateway: Object, section: str | None, host: str | None) -> Object | None:
    """Return the listener of a Gateway that serves a host: one with TLS first."""
    fitting = [
        one
        for one in gateway["spec"].get("listeners") or ()
        if one.get("protocol") in ("HTTP", "HTTPS")
        and section in (None, one["name"])
        and (host is None or _covers(one.get("hostname"), host))
    ]
    return min(fitting, key=lambda one: one["protocol"] != "HTTPS", default=None)


def _covers(pattern: str | None, host: str) -> bool:
    if not pattern:
        return True
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _plain_name(pattern: str | None) -> str | None:
    return pattern if pattern and not pattern.startswith("*") else None


def _prefix(path: str) -> str:
    """Return what stands before the paths of endpoints: nothing, if they begin with the path themselves."""
    plain = path.removesuffix("(/|$)(.*)")
    return "" if plain == "/" or f"{SERVICE_PREFIX}/".startswith(f"{plain}/") else plain
