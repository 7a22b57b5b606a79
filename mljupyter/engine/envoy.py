"""The router's vocabulary: builders for Envoy's listeners, routes, clusters and replicas.

What each setting is for is measured or read in Envoy's own documentation; only those that differ from the default
are given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mljupyter.spec import RequestLimits

Resource = dict[str, Any]
VERSION_HEADERS = ("azureml-model-deployment", "mljupyter-version")
START_HEADER = "x-mlj-start"
BUSY_HEADER = "x-mlj-busy"
MOST_REQUESTS = 10_000
_TYPE = "type.googleapis.com/envoy."
_HEADERS_TIMEOUT = "10s"
_IDLE_CONNECTION = "3600s"
_REPLICA_IDLE = "30s"  # below the replica's own keep-alive, so that the router is the one to close
_CONNECT_TIMEOUT = "1s"
_FIRST_TRY_AGAIN, _LAST_TRY_AGAIN = "0.005s", "0.025s"
_MEAN_PAUSE_MS = 12.5  # Envoy draws each pause between 0 and the longest
_SPARE_MS = 1000  # what the router waits beyond queue and run time, so that the replica's own answer comes first


@dataclass(frozen=True)
class Destination:
    """Where a route leads: clusters with weights, and the limits that hold on the way.

    `mirrors` are clusters that a percentage of requests is copied to. With `sticky_header`, requests with the same
    value of it go to the same cluster.
    """

    clusters: Mapping[str, int]
    limits: RequestLimits
    mirrors: Mapping[str, int] = field(default_factory=dict)
    sticky_header: str | None = None


def bootstrap(*, admin_socket: str, listeners_file: str, clusters_file: str, most_connections: int) -> Resource:
    """Return the file Envoy is started with."""
    return {
        "node": {"id": "router", "cluster": "mljupyter"},
        "admin": {"address": {"pipe": {"path": admin_socket, "mode": 0o600}}},
        "dynamic_resources": {"lds_config": _file(listeners_file), "cds_config": _file(clusters_file)},
        "stats_flush_on_admin": True,
        "overload_manager": {
            "resource_monitors": [
                _named(
                    "envoy.resource_monitors.global_downstream_max_connections",
                    "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    max_active_downstream_connections=most_connections,
                )
            ]
        },
    }


def listener(name: str, address: str, port: int, routes_file: str) -> Resource:
    """Return a listener that serves the routes in a file."""
    manager = _named(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        rds={"route_config_name": name, "config_source": _file(routes_file)},
        http_filters=[
            _named("envoy.filters.http.rbac", "extensions.filters.http.rbac.v3.RBAC"),
            {**_named("envoy.filters.http.buffer", "extensions.filters.http.buffer.v3.Buffer"), "disabled": True},
            _named(
                "envoy.filters.http.router", "extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
            ),
        ],
        local_reply_config=_local_replies(),
        common_http_protocol_options={"idle_timeout": _IDLE_CONNECTION},
        request_headers_timeout=_HEADERS_TIMEOUT,
        server_header_transformation="PASS_THROUGH",
        preserve_external_request_id=True,
        use_remote_address=True,
        normalize_path=True,
        path_with_escaped_slashes_action="REJECT_REQUEST",
    )
    # A buffer filter without a limit is refused, even where routes give their own.
    manager["typed_config"]["http_filters"][1]["typed_config"]["max_request_bytes"] = 1
    return {
        "@type": f"{_TYPE}config.listener.v3.Listener",
        "name": name,
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": [{"filters": [manager]}],
    }


def route_table(name: str, routes: Iterable[Resource]) -> Resource:
    """Return a listener's table of routes."""
    return {
        "@type": f"{_TYPE}config.route.v3.RouteConfiguration",
        "name": name,
        "virtual_hosts": [{"name": name, "domains": ["*"], "routes": list(routes)}],
        "validate_clusters": False,  # clusters come and go by another file; the writer keeps the order
        "response_headers_to_remove": [BUSY_HEADER],
    }


