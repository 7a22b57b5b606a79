"""From endpoints to the files that configure the router: a pure function of what should be routed.

The router (Envoy) watches files: listeners (lds), clusters (cds), for each table its routes (rds), for each cluster its
replicas (eds), for each certificate itself (sds), and what filters do (ecds). Every file carries a fingerprint of its
content as version, by which the controller learns from the router's statistics what is in force.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from mljupyter.engine.envoy import activator as waiting_room
from mljupyter.engine.envoy import grpc, overload, tls
from mljupyter.engine.envoy import hosts as envoy_hosts
from mljupyter.engine.envoy import limits as envoy_limits
from mljupyter.engine.envoy import resources as envoy
from mljupyter.engine.envoy import tokens as envoy_tokens
from mljupyter.engine.envoy.listener import ROUTER_CERTIFICATE, SERVICE_PREFIX, Listening
from mljupyter.spec import PlainHttp, RateLimit, RequestLimits
from mljupyter.spec.router import LOOPBACK

Resource = dict[str, Any]
SHARED = "router"
SECURE = "router-tls"
LISTENERS, CLUSTERS, PRESSURE = "lds.json", "cds.json", "pressure.json"
TOKENS, RATES = f"ecds-{envoy_tokens.FILTER}.json", f"ecds-{envoy_limits.FILTER}.json"
_ANY_ORIGIN = "*"
# Copies that may be under way to one version: what holds them up costs the router this much memory and no more.
MOST_MIRRORED = 64


@dataclass(frozen=True)
class VersionRoute:
    """One version as the router sees it: the addresses of its replicas, its weight and its limits.

    `mirror` is the percentage of all requests that are copied to it, whose answers are thrown away. `wake_wait_ms` is
    how long requests may wait for the first replica of a version that may have none, 0 for one that always has one;
    `waiting` tells that they do so now. `replica_keys` are the secrets, by address, of replicas that ask for one; None
    for a version whose replicas never do, since nobody else can reach them.
    """

    name: str
    weight: int
    addresses: tuple[str, ...]
    limits: RequestLimits
    mirror: int = 0
    wake_wait_ms: int = 0
    waiting: bool = False
    replica_keys: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class EndpointRoute:
    """One endpoint as the router sees it.

    Nothing new is sent to the versions `leaving`, but what was sent to them may still come back to their replicas.
    `keys` is None and `tokens` is False where everybody may score. `host` is that of its own certificate: without TLS
    it is not served then.
    """

    name: str
    versions: tuple[VersionRoute, ...]
    default_version: str
    keys: tuple[str, ...] | None = field(default=None, repr=False)
    port: int | None = None
    sticky_header: str | None = None
    tokens: bool = False
    rate_limit: RateLimit | None = None
    host: str | None = None
    leaving: tuple[VersionRoute, ...] = ()
    origins: tuple[str, ...] = ()

    @property
    def guarded(self) -> bool:
        """Whether a key or a token is asked for."""
        return self.keys is not None or self.tokens


@dataclass(frozen=True)
class RouterSettings:
    """Where the router listens, and where its files and its admin socket are."""

    directory: PurePath
    admin_socket: PurePath
    port: int
    most_connections: int = 10_000
    most_memory_bytes: int = 1 << 30

    def path(self, file: str) -> str:
        """Return the path of a configuration file."""
        return str(self.directory / file)

    @property
    def waiting_room(self) -> str:
        """The path of the socket where requests wait for a version without replicas."""
        return str(self.admin_socket.with_name("waiting.sock"))

    @property
    def no_grpc(self) -> str:
        """The path of the socket that answers requests of gRPC."""
        return str(self.admin_socket.with_name("no-grpc.sock"))

    @property
    def pressure_file(self) -> str:
        """The path of the file that says how full the pool of connections is."""
        return self.path(PRESSURE)


@dataclass(frozen=True)
class RouterFiles:
    """The router's configuration: file name to document. `repr` is short, since routes hold keys."""

    documents: Mapping[str, Resource] = field(repr=False)

    def version(self, name: str) -> str:
        """Return the version that a file declares."""
        return str(self.documents[name]["version_info"])

    def listening_on(self) -> frozenset[tuple[str, int]]:
        """Return IP address and port of every listener that has one."""
        listeners = self.documents.get(LISTENERS, {}).get("resources", [])
        found = [item["address"]["socket_address"] for item in listeners if "socket_address" in item["address"]]
        return frozenset((item["address"], item["port_value"]) for item in found)

    def sockets(self) -> frozenset[str]:
        """Return the paths of the sockets that the router listens on."""
        listeners = self.documents.get(LISTENERS, {}).get("resources", [])
        return frozenset(item["address"]["pipe"]["path"] for item in listeners if "pipe" in item["address"])

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
        overload_manager=overload.manager(
            most_connections=settings.most_connections,
            most_memory_bytes=settings.most_memory_bytes,
            pressure_file=settings.pressure_file,
        ),
        runtime=overload.runtime(SHARED, settings.most_connections),
    )


