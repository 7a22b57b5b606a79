"""The routes of endpoints as Envoy resources: a pure function of the endpoints that the router serves.

The router (Envoy) discovers listeners, clusters, tables of routes, the replicas of each cluster, certificates, and the
configuration of filters as separate resources. The place of each is given by a `Placement`: files for the router of a
workspace, another one in a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mljupyter.engine.envoy import activator, answers, grpc, overload, tls
from mljupyter.engine.envoy import hosts as envoy_hosts
from mljupyter.engine.envoy import limits as envoy_limits
from mljupyter.engine.envoy import resources as envoy
from mljupyter.engine.envoy import tokens as envoy_tokens
from mljupyter.engine.envoy.cross_origin import ANY_ORIGIN
from mljupyter.engine.envoy.extensions import Placement, Resource
from mljupyter.engine.envoy.listener import ROUTER_CERTIFICATE, SERVICE_PREFIX, Listening
from mljupyter.spec import PlainHttp, RateLimit, RequestLimits
from mljupyter.spec.router import LOOPBACK, VERSION_HEADERS

SHARED = "router"
SECURE = "router-tls"
# The limit of concurrent copies to one version, which limits the router's memory if they are slow.
MOST_MIRRORED = 64
OPEN_INFERENCE = "/v2"
"""The beginning of the paths of the Open Inference Protocol."""


@dataclass(frozen=True)
class VersionRoute:
    """The route of one version: the addresses of its replicas, its weight and its limits.

    `mirror` is the percentage of all requests that are copied to it; the answers to copies are discarded.
    `wake_wait_ms` is the longest wait for the first replica of a version that can scale to zero, 0 for other versions;
    `waiting` is whether requests wait now. `replica_keys` are the secrets, by address, of replicas that require one;
    None for a version whose replicas never do, since only the router can reach them.
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
    """The route of one endpoint.

    The versions `leaving` get no new requests, but retries of earlier requests may still reach their replicas.
    `keys` is None and `tokens` is False for an endpoint without authentication. `host` is that of its own certificate;
    then the endpoint is not served without TLS.
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
        """Whether a key or a token is required."""
        return self.keys is not None or self.tokens


@dataclass(frozen=True)
class RouterResources:
    """All resources of the router. `repr` is short, since routes hold keys.

    Parameters:
        listeners, clusters: all of them.
        routes: the tables of routes by name.
        replicas: the replicas of clusters, by the cluster's name.
        secrets: certificates with their keys by name.
        filters: the configuration of filters by name.

    """

    listeners: list[Resource] = field(default_factory=list, repr=False)
    clusters: list[Resource] = field(default_factory=list, repr=False)
    routes: dict[str, Resource] = field(default_factory=dict, repr=False)
    replicas: dict[str, Resource] = field(default_factory=dict, repr=False)
    secrets: dict[str, Resource] = field(default_factory=dict, repr=False)
    filters: dict[str, Resource] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class EndpointResources:
    """The resources that follow from one endpoint alone.

    Parameters:
        clusters: its clusters.
        replicas: the replicas of its clusters, by the cluster's name.
        routes: its routes, in the order in which the router matches them.

    """

    clusters: list[Resource] = field(repr=False)
    replicas: dict[str, Resource] = field(repr=False)
    routes: list[Resource] = field(repr=False)


def endpoint_resources(endpoint: EndpointRoute, placement: Placement) -> EndpointResources:
    """Return the resources that follow from one endpoint alone.

    Parameters:
        endpoint: the endpoint.
        placement: the places of resources and of the router's own addresses.

    """
    clusters, replicas = [], {}
    for version in (*endpoint.versions, *endpoint.leaving):
        kinds = [(cluster_name(endpoint.name, version.name), envoy.MOST_REQUESTS)]
        if version.mirror:
            kinds.append((mirror_name(endpoint.name, version.name), MOST_MIRRORED))
        for name, most in kinds:
            source, keys = placement.source("eds", name), version.replica_keys
            clusters.append(envoy.cluster(name, source, version.limits, most, with_keys=keys is not None))
            addresses = (placement.private_address(activator.NAME),) if version.waiting else version.addresses
            replicas[name] = envoy.replicas(name, addresses, keys)
    prefix = f"{SERVICE_PREFIX}/{endpoint.name}" if endpoint.port is None else ""
    return EndpointResources(clusters, replicas, _routes(endpoint, prefix))


def cluster_name(endpoint: str, version: str) -> str:
    """Return the router's name for one version. A dot cannot occur in either name."""
    return f"{endpoint}.{version}"


def mirror_name(endpoint: str, version: str) -> str:
    """Return the router's name for one version as a mirror. Copies are counted and limited separately."""
    return f"{cluster_name(endpoint, version)}.mirror"


def version_of(cluster: str) -> tuple[str, str]:
    """Return endpoint and version of the router's name for a version, or for a version as a mirror.

    Example:
        >>> version_of(mirror_name("iris", "blue"))
        ('iris', 'blue')

    """
    endpoint, version, *_ = cluster.split(".")
    return endpoint, version


