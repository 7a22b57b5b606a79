"""Registry: the download side of a container registry's HTTP interface, on nothing but the standard library.

A registry on a loopback address is the one beside the node's container engine: in a pod it is reached at the address of
the node, by HTTP. All others are reached by HTTPS. Credentials are sent to the registry and its token service only.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import json
import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from mljupyter.scoring.fetch.errors import FetchError, InterruptedFetchError

CHUNK_BYTES = 1 << 20
MOST_DOCUMENT_BYTES = 8 << 20
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_SECONDS_TO_CONNECT, _SECONDS_WITHOUT_PROGRESS = 5.0, 60.0
_MOST_REDIRECTS = 5
_OK, _PARTIAL = 200, 206
_REDIRECTS = (301, 302, 303, 307, 308)
_REFUSED = (401, 403)
_LATER = (408, 425, 429)
_FIRST_SERVER_ERROR = 500
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_TOKEN_USER = "<token>"  # noqa: S105 - the user name that marks an identity token
_WAY_OUT = "Deploy with model_delivery='bake', or"

Login = tuple[str, str]
"""User name and password."""


class Registry:
    """One repository of a container registry.

    Parameters:
        host: the registry, as nodes know it, such as ``registry.example.com:5000``.
        repository: the repository with the models.
        login: user name and password; None without a login.
        node: the address of the node, for a registry on a loopback address.

    """

    def __init__(self, host: str, repository: str, login: Login | None = None, node: str | None = None) -> None:
        self.host = host
        self.repository = repository
        self._login = login
        self._authorization: str | None = None
        parts = urlsplit(f"//{host}")
        if _is_loopback(parts.hostname or ""):
            node = node or "127.0.0.1"
            address = f"[{node}]" if ":" in node else node
            self._base = f"http://{address}:{parts.port or 80}/v2/"
        else:
            self._base = f"https://{host}/v2/"
        self._connections: dict[str, http.client.HTTPConnection] = {}

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def manifest(self, tag: str, what: str) -> dict[str, Any]:
        """Return the manifest of a tag; `what` names it in errors.

        Raises:
            FetchError: there is none, it is refused, or it is no manifest.
            InterruptedFetchError: the registry does not answer.

        """
        content = self._document(f"manifests/{tag}", what)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise FetchError(f"the registry {self.host} has something else in the place of {what}: it is no manifest.")
        return found

    def document(self, digest: str, what: str) -> bytes:
        """Return a small blob; see `manifest`. Its digest is not checked here."""
        return self._document(f"blobs/{digest}", what)

    def blob(self, digest: str, start: int, what: str) -> Iterator[bytes | None]:
        """Yield a blob in chunks of at most 1 MiB, from a position on; its digest is not checked here.

        If the registry sends the whole blob instead, None comes first.

        Raises:
            FetchError, InterruptedFetchError: as `manifest`.

        """
        response = self._get(f"blobs/{digest}", what, {"Range": f"bytes={start}-"} if start else {})
        if start and response.status != _PARTIAL:
            yield None
        with self._translated():
            while chunk := response.read(CHUNK_BYTES):
                yield chunk

    def _document(self, path: str, what: str) -> bytes:
        response = self._get(path, what)
        with self._translated():
            content = response.read(MOST_DOCUMENT_BYTES + 1)
        if len(content) > MOST_DOCUMENT_BYTES:
            self.close()
            raise FetchError(f"the description of {what} in the registry {self.host} is larger than it may be.")
        return content

    def _get(self, path: str, what: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        url = f"{self._base}{self.repository}/{path}"
        asked = {"Accept": f"{_MANIFEST_TYPE}, */*", **(headers or {})}
        response = self._send(url, asked)
        if response.status == 401 and self._authenticate(response):
            response = self._send(url, asked)
        for _ in range(_MOST_REDIRECTS):
            if response.status not in _REDIRECTS:
                break
            target = urljoin(url, response.getheader("Location", ""))
            self._finish(response)
            self._check_redirect(url, target)
            url = target
            response = self._send(url, asked)
        if response.status in (_OK, _PARTIAL):
            return response
        self._finish(response)
        raise self._refusal(response.status, what)

    def _send(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """Send a request on the connection to its host. A connection that the other side has closed is replaced."""
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc}"
        own = {"Authorization": self._authorization} if self._authorization and url.startswith(self._base) else {}
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        with self._translated():
            if (known := self._connections.get(place)) is not None:
                with contextlib.suppress(http.client.HTTPException, OSError):
                    known.request("GET", path, headers={**headers, **own})
                    return known.getresponse()
                known.close()
            connection = self._connections[place] = _connection(parts.scheme, parts.netloc)
            connection.request("GET", path, headers={**headers, **own})
            return connection.getresponse()

    def _finish(self, response: http.client.HTTPResponse) -> None:
        """Read the rest of a short answer, so that its connection can be used again; close the connection otherwise."""
        with self._translated():
            if len(response.read(CHUNK_BYTES)) == CHUNK_BYTES:
                self.close()

    def _check_redirect(self, url: str, target: str) -> None:
        before, after = urlsplit(url), urlsplit(target)
        encrypted = after.scheme == "https" or (after.scheme == "http" and before.scheme == "http")
        if not encrypted or not after.hostname or _is_link_local(after.hostname):
            raise FetchError(
                f"the registry {self.host} leads a download to {after.scheme}://{after.netloc}, which is not followed."
            )

    def _authenticate(self, refused: http.client.HTTPResponse) -> bool:
        """Obtain the authorization that a refusal asks for. Return False when there is no (other) one to offer."""
        scheme, _, rest = refused.getheader("WWW-Authenticate", "").partition(" ")
        self._finish(refused)
        before = self._authorization
        if scheme.lower() == "basic" and self._login is not None:
            self._authorization = _basic(self._login)
        elif scheme.lower() == "bearer":
            self._authorization = self._bearer(dict(_PARAMETER.findall(rest)))
        return self._authorization not in (None, before)

    def _bearer(self, parameters: Mapping[str, str]) -> str | None:
        """Return a token of the registry's token service; None if it gives none."""
        realm = urlsplit(parameters.get("realm", ""))
        own = urlsplit(self._base)
        same_host = (realm.scheme, realm.hostname) == (own.scheme, own.hostname)
        if not realm.hostname or not (realm.scheme == "https" or same_host):
            return None  # a password is not sent without encryption, unless the registry itself is spoken to like that
        query = {name: parameters[name] for name in ("service", "scope") if name in parameters}
        method, body, headers = "GET", None, {}
        path = f"{realm.path or '/'}?{urlencode(query)}"
        if self._login is not None and self._login[0] == _TOKEN_USER:
            method, path = "POST", realm.path or "/"
            form = {"grant_type": "refresh_token", "refresh_token": self._login[1], "client_id": "mljupyter", **query}
            body, headers = urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"}
        elif self._login is not None:
            headers = {"Authorization": _basic(self._login)}
        with self._translated(), contextlib.closing(_connection(realm.scheme, realm.netloc)) as connection:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            content = response.read(MOST_DOCUMENT_BYTES)
        try:
            document = json.loads(content) if response.status == _OK else {}
            token = document.get("access_token") or document.get("token")
        except (ValueError, AttributeError, RecursionError):
            return None
        return f"Bearer {token}" if isinstance(token, str) and _TOKEN.fullmatch(token) else None

    def _refusal(self, status: int, what: str) -> Exception:
        if status == 404:
            return FetchError(
                f"{what} is not in the registry {self.host} ({self.repository}). "
                "Deploy again from the workspace that has the model, which uploads it."
            )
        if status in _REFUSED:
            who = f"user {self._login[0]!r}" if self._login is not None else "a client without a login"
            return FetchError(
                f"the registry {self.host} refuses {what} to {who} (HTTP {status}). {_WAY_OUT} "
                f"`docker login {self.host}` and attach the cluster again, which stores the login there."
            )
        if status in _LATER or status >= _FIRST_SERVER_ERROR:
            return InterruptedFetchError(f"the registry {self.host} answers HTTP {status}.")
        return FetchError(
            f"the registry {self.host} answers HTTP {status} to a request for {what}. {_WAY_OUT} repair it."
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate errors of the network, and close the connections, which may be in any state."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise FetchError(
                f"the certificate of the registry {self.host} is not trusted in a pod: {error.verify_message}. "
                f"{_WAY_OUT} attach the cluster with an image of the operator that has its authority."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise InterruptedFetchError(f"the registry {self.host} does not answer: {reason}.") from None


def login_of(configuration: bytes, host: str) -> Login | None:
    """Return the login for a registry in a configuration of Docker (``.dockerconfigjson``); None if it has none."""
    try:
        auths = json.loads(configuration)["auths"]
        entries = {_docker_name(key): entry for key, entry in auths.items()}
        entry = entries[_docker_name(host)]
        if token := entry.get("identitytoken"):
            return _TOKEN_USER, str(token)
        if entry.get("username") and entry.get("password"):
            return str(entry["username"]), str(entry["password"])
        user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return (user, password) if user and password else None


def _docker_name(address: str) -> str:
    host = address.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return "docker.io" if host in _HUB_NAMES else host


def _connection(scheme: str, netloc: str) -> http.client.HTTPConnection:
    """Return an open connection. A host that cannot be reached is told sooner than an answer that does not come."""
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(netloc.rpartition("@")[2], timeout=_SECONDS_TO_CONNECT)
    connection.connect()
    connection.sock.settimeout(_SECONDS_WITHOUT_PROGRESS)
    return connection


def _basic(login: Login) -> str:
    return f"Basic {base64.b64encode(':'.join(login).encode()).decode()}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False
