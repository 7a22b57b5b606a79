"""gRPC in the router's vocabulary: no endpoint speaks it, and its requests are refused with a status of HTTP.

Envoy answers every request of the content type ``application/grpc`` that it refuses by itself with 200, and puts the
error where gRPC clients look for it: a monitor that counts statuses would see nothing but successes. Such requests are
therefore sent to a listener of the router's own, without their content type, and get its answer.
"""

from __future__ import annotations

from mljupyter.engine.envoy.extensions import TYPE, Resource
from mljupyter.engine.envoy.private_listener import private_listener

NAME = "no-grpc"
_STATUS = 415
_BODY = {
    "code": "UnsupportedMediaType",
    "message": "gRPC is not spoken here. POST the body with another content type, for example application/json.",
}


def route() -> Resource:
    """Return the route that takes requests of gRPC, whatever their path; it comes before all others."""
    return {
        "match": {"prefix": "/", "grpc": {}},
        "route": {"cluster": NAME, "timeout": "5s"},
        "request_headers_to_remove": ["content-type", "authorization"],
    }


def cluster(path: str) -> Resource:
    """Return the cluster that this route leads to: the listener on a socket."""
    host = {"endpoint": {"address": {"pipe": {"path": path}}}}
    return {
        "@type": f"{TYPE}config.cluster.v3.Cluster",
        "name": NAME,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": NAME, "endpoints": [{"lb_endpoints": [host]}]},
    }


def listener(path: str) -> Resource:
    """Return the listener that answers, on a socket that only the router's user can reach."""
    return private_listener(NAME, path, status=_STATUS, body=_BODY)
