"""The HTTP interface of container registries (OCI distribution): manifests and blobs of one repository."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mljupyter.build.images.errors import RegistryCredentialsError, RegistryError, RegistryNotFoundError
from mljupyter.build.images.registry.credentials import RegistryCredentials
from mljupyter.build.images.registry.descriptors import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    checked_digest,
    parsed_json,
)
from mljupyter.build.images.registry.references import DOCKER_HUB, checked_path, checked_version
from mljupyter.build.images.registry.registry_address import (
    checked_host,
    is_loopback,
    origin,
    realm_url,
    redirect_url,
    upload_url,
)

if TYPE_CHECKING:
    import httpx

_ACCEPTED = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))
MOST_MANIFEST_BYTES = 8 << 20
MOST_TOKEN_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20
_MOST_SAID_BYTES = 4096
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as stored: its bytes, type and digest."""

    content: bytes
    media_type: str
    digest: str

    def json(self) -> dict[str, Any]:
        """Return its content."""
        return parsed_json(self.content, f"The manifest {self.digest}")


class RegistryClient:
    """One repository of a container registry; use it in a ``with`` statement.

    Registries on this machine are reached by HTTP, all others by HTTPS, so that no password is sent in plain text.
    Credentials and content are sent only to the registry's own scheme, host and port. A download may continue at
    another address, without credentials. Digests from the registry are not trusted: they are computed and compared.

    Parameters:
        host: the registry, such as ``registry.example.com:5000``.
        repository: the repository's name there.
        credentials: used when the registry requires authentication.
        timeout: the seconds without progress after which a request fails.

    """

    def __init__(
        self, host: str, repository: str, credentials: RegistryCredentials | None = None, *, timeout: float = 60.0
    ) -> None:
        import httpx

        self.host = checked_host(host)
        self.repository = checked_path(repository)
        self._base = f"{'http' if is_loopback(host) else 'https'}://{host}/v2/"
        self._credentials = credentials
        self._authorization: str | None = None
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=10.0),
            transport=httpx.HTTPTransport(retries=2),
            follow_redirects=False,
            # Otherwise a small answer could unpack to any size. A blob's digest is that of its stored bytes.
            headers={"Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def manifest(self, version: str) -> Manifest:
        """Return the manifest of a tag or digest, or raise `RegistryNotFoundError`."""
        path = f"{self.repository}/manifests/{checked_version(version)}"
        response = self._send("GET", path, headers={"Accept": _ACCEPTED})
        content = self._read(response, MOST_MANIFEST_BYTES, f"The manifest of {self._name(version)}")
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if version.startswith("sha256:") and version != digest:
            raise RegistryError(f"{self.host} sent another manifest than {self._name(version)}.")
        return Manifest(content, response.headers.get("content-type", "").partition(";")[0].strip().lower(), digest)

    def put_manifest(self, version: str, content: bytes, media_type: str) -> str:
        """Store a manifest under a tag, and return its digest."""
        path = f"{self.repository}/manifests/{checked_version(version)}"
        self._send("PUT", path, headers={"Content-Type": media_type}, content=content).close()
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    def delete_manifest(self, digest: str) -> None:
        """Remove a manifest and its tags. A registry may be configured to refuse it."""
        self._send("DELETE", f"{self.repository}/manifests/{checked_digest(digest)}").close()

    def has_blob(self, digest: str) -> bool:
        """Return whether the repository has a blob."""
        path = f"{self.repository}/blobs/{checked_digest(digest)}"
        response = self._send("HEAD", path, missing_is_none=True)
        if response is None:
            return False
        response.close()
        return True

    def blob(self, digest: str, size: int) -> Iterator[bytes]:
        """Yield a blob in chunks. Raise `RegistryError` as soon as size or digest turns out to be wrong.

        A caller that stops before the end has unchecked bytes and must not keep them.
        """
        checked, there = hashlib.sha256(), 0
        response = self._send("GET", f"{self.repository}/blobs/{checked_digest(digest)}")
        try:
            for chunk in self._chunks(response):
                there += len(chunk)
                if there > size:
                    break
                checked.update(chunk)
                yield chunk
        finally:
            response.close()
        if there != size or f"sha256:{checked.hexdigest()}" != digest:
            raise RegistryError(f"{self.host} sent a damaged layer {digest}: try again.")

    def push_blob(self, digest: str, size: int, content: Callable[[], Iterator[bytes]]) -> None:
        """Store a blob if the repository does not have it. `content` yields its chunks and may raise to stop."""
        checked_digest(digest)
        opened = self._send("POST", f"{self.repository}/blobs/uploads/")
        opened.close()
        url = upload_url(str(opened.url), opened.headers.get("location", ""))
        separator = "&" if "?" in url else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        try:
            self._send("PUT", f"{url}{separator}digest={digest}", headers=headers, content=content()).close()
        except BaseException:
            self._abandon(url)
            raise

    def push_file(self, digest: str, file: Path, on_chunk: Callable[[], None] = lambda: None) -> None:
        """Store a file as a blob. `on_chunk` is called between chunks and may raise to stop."""

        def chunks() -> Iterator[bytes]:
            with file.open("rb") as source:
                while chunk := source.read(CHUNK_BYTES):
                    on_chunk()
                    yield chunk

        self.push_blob(digest, file.stat().st_size, chunks)

    def mount_blob(self, digest: str, repository: str) -> bool:
        """Mount a blob from another repository of the same registry. Return False when the registry refuses."""
        query = f"mount={checked_digest(digest)}&from={checked_path(repository)}"
        response = self._send("POST", f"{self.repository}/blobs/uploads/?{query}")
        response.close()
        if response.status_code == 201:
            return True
        if location := response.headers.get("location"):
            self._abandon(upload_url(str(response.url), location))
        return False

    def _abandon(self, url: str) -> None:
        """Cancel an upload. `upload_url` has checked that the URL is at the registry itself."""
        import httpx

        headers = {"Authorization": self._authorization} if self._authorization else {}
        try:
            with self._http.stream("DELETE", url, headers=headers):
                return
        except httpx.HTTPError:
            return  # the registry removes unfinished uploads by itself

    def _send(self, method: str, url: str, *, missing_is_none: bool = False, **options: Any) -> Any:
        """Send a request to the registry. If it requires authentication, send it again with credentials.

        The body of the answer is not read yet. The caller reads it with a limit, or closes it.
        """
        content = options.get("content")
        # An upload in chunks cannot be repeated. The request that opened it was authenticated already.
        attempts = 2 if content is None or isinstance(content, bytes) else 1
        url = url if url.startswith(("http://", "https://")) else f"{self._base}{url}"
        response: httpx.Response | None = None
        for attempt in range(attempts):
            headers = {**options.get("headers", {})}
            if self._authorization:
                headers["Authorization"] = self._authorization
            response = self._request(method, url, headers, content)
            if response.status_code != 401 or attempt == attempts - 1 or not self._authenticate(response):
                break
            response.close()
        if response is not None and response.status_code in _REDIRECTS:
            response = self._redirected(method, response, options.get("headers", {}))
        if response is None or response.status_code < 300:
            return response
        if response.status_code == 404 and missing_is_none:
            response.close()
            return None
        try:
            said = self._beginning(response)
        finally:
            response.close()
        raise self._refused(method, url, response.status_code, said)

    def _request(self, method: str, url: str, headers: dict[str, str], content: Any = None) -> httpx.Response:
        request = self._translated(self._http.build_request, method, url, headers=headers, content=content)
        response: httpx.Response = self._translated(self._http.send, request, stream=True)
        return response

    def _redirected(self, method: str, response: httpx.Response, headers: dict[str, str]) -> httpx.Response:
        """Follow the redirects of a download. Credentials and uploads are sent only to the registry itself."""
        for _ in range(_MOST_REDIRECTS):
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            if method not in ("GET", "HEAD"):
                raise RegistryError(f"The registry {self.host} redirects {method}: uploads follow no redirect.")
            url = redirect_url(self._base, str(response.url), response.headers.get("location", ""))
            own = origin(url) == origin(self._base)
            added = {"Authorization": self._authorization} if own and self._authorization else {}
            response = self._request(method, url, headers | added)
        response.close()
        raise RegistryError(f"The registry {self.host} redirects a download more than {_MOST_REDIRECTS} times.")

    def _authenticate(self, response: httpx.Response) -> bool:
        """Obtain the requested authorization. Return False when there is no (other) one to offer."""
        scheme, _, rest = response.headers.get("www-authenticate", "").partition(" ")
        parameters = dict(_PARAMETER.findall(rest))
        mine = self._credentials
        if scheme.lower() == "basic":
            if mine is None or mine.is_token or self._authorization is not None:
                return False
            self._authorization = f"Basic {mine.secrets[1]}"
            return True
        if scheme.lower() != "bearer" or "realm" not in parameters:
            return False
        asked = {key: parameters[key] for key in ("service", "scope") if key in parameters}
        url = realm_url(self._base, parameters["realm"])
        if mine is not None and mine.is_token:
            form = {"grant_type": "refresh_token", "refresh_token": mine.password, "client_id": "mljupyter", **asked}
            request = self._translated(self._http.build_request, "POST", url, data=form)
        else:
            headers = {"Authorization": f"Basic {mine.secrets[1]}"} if mine else {}
            request = self._translated(self._http.build_request, "GET", url, params=asked, headers=headers)
        # Redirects are not followed, so that no other host gets the password.
        answer = self._translated(self._http.send, request, stream=True)
        if answer.status_code != 200:
            answer.close()
            return False
        document = parsed_json(self._read(answer, MOST_TOKEN_BYTES, "The registry's token"), "The registry's token")
        token = document.get("access_token") or document.get("token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token) or self._authorization == f"Bearer {token}":
            return False
        self._authorization = f"Bearer {token}"
        return True

    def _read(self, response: httpx.Response, most: int, what: str) -> bytes:
        """Return the whole body of an answer, or raise `RegistryError` when it is too large."""
        content = bytearray()
        try:
            for chunk in self._chunks(response):
                content += chunk
                if len(content) > most:
                    raise RegistryError(f"{what} has more than {most:,} bytes: too many.")
        finally:
            response.close()
        return bytes(content)

    def _beginning(self, response: httpx.Response) -> str:
        content = b""
        for chunk in self._chunks(response):
            content += chunk
            if len(content) >= _MOST_SAID_BYTES:
                break
        text = content[:_MOST_SAID_BYTES].decode("utf-8", "replace")
        return "".join(character if character.isprintable() else " " for character in text)[:300].strip()

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        """Yield the body of an answer without decoding it: the requests ask for no compression."""
        chunks = response.iter_raw(CHUNK_BYTES)
        while chunk := self._translated(next, chunks, b""):
            yield chunk

    def _refused(self, method: str, url: str, status: int, said: str) -> RegistryError:
        if status in (401, 403):
            mine = self._credentials
            if mine is None:
                who, hint = "a client without credentials", f"Run `docker login {shown_host(self.host)}`, and check"
            elif mine.is_token:
                who, hint = "the identity token", f"Run `docker login {shown_host(self.host)}` again, and check"
            else:
                who, hint = f"user {mine.username!r}", "Check user name and password, and"
            return RegistryCredentialsError(
                f"The container registry {self.host} refuses {who} access to {self.repository} (HTTP {status}).\n"
                f"{hint} that the user may " + ("pull from it." if method in ("GET", "HEAD") else "push to it.")
            )
        if status == 404:
            missing = url.removeprefix(self._base).partition("?")[0]
            return RegistryNotFoundError(
                f"The container registry {self.host} has no {missing} (HTTP 404).\n"
                "Check the image's name and tag, and that it was pushed there."
            )
        what = f"{self.host}/{self.repository}"
        return RegistryError(f"The container registry answered HTTP {status} to {method} {what}: {said}")

    def _translated(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call httpx and translate its errors into ours."""
        import httpx

        try:
            return call(*arguments, **options)
        except httpx.TimeoutException as error:
            raise RegistryError(f"The container registry {self.host} does not answer: {error or 'timeout'}.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RegistryError(
                f"The container registry {self.host} cannot be reached: {error}.\nCheck its address and the network."
            ) from error

    def _name(self, version: str) -> str:
        return f"{self.host}/{self.repository}{'@' if version.startswith('sha256:') else ':'}{version}"


def shown_host(host: str) -> str:
    """Return the usual name of a registry."""
    return "docker.io" if host == DOCKER_HUB else host
