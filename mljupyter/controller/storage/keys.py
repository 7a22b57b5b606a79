"""API keys of endpoints: generated, or set by the user."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

from mljupyter.client.errors import InvalidSpecError

Which = Literal["primary", "secondary"]
_RANDOM_BYTES = 24
_ALLOWED = re.compile(r"[\x21-\x7e]{8,256}")


@dataclass(frozen=True)
class Keys:
    """The two keys of an endpoint. Both are valid, so that one can be changed while clients use the other."""

    primary: str = field(repr=False)
    secondary: str = field(repr=False)

    @classmethod
    def make(cls, primary: str | None = None, secondary: str | None = None) -> Keys:
        """Return keys: the given ones after a check, and random ones for the others."""
        return cls(checked(primary), checked(secondary))

    def with_key(self, which: Which, key: str | None) -> Keys:
        """Return the keys with one of them replaced."""
        new = checked(key)
        return Keys(new, self.secondary) if which == "primary" else Keys(self.primary, new)


def checked(key: str | None) -> str:
    """Return a valid key, or a random one for None. The error does not show the key."""
    if key is None:
        return secrets.token_urlsafe(_RANDOM_BYTES)
    if not _ALLOWED.fullmatch(key):
        raise InvalidSpecError(
            "a key was given that breaks the rule: 8 to 256 printable ASCII characters without blanks.\n"
            "Give another one, or none for a random key."
        )
    return key
