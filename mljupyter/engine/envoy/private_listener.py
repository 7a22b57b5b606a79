"""Private listeners: internal Envoy listeners with one fixed answer, to which routes send refused requests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from mljupyter.engine.envoy.extensions import TYPE, Resource, named, own_address


def private_listener(
    name: str,
    address: str,
    *,
    status: int,
    body: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    filters: Sequence[Resource] = (),
) -> Resource:
    """Return the listener.

    The router itself connects to it, with requests that it has accepted before. So its connections do not count towards
    the limits of clients, and it stays as it is when the router stops accepting clients: it is not an inbound listener,
    and its answers do not ask the router to close the connection.

    Parameters:
        name: the name of the listener and of its statistics.
        address: ``unix:PATH`` or ``HOST:PORT``.
        status: the status of the answer.
        body: the JSON of the answer.
        headers: further headers of the answer.
        filters: HTTP filters that run before the answer.

    """
    added = [_header(key, value) for key, value in {**(headers or {}), "content-type": "application/json"}.items()]
    answer = {"status": status, "body": {"inline_string": json.dumps(dict(body))}}
    manager = named(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        route_config={
            "name": name,
            "virtual_hosts": [
                {
                    "name": name,
                    "domains": ["*"],
                    "response_headers_to_add": added,
                    "routes": [{"match": {"prefix": "/"}, "direct_response": answer}],
                }
            ],
        },
        http_filters=[*filters, named("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")],
    )
    return {
        "@type": f"{TYPE}config.listener.v3.Listener",
        "name": name,
        "address": own_address(address),
        "drain_type": "MODIFY_ONLY",
        "ignore_global_conn_limit": True,
        "bypass_overload_manager": True,
        "filter_chains": [{"filters": [manager]}],
    }


def _header(key: str, value: str) -> Resource:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
