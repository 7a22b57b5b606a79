"""Counters of answers: each answer that a client gets counts once, by version and status, whatever gives it.

Envoy's counters of a cluster lack the answers that the router gives before it chooses a replica: without a valid key,
to a body that is too large, at too many requests per second, at an unknown path. So an access logger counts at the end
of each request. It writes nothing.

Envoy marks this logger as not hardened against hostile upstreams and clients, because its names may be made of anything
that they send. Here they are made of names in our own routes and of a status alone.
"""

from __future__ import annotations

import re

from mljupyter.engine.envoy.extensions import Resource, named

PATTERN = r"^answers\.given\.version\..*$"
"""A regular expression for the names of these counters."""
_NAME = re.compile(r"answers\.given\.version\.(?P<version>[^.]+\.[^.]+)\.status\.(?P<status>\d+)")
# A route with a cluster has no name, and a route with an answer of its own has no cluster.
_VERSION = "%UPSTREAM_CLUSTER%%ROUTE_NAME%"


def counted() -> Resource:
    """Return the access logger that counts the answers of a listener."""
    tags = {"version": _VERSION, "status": "%RESPONSE_CODE%"}
    stat = {"name": "given", "tags": [{"name": name, "value_format": value} for name, value in tags.items()]}
    return named(
        "envoy.access_loggers.stats",
        "extensions.access_loggers.stats.v3.Config",
        stats_scope={"prefix": "answers"},
        counters=[{"stat": stat, "value_fixed": 1}],
    )


def nothing_at(prefix: str, version: str) -> Resource:
    """Return the route of all paths of an endpoint at which nothing answers.

    Parameters:
        prefix: the beginning of its paths; empty for all paths of a listener.
        version: the cluster of the version whose answers count these.

    """
    match = {"path_separated_prefix": prefix} if prefix else {"prefix": "/"}
    return {"name": version, "match": match, "direct_response": {"status": 404}}


def answer_of(name: str) -> tuple[str, int] | None:
    """Return version and status of a counter; None if its requests were for no version.

    The status is 0 if the client left before it had an answer.

    Example:
        >>> answer_of("answers.given.version.iris.blue.status.401")
        ('iris.blue', 401)

    """
    found = _NAME.fullmatch(name)
    return (found["version"], int(found["status"])) if found is not None else None
