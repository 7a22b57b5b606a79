"""Access tokens for scoring: JWT signed with a key of the workspace, and verified by the router."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mljupyter.client.errors import TokensNotAvailableError
from mljupyter.controller.tls.private_files import write_private
from mljupyter.engine.envoy.tokens import TokenVerification
from mljupyter.outside import json_value
from mljupyter.spec import Problem

ALGORITHM = "ES256"
REFRESH_AFTER = 0.8  # of a token's time: a client that asks for a new token then gets it before the old one ends
_PRIVATE_PARTS = ("d",)
_SPARE_SECONDS = 60


@dataclass(frozen=True)
class Token:
    """A token, and when to ask for the next one; times in seconds since 1970."""

    text: str = field(repr=False)
    refresh_after: int
    expires: int


class TokenKeys:
    """The keys that sign tokens: the newest one signs, those before it count until their last token has ended.

    The private halves are in one file of the control directory, mode 0600; the router gets the public halves.

    Parameters:
        path: the file. It is made when the first key is.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._issuer = ""
        self._keys: list[dict[str, Any]] = []
        self.problem: Problem | None = None
        """The loss when the file cannot be read, and the way out; no token is signed or accepted then."""
        try:
            self._issuer, self._keys = _read(path)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, LookupError, TypeError):
            self.problem = Problem(
                code=TokensNotAvailableError.code,
                message=f"{str(path)!r}, the keys that sign tokens, is empty or damaged: tokens are refused.\n"
                "Let a new key sign, and ask for new tokens: mljupyter endpoint rotate-token-key --revoke",
            )

    @property
    def verification(self) -> TokenVerification:
        """The public data with which the router verifies tokens. It contains no secret."""
        return TokenVerification(self._issuer, [_public(key["jwk"]) for key in self._keys])

    @property
    def names(self) -> list[str]:
        """The keys' names, the one that signs first."""
        return [key["jwk"]["kid"] for key in self._keys]

    def ensure(self) -> bool:
        """Make the first key when there is none; return whether that was so.

        Raises:
            TokensNotAvailableError: when there were keys that cannot be read any more; `rotate` begins with a new one.

        """
        if self.problem is not None:
            raise TokensNotAvailableError(self.problem.message)
        if self._keys:
            return False
        self._issuer = self._issuer or f"mljupyter:{secrets.token_hex(8)}"
        self._keys = [_new_key()]
        self._save()
        return True

    def rotate(self, now: float, token_seconds: int, *, revoke: bool = False) -> None:
        """Let a new key sign from now on.

        Parameters:
            now: seconds since 1970.
            token_seconds: how long tokens of the old key last: so long that key counts.
            revoke: forget the old keys at once, and with them every token there is.

        """
        if self.problem is not None:
            self._put_aside(now)
        self.ensure()
        until = now + token_seconds + _SPARE_SECONDS
        kept = [] if revoke else [{**key, "until": key.get("until") or until} for key in self._keys]
        self._keys = [_new_key(), *kept]
        self._save()

    def forget_old(self, now: float) -> bool:
        """Forget keys whose last token has ended; return whether there were any."""
        kept = [key for key in self._keys if key.get("until") is None or key["until"] > now]
        if len(kept) == len(self._keys):
            return False
        self._keys = kept
        self._save()
        return True

    def issue(self, audience: str, subject: str, now: int, seconds: int) -> Token:
        """Return a token for an endpoint.

        Parameters:
            audience: the endpoint's name; no other endpoint takes the token.
            subject: the user it is for.
            now: seconds since 1970.
            seconds: how long it is valid.

        """
        from joserfc import jwt
        from joserfc.jwk import ECKey

        self.ensure()
        key = self._keys[0]["jwk"]
        claims = {
            "iss": self._issuer,
            "aud": audience,
            "sub": subject,
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "jti": secrets.token_hex(8),
        }
        text = jwt.encode({"alg": ALGORITHM, "kid": key["kid"], "typ": "JWT"}, claims, ECKey.import_key(key))
        return Token(text, now + int(seconds * REFRESH_AFTER), now + seconds)

    def _put_aside(self, now: float) -> None:
        """Keep what cannot be read under another name, and begin with a new key."""
        with contextlib.suppress(FileNotFoundError):
            self._path.replace(self._path.with_name(f"{self._path.name}.damaged-{int(now)}"))
        self.problem = None

    def _save(self) -> None:
        write_private(self._path, json.dumps({"issuer": self._issuer, "keys": self._keys}))


def _read(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return issuer and keys of a file; what it raises tells that there is none, or none of use."""
    document = json_value(path.read_bytes())
    issuer, keys = document["issuer"], document["keys"]
    if not isinstance(issuer, str) or not isinstance(keys, list):
        raise TypeError
    for key in keys:
        if any(not isinstance(key["jwk"][part], str) for part in ("kid", "kty", "crv", "x", "y", "d")):
            raise TypeError
    return issuer, keys


def _new_key() -> dict[str, Any]:
    from joserfc.jwk import ECKey

    parameters: Any = {"kid": secrets.token_hex(6), "use": "sig", "alg": ALGORITHM}
    return {"jwk": ECKey.generate_key("P-256", parameters, private=True).as_dict(private=True)}


def _public(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name not in _PRIVATE_PARTS}
