"""Limits that protect the router from clients: connections, timeouts, and requests per second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.engine.envoy.extensions import TYPE, Resource, named
from mljupyter.spec import ConnectionLimits, RateLimit

FILTER = "mljupyter.rates"
_FILTER_TYPE = f"{TYPE}extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_ENDPOINT = "endpoint"
# A bucket is filled ten times a second, so that not all requests of a second can pass at once.
_FILLS_PER_SECOND = 10
_LAST_CALL = "1s"  # a closing connection is served for this time, since a request may be on its way
_INTERVAL = f"{1 / _FILLS_PER_SECOND}s"
_OF_THE_ROUTE = {
    "descriptor_key": _ENDPOINT,
    "metadata_key": {"key": FILTER, "path": [{"key": _ENDPOINT}]},
    "source": "ROUTE_ENTRY",
    "skip_if_absent": True,
}
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}


def connection_count(name: str, limits: ConnectionLimits) -> Resource:
    """Return the filter that closes connections above the limit."""
    return named(
        "envoy.filters.network.connection_limit",
        "extensions.filters.network.connection_limit.v3.ConnectionLimit",
        stat_prefix=name,
        max_connections=limits.max_connections,
    )


def client_timeouts(limits: ConnectionLimits) -> dict[str, Any]:
    """Return the timeouts of a connection manager for unfinished requests and idle connections."""
    return {
        "request_headers_timeout": _seconds(limits.headers_seconds),
        "request_timeout": _seconds(limits.request_seconds),
        "common_http_protocol_options": {"idle_timeout": _seconds(limits.idle_seconds)},
        "drain_timeout": _LAST_CALL,
    }


def http2() -> dict[str, int]:
    """Return the limits of one HTTP/2 connection: concurrent requests, and the bytes in flight (window sizes)."""
    return {
        "max_concurrent_streams": 100,
        "initial_stream_window_size": 4 << 20,
        "initial_connection_window_size": 8 << 20,
    }


def http_filter(source: Resource) -> Resource:
    """Return the reference to the filter that limits requests per second. A configuration source has the limits."""
    return {"name": FILTER, "config_discovery": {"config_source": source, "type_urls": [_FILTER_TYPE]}}


def configuration(limits: Mapping[str, RateLimit]) -> Resource:
    """Return the limits of requests per second: one bucket for each endpoint, shared by all its routes."""
    config: dict[str, Any] = {"@type": _FILTER_TYPE, "stat_prefix": "rates"}
    if limits:
        config |= {
            "filter_enabled": {"runtime_key": "mljupyter.rates_enabled", **_ALWAYS},
            "filter_enforced": {"runtime_key": "mljupyter.rates_enforced", **_ALWAYS},
            # Envoy requires a default bucket, whose interval divides those of all others. This one is never empty.
            "token_bucket": {"max_tokens": 4_000_000_000, "tokens_per_fill": 4_000_000_000, "fill_interval": _INTERVAL},
            "always_consume_default_token_bucket": False,
            "rate_limits": [{"actions": [{"metadata": _OF_THE_ROUTE}]}],
            "descriptors": [
                {"entries": [{"key": _ENDPOINT, "value": name}], "token_bucket": _bucket(limit)}
                for name, limit in sorted(limits.items())
            ],
        }
    return {"@type": f"{TYPE}config.core.v3.TypedExtensionConfig", "name": FILTER, "typed_config": config}


def counted_for(endpoint: str) -> Resource:
    """Return the metadata of a route whose requests count for the limit of an endpoint."""
    return {"filter_metadata": {FILTER: {_ENDPOINT: endpoint}}}


def acts() -> dict[str, Resource]:
    """Return the filter's setting of a route on which it acts."""
    return {FILTER: {"@type": f"{TYPE}config.route.v3.FilterConfig", "config": {}}}


def _bucket(limit: RateLimit) -> Resource:
    per_second = limit.requests_per_second
    most = limit.burst or per_second
    if per_second % _FILLS_PER_SECOND:
        return {"max_tokens": most, "tokens_per_fill": per_second, "fill_interval": "1s"}
    return {"max_tokens": most, "tokens_per_fill": per_second // _FILLS_PER_SECOND, "fill_interval": _INTERVAL}


def _seconds(value: float) -> str:
    return f"{value:.3f}s"
