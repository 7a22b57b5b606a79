"""Texts without the secrets of their URLs."""

from __future__ import annotations

import re

# User information ends at the last '@' before the path: a password may contain an '@'.
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]+@")
_CHANNEL_TOKEN = re.compile(r"(?<=/t/)[^/\s]+(?=/)")


def without_credentials(text: str) -> str:
    """Return a text whose URLs have no user, password or channel token.

    >>> without_credentials("--index-url https://user:secret@example.org/simple")
    '--index-url https://example.org/simple'
    """
    return _CHANNEL_TOKEN.sub("***", _CREDENTIALS.sub("", text))


def redacted(text: str) -> str:
    """Return a text with the credentials in its URLs replaced by ``***``.

    >>> redacted("https://user:secret@example.org/simple")
    'https://***@example.org/simple'
    """
    return _CHANNEL_TOKEN.sub("***", _CREDENTIALS.sub("***@", text))