def route(
    path: str, upstream_path: str, to: Destination, keys: Iterable[str] | None, header: tuple[str, str] | None = None
) -> Resource:
    """Return one route.

    Parameters:
        path: what the client asks for, matched exactly.
        upstream_path: what the replica is asked for.
        to: clusters with weights, and limits.
        keys: who may pass; None lets everybody.
        header: name and value that pick this route.

    """
    match: Resource = {"path": path}
    if header:
        match["headers"] = [{"name": header[0], "string_match": {"exact": header[1]}}]
    limits = to.limits
    longest = f"{(limits.max_queue_wait_ms + limits.scoring_timeout_ms + _SPARE_MS) / 1000}s"
    action: Resource = {
        "prefix_rewrite": upstream_path,
        "timeout": longest,
        "idle_timeout": longest,
        "retry_policy": _try_again(limits.max_queue_wait_ms),
        "weighted_clusters": {
            "clusters": [{"name": name, "weight": weight} for name, weight in sorted(to.clusters.items())]
        },
    }
    if to.sticky_header and len(to.clusters) > 1:
        # A request without the header is sent anywhere, by weight.
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
        "request_body_buffer_limit": limits.max_body_bytes,  # a try again needs the body
        "request_headers_to_add": [
            {
                "header": {"key": START_HEADER, "value": "%START_TIME(%s%3f)%"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
        "request_headers_to_remove": ["authorization"] if keys is not None else [],
        "typed_per_filter_config": {
            "envoy.filters.http.buffer": {
                "@type": f"{_TYPE}extensions.filters.http.buffer.v3.BufferPerRoute",
                "buffer": {"max_request_bytes": limits.max_body_bytes},
            },
            **({"envoy.filters.http.rbac": _allow_keys(keys)} if keys is not None else {}),
        },
    }


def cluster(name: str, replicas_file: str, limits: RequestLimits, most_requests: int = MOST_REQUESTS) -> Resource:
    """Return a cluster: the replicas of one version, the least busy of all of them next.

    Parameters:
        name: the cluster's name.
        replicas_file: the file that lists its replicas.
        limits: limits of the version.
        most_requests: how many requests may be open at a time; more are refused.

    """
    return {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _file(replicas_file)},
        "connect_timeout": _CONNECT_TIMEOUT,
        "load_balancing_policy": {
            "policies": [
                {
                    "typed_extension_config": _named(
                        "envoy.load_balancing_policies.least_request",
                        "extensions.load_balancing_policies.least_request.v3.LeastRequest",
                        selection_method="FULL_SCAN",  # two choices of many would wait beside an idle replica
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
                "@type": f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": _REPLICA_IDLE},
            }
        },
    }


def replicas(cluster_name: str, addresses: Iterable[str]) -> Resource:
    """Return the replicas of a cluster by their addresses, ``unix:PATH`` or ``HOST:PORT``."""
    hosts = [{"endpoint": {"address": _address(address)}} for address in sorted(addresses)]
    return {
        "@type": f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": cluster_name,
        "endpoints": [{"lb_endpoints": hosts}] if hosts else [],
    }


def _address(text: str) -> Resource:
    if text.startswith("unix:"):
        return {"pipe": {"path": text.removeprefix("unix:")}}
    host, _, port = text.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _try_again(longest_wait_ms: int) -> Resource:
    """Return when the router asks another replica: the first one is busy, gone, or went away in the middle.

    A busy replica itself ends the wait when it has lasted too long. Where no replica answers at all, the number of
    tries does: enough of them for half as long again, so that it is rarely the number that decides.
    """
    return {
        "retry_on": "connect-failure,refused-stream,reset,retriable-headers",
        "retriable_headers": [{"name": BUSY_HEADER, "present_match": True}],
        "num_retries": 10 + math.ceil(1.5 * longest_wait_ms / _MEAN_PAUSE_MS),
        "retry_back_off": {"base_interval": _FIRST_TRY_AGAIN, "max_interval": _LAST_TRY_AGAIN},
        "retry_host_predicate": [
            _named(
                "envoy.retry_host_predicates.previous_hosts",
                "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        "host_selection_retry_max_attempts": 3,
    }


def _allow_keys(keys: Iterable[str]) -> Resource:
    principals = [{"header": {"name": "authorization", "string_match": {"exact": f"Bearer {key}"}}} for key in keys]
    return {
        "@type": f"{_TYPE}extensions.filters.http.rbac.v3.RBACPerRoute",
        "rbac": {
            "rules": {
                "action": "ALLOW",
                "policies": {"keys": {"permissions": [{"any": True}], "principals": principals}},
            }
        },
    }


# What the router answers by itself: status, the status it becomes, a code to search for, a sentence.
_REPLIES = (
    (403, 401, "Unauthorized", "Send a key of this endpoint in the header 'Authorization: Bearer KEY'."),
    (404, 404, "NotFound", "No endpoint answers at this path. The scoring URI ends in /score."),
    (408, 408, "RequestTimeout", "The request's headers or body took too long to arrive."),
    (413, 413, "PayloadTooLarge", "The body is larger than this endpoint's limit."),
    (431, 431, "HeadersTooLarge", "The request's headers are too large."),
    (503, 503, "NoReplicaReady", "No replica can take the request now. Try again later."),
    (504, 504, "ScoringTimeout", "The replica did not answer within the scoring timeout."),
)


def _local_replies() -> Resource:
    return {
        "mappers": [
            {
                "filter": {
                    "status_code_filter": {
                        "comparison": {
                            "op": "EQ",
                            "value": {"default_value": status, "runtime_key": f"mljupyter.reply_{status}"},
                        }
                    }
                },
                "status_code": becomes,
                "headers_to_add": _reply_headers(becomes),
                "body_format_override": {"json_format": {"code": code, "message": message}},
            }
            for status, becomes, code, message in _REPLIES
        ],
        "body_format": {"json_format": {"code": "RouterError", "message": "%LOCAL_REPLY_BODY%"}},
    }


def _reply_headers(status: int) -> list[Resource]:
    headers = {401: ("www-authenticate", 'Bearer realm="mljupyter"'), 503: ("retry-after", "1")}
    if status not in headers:
        return []
    key, value = headers[status]
    return [{"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]


def _file(path: str) -> Resource:
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def _named(name: str, kind: str, **config: Any) -> Resource:
    return {"name": name, "typed_config": {"@type": _TYPE + kind, **config}}
