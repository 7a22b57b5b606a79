"""Where requests wait for the first replica of a version that has none: in the router itself, in its own vocabulary.

The version's only address is then a listener of the router, which says *busy* after a moment. So the router tries
again, as it does with busy replicas, until there is a replica or the tries are used up. Their number bounds the time,
the cluster's limit of tries at once the number of requests; nothing but the router is needed while they wait.
"""

from __future__ import annotations

import math

from mljupyter.engine.envoy.extensions import Resource, named
from mljupyter.engine.envoy.private_listener import private_listener

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
    delay = named(
        "envoy.filters.http.fault",
        "extensions.filters.http.fault.v3.HTTPFault",
        delay={"fixed_delay": f"{STAY_SECONDS}s", "percentage": {"numerator": 100}},
    )
    headers = {busy_header: "1", "retry-after": "1"}
    return private_listener(NAME, path, status=503, body=_BODY, headers=headers, filters=[delay])
