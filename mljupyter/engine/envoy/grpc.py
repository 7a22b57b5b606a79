"""Envoy resources that refuse gRPC with an HTTP status: no endpoint speaks gRPC.

Envoy answers every request of the content type ``application/grpc`` that it refuses by itself with 200, and puts the
error where gRPC clients look for it: a monitor that counts statuses would see nothing but successes. Such requests are
therefore sent to a listener of the router's own, without their content type, and get its answer.
"""

from __future__ import annotations

from mljupyter.engine.envoy.extensions import TYPE, Resource
from mljupyter.engine.envoy.extensions import address as envoy_address
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


def cluster(address: str) -> Resource:
    """Return the cluster that this route leads to: the listener at an address, ``unix:PATH`` or ``HOST:PORT``."""
    host = {"endpoint": {"address": envoy_address(address)}}
    return {
        "@type": f"{TYPE}config.cluster.v3.Cluster",
        "name": NAME,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": NAME, "endpoints": [{"lb_endpoints": [host]}]},
    }


def listener(address: str) -> Resource:
    """Return the listener that refuses these requests."""
    return private_listener(NAME, address, status=_STATUS, body=_BODY)
