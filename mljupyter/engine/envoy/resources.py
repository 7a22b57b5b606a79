"""Builders for Envoy's listeners, routes, clusters and replicas.

Envoy's documentation explains each setting. Only settings that differ from the default are given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mljupyter.engine.envoy import activator, answers, cross_origin, overload, statistics
from mljupyter.engine.envoy import limits as envoy_limits
from mljupyter.engine.envoy import tokens as envoy_tokens
from mljupyter.engine.envoy.error_replies import local_replies
from mljupyter.engine.envoy.extensions import TYPE, Placement, Resource, address, named, own_address
from mljupyter.engine.replicas.replica_key import HEADER as KEY_HEADER
from mljupyter.engine.replicas.replica_key import PRIVATE_HEADERS
from mljupyter.spec import ConnectionLimits, RequestLimits

START_HEADER = "x-mlj-start"
BUSY_HEADER = "x-mlj-busy"
BASE_HEADER = "x-mlj-base"
"""The path that an endpoint's own paths are under, told to replicas for the document of its interface."""
VERSIONS_HEADER = "x-mlj-versions"
"""The versions of an endpoint, separated by commas, told to replicas for requests that may name one in their path."""
MOST_REQUESTS = 10_000
STREAM = "stream"
"""The name of the cluster that leads to the server of `from_stream`."""
_STREAM_FIRST_PAUSE, _STREAM_LONGEST_PAUSE = "0.1s", "1s"  # until Envoy connects again
_METADATA = "mljupyter"  # our own section of a replica's metadata in Envoy
_REPLICA_IDLE = "30s"  # below the replica's own keep-alive, so that the router closes first
_CONNECT_TIMEOUT = "1s"
_FIRST_TRY_AGAIN, _LAST_TRY_AGAIN = "0.005s", "0.025s"
_MEAN_PAUSE_MS = 12.5  # Envoy draws each pause between 0 and a maximum
_SHORTEST_STAY_MS = 50  # the least time that a busy replica keeps a request
_SPARE_MS = 1000  # added to the timeouts of queue and run, so that the replica's own answer comes first


@dataclass(frozen=True)
class Destination:
    """The destination of a route: clusters with weights, and the limits of its requests.

    `mirrors` are clusters that get copies of a percentage of requests. With `sticky_header`, requests with the same
    value of that header go to the same cluster. `wake_wait_ms` is the longest wait for the first replica of a version
    that is scaled to zero, 0 where there is always one.
    """

    clusters: Mapping[str, int]
    limits: RequestLimits
    mirrors: Mapping[str, int] = field(default_factory=dict)
    sticky_header: str | None = None
    wake_wait_ms: int = 0


def bootstrap(
    *,
    admin_address: str,
    listeners: Resource,
    clusters: Resource,
    overload_manager: Resource,
    runtime: Resource,
    stream: str | None = None,
    event_loop_statistics: bool = False,
) -> Resource:
    """Return the bootstrap configuration that Envoy is started with.

    Parameters:
        admin_address: address of the admin interface. Limits on clients do not apply to it.
        listeners, clusters: the configuration sources of listeners and clusters.
        overload_manager: the actions when memory or connections run out.
        runtime: the runtime layers.
        stream: the address of the server that sends the resources of `from_stream`; None where all are files.
        event_loop_statistics: whether it counts the durations of the turns of its event loop.

    """
    streamed: Resource = {}
    if stream is not None:
        streamed = {"static_resources": {"clusters": [_stream_cluster(stream)]}}
    counted = {"enable_dispatcher_stats": True} if event_loop_statistics else {}
    return {
        **streamed,
        "node": {"id": "router", "cluster": "mljupyter"},
        "admin": {"address": own_address(admin_address), "ignore_global_conn_limit": True},
        "dynamic_resources": {
            "lds_config": listeners,
            "cds_config": clusters,
            **({"ads_config": _stream_source()} if stream is not None else {}),
        },
        "stats_flush_on_admin": True,
        "overload_manager": overload_manager,
        "layered_runtime": runtime,
        "memory_allocator_manager": overload.memory_release(),
        **statistics.kept(),
        **counted,
    }


def from_stream() -> Resource:
    """Return the configuration source of a resource that a server sends over one stream for all resources."""
    return {"ads": {}, "resource_api_version": "V3"}


