"""Access tokens for scoring: JWTs, signed with a key of the workspace and verified by the router."""

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
REFRESH_AFTER = 0.8  # share of a token's validity, after which clients request the next token
_PRIVATE_PARTS = ("d",)
_BEFORE_SECONDS = 2 * 24 * 3600  # for slow clocks of routers, and for one of ours that is set back by a day
_SPARE_SECONDS = 60


@dataclass(frozen=True)
class Token:
    """A token, and the time to request the next one. Times are in seconds since 1970."""

    text: str = field(repr=False)
    refresh_after: int
    expires: int


class TokenKeys:
    """The keys that sign tokens. The newest one signs; older ones are valid until their last token has expired.

    The private keys are in one file of the control directory, mode 0600. The router gets the public keys.

    Parameters:
        path: the file. It is created with the first key.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._issuer = ""
        self._keys: list[dict[str, Any]] = []
        self.problem: Problem | None = None
        """The problem and its remedy when the file cannot be read. Then no token is signed or accepted."""
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
        """Create the first key if there is none. Return whether it was created.

        Raises:
            TokensNotAvailableError: when there are keys that cannot be read. `rotate` creates a new one.

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
        """Create a new key that signs from now on.

        Parameters:
            now: seconds since 1970.
            token_seconds: the validity of tokens; the old key stays valid for this time.
            revoke: drop the old keys at once, which makes every existing token invalid.

        """
        if self.problem is not None:
            self._put_aside(now)
        self.ensure()
        until = now + token_seconds + _SPARE_SECONDS
        kept = [] if revoke else [{**key, "until": key.get("until") or until} for key in self._keys]
        self._keys = [_new_key(), *kept]
        self._save()

    def forget_old(self, now: float) -> bool:
        """Drop keys whose last token has expired. Return whether there were any."""
        kept = [key for key in self._keys if key.get("until") is None or key["until"] > now]
        if len(kept) == len(self._keys):
            return False
        self._keys = kept
        self._save()
        return True

    def issue(self, audience: str, subject: str, now: int, seconds: int) -> Token:
        """Return a token for an endpoint.

        Parameters:
            audience: the endpoint's name. No other endpoint accepts the token.
            subject: the user of the token.
            now: seconds since 1970.
            seconds: its validity in seconds.

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
            "nbf": now - _BEFORE_SECONDS,
            "exp": now + seconds,
            "jti": secrets.token_hex(8),
        }
        text = jwt.encode({"alg": ALGORITHM, "kid": key["kid"], "typ": "JWT"}, claims, ECKey.import_key(key))
        return Token(text, now + int(seconds * REFRESH_AFTER), now + seconds)

    def _put_aside(self, now: float) -> None:
        """Rename an unreadable file, and start with a new key."""
        with contextlib.suppress(FileNotFoundError):
            self._path.replace(self._path.with_name(f"{self._path.name}.damaged-{int(now)}"))
        self.problem = None

    def _save(self) -> None:
        write_private(self._path, json.dumps({"issuer": self._issuer, "keys": self._keys}))


def _read(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return issuer and keys of a file. It raises an error when the file is missing or unusable."""
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
