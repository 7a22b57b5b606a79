"""The activator holds requests for a version that is scaled to zero, inside the router.

The only address of the version is then a listener of the router that answers *busy* after a short delay. So the router
retries, as it does with busy replicas, until there is a replica or the retries are used up. The number of retries
limits the time, the cluster's limit of concurrent retries limits the number of requests. Only the router is needed
while they wait.
"""

from __future__ import annotations

import math

from mljupyter.engine.envoy.extensions import Resource, named
from mljupyter.engine.envoy.private_listener import private_listener

NAME = "waiting-room"
STAY_SECONDS = 0.1  # a retry costs as much as a request: ten a second are cheap, and the delay is short
_MEAN_PAUSE_SECONDS = 0.0125
_BODY = {"code": "NoReplicaReady", "message": "No replica was ready in time. Try again later."}


def tries(wait_ms: int) -> int:
    """Return the number of tries that let a request wait for `wait_ms` milliseconds.

    Example:
        >>> tries(60_000)
        534

    """
    return math.ceil(wait_ms / 1000 / (STAY_SECONDS + _MEAN_PAUSE_SECONDS))


def listener(address: str, busy_header: str) -> Resource:
    """Return the listener that answers *busy*.

    Parameters:
        address: ``unix:PATH`` or ``HOST:PORT``.
        busy_header: the header that makes the router retry.

    """
    delay = named(
        "envoy.filters.http.fault",
        "extensions.filters.http.fault.v3.HTTPFault",
        delay={"fixed_delay": f"{STAY_SECONDS}s", "percentage": {"numerator": 100}},
    )
    headers = {busy_header: "1", "retry-after": "1"}
    return private_listener(NAME, address, status=503, body=_BODY, headers=headers, filters=[delay])
