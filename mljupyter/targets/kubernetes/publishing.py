"""The Ingress or the HTTPRoute of an attached cluster: checks before it is made, its state, and its objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.publishing import GATEWAY, HTTP_ROUTE, INGRESS, Publishing
from mljupyter.kubernetes.operator.publication import Publication, ingress_publication, route_publication
from mljupyter.targets.base import Finding
from mljupyter.targets.kubernetes.cluster import FORBIDDEN, NOT_FOUND, Cluster, ClusterError

_DEFAULT_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
_RBAC = "rbac.authorization.k8s.io/v1"
Object = Mapping[str, Any]


def ingress_class_of(classes: Iterable[Object], name: str | None) -> Object | None:
    """Return the IngressClass of a name, or for None the default one of the cluster; None if there is none.

    Parameters:
        classes: the IngressClasses of the cluster.
        name: the name that was asked for.

    """
    for one in classes:
        annotations = one["metadata"].get("annotations") or {}
        if one["metadata"]["name"] == name or (name is None and annotations.get(_DEFAULT_ANNOTATION) == "true"):
            return one
    return None


def ingress_finding(classes: Sequence[Object], publishing: Publishing) -> Finding:
    """Return whether an Ingress will be taken by a controller, as far as its IngressClass tells.

    Parameters:
        classes: the IngressClasses of the cluster.
        publishing: what is to be made.

    """
    name = publishing.ingress_class
    found = ingress_class_of(classes, name)
    known = ", ".join(sorted(str(one["metadata"]["name"]) for one in classes))
    choose = f"choose another class (--ingress-class): {known}" if known else "install an Ingress controller"
    if found is None:
        lacks = f"IngressClass {name!r}" if name is not None else "default IngressClass"
        return Finding(INGRESS, "failed", f"the cluster has no {lacks}", f"{choose}, or choose another service type")
    controller = str((found.get("spec") or {}).get("controller", "?"))
    text = f"IngressClass {found['metadata']['name']!r} of {controller}"
    if publishing.takes_path_away and not publishing.is_nginx:
        return Finding(
            INGRESS,
            "failed",
            f"scoring_path is {publishing.scoring_path!r}, and {text} has no known annotation that takes it away",
            "give a host instead (--scoring-host), or the path /api/v1/service",
        )
    return Finding(INGRESS, "ok", text)


def gateway_finding(gateway: Object | None, publishing: Publishing, namespace: str) -> Finding:
    """Return whether a Gateway will serve an HTTPRoute, as far as its spec and its conditions tell.

    Parameters:
        gateway: the Gateway; None if there is none.
        publishing: what is to be made.
        namespace: the namespace of the routers.

    """
    place, name = publishing.gateway_at(namespace)
    at = f"Gateway {f'{place}/{name}'!r}"
    if gateway is None:
        fix = f"choose one: kubectl get gateways --all-namespaces (--gateway); or have {at} created"
        return Finding(HTTP_ROUTE, "failed", f"{at} does not exist", fix)
    listeners, section = gateway["spec"].get("listeners") or (), publishing.gateway_section
    fitting = [one for one in listeners if section in (None, one["name"])]
    if not fitting:
        known = ", ".join(str(one["name"]) for one in listeners)
        return Finding(HTTP_ROUTE, "failed", f"{at} has no listener {section!r}", f"choose one: {known}")
    if place != namespace and all(_takes_only_its_own(one) for one in fitting):
        return Finding(
            HTTP_ROUTE,
            "failed",
            f"{at} takes routes of its own namespace only",
            f"its owner sets allowedRoutes.namespaces of a listener to All, or to a Selector for {namespace!r}",
        )
    conditions = (gateway.get("status") or {}).get("conditions") or ()
    if not any(one.get("type") == "Programmed" and one.get("status") == "True" for one in conditions):
        fix = f"requests pass a port-forward until then: kubectl -n {place} describe gateway {name}"
        return Finding(HTTP_ROUTE, "note", f"{at} is not programmed yet", fix)
    return Finding(HTTP_ROUTE, "ok", f"{at} is programmed")


def publishing_findings(
    cluster: Cluster, service_type: str, publishing: Publishing, namespace: str
) -> Iterator[Finding]:
    """Yield the findings about the class or the Gateway through which routers are to be published.

    Parameters:
        cluster: the API server.
        service_type: the value of a `ServiceType`.
        publishing: what is to be made.
        namespace: the namespace of the routers.

    """
    try:
        if service_type == INGRESS:
            yield ingress_finding(cluster.items(names.ingress_classes()), publishing)
            secret = publishing.tls_secret
            if secret is not None and cluster.find(f"{names.secrets(namespace)}/{secret}") is None:
                fix = f"create it: kubectl -n {namespace} create secret tls {secret} --cert FILE --key FILE"
                yield Finding(INGRESS, "note", f"namespace {namespace!r} has no Secret {secret!r} yet", fix)
        elif service_type == HTTP_ROUTE:
            yield _route_finding(cluster, publishing, namespace)
    except ClusterError as error:
        if error.status != FORBIDDEN:
            raise
        yield Finding(service_type, "note", f"not checked: {error.message.partition(chr(10))[0]}")


def _route_finding(cluster: Cluster, publishing: Publishing, namespace: str) -> Finding:
    group = f"/apis/{names.GATEWAY_GROUP}/v1"
    try:
        kinds = {one["kind"] for one in cluster.get(group).get("resources") or ()}
    except ClusterError as error:
        if error.status != NOT_FOUND:
            raise
        kinds = set()
    if missing := {GATEWAY, HTTP_ROUTE} - kinds:
        return Finding(
            HTTP_ROUTE,
            "failed",
            f"the cluster does not know {' and '.join(sorted(missing))} of {names.GATEWAY_GROUP}/v1",
            "install the Gateway API (release 1.0 or later) with a controller, or choose another service type",
        )
    place, name = publishing.gateway_at(namespace)
    return gateway_finding(cluster.find(f"{names.gateways(place)}/{name}"), publishing, namespace)


def publication(cluster: Cluster, service_type: str, namespace: str) -> Publication | None:
    """Return the state of what publishes the routers; None if nothing is to.

    Parameters:
        cluster: the API server.
        service_type: the value of a `ServiceType`.
        namespace: the namespace of the routers.

    Raises:
        ClusterError: it cannot be read.

    """
    if service_type == INGRESS:
        return ingress_publication(cluster.find(f"{names.ingresses(namespace)}/{names.ROUTER}"), namespace)
    if service_type != HTTP_ROUTE:
        return None
    route = cluster.find(f"{names.http_routes(namespace)}/{names.ROUTER}")
    gateway = None
    if route is not None:
        parent = route["spec"]["parentRefs"][0]
        gateway = cluster.find(f"{names.gateways(parent.get('namespace') or namespace)}/{parent['name']}")
    return route_publication(route, gateway, namespace)


def publication_findings(cluster: Cluster, service_type: str, namespace: str) -> Iterator[Finding]:
    """Yield where the routers are published, or why they are not yet; nothing where that is not to be."""
    try:
        found = publication(cluster, service_type, namespace)
    except ClusterError as error:
        first, _, rest = error.message.partition("\n")
        yield Finding(service_type, "note", first, rest)
        return
    if found is None:
        return
    first, _, rest = found.problem.partition("\n")
    if found.address is None:
        yield Finding(service_type, "note", first, rest)
    else:
        yield Finding(service_type, "ok", f"clients reach the routers at {found.address.host}:{found.address.port}")


def published_objects(cluster: Cluster, namespace: str, gateway_namespace: str = "") -> list[dict[str, Any]]:
    """Return references to the objects that publish the routers, and to the Roles for them, which exist.

    Parameters:
        cluster: the API server.
        namespace: the namespace of the routers.
        gateway_namespace: where a Role for a Gateway may be, even if the HTTPRoute is gone; empty if not known.

    """
    found = [_reference("networking.k8s.io/v1", INGRESS, names.ROUTER, namespace)]
    found.append(_reference(f"{names.GATEWAY_GROUP}/v1", HTTP_ROUTE, names.ROUTER, namespace))
    route = _found(cluster, found[-1])
    places = {namespace, gateway_namespace} - {""}
    if route is not None:
        places.add(str(route["spec"]["parentRefs"][0].get("namespace") or namespace))
    for kind, where in ((INGRESS, namespace), (HTTP_ROUTE, namespace), *((GATEWAY, place) for place in sorted(places))):
        name = names.publishing_role(namespace, kind)
        found += [_reference(_RBAC, one, name, where) for one in ("RoleBinding", "Role")]
    return [one for one in found if _found(cluster, one) is not None]


def _found(cluster: Cluster, reference: Object) -> dict[str, Any] | None:
    try:
        return cluster.find(names.object_path(reference))
    except ClusterError:  # without the right to read it, it is not ours
        return None


def _reference(version: str, kind: str, name: str, namespace: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}


def _takes_only_its_own(listener: Object) -> bool:
    allowed = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    return (allowed.get("from") or "Same") == "Same"
