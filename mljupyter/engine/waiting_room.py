"""Where requests wait for the first replica of a version that has none: in the router itself, in its own vocabulary.

The version's only address is then a listener of the router, which says *busy* after a moment. So the router tries
again, as it does with busy replicas, until there is a replica or the tries are used up. Their number bounds the time,
the cluster's limit of tries at once the number of requests; nothing but the router is needed while they wait.
"""

from __future__ import annotations

import json
import math

from mljupyter.engine.envoy_resource import TYPE, Resource, named

NAME = "waiting-room"
STAY_SECONDS = 0.1  # each look costs the router as much as a request: ten a second are little, and no long delay
_MEAN_PAUSE_SECONDS = 0.0125
_BODY = {"code": "NoReplicaReady", "message": "No replica was ready in time. Try again later."}


def tries(wait_ms: int) -> int:
    """Return how many tries let a request wait for so many milliseconds.

    Example:
        >>> tries(60_000)
        534

    """
    return math.ceil(wait_ms / 1000 / (STAY_SECONDS + _MEAN_PAUSE_SECONDS))


def listener(path: str, busy_header: str) -> Resource:
    """Return the listener, on a socket that only the router's user can reach.

    Parameters:
        path: of the socket.
        busy_header: the header by which the router knows that it should try again.

    """
    headers = [_header(busy_header, "1"), _header("retry-after", "1"), _header("content-type", "application/json")]
    manager = named(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=NAME,
        route_config={
            "name": NAME,
            "virtual_hosts": [
                {
                    "name": NAME,
                    "domains": ["*"],
                    "response_headers_to_add": headers,
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "direct_response": {"status": 503, "body": {"inline_string": json.dumps(_BODY)}},
                        }
                    ],
                }
            ],
        },
        http_filters=[
            named(
                "envoy.filters.http.fault",
                "extensions.filters.http.fault.v3.HTTPFault",
                delay={"fixed_delay": f"{STAY_SECONDS}s", "percentage": {"numerator": 100}},
            ),
            named("envoy.filters.http.router", "extensions.filters.http.router.v3.Router"),
        ],
    )
    return {
        "@type": f"{TYPE}config.listener.v3.Listener",
        "name": NAME,
        "address": {"pipe": {"path": path, "mode": 0o600}},
        "ignore_global_conn_limit": True,
        "bypass_overload_manager": True,  # the router's own connections: requests that wait have been let in before
        "filter_chains": [{"filters": [manager]}],
    }


def _header(key: str, value: str) -> Resource:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