def router_files(
    settings: RouterSettings,
    endpoints: Iterable[EndpointRoute],
    listening: Listening = Listening(),  # noqa: B008
) -> RouterFiles:
    """Return every configuration file of the router for these endpoints.

    Parameters:
        settings: where the router and its files are.
        endpoints: all endpoints of the workspace; their order does not matter.
        listening: how it listens; by default without TLS, on this machine alone.

    """
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.name)
    shared = [endpoint for endpoint in ordered if endpoint.port is None]
    files: dict[str, Resource] = {}
    listeners = [_shared_listener(settings, shared, listening, files), grpc.listener(settings.no_grpc)]
    clusters: list[Resource] = [grpc.cluster(settings.no_grpc)]
    for endpoint in ordered:
        if endpoint.port is not None:
            listeners.append(_local_listener(settings, endpoint, endpoint.port, listening, files))
        for version in (*endpoint.versions, *endpoint.leaving):
            kinds = [(cluster_name(endpoint.name, version.name), envoy.MOST_REQUESTS)]
            if version.mirror:
                kinds.append((mirror_name(endpoint.name, version.name), MOST_MIRRORED))
            for name, most in kinds:
                file, keys = _replicas_file(name), version.replica_keys
                with_keys = keys is not None
                clusters.append(envoy.cluster(name, settings.path(file), version.limits, most, with_keys=with_keys))
                addresses = (f"unix:{settings.waiting_room}",) if version.waiting else version.addresses
                files[file] = _discovery([envoy.replicas(name, addresses, keys)])
    files[TOKENS] = _discovery(
        [envoy_tokens.configuration(listening.tokens, (endpoint.name for endpoint in shared if endpoint.tokens))]
    )
    limited = {endpoint.name: endpoint.rate_limit for endpoint in shared if endpoint.rate_limit is not None}
    files[RATES] = _discovery([envoy_limits.configuration(limited)])
    if any(version.wake_wait_ms for endpoint in ordered for version in endpoint.versions):
        listeners.append(waiting_room.listener(settings.waiting_room, envoy.BUSY_HEADER))
    files[CLUSTERS] = _discovery(clusters)
    files[LISTENERS] = _discovery(listeners)
    return RouterFiles(files)


def _shared_listener(
    settings: RouterSettings, endpoints: Iterable[EndpointRoute], listening: Listening, files: dict[str, Resource]
) -> Resource:
    """Return the listener of all endpoints without a port of their own; add its routes and certificates to the files.

    One port for both, with TLS and without. Where TLS is on, what comes without it is sent there, or closed.
    """
    plain, secure = _Routes(listening), _Routes(listening)
    for endpoint in endpoints:
        prefix = f"{SERVICE_PREFIX}/{endpoint.name}"
        (secure if listening.secure or endpoint.host is not None else plain).add(endpoint, prefix)
        if endpoint.host is not None and not listening.secure and listening.spec.plain_http is PlainHttp.REDIRECT:
            plain.redirect({"path_separated_prefix": prefix}, endpoint.host, settings.port)
    if listening.secure:
        plain.redirect({"prefix": "/"}, listening.host, settings.port)
    chains = []
    if not (listening.secure and listening.spec.plain_http is PlainHttp.CLOSE):
        chains.append(tls.plain_chain(_table(settings, SHARED, plain, listening, files)))
    own = {endpoint.name: endpoint.host for endpoint in endpoints if endpoint.host is not None}
    for name, pair in sorted(listening.pairs.items()):
        if name != ROUTER_CERTIFICATE and name not in own:
            continue
        secret = f"tls-{name}" if name else "tls"
        file = f"sds-{secret}.json"
        files[file] = _discovery([tls.secret(secret, pair.certificate, pair.key)])
        hosts = [own[name]] if name else []
        filters = _table(settings, SECURE, secure, listening, files)
        chains.append(tls.secure_chain(secret, settings.path(file), hosts, filters))
    if not chains:  # a listener has one at least: without its certificate there is nothing to serve
        chains.append(tls.plain_chain(_table(settings, SHARED, _Routes(listening), listening, files)))
    return envoy.listener(SHARED, listening.spec.address, settings.port, chains, **tls.tells_apart())


def _table(
    settings: RouterSettings, name: str, routes: _Routes, listening: Listening, files: dict[str, Resource]
) -> list[Resource]:
    guard = not listening.spec.beyond_loopback
    files[_routes_file(name)] = _discovery([envoy.route_table(name, routes.virtual_hosts(name, guard=guard))])
    filters = envoy.FilterFiles(settings.path(TOKENS), settings.path(RATES))
    return envoy.connections(name, settings.path(_routes_file(name)), listening.spec.limits, filters)


