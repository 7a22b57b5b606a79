"""Cross-origin requests from browsers (Azure ML v1: `AML_CORS_ORIGINS`)."""

from __future__ import annotations

from mljupyter.scoring.protocol import Headers

_METHODS = ("GET", "POST")
_ANY = b"*"


class CrossOrigin:
    """Which origins a browser may call from: a comma-separated list, ``*`` for all, empty for none."""

    def __init__(self, origins: str) -> None:
        self._origins = frozenset(origin.strip().encode() for origin in origins.split(",") if origin.strip())
        self.enabled = bool(self._origins)

    def headers(self, method: str, request: Headers) -> Headers:
        """Return the headers that an answer needs; `request` are the request's, names in lower case."""
        sent = dict(request)
        origin = sent.get(b"origin")
        if _ANY in self._origins:
            allowed: Headers = [(b"access-control-allow-origin", _ANY)] if origin else []
        else:
            allowed = [(b"vary", b"Origin")]
            if origin in self._origins:
                allowed.append((b"access-control-allow-origin", origin))
        wanted = sent.get(b"access-control-request-method", b"").decode("latin-1").upper()
        if method == "OPTIONS" and wanted in _METHODS and (_ANY in self._origins or origin in self._origins):
            allowed.append((b"access-control-allow-methods", b", ".join(name.encode() for name in _METHODS)))
            asked = sent.get(b"access-control-request-headers")
            if asked:
                allowed.append((b"access-control-allow-headers", asked))
        return allowed
