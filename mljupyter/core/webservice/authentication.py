"""Keys and tokens of a web service, and what `run` sends of them (Azure ML v1: Webservice)."""

from __future__ import annotations

from datetime import UTC, datetime

from mljupyter.core.webservice.access_token import AksServiceAccessToken
from mljupyter.core.webservice.described import DescribedWebservice
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.ownership import user_name


class AuthenticatedWebservice(DescribedWebservice):
    """What web services have in common about who may score."""

    _keys: tuple[str, str] | None = None
    _token: AksServiceAccessToken | None = None

    def get_keys(self) -> tuple[str, str]:
        """Return the primary and the secondary key.

        Raises:
            WebserviceException: when the web service has no key authentication.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self.workspace.endpoints.keys(self.name)

    def regen_key(self, key: str, set_key: str | None = None) -> None:
        """Replace a key; the other one keeps working.

        Parameters:
            key: 'Primary' or 'Secondary'.
            set_key: the new key; None makes one at random.

        Raises:
            WebserviceException: when `key` names none, or the web service has no key authentication.

        """
        self._check_not_deleted()
        which = str(key).lower()
        if which not in ("primary", "secondary"):
            raise WebserviceException(f"key is {key!r}: it must be 'Primary' or 'Secondary'.")
        with as_webservice_exception():
            self.workspace.endpoints.regenerate_key(
                self.name, "primary" if which == "primary" else "secondary", set_key
            )
        self._keys = None

    def get_token(self) -> tuple[str, datetime]:
        """Return a token to score with, and the time after which to ask for the next one.

        Raises:
            WebserviceException: when the web service has no token authentication.

        """
        token = self.get_access_token()
        return token.access_token, token.refresh_after

    def get_access_token(self) -> AksServiceAccessToken:
        """Return a token to score with: its text, when to ask for the next one, and when this one ends.

        It opens this web service and no other. Nobody is asked about it when it is used: the router verifies it.

        Raises:
            WebserviceException: when the web service has no token authentication.

        Example:
            >>> token = service.get_access_token()                                               # doctest: +SKIP
            >>> headers = {"Authorization": f"{token.token_type} {token.access_token}"}          # doctest: +SKIP

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return AksServiceAccessToken._of(self.workspace.endpoints.token(self.name, user_name()))

    def _credential(self) -> dict[str, str]:
        """Return the header that lets a request pass: the key or token kept, or a new one; none where all may score."""
        if self.auth_enabled:
            self._keys = self._keys or self.get_keys()
            return {"Authorization": f"Bearer {self._keys[0]}"}
        if self.token_auth_enabled:
            if self._token is None or datetime.now(UTC) >= self._token.refresh_after:
                self._token = self.get_access_token()
            return {"Authorization": f"Bearer {self._token.access_token}"}
        return {}

    def _forget_credentials(self) -> None:
        """Ask for key or token anew before the next request: those kept were refused, or belong to another endpoint."""
        self._keys = self._token = None