def router_resources(
    endpoints: Iterable[EndpointRoute],
    listening: Listening,
    *,
    port: int,
    placement: Placement,
    own: Callable[[EndpointRoute], EndpointResources] | None = None,
) -> RouterResources:
    """Return all resources of the router for these endpoints.

    Parameters:
        endpoints: all endpoints of the workspace, in any order.
        listening: the addresses, certificates and token keys of the router.
        port: the port of all endpoints without their own port.
        placement: the places of resources and of the router's own addresses.
        own: returns the resources of one endpoint, if they are known already; see `endpoint_resources`.

    """
    known: dict[str, EndpointResources] = {}

    def of(endpoint: EndpointRoute) -> EndpointResources:
        if endpoint.name not in known:
            known[endpoint.name] = endpoint_resources(endpoint, placement) if own is None else own(endpoint)
        return known[endpoint.name]

    ordered = sorted(endpoints, key=lambda endpoint: endpoint.name)
    shared = [endpoint for endpoint in ordered if endpoint.port is None]
    found = RouterResources()
    no_grpc, holding = placement.private_address(grpc.NAME), placement.private_address(activator.NAME)
    found.listeners.append(_shared_listener(shared, listening, port, placement, found, of))
    found.listeners.append(grpc.listener(no_grpc))
    found.clusters.append(grpc.cluster(no_grpc))
    for endpoint in ordered:
        if endpoint.port is not None:
            routes = of(endpoint).routes
            found.listeners.append(_local_listener(endpoint, endpoint.port, listening, placement, found, routes))
        found.clusters.extend(of(endpoint).clusters)
        found.replicas.update(of(endpoint).replicas)
    with_tokens = (endpoint.name for endpoint in shared if endpoint.tokens)
    found.filters[envoy_tokens.FILTER] = envoy_tokens.configuration(listening.tokens, with_tokens)
    limited = {endpoint.name: endpoint.rate_limit for endpoint in shared if endpoint.rate_limit is not None}
    found.filters[envoy_limits.FILTER] = envoy_limits.configuration(limited)
    if any(version.wake_wait_ms for endpoint in ordered for version in endpoint.versions):
        found.listeners.append(activator.listener(holding, envoy.BUSY_HEADER))
    return found


def _shared_listener(
    endpoints: Iterable[EndpointRoute],
    listening: Listening,
    port: int,
    placement: Placement,
    found: RouterResources,
    own_resources: Callable[[EndpointRoute], EndpointResources],
) -> Resource:
    """Return the listener of all endpoints without their own port. Add its routes and certificates to `found`.

    One port serves connections with and without TLS. When TLS is on, requests without it are redirected or closed.
    """
    plain, secure = _Routes(listening), _Routes(listening)
    public = listening.secure_port(port)
    for endpoint in endpoints:
        prefix = f"{SERVICE_PREFIX}/{endpoint.name}"
        routes = secure if listening.secure or endpoint.host is not None else plain
        routes.add(endpoint, prefix, own_resources(endpoint).routes)
        if endpoint.host is not None and not listening.secure and listening.spec.plain_http is PlainHttp.REDIRECT:
            plain.redirect({"path_separated_prefix": prefix}, endpoint.host, public)
    if listening.secure:
        plain.redirect({"prefix": "/"}, listening.host, public)
    chains = []
    if not (listening.secure and listening.spec.plain_http is PlainHttp.CLOSE):
        chains.append(tls.plain_chain(_table(SHARED, plain, listening, placement, found)))
    own = {endpoint.name: endpoint.host for endpoint in endpoints if endpoint.host is not None}
    served: set[str] = set()
    for name, pair in sorted(listening.pairs.items()):
        # Of endpoints with the same host, the first one's certificate serves all: a host chooses one chain.
        if name != ROUTER_CERTIFICATE and (name not in own or own[name] in served):
            continue
        served |= {own[name]} if name else set()
        secret = f"tls-{name}" if name else "tls"
        found.secrets[secret] = tls.secret(secret, pair.certificate, pair.key)
        hosts = [own[name]] if name else []
        filters = _table(SECURE, secure, listening, placement, found)
        chains.append(tls.secure_chain(secret, placement.source("sds", secret), hosts, filters))
    if not chains:  # a listener needs at least one chain; without its certificate there is nothing to serve
        chains.append(tls.plain_chain(_table(SHARED, _Routes(listening), listening, placement, found)))
    return envoy.listener(SHARED, listening.spec.address, port, chains, **tls.tells_apart())


def _table(
    name: str, routes: _Routes, listening: Listening, placement: Placement, found: RouterResources
) -> list[Resource]:
    guard = not listening.spec.beyond_loopback
    found.routes[name] = envoy.route_table(name, routes.virtual_hosts(name, guard=guard))
    return envoy.connections(name, listening.spec.limits, placement, with_filters=True)