def _local_listener(
    settings: RouterSettings, endpoint: EndpointRoute, port: int, listening: Listening, files: dict[str, Resource]
) -> Resource:
    """Return the listener of a local web service: on this machine alone, whatever the router listens on."""
    name = f"local-{endpoint.name}"
    routes = _Routes(listening)
    routes.add(endpoint, prefix="")
    files[_routes_file(name)] = _discovery([envoy.route_table(name, routes.virtual_hosts(name, guard=True))])
    limits = listening.spec.limits
    most = overload.most_local(limits.max_connections)
    own = limits.model_copy(update={"max_connections": most})
    filters = envoy.connections(name, settings.path(_routes_file(name)), own)
    # Connections to the shared port take no room from these; their own number is limited by a filter.
    return envoy.listener(name, LOOPBACK, port, [{"filters": filters}], ignore_global_conn_limit=True)


class _Routes:
    """The routes of a listener, in the order in which the router looks at them: by who may take them."""

    def __init__(self, listening: Listening) -> None:
        self._hosts = listening.hosts
        self._redirects: list[tuple[Resource, str, int]] = []
        self._guarded: list[Resource] = []
        self._of_origins: list[tuple[Resource, EndpointRoute, list[Resource]]] = []
        self._open: list[Resource] = []

    def add(self, endpoint: EndpointRoute, prefix: str) -> None:
        """Add the routes of an endpoint, whose paths begin with a prefix."""
        routes = _routes(endpoint, prefix)
        if endpoint.guarded:
            self._guarded += routes
        elif endpoint.origins:
            paths = {"path_separated_prefix": prefix} if prefix else {"prefix": "/"}
            self._of_origins.append((paths, endpoint, routes))
        else:
            self._open += routes

    def redirect(self, match: Resource, host: str, port: int) -> None:
        """Send requests to https: for known hosts to the same one, for others to the host given."""
        self._redirects.append((match, host, port))

    def virtual_hosts(self, name: str, *, guard: bool) -> list[Resource]:
        """Return the virtual hosts; with `guard`, web pages of others do not reach endpoints without authentication."""
        known = [grpc.route(), *self._guarded]
        others = list(known)
        for paths, endpoint, routes in self._of_origins:
            if guard and _ANY_ORIGIN not in endpoint.origins:
                known.append(envoy_hosts.refuse_origins(paths, self._hosts, endpoint.origins))
            known += routes
            others += [] if guard else routes
        if guard and self._open:
            known.append(envoy_hosts.refuse_origins({"prefix": "/"}, self._hosts))
        known += self._open
        others += [] if guard else self._open
        known += [tls.redirect(match) for match, _, _ in self._redirects]
        others += [tls.redirect(match, host, port) for match, host, port in self._redirects]
        if guard and (self._open or self._of_origins):
            others.append(envoy_hosts.refuse_host())
        return envoy_hosts.virtual_hosts(name, known, others, self._hosts)


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
    wake = {version.name: version.wake_wait_ms for version in endpoint.versions}
    default = endpoint.default_version
    health = envoy.Destination({clusters[default]: 1}, limits[default], wake_wait_ms=wake[default])
    audience = endpoint.name if endpoint.tokens else None
    limited = endpoint.name if endpoint.rate_limit is not None else None
    routes = []
    for path in ("/score", "/swagger.json"):
        who = envoy.Passes(endpoint.keys, audience, limited if path == "/score" else None)
        for name, cluster in clusters.items():
            target = envoy.Destination({cluster: 1}, limits[name], wake_wait_ms=wake[name])
            routes += [
                envoy.route(prefix + path, path, target, who, header=(header, name)) for header in envoy.VERSION_HEADERS
            ]
        widest = _widest(version.limits for version in endpoint.versions)
        copies = mirrors if path == "/score" else {}
        target = envoy.Destination(split, widest, copies, endpoint.sticky_header, max(wake.values()))
        routes.append(envoy.route(prefix + path, path, target, who))
    routes += [envoy.route(path, "/", health, envoy.Passes()) for path in {prefix + "/": 0, prefix or "/": 0}]
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


def whole(document: object) -> bool:
    """Return whether a document is one of the router's files as it was written: its version fits its content."""
    if not isinstance(document, dict) or not isinstance(document.get("resources"), list):
        return False
    return document == _discovery(document["resources"])


def _discovery(resources: Iterable[Resource]) -> Resource:
    listed = list(resources)
    text = json.dumps(listed, sort_keys=True, separators=(",", ":"))
    return {"version_info": hashlib.sha256(text.encode()).hexdigest()[:16], "resources": listed}
