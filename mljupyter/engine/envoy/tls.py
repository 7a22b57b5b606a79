"""TLS filter chains let one port serve connections with and without TLS.

Each certificate has its chain of filters, selected by the host name in the client's handshake (SNI). One more chain
serves connections without TLS. Certificates are separate resources (secret discovery): certificate and key change
together, and connections stay open.
"""

from __future__ import annotations

from collections.abc import Iterable

from mljupyter.engine.envoy.extensions import TYPE, Resource, named

_SILENT_SECONDS = 15
_HTTPS_PORT = 443


def tells_apart() -> dict[str, object]:
    """Return the part of a listener that inspects the first bytes. A silent connection is closed after a timeout."""
    return {
        "listener_filters": [
            named("envoy.filters.listener.tls_inspector", "extensions.filters.listener.tls_inspector.v3.TlsInspector")
        ],
        "listener_filters_timeout": f"{_SILENT_SECONDS}s",
    }


def plain_chain(filters: Iterable[Resource]) -> Resource:
    """Return the chain for connections without TLS."""
    return {"name": "plain", "filter_chain_match": {"transport_protocol": "raw_buffer"}, "filters": list(filters)}


def secure_chain(secret: str, source: Resource, hosts: Iterable[str], filters: Iterable[Resource]) -> Resource:
    """Return the chain for connections with TLS.

    Parameters:
        secret: name of the certificate.
        source: the configuration source of the certificate.
        hosts: the host names in the handshake; none for all names that no other chain has.
        filters: the filters of the chain.

    """
    match: Resource = {"transport_protocol": "tls"}
    if names := sorted(hosts):
        match["server_names"] = names
    return {
        "name": secret,
        "filter_chain_match": match,
        "filters": list(filters),
        "transport_socket_connect_timeout": f"{_SILENT_SECONDS}s",  # for unfinished handshakes
        "transport_socket": named(
            "envoy.transport_sockets.tls",
            "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            common_tls_context={
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificate_sds_secret_configs": [{"name": secret, "sds_config": source}],
            },
        ),
    }


def secret(name: str, certificate: str, key: str) -> Resource:
    """Return a certificate with its private key, both in PEM. Envoy never shows the key."""
    return {
        "@type": f"{TYPE}extensions.transport_sockets.tls.v3.Secret",
        "name": name,
        "tls_certificate": {
            "certificate_chain": {"inline_string": certificate},
            "private_key": {"inline_string": key},
        },
    }


def redirect(match: Resource, host: str | None = None, port: int | None = None) -> Resource:
    """Return a route that redirects a client to the same URI with https. 308 keeps method and body.

    Parameters:
        match: the requests of the route.
        host, port: the target; None for the host of the request.

    """
    there: Resource = {} if host is None else {"host_redirect": host}
    if host is not None and port != _HTTPS_PORT:  # a URI without a port means this one
        there["port_redirect"] = port
    return {
        "match": match,
        "redirect": {"https_redirect": True, "response_code": "PERMANENT_REDIRECT", **there},
    }
