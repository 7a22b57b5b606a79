"""Access tokens of web services.

Azure: WebServiceAccessToken, AksServiceAccessToken.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self


class WebServiceAccessToken:
    """A token for requests, with the times to renew it.

    Parameters:
        access_token: the token, sent as ``Authorization: Bearer TOKEN``. `repr` does not show it.
        token_type: Bearer.
        refresh_after: the time after which to ask for a new one.
        expiry_on: the time from which this one is refused.

    """

    def __init__(self, access_token: str, token_type: str, refresh_after: datetime, expiry_on: datetime) -> None:
        self.access_token = access_token
        self.token_type = token_type
        self.refresh_after = refresh_after
        self.expiry_on = expiry_on

    def serialize(self) -> dict[str, Any]:
        """Return the token as JSON types, the token itself included."""
        return {
            "accessToken": self.access_token,
            "tokenType": self.token_type,
            "refreshAfter": self.refresh_after.isoformat(),
            "expiryOn": self.expiry_on.isoformat(),
        }

    @classmethod
    def deserialize(cls, payload_obj: Mapping[str, Any]) -> Self:
        """Return the token from the JSON types of `serialize`."""
        times = [datetime.fromisoformat(payload_obj[name]) for name in ("refreshAfter", "expiryOn")]
        return cls(payload_obj["accessToken"], payload_obj["tokenType"], *times)

    @classmethod
    def issued(cls, document: Mapping[str, Any]) -> Self:
        """Return the token in an answer of the control plane."""
        times = [datetime.fromtimestamp(document[name], UTC) for name in ("refreshAfter", "expires")]
        return cls(document["token"], "Bearer", *times)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(refresh_after={self.refresh_after!s}, expiry_on={self.expiry_on!s})"


class AksServiceAccessToken(WebServiceAccessToken):
    """A token of an AKS web service or endpoint."""
