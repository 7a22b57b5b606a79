"""From endpoints to the files that configure the router: a pure function of what should be routed.

The router (Envoy) watches five kinds of files: listeners (lds), clusters (cds), and for each listener its routes (rds)
and for each cluster its replicas (eds). Every file carries a fingerprint of its content as version, by which the
controller learns from the router's statistics what is in force.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from mljupyter.engine import envoy
from mljupyter.spec import RequestLimits

Resource = dict[str, Any]
SHARED = "router"
SERVICE_PREFIX = "/api/v1/service"
LISTENERS, CLUSTERS = "lds.json", "cds.json"
# Copies that may be under way to one version: what holds them up costs the router this much memory and no more.
MOST_MIRRORED = 64


@dataclass(frozen=True)
class VersionRoute:
    """One version as the router sees it: the addresses of its replicas, its weight and its limits.

    `mirror` is the percentage of all requests that are copied to it, whose answers are thrown away.
    """

    name: str
    weight: int
    addresses: tuple[str, ...]
    limits: RequestLimits
    mirror: int = 0


@dataclass(frozen=True)
class EndpointRoute:
    """One endpoint as the router sees it. `keys` is None where everybody may score."""

    name: str
    versions: tuple[VersionRoute, ...]
    default_version: str
    keys: tuple[str, ...] | None = field(default=None, repr=False)
    port: int | None = None
    sticky_header: str | None = None


@dataclass(frozen=True)
class RouterSettings:
    """Where the router listens, and where its files and its admin socket are."""

    directory: PurePath
    admin_socket: PurePath
    port: int
    address: str = "127.0.0.1"
    most_connections: int = 10_000

    def path(self, file: str) -> str:
        """Return the path of a configuration file."""
        return str(self.directory / file)


@dataclass(frozen=True)
class RouterFiles:
    """The router's configuration: file name to document. `repr` is short, since routes hold keys."""

    documents: Mapping[str, Resource] = field(repr=False)

    def version(self, name: str) -> str:
        """Return the version that a file declares."""
        return str(self.documents[name]["version_info"])

    def merged_clusters(self, before: RouterFiles) -> Resource:
        """Return the clusters of both states, the newer definition winning: what is safe while routes change."""
        known = {item["name"]: item for item in before.documents.get(CLUSTERS, {}).get("resources", [])}
        known.update({item["name"]: item for item in self.documents[CLUSTERS]["resources"]})
        return _discovery(known.values())


def cluster_name(endpoint: str, version: str) -> str:
    """Return the router's name for one version. A dot cannot occur in either name."""
    return f"{endpoint}.{version}"


def mirror_name(endpoint: str, version: str) -> str:
    """Return the router's name for one version as the receiver of copies: counted and limited on their own."""
    return f"{cluster_name(endpoint, version)}.mirror"


def bootstrap(settings: RouterSettings) -> Resource:
    """Return what the router is started with: where it finds the rest."""
    return envoy.bootstrap(
        admin_socket=str(settings.admin_socket),
        listeners_file=settings.path(LISTENERS),
        clusters_file=settings.path(CLUSTERS),
        most_connections=settings.most_connections,
    )


def router_files(settings: RouterSettings, endpoints: Iterable[EndpointRoute]) -> RouterFiles:
    """Return every configuration file of the router for these endpoints.

    Parameters:
        settings: where the router listens.
        endpoints: all endpoints of the workspace; their order does not matter.

    """
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.name)
    files: dict[str, Resource] = {}
    listeners = [_listener(settings, SHARED, settings.port)]
    shared: list[Resource] = []
    clusters: list[Resource] = []
    for endpoint in ordered:
        if endpoint.port is None:
            shared += _routes(endpoint, prefix=f"{SERVICE_PREFIX}/{endpoint.name}")
        else:
            name = f"local-{endpoint.name}"
            listeners.append(_listener(settings, name, endpoint.port))
            files[_routes_file(name)] = _discovery([envoy.route_table(name, _routes(endpoint, prefix=""))])
        for version in endpoint.versions:
            kinds = [(cluster_name(endpoint.name, version.name), envoy.MOST_REQUESTS)]
            if version.mirror:
                kinds.append((mirror_name(endpoint.name, version.name), MOST_MIRRORED))
            for name, most in kinds:
                clusters.append(envoy.cluster(name, settings.path(_replicas_file(name)), version.limits, most))
                files[_replicas_file(name)] = _discovery([envoy.replicas(name, version.addresses)])
    files[_routes_file(SHARED)] = _discovery([envoy.route_table(SHARED, shared)])
    files[CLUSTERS] = _discovery(clusters)
    files[LISTENERS] = _discovery(listeners)
    return RouterFiles(files)


def _listener(settings: RouterSettings, name: str, port: int) -> Resource:
    return envoy.listener(name, settings.address, port, settings.path(_routes_file(name)))


def _routes(endpoint: EndpointRoute, prefix: str) -> list[Resource]:
    """Return an endpoint's routes: a version picked by header first, then the weighted split, then health."""
    clusters = {version.name: cluster_name(endpoint.name, version.name) for version in endpoint.versions}
    limits = {version.name: version.limits for version in endpoint.versions}
    split = {clusters[version.name]: version.weight for version in endpoint.versions if version.weight}
    split = split or {clusters[endpoint.default_version]: 1}
    mirrors = {
        mirror_name(endpoint.name, version.name): version.mirror
        for version in endpoint.versions
        if version.mirror and version.addresses
    }
    health = envoy.Destination({clusters[endpoint.default_version]: 1}, limits[endpoint.default_version])
    routes = []
    for path in ("/score", "/swagger.json"):
        for name, cluster in clusters.items():
            target = envoy.Destination({cluster: 1}, limits[name])
            routes += [
                envoy.route(prefix + path, path, target, endpoint.keys, header=(header, name))
                for header in envoy.VERSION_HEADERS
            ]
        widest = _widest(version.limits for version in endpoint.versions)
        target = envoy.Destination(split, widest, mirrors if path == "/score" else {}, endpoint.sticky_header)
        routes.append(envoy.route(prefix + path, path, target, endpoint.keys))
    routes += [envoy.route(path, "/", health, keys=None) for path in {prefix + "/": 0, prefix or "/": 0}]
    return routes


def _widest(limits: Iterable[RequestLimits]) -> RequestLimits:
    """Return limits that no version's own limits exceed: a split route serves all of them, replicas hold the rest."""
    known = list(limits)
    return RequestLimits(
        max_concurrent_requests=max(item.max_concurrent_requests for item in known),
        max_queue_wait_ms=max(item.max_queue_wait_ms for item in known),
        max_queue_length=max(item.max_queue_length for item in known),
        scoring_timeout_ms=max(item.scoring_timeout_ms for item in known),
        max_body_bytes=max(item.max_body_bytes for item in known),
    )


def _routes_file(listener: str) -> str:
    return f"rds-{listener}.json"


def _replicas_file(cluster: str) -> str:
    return f"eds-{cluster}.json"


def _discovery(resources: Iterable[Resource]) -> Resource:
    listed = list(resources)
    text = json.dumps(listed, sort_keys=True, separators=(",", ":"))
    return {"version_info": hashlib.sha256(text.encode()).hexdigest()[:16], "resources": listed}