def _local_listener(
    endpoint: EndpointRoute,
    port: int,
    listening: Listening,
    placement: Placement,
    found: RouterResources,
    own_routes: list[Resource],
) -> Resource:
    """Return the listener of a local web service. It always listens on this machine only."""
    name = f"local-{endpoint.name}"
    routes = _Routes(listening)
    routes.add(endpoint, "", own_routes)
    found.routes[name] = envoy.route_table(name, routes.virtual_hosts(name, guard=True))
    limits = listening.spec.limits
    most = overload.most_local(limits.max_connections)
    own = limits.model_copy(update={"max_connections": most})
    filters = envoy.connections(name, own, placement)
    # Connections to the shared port do not count for these listeners; a filter limits their own number.
    return envoy.listener(name, LOOPBACK, port, [{"filters": filters}], ignore_global_conn_limit=True)


class _Routes:
    """The routes of a listener, in the order in which the router matches them, grouped by authentication."""

    def __init__(self, listening: Listening) -> None:
        self._hosts = listening.hosts
        self._redirects: list[tuple[Resource, str, int]] = []
        self._guarded: list[Resource] = []
        self._of_origins: list[tuple[Resource, EndpointRoute, list[Resource]]] = []
        self._open: list[Resource] = []

    def add(self, endpoint: EndpointRoute, prefix: str, routes: list[Resource]) -> None:
        """Add the routes of an endpoint, whose paths begin with a prefix."""
        if endpoint.guarded:
            self._guarded += routes
        elif endpoint.origins:
            paths = {"path_separated_prefix": prefix} if prefix else {"prefix": "/"}
            self._of_origins.append((paths, endpoint, routes))
        else:
            self._open += routes

    def redirect(self, match: Resource, host: str, port: int) -> None:
        """Redirect requests to https: for known hosts to the same host and port, for others to the given ones."""
        self._redirects.append((match, host, port))

    def virtual_hosts(self, name: str, *, guard: bool) -> list[Resource]:
        """Return the virtual hosts. With `guard`, foreign web pages cannot call endpoints without authentication."""
        known = [grpc.route(), *self._guarded]
        others = list(known)
        for paths, endpoint, routes in self._of_origins:
            if guard and ANY_ORIGIN not in endpoint.origins:
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
    """Return an endpoint's routes: first by version header, then the weighted split, then health.

    The document of its interface needs no key or token, so that tools can read it first (Azure ML v1: swagger_uri).
    A single version needs no routes by header: the split leads to it as well. Half of all routes are saved by that.
    All paths of the Open Inference Protocol have one route, since routes are compared one after the other.
    Requests of other paths count as answers of the default version.
    """
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
    routes, origins = [], endpoint.origins
    scoring = envoy.Passes(endpoint.keys, audience, limited)
    anybody = envoy.Passes(withheld=endpoint.guarded)
    place, exist = {envoy.BASE_HEADER: prefix or "/"}, {envoy.VERSIONS_HEADER: ",".join(clusters)}
    widest = _widest(version.limits for version in endpoint.versions)
    by_name = {
        name: envoy.Destination({cluster: 1}, limits[name], wake_wait_ms=wake[name])
        for name, cluster in clusters.items()
    }
    model = f"{OPEN_INFERENCE}/models/{endpoint.name}"
    for path, who, told in (
        ("/score", scoring, None),
        ("/swagger.json", anybody, place),
        (OPEN_INFERENCE, scoring, exist),
    ):
        below = path == OPEN_INFERENCE
        if below and len(clusters) > 1:  # the version in the path leads to it, so that its replica need not compare it
            routes += [
                envoy.route(f"{prefix}{model}/versions/{name}", model, target, who, origins, told=told, below=True)
                for name, target in by_name.items()
            ]
        if len(clusters) > 1 or mirrors:
            routes += [
                envoy.route(prefix + path, path, target, who, origins, (header, name), told, below)
                for name, target in by_name.items()
                for header in VERSION_HEADERS
            ]
        copies = {} if who is anybody else mirrors
        target = envoy.Destination(split, widest, copies, endpoint.sticky_header, max(wake.values()))
        routes.append(envoy.route(prefix + path, path, target, who, origins, None, told, below))
    routes += [envoy.route(path, "/", health, anybody, origins) for path in {prefix + "/": 0, prefix or "/": 0}]
    return [*routes, answers.nothing_at(prefix, clusters[default])]


def _widest(limits: Iterable[RequestLimits]) -> RequestLimits:
    """Return the maximum of each limit: a split route serves all versions, and replicas enforce their own limits."""
    known = list(limits)
    return RequestLimits(
        max_concurrent_requests=max(item.max_concurrent_requests for item in known),
        max_queue_wait_ms=max(item.max_queue_wait_ms for item in known),
        max_queue_length=max(item.max_queue_length for item in known),
        scoring_timeout_ms=max(item.scoring_timeout_ms for item in known),
        max_body_bytes=max(item.max_body_bytes for item in known),
    )
