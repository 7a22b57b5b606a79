"""Publishing: the Ingress or the HTTPRoute that leads clients outside the cluster to the routers.

TLS ends at the controller of the Ingress, or at the Gateway. Requests reach the routers without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mljupyter.engine.envoy.listener import SERVICE_PREFIX
from mljupyter.kubernetes.objects import names

Manifest = dict[str, Any]
INGRESS, HTTP_ROUTE, GATEWAY = "Ingress", "HTTPRoute", "Gateway"
KINDS = (INGRESS, HTTP_ROUTE)
"""The service types that are objects beside the routers' Service."""

NGINX_CONTROLLER = "k8s.io/ingress-nginx"
_NGINX = "nginx.ingress.kubernetes.io"
_ANY_LENGTH = "0"
_LONGEST_SECONDS = str(86_400)  # the longest `scoring_timeout_ms` and `request_seconds`
NGINX_ANNOTATIONS = {
    f"{_NGINX}/proxy-body-size": _ANY_LENGTH,
    f"{_NGINX}/proxy-read-timeout": _LONGEST_SECONDS,
    f"{_NGINX}/proxy-request-buffering": "off",
    f"{_NGINX}/proxy-send-timeout": _LONGEST_SECONDS,
}
"""What makes ingress-nginx leave limits of sizes and times to the routers, which have those of each endpoint."""

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_PATH = re.compile(r"/|(/[A-Za-z0-9_.-]+)+")
_ANNOTATION = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_OPTIONS = {
    "ingress_class": (INGRESS,),
    "tls_secret": (INGRESS,),
    "scoring_host": KINDS,
    "scoring_path": KINDS,
    "annotations": KINDS,
    "gateway": (HTTP_ROUTE,),
    "gateway_section": (HTTP_ROUTE,),
}


