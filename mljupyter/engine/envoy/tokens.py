"""The token filter verifies access tokens (JWT): their signature, and the audience that each endpoint requires.

The filter's configuration is a separate resource (extension configuration discovery): a change applies to the next
request of every connection, open ones included. As a part of the listener it would apply to new connections only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.engine.envoy.extensions import TYPE, Resource

FILTER = "mljupyter.tokens"
FAILURE = "refused"  # the metadata key with the filter's reason of a refusal
_FILTER_TYPE = f"{TYPE}extensions.filters.http.jwt_authn.v3.JwtAuthentication"
_SIGNER = "workspace"
_CLOCK_SKEW_SECONDS = 10
_CACHED_TOKENS = 1000


@dataclass(frozen=True)
class TokenVerification:
    """The verification of tokens: their issuer, and the public keys of their signatures, as JWK."""

    issuer: str = ""
    public_keys: Sequence[Mapping[str, Any]] = ()


def http_filter(source: Resource) -> Resource:
    """Return the reference to the filter in the chain. Its configuration comes from a configuration source."""
    return {"name": FILTER, "config_discovery": {"config_source": source, "type_urls": [_FILTER_TYPE]}}


def configuration(verification: TokenVerification, endpoints: Iterable[str]) -> Resource:
    """Return the filter's configuration: each of the endpoints requires a token with its own audience.

    Without keys the filter accepts no token: a route that requires one is then answered 403.
    """
    config: dict[str, Any] = {"@type": _FILTER_TYPE}
    if verification.public_keys:
        config |= {
            "providers": {
                _SIGNER: {
                    "issuer": verification.issuer,
                    "local_jwks": {
                        "inline_string": json.dumps({"keys": [dict(key) for key in verification.public_keys]})
                    },
                    "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
                    "failed_status_in_metadata": FAILURE,
                    "clock_skew_seconds": _CLOCK_SKEW_SECONDS,
                    "require_expiration": True,
                    "jwt_cache_config": {"jwt_cache_size": _CACHED_TOKENS},
                }
            },
            "requirement_map": {
                name: {"provider_and_audiences": {"provider_name": _SIGNER, "audiences": [name]}}
                for name in sorted(endpoints)
            },
        }
    return {"@type": f"{TYPE}config.core.v3.TypedExtensionConfig", "name": FILTER, "typed_config": config}


def asked_for(endpoint: str) -> dict[str, Resource]:
    """Return the filter's settings of a route that accepts only tokens of an endpoint."""
    return {
        FILTER: {
            "@type": f"{TYPE}extensions.filters.http.jwt_authn.v3.PerRouteConfig",
            "requirement_name": endpoint,
        }
    }
