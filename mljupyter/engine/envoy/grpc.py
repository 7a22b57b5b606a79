"""Envoy resources that refuse gRPC with an HTTP status, since no endpoint supports gRPC.

If Envoy itself refuses a request of the content type ``application/grpc``, it answers 200 and puts the error into
headers for gRPC clients. A monitor that counts statuses would see only successes. So such requests are sent to a
private listener of the router without their content type, and get its answer.
"""

from __future__ import annotations

from mljupyter.engine.envoy.extensions import TYPE, Resource
from mljupyter.engine.envoy.extensions import address as envoy_address
from mljupyter.engine.envoy.private_listener import private_listener

NAME = "no-grpc"
_STATUS = 415
_BODY = {
    "code": "UnsupportedMediaType",
    "message": "gRPC is not supported. POST the body with another content type, for example application/json.",
}


def route() -> Resource:
    """Return the route for gRPC requests of any path. It comes before all others."""
    return {
        "match": {"prefix": "/", "grpc": {}},
        "route": {"cluster": NAME, "timeout": "5s"},
        "request_headers_to_remove": ["content-type", "authorization"],
    }


def cluster(address: str) -> Resource:
    """Return the cluster of this route: the listener at an address, ``unix:PATH`` or ``HOST:PORT``."""
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
