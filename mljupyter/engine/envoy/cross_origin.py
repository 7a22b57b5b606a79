"""Cross-origin access (CORS): the router answers preflights of web pages, and lets allowed pages read all answers.

A browser sends a preflight without credentials (Fetch standard, section 4.8), so only the router can answer it for an
endpoint with keys or tokens. It also adds the headers to its own errors: without them a page cannot see why a request
was refused. An endpoint allows origins by ``AML_CORS_ORIGINS``, an environment variable of its versions.
"""

from __future__ import annotations

from collections.abc import Sequence

from mljupyter.engine.envoy.extensions import TYPE, Resource, named

ANY_ORIGIN = "*"
_FILTER = "envoy.filters.http.cors"
_METHODS = "GET, POST"
# `*` stands for all headers but Authorization (Fetch standard, section 3.3.5).
_REQUEST_HEADERS = "authorization, content-type, *"
# The headers of an answer that a page may read, besides those that it always may, such as Content-Type.
_ANSWER_HEADERS = ", ".join(
    [
        "retry-after",
        "www-authenticate",
        "x-ms-client-request-id",
        "x-ms-request-id",
        "x-ms-run-fn-exec-ms",
        "x-ms-run-function-failed",
        "x-ms-server-version",
        "x-request-id",
    ]
)
_REMEMBERED_SECONDS = "600"


def http_filter() -> Resource:
    """Return the filter. It acts on routes with a policy only."""
    return {**named(_FILTER, "extensions.filters.http.cors.v3.Cors"), "disabled": True}


def policy(origins: Sequence[str]) -> dict[str, Resource]:
    """Return the configuration of a route whose endpoint allows origins; empty if it allows none.

    Parameters:
        origins: such as ``https://example.org``; ``*`` for all.

    """
    if not origins:
        return {}
    every: Resource = {"safe_regex": {"regex": ".*"}}
    return {
        _FILTER: {
            "@type": f"{TYPE}extensions.filters.http.cors.v3.CorsPolicy",
            "allow_origin_string_match": (
                [every] if ANY_ORIGIN in origins else [{"exact": origin} for origin in sorted(origins)]
            ),
            "allow_methods": _METHODS,
            "allow_headers": _REQUEST_HEADERS,
            "expose_headers": _ANSWER_HEADERS,
            "max_age": _REMEMBERED_SECONDS,
        }
    }