def _stream_source() -> Resource:
    pauses = {"base_interval": _STREAM_FIRST_PAUSE, "max_interval": _STREAM_LONGEST_PAUSE}
    service = {"envoy_grpc": {"cluster_name": STREAM, "retry_policy": {"retry_back_off": pauses}}}
    return {"api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [service]}


def _stream_cluster(stream: str) -> Resource:
    return {
        "name": STREAM,
        "type": "STATIC",
        "connect_timeout": _CONNECT_TIMEOUT,
        "load_assignment": {
            "cluster_name": STREAM,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(stream)}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


def listener(name: str, host: str, port: int, chains: Iterable[Resource], **others: Any) -> Resource:
    """Return a listener of clients with its chains of filters. It is closed when the router leaves."""
    return {
        "@type": f"{TYPE}config.listener.v3.Listener",
        "name": name,
        "traffic_direction": "INBOUND",
        "address": {"socket_address": {"address": host, "port_value": port, "ipv4_compat": host == "::"}},
        "filter_chains": list(chains),
        **others,
    }


def connections(
    name: str, limits: ConnectionLimits, placement: Placement, *, with_filters: bool = False
) -> list[Resource]:
    """Return the filters of a connection whose requests use a table of routes.

    Parameters:
        name: the name of the table of routes.
        limits: the limits of a client.
        placement: the place of the table.
        with_filters: whether some of its routes require tokens or limit requests per second.

    """
    manager = named(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        rds={"route_config_name": name, "config_source": placement.source("rds", name)},
        early_header_mutation_extensions=[_no_private_headers()],
        http_filters=_http_filters(placement if with_filters else None),
        access_log=[answers.counted()],
        local_reply_config=local_replies(),
        server_header_transformation="PASS_THROUGH",
        preserve_external_request_id=True,
        use_remote_address=True,
        normalize_path=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
        http2_protocol_options=envoy_limits.http2(),
        # nginx speaks HTTP/1.0 to its upstreams by default, as do ab and old load balancers. It has no Host header.
        http_protocol_options={"accept_http_10": True, "default_host_for_http_10": "localhost"},
        **envoy_limits.client_timeouts(limits),
    )
    return [envoy_limits.connection_count(name, limits), manager]


def _no_private_headers() -> Resource:
    """Return the extension that removes private headers of clients before routes are chosen."""
    return named(
        "envoy.http.early_header_mutation.header_mutation",
        "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[{"remove_on_match": {"key_matcher": {"prefix": PRIVATE_HEADERS}}}],
    )


def _http_filters(placement: Placement | None) -> list[Resource]:
    """Return the filters of a request: access from web pages, authentication, rate limit, body size, then the route.

    A disabled filter acts on the routes that have a setting for it, and costs the others nothing.
    """
    # Envoy refuses a buffer filter without a limit, even if all routes have their own.
    buffer = named("envoy.filters.http.buffer", "extensions.filters.http.buffer.v3.Buffer", max_request_bytes=1)
    return [
        cross_origin.http_filter(),
        named("envoy.filters.http.rbac", "extensions.filters.http.rbac.v3.RBAC"),
        *([_token_filter(placement), _rate_filter(placement)] if placement else []),
        {**buffer, "disabled": True},
        named("envoy.filters.http.router", "extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
    ]


def _token_filter(placement: Placement) -> Resource:
    return {**envoy_tokens.http_filter(placement.source("ecds", envoy_tokens.FILTER)), "disabled": True}


def _rate_filter(placement: Placement) -> Resource:
    return {**envoy_limits.http_filter(placement.source("ecds", envoy_limits.FILTER)), "disabled": True}


def route_table(name: str, virtual_hosts: Iterable[Resource]) -> Resource:
    """Return a listener's table of routes, by the host that a request is for."""
    return {
        "@type": f"{TYPE}config.route.v3.RouteConfiguration",
        "name": name,
        "virtual_hosts": [{**host, "retry_policy": DEFAULT_RETRIES} for host in virtual_hosts],
        "ignore_port_in_host_matching": True,
        "validate_clusters": False,  # clusters are a separate resource, and the writer keeps the order
        "request_headers_to_add": [_told(START_HEADER, "%START_TIME(%s%3f)%")],
        "response_headers_to_remove": [BUSY_HEADER, KEY_HEADER, START_HEADER],
    }


@dataclass(frozen=True)
class Passes:
    """The authentication of a route: one of these keys, or a token for this audience. Without both, all may pass.

    `rate_limited` names the endpoint whose limit of requests per second applies. `withheld` is for a route that all may
    pass, of an endpoint with authentication: a credential that a client sends nevertheless does not reach the replica.
    """

    keys: tuple[str, ...] | None = field(default=None, repr=False)
    audience: str | None = None
    rate_limited: str | None = None
    withheld: bool = False


def route(
    path: str,
    upstream_path: str,
    to: Destination,
    who: Passes,
    origins: Sequence[str] = (),
    header: tuple[str, str] | None = None,
    told: Mapping[str, str] | None = None,
    below: bool = False,
) -> Resource:
    """Return one route. Its retry policy is that of its virtual host, `DEFAULT_RETRIES`, unless it needs another one.

    Parameters:
        path: the path of the client's request, matched exactly; with `below` all paths below it, too.
        upstream_path: the path of the request to the replica.
        to: clusters with weights, and limits.
        who: the authentication.
        origins: the origins whose web pages may call it.
        header: name and value of a header that selects this route.
        told: headers for the replica.
        below: whether the paths below `path` match, too. What follows it is kept.

    """
    match: Resource = {"path_separated_prefix" if below else "path": path}
    if header:
        match["headers"] = [{"name": header[0], "string_match": {"exact": header[1]}}]
    limits = to.limits
    again = _try_again(limits.max_queue_wait_ms, to.wake_wait_ms)
    longest = f"{(to.wake_wait_ms + limits.max_queue_wait_ms + limits.scoring_timeout_ms + _SPARE_MS) / 1000}s"
    action: Resource = {
        "prefix_rewrite": upstream_path,
        "timeout": longest,
        "idle_timeout": longest,
        **({"retry_policy": again} if again != DEFAULT_RETRIES else {}),
        **_split(to.clusters),
    }
    if to.sticky_header and len(to.clusters) > 1:
        # A request without the header is sent to any cluster, by weight.
        action["hash_policy"] = [{"header": {"header_name": to.sticky_header}}]
        action["weighted_clusters"]["use_hash_policy"] = True
    if to.mirrors:
        action["request_mirror_policies"] = [
            {
                "cluster": name,
                "runtime_fraction": {"default_value": {"numerator": share, "denominator": "HUNDRED"}},
                "disable_shadow_host_suffix_append": True,
            }
            for name, share in sorted(to.mirrors.items())
        ]
    return {
        "match": match,
        "route": action,
        **({"metadata": envoy_limits.counted_for(who.rate_limited)} if who.rate_limited is not None else {}),
        "request_body_buffer_limit": limits.max_body_bytes,  # a retry needs the body
        **({"request_headers_to_add": [_told(*item) for item in told.items()]} if told else {}),
        "request_headers_to_remove": (
            ["authorization"] if who.keys is not None or who.audience or who.withheld else []
        ),
        "typed_per_filter_config": {
            "envoy.filters.http.buffer": {
                "@type": f"{TYPE}extensions.filters.http.buffer.v3.BufferPerRoute",
                "buffer": {"max_request_bytes": limits.max_body_bytes},
            },
            **({"envoy.filters.http.rbac": _allow_keys(who.keys)} if who.keys is not None else {}),
            **(envoy_tokens.asked_for(who.audience) if who.audience else {}),
            **(envoy_limits.acts() if who.rate_limited is not None else {}),
            **cross_origin.policy(origins),
        },
    }


def _split(clusters: Mapping[str, int]) -> Resource:
    """Return where a route leads to. A split draws a random number for each request, so a single cluster is none."""
    if len(clusters) == 1:
        return {"cluster": next(iter(clusters))}
    return {"weighted_clusters": {"clusters": [{"name": name, "weight": clusters[name]} for name in sorted(clusters)]}}


def _told(name: str, value: str) -> Resource:
    """Return a private header for replicas. It replaces none: those that clients send were removed before.

    To replace it, Envoy would look for it in all headers: 2 % of what it does for a request.
    """
    return {"header": {"key": name, "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}


def cluster(
    name: str, source: Resource, limits: RequestLimits, most_requests: int = MOST_REQUESTS, *, with_keys: bool = False
) -> Resource:
    """Return a cluster: the replicas of one version, balanced to the least busy of all of them.

    Parameters:
        name: the cluster's name.
        source: the configuration source of its replicas.
        limits: limits of the version.
        most_requests: the limit of open requests. Further ones are refused.
        with_keys: whether its replicas require keys; see `replicas`.

    """
    return {
        "@type": f"{TYPE}config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": source},
        "connect_timeout": _CONNECT_TIMEOUT,
        "load_balancing_policy": {
            "policies": [
                {
                    "typed_extension_config": named(
                        "envoy.load_balancing_policies.least_request",
                        "extensions.load_balancing_policies.least_request.v3.LeastRequest",
                        selection_method="FULL_SCAN",  # two random choices may miss an idle replica
                    )
                }
            ]
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": most_requests,
                    "max_pending_requests": most_requests,
                    "max_requests": most_requests,
                    "max_retries": limits.max_queue_length,
                    "track_remaining": True,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": _REPLICA_IDLE},
                **({"http_filters": _key_filters()} if with_keys else {}),
            }
        },
    }


def _key_filters() -> list[Resource]:
    """Return the filters that add the key of the chosen replica to each request.

    They are filters of the cluster, which run after a replica was chosen: for every retry, and for copies. Headers of
    routes are added before that. Nothing is added for a replica without a key.
    """
    name = "extensions.filters.http.header_mutation.v3.HeaderMutation"
    key = {
        "header": {"key": KEY_HEADER, "value": f"%UPSTREAM_METADATA({_METADATA}:key)%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    return [
        named("envoy.filters.http.header_mutation", name, mutations={"request_mutations": [{"append": key}]}),
        named("envoy.filters.http.upstream_codec", "extensions.filters.http.upstream_codec.v3.UpstreamCodec"),
    ]


def replicas(cluster_name: str, addresses: Iterable[str], keys: Mapping[str, str] | None = None) -> Resource:
    """Return the replicas of a cluster.

    Parameters:
        cluster_name: the cluster's name.
        addresses: ``unix:PATH`` or ``HOST:PORT``.
        keys: the secrets of replicas that require one, by address.

    """
    hosts = []
    for text in sorted(addresses):
        host: Resource = {"endpoint": {"address": address(text)}}
        if keys and text in keys:
            host["metadata"] = {"filter_metadata": {_METADATA: {"key": keys[text]}}}
        hosts.append(host)
    return {
        "@type": f"{TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": cluster_name,
        "endpoints": [{"lb_endpoints": hosts}] if hosts else [],
    }


def _try_again(longest_wait_ms: int, wake_wait_ms: int) -> Resource:
    """Return the retry policy: the router tries another replica when one is busy, gone, or fails during a request.

    A busy replica itself ends a wait that is too long. If no replica answers at all, the number of tries ends it: there
    are enough for one and a half times the wait, so that the number rarely decides. In the activator, the number always
    decides.
    """
    most = 10 + math.ceil(1.5 * longest_wait_ms / _MEAN_PAUSE_MS)
    if wake_wait_ms:
        most = 10 + math.ceil(longest_wait_ms / _SHORTEST_STAY_MS) + activator.tries(wake_wait_ms)
    return {
        "retry_on": "connect-failure,refused-stream,reset,retriable-headers",
        "retriable_headers": [{"name": BUSY_HEADER, "present_match": True}],
        "num_retries": most,
        "retry_back_off": {"base_interval": _FIRST_TRY_AGAIN, "max_interval": _LAST_TRY_AGAIN},
        "retry_host_predicate": [
            named(
                "envoy.retry_host_predicates.previous_hosts",
                "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        "host_selection_retry_max_attempts": 3,
    }


def _allow_keys(keys: Iterable[str]) -> Resource:
    principals = [{"header": {"name": "authorization", "string_match": {"exact": f"Bearer {key}"}}} for key in keys]
    return {
        "@type": f"{TYPE}extensions.filters.http.rbac.v3.RBACPerRoute",
        "rbac": {
            "rules": {
                "action": "ALLOW",
                "policies": {"keys": {"permissions": [{"any": True}], "principals": principals}},
            }
        },
    }


DEFAULT_RETRIES = _try_again(RequestLimits().max_queue_wait_ms, 0)
"""The retry policy of most routes. It is given once for each virtual host, since a table has thousands of routes."""