@dataclass(frozen=True)
class Publishing:
    """The way from an Ingress controller or a Gateway to the routers.

    Parameters:
        ingress_class: the IngressClass; None for the default one of the cluster.
        scoring_host: the host name of requests; None for any.
        scoring_path: the beginning of the paths of requests, ``/`` for all. It is taken away before the routers, unless
            the paths of endpoints begin with it.
        tls_secret: the Secret with the certificate of the host, in the namespace of the routers.
        annotations: of the object. They replace those that are set for ingress-nginx.
        gateway: the Gateway as ``NAMESPACE/NAME``, or as ``NAME`` in the namespace of the routers.
        gateway_section: one listener of it; None for all that fit.
        controller: the controller of the IngressClass, where it is known.

    """

    ingress_class: str | None = None
    scoring_host: str | None = None
    scoring_path: str = "/"
    tls_secret: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    gateway: str | None = None
    gateway_section: str | None = None
    controller: str = field(default="", compare=False)

    @property
    def is_nginx(self) -> bool:
        """Whether ingress-nginx serves it; by the name of the class if the controller is not known."""
        if self.controller:
            return self.controller == NGINX_CONTROLLER
        return "nginx" in re.split(r"[.-]", self.ingress_class or "")

    @property
    def takes_path_away(self) -> bool:
        """Whether the path has to be taken away before the routers."""
        path = self.scoring_path
        return path != "/" and not f"{SERVICE_PREFIX}/".startswith(f"{path}/")

    def gateway_at(self, namespace: str) -> tuple[str, str]:
        """Return namespace and name of the Gateway; both are empty without one."""
        if self.gateway is None:
            return "", ""
        place, slash, name = self.gateway.rpartition("/")
        return (place, name) if slash else (namespace, name)

    def document(self) -> dict[str, Any]:
        """Return what was given as JSON types."""
        given = {name: getattr(self, name) for name in _OPTIONS}
        default = Publishing()
        return {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in given.items()
            if value != getattr(default, name)
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Publishing:
        """Return what `document` has returned. Unknown members are left out: they are of another release."""
        return cls(**{name: value for name, value in document.items() if name in _OPTIONS})


def rule_broken(publishing: Publishing, service_type: str) -> str | None:
    """Return the rule that is broken, with the value and the way out; None if none is.

    Parameters:
        publishing: what was given.
        service_type: the value of a `ServiceType`.

    Example:
        >>> rule_broken(Publishing(scoring_host="ml.example.org"), "NodePort")
        "scoring_host is given, and service_type is 'NodePort': it is for Ingress and HTTPRoute."

    """
    for name in publishing.document():
        if service_type not in _OPTIONS[name]:
            return f"{name} is given, and service_type is {service_type!r}: it is for {' and '.join(_OPTIONS[name])}."
    host, path = publishing.scoring_host, publishing.scoring_path
    if host is not None and not _HOST.fullmatch(host):
        return f"scoring_host is {host!r}: it must be a host name in small letters, such as scoring.example.org."
    if not _PATH.fullmatch(path):
        return f"scoring_path is {path!r}: it must begin with '/' and not end with it, such as /ml; '/' is every path."
    if publishing.tls_secret is not None and host is None:
        return f"tls_secret is {publishing.tls_secret!r}, and scoring_host is missing: a certificate is for a host."
    for name, value in publishing.annotations.items():
        if not isinstance(value, str) or not _ANNOTATION.fullmatch(str(name)):
            return f"annotation {name!r} is {value!r}: it must be a text, and its name like example.org/name."
    if service_type == HTTP_ROUTE and publishing.gateway is None:
        return "gateway is missing: service_type 'HTTPRoute' needs the Gateway, as NAMESPACE/NAME."
    parts = (publishing.gateway or "a").split("/")
    if len(parts) > 2 or not all(_HOST.fullmatch(part) for part in parts):
        return f"gateway is {publishing.gateway!r}: it must be NAMESPACE/NAME, or NAME in the routers' namespace."
    return None


def ingress(publishing: Publishing, namespace: str) -> Manifest:
    """Return the Ingress of the routers.

    A path that the routers do not know is taken away by annotations of ingress-nginx; see `takes_path_away`.

    Parameters:
        publishing: its class, host, path, certificate and annotations.
        namespace: the namespace of the routers.

    """
    annotations, path, kind = dict(NGINX_ANNOTATIONS) if publishing.is_nginx else {}, publishing.scoring_path, "Prefix"
    if publishing.takes_path_away and publishing.is_nginx:
        annotations |= {f"{_NGINX}/rewrite-target": "/$2", f"{_NGINX}/use-regex": "true"}
        path, kind = f"{path}(/|$)(.*)", "ImplementationSpecific"
    backend = {"service": {"name": names.ROUTER, "port": {"number": 80}}}
    rule: dict[str, Any] = {"http": {"paths": [{"path": path, "pathType": kind, "backend": backend}]}}
    if publishing.scoring_host is not None:
        rule["host"] = publishing.scoring_host
    spec: dict[str, Any] = {"rules": [rule]}
    if publishing.ingress_class is not None:
        spec = {"ingressClassName": publishing.ingress_class, **spec}
    if publishing.tls_secret is not None:
        spec["tls"] = [{"hosts": [publishing.scoring_host], "secretName": publishing.tls_secret}]
    metadata = _metadata(namespace, annotations | dict(publishing.annotations))
    return {"apiVersion": "networking.k8s.io/v1", "kind": INGRESS, "metadata": metadata, "spec": spec}


def http_route(publishing: Publishing, namespace: str) -> Manifest:
    """Return the HTTPRoute of the routers.

    Parameters:
        publishing: its Gateway, host, path and annotations.
        namespace: the namespace of the routers.

    """
    place, name = publishing.gateway_at(namespace)
    parent = {"group": names.GATEWAY_GROUP, "kind": GATEWAY, "namespace": place, "name": name}
    if publishing.gateway_section is not None:
        parent["sectionName"] = publishing.gateway_section
    rule: dict[str, Any] = {"matches": [{"path": {"type": "PathPrefix", "value": publishing.scoring_path}}]}
    if publishing.takes_path_away:
        rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
        rule["filters"] = [{"type": "URLRewrite", "urlRewrite": rewrite}]
    rule["backendRefs"] = [{"group": "", "kind": "Service", "name": names.ROUTER, "port": 80, "weight": 1}]
    spec: dict[str, Any] = {"parentRefs": [parent]}
    if publishing.scoring_host is not None:
        spec["hostnames"] = [publishing.scoring_host]
    return {
        "apiVersion": f"{names.GATEWAY_GROUP}/v1",
        "kind": HTTP_ROUTE,
        "metadata": _metadata(namespace, dict(publishing.annotations)),
        "spec": spec | {"rules": [rule]},
    }


def _metadata(namespace: str, annotations: Mapping[str, str]) -> dict[str, Any]:
    metadata = {"name": names.ROUTER, "namespace": namespace, "labels": names.labels(names.COMPONENT_ROUTER)}
    return metadata | ({"annotations": dict(sorted(annotations.items()))} if annotations else {})
