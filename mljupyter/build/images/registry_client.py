"""The HTTP interface of container registries (OCI distribution): manifests and blobs of one repository."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin

from mljupyter.build.images.credentials import RegistryCredentials
from mljupyter.build.images.errors import RegistryCredentialsError, RegistryError, RegistryNotFoundError
from mljupyter.build.images.references import DOCKER_HUB

if TYPE_CHECKING:
    import httpx

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_ACCEPTED = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))
MOST_MANIFEST_BYTES = 8 << 20
CHUNK_BYTES = 1 << 20
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest as stored: its bytes, type and digest."""

    content: bytes
    media_type: str
    digest: str

    def json(self) -> dict[str, Any]:
        """Return what it says."""
        document = json.loads(self.content)
        if not isinstance(document, dict):
            raise RegistryError(f"The manifest {self.digest} is no JSON object.")
        return document


class RegistryClient:
    """One repository of a container registry; use it in a ``with`` statement.

    Registries on this machine are spoken to by HTTP, all others by HTTPS, so that no password travels openly.

    Parameters:
        host: the registry, such as ``registry.example.com:5000``.
        repository: the repository's name there.
        credentials: used when the registry asks for some.
        timeout: seconds without any progress after which a request fails.

    """

    def __init__(
        self, host: str, repository: str, credentials: RegistryCredentials | None = None, *, timeout: float = 60.0
    ) -> None:
        import httpx

        self.host = host
        self.repository = repository
        self._credentials = credentials
        self._authorization: str | None = None
        self._http = httpx.Client(
            base_url=f"{'http' if is_loopback(host) else 'https'}://{host}/v2/",
            timeout=httpx.Timeout(timeout, connect=10.0),
            transport=httpx.HTTPTransport(retries=2),
            follow_redirects=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def manifest(self, version: str) -> Manifest:
        """Return the manifest of a tag or digest, or raise `RegistryNotFoundError`."""
        response = self._send("GET", f"{self.repository}/manifests/{version}", headers={"Accept": _ACCEPTED})
        if len(response.content) > MOST_MANIFEST_BYTES:
            raise RegistryError(f"The manifest of {self._name(version)} has {len(response.content):,} bytes: too many.")
        digest = f"sha256:{hashlib.sha256(response.content).hexdigest()}"
        if version.startswith("sha256:") and version != digest:
            raise RegistryError(f"{self.host} sent another manifest than {self._name(version)}.")
        return Manifest(response.content, response.headers.get("content-type", "").partition(";")[0], digest)

    def put_manifest(self, version: str, content: bytes, media_type: str) -> str:
        """Store a manifest under a tag, and return its digest."""
        self._send(
            "PUT",
            f"{self.repository}/manifests/{version}",
            headers={"Content-Type": media_type},
            content=content,
        )
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    def delete_manifest(self, digest: str) -> None:
        """Remove a manifest and the tags that name it; registries may be set not to allow that."""
        self._send("DELETE", f"{self.repository}/manifests/{digest}")

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        return self._send("HEAD", f"{self.repository}/blobs/{digest}", missing_is_none=True) is not None

    def blob(self, digest: str) -> Iterator[bytes]:
        """Yield a blob in chunks; raise `RegistryError` at its end when it is not what was asked for."""
        checked = hashlib.sha256()
        response = self._send("GET", f"{self.repository}/blobs/{digest}", stream=True)
        try:
            for chunk in self._told(response.iter_bytes, CHUNK_BYTES):
                checked.update(chunk)
                yield chunk
        finally:
            response.close()
        if f"sha256:{checked.hexdigest()}" != digest:
            raise RegistryError(f"{self.host} sent a damaged layer {digest}: try again.")

    def push_blob(self, digest: str, size: int, content: Callable[[], Iterator[bytes]]) -> None:
        """Store a blob that the repository lacks. `content` gives its chunks; raise in it to stop the upload."""
        location = self._send("POST", f"{self.repository}/blobs/uploads/").headers["location"]
        url = urljoin(str(self._http.base_url), location)
        separator = "&" if "?" in url else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        try:
            self._send("PUT", f"{url}{separator}digest={digest}", headers=headers, content=content())
        except BaseException:
            self._abandon(url)
            raise

    def push_file(self, digest: str, file: Path, on_chunk: Callable[[], None] = lambda: None) -> None:
        """Store a file as a blob. `on_chunk` is called between chunks; raise there to stop."""

        def chunks() -> Iterator[bytes]:
            with file.open("rb") as source:
                while chunk := source.read(CHUNK_BYTES):
                    on_chunk()
                    yield chunk

        self.push_blob(digest, file.stat().st_size, chunks)

    def mount_blob(self, digest: str, repository: str) -> bool:
        """Take a blob over from another repository of the same registry; False when the registry will not."""
        response = self._send("POST", f"{self.repository}/blobs/uploads/?mount={digest}&from={repository}")
        if response.status_code == 201:
            return True
        self._abandon(urljoin(str(self._http.base_url), response.headers.get("location", "")))
        return False

    def _abandon(self, url: str) -> None:
        import httpx

        headers = {"Authorization": self._authorization} if self._authorization else {}
        try:
            self._http.delete(url, headers=headers)
        except httpx.HTTPError:
            return  # the registry forgets unfinished uploads by itself

    def _send(
        self, method: str, url: str, *, missing_is_none: bool = False, stream: bool = False, **options: Any
    ) -> Any:
        """Send a request, a second time with credentials when the registry asks for them."""
        content = options.get("content")
        # An upload in chunks cannot be repeated: what opened it has authenticated already.
        attempts = 2 if content is None or isinstance(content, bytes) else 1
        response: httpx.Response | None = None
        for attempt in range(attempts):
            headers = {**options.get("headers", {})}
            if self._authorization:
                headers["Authorization"] = self._authorization
            request = self._http.build_request(method, url, headers=headers, content=content)
            response = self._told(self._http.send, request, stream=stream)
            if response.status_code != 401 or attempt == attempts - 1 or not self._authenticate(response):
                break
            response.close()
        if response is None or response.status_code < 400:
            return response
        if response.status_code == 404 and missing_is_none:
            return None
        self._told(response.read)
        raise self._refused(method, url, response)

    def _authenticate(self, response: httpx.Response) -> bool:
        """Take what the registry asks for; False when there is nothing (more) to offer."""
        scheme, _, rest = response.headers.get("www-authenticate", "").partition(" ")
        parameters = dict(_PARAMETER.findall(rest))
        mine = self._credentials
        if scheme.lower() == "basic":
            if mine is None or self._authorization is not None:
                return False
            self._authorization = f"Basic {mine.secrets[1]}"
            return True
        if scheme.lower() != "bearer" or "realm" not in parameters:
            return False
        realm = parameters["realm"]
        if not realm.startswith("https://") and not is_loopback(self.host):
            raise RegistryError(f"{self.host} wants a password sent to {realm}, which is not encrypted.")
        query = {key: parameters[key] for key in ("service", "scope") if key in parameters}
        headers = {"Authorization": f"Basic {mine.secrets[1]}"} if mine else {}
        answer = self._told(self._http.get, realm, params=query, headers=headers)
        if answer.status_code != 200:
            return False
        document = answer.json()
        token = document.get("access_token") or document.get("token")
        if not isinstance(token, str) or self._authorization == f"Bearer {token}":
            return False
        self._authorization = f"Bearer {token}"
        return True

    def _refused(self, method: str, url: str, response: httpx.Response) -> RegistryError:
        status, what = response.status_code, f"{self.host}/{self.repository}"
        if status in (401, 403):
            who = f"user {self._credentials.username!r}" if self._credentials else "a client without credentials"
            return RegistryCredentialsError(
                f"The container registry {self.host} refuses {who} access to {self.repository} (HTTP {status}).\n"
                "Check user name and password, and that the user may "
                + ("pull from it." if method in ("GET", "HEAD") else "push to it.")
            )
        if status == 404:
            return RegistryNotFoundError(
                f"The container registry {self.host} has no {url.removeprefix('/')} (HTTP 404).\n"
                "Check the image's name and tag, and that it was pushed there."
            )
        detail = response.text[:300].strip()
        return RegistryError(f"The container registry answered HTTP {status} to {method} {what}: {detail}")

    def _told(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call httpx and say in words what goes wrong."""
        import httpx

        try:
            return call(*arguments, **options)
        except httpx.TimeoutException as error:
            raise RegistryError(f"The container registry {self.host} does not answer: {error or 'timeout'}.") from error
        except httpx.HTTPError as error:
            raise RegistryError(
                f"The container registry {self.host} cannot be reached: {error}.\nCheck its address and the network."
            ) from error

    def _name(self, version: str) -> str:
        return f"{self.host}/{self.repository}{'@' if version.startswith('sha256:') else ':'}{version}"


def is_loopback(host: str) -> bool:
    """Whether a registry is on this machine."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def shown_host(host: str) -> str:
    """Return a registry's name as people know it."""
    return "docker.io" if host == DOCKER_HUB else host
